/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The ELF note of a plugin, read from its file before any of its code is loaded. The file is hostile. Main thread.
 */
#ifndef DEVICE_NOTE_H
#define DEVICE_NOTE_H

#include "core/base/err.h"

#include <backplane/abi.h>

/* Reads the note from an open file and checks that this host can load it: a shared object for this processor, with one
 * well-formed note, whose ABI fits. `name` is for messages. -ENOEXEC with one sentence otherwise. */
int note_read(int fd, const char *name, struct bp_note_desc *ret, struct err *err);

#endif
