/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The broker: does for a device, while the guest runs, what its configuration allows and the device itself cannot do where
 * it lives: it connects to Unix sockets. What a device asks for is hostile. Any thread; nothing here waits.
 */
#ifndef PLACEMENT_BROKER_H
#define PLACEMENT_BROKER_H

#include "core/base/values.h"
#include "core/device/device.h"

/* Connects. The descriptor, non-blocking, which the caller owns; -EPROTO, and nothing else is that, for what `values` do not allow: only a
 * fault of the plugin's process asks for that; otherwise connect()'s -errno, -ENAMETOOLONG for a path that is too long with its number, -EAGAIN where the
 * listener's backlog is full. */
int broker_connect(const struct values *values, const struct device_connect *ask);

#endif
