/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A loaded plugin: its file checked, its code loaded, its declaration copied. Main thread. Plugins are never unloaded.
 */
#ifndef DEVICE_PLUGIN_H
#define DEVICE_PLUGIN_H

#include "core/base/err.h"
#include "core/base/schema.h"

#include <backplane/virtio.h>

#include <stdbool.h>

#define CLASS_RANGES_MAX   16
#define CLASS_IRQS_MAX     16
#define PLUGIN_CLASSES_MAX 16

struct class_range {
	uint32_t space;
	uint32_t widths;
	uint64_t length;
	char *base_param; /* NULL: chosen by the core */
};

struct class_irq {
	char *line_param; /* NULL: chosen by the core */
};

/* What a virtio class declares beyond that. */
struct class_virtio {
	uint32_t id; /* 0: it is no virtio class, and the rest is 0, too */
	uint32_t queue_count;
	uint32_t queue_size; /* a power of two */
	uint32_t config_bytes;
	uint32_t scratch_bytes;
	uint64_t features;
};

/* What a class declares: plain data, owned by us, every rule of <backplane/device.h> checked. The same is sent over a
 * socket when the plugin lives in another process. */
struct class_decl {
	char *name;
	char *summary;
	char *hid;        /* or NULL */
	char *compatible; /* or NULL */
	uint32_t facts;
	struct schema *schema;
	size_t range_count;
	struct class_range ranges[CLASS_RANGES_MAX];
	size_t irq_count;
	struct class_irq irqs[CLASS_IRQS_MAX];
	struct class_virtio virtio;
	/* Of the optional callbacks, those whose absence has a meaning for whoever does not call them itself. */
	bool has_access;
	bool has_state; /* save and load */
	bool has_config_changed;
	uint32_t state_version; /* 0 without a state */
};

struct plugin_class {
	struct class_decl decl;
	struct bp_device_class callbacks; /* only the function pointers are looked at */
	struct bp_virtio_class virtio;    /* the same; zeroed unless decl.virtio.id is set */
};

struct plugin {
	char *path;
	char *id;
	char *version;
	uint32_t abi_minor; /* built against */
	size_t class_count;
	struct plugin_class *classes;
};

/* Loads the plugin at `path`. Before any of its code runs, the file is checked: regular, not writable by everybody, an ELF
 * note that fits. The caller frees *ret with plugin_free(), which leaves the code in place. -errno with one sentence. */
int plugin_load(const char *path, struct plugin **ret, struct err *err);
void plugin_free(struct plugin *plugin);

/* What plugin_load() does before any of the plugin's code runs, for whoever has it loaded elsewhere: *ret_real is the
 * file's real path, which the caller frees. -errno with one sentence. */
int plugin_examine(const char *path, char **ret_real, struct bp_note_desc *ret_note, struct err *err);

/* Copies a plugin's descriptor and classes, which are hostile; what they say must agree with the note. The path is left
 * to the caller. -EINVAL with what is wrong with "it", -ENOMEM. */
int plugin_copy(const struct bp_plugin *entry, const struct bp_note_desc *note, struct plugin **ret, struct err *err);

/* The class of that name, or the first for NULL. NULL if there is none. */
const struct plugin_class *plugin_find_class(const struct plugin *plugin, const char *name);

/* Copies one class table, which is hostile; the parts of plugin_load() that tests call, too. */
int class_copy(const void *table, struct plugin_class *ret, struct err *err);
void class_free(struct plugin_class *class);

/* A bounded copy of a plugin's printable string, or NULL where the text is NULL, longer than `max` bytes or not printable. */
char *class_copy_text(const char *text, size_t max);

#endif
