/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a plugin declares, as bytes: sent by the process that has loaded it to the core, which checks every rule of
 * <backplane/device.h> once more, by the same code (class_copy()), as nothing that comes from there is believed. Main
 * thread.
 */
#ifndef DEVICE_DECL_H
#define DEVICE_DECL_H

#include "core/base/pack.h"
#include "core/device/plugin.h"

#define DECL_BYTES_MAX ((size_t)4 << 20)

/* Appends the declaration of all classes. Of callbacks it says which there are. */
void decl_pack(const struct plugin *plugin, struct pack_writer *writer);

/* The declaration as a plugin without code: its classes' callbacks are all NULL, and it can be planned with, not run.
 * `path` (copied) and `note`, which the caller has read from the file itself, are believed; the rest must agree with
 * them. decl.has_* of each class say of which of the optional callbacks it declares that there are. The caller frees
 * *ret with plugin_free(). -EINVAL, -ENOMEM with one sentence, as of plugin_load(). */
int decl_unpack(const void *bytes, size_t count, const char *path, const struct bp_note_desc *note, struct plugin **ret,
		struct err *err);

#endif
