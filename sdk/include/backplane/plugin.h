/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Everything that a backplane plugin includes. Build it with
 *   cc -fPIC -fvisibility=hidden -shared -Wl,-z,defs $(pkg-config --cflags backplane-sdk) -o led.so led.c
 * The parts: abi.h (versions, entry point), config.h (parameters), device.h (classes, threads, lifecycle), host.h (what
 * the host does for a device), stream.h (consoles), state.h (saving and loading), virtio.h (virtio devices), io.h (disks),
 * network.h (network cards).
 */
#ifndef BACKPLANE_PLUGIN_H
#define BACKPLANE_PLUGIN_H

#include <backplane/abi.h>
#include <backplane/config.h>
#include <backplane/device.h>
#include <backplane/host.h>
#include <backplane/io.h>
#include <backplane/network.h>
#include <backplane/state.h>
#include <backplane/stream.h>
#include <backplane/virtio.h>

#endif
