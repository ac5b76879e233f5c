/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The binary contract between backplane and a plugin: version, entry point, ELF note.
 *
 * Rules that hold for every table in these headers:
 *  - its first word is its size in bytes; whoever reads it copies the smaller of both sizes into a zeroed struct;
 *  - within one major version fields are only appended, and an absent field means the documented default;
 *  - only fixed-width integers, pointers and NUL-terminated UTF-8 strings cross the boundary. The two exceptions are the
 *    int result of a call (0, a count, or -errno) and struct iovec on LP64.
 *
 * A plugin includes <backplane/plugin.h>, which includes this file.
 */
#ifndef BACKPLANE_ABI_H
#define BACKPLANE_ABI_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define BP_BEGIN_DECLS               extern "C" {
#define BP_END_DECLS                 }
#define BP_STATIC_ASSERT(cond, text) static_assert(cond, text)
#else
#define BP_BEGIN_DECLS
#define BP_END_DECLS
#define BP_STATIC_ASSERT(cond, text) _Static_assert(cond, text)
#endif

/* The ABI that these headers describe. Minor versions only append, so a plugin built against 0.x loads in a later 0.y; but until
 * 1.0 a major version may end with any release. From 1.0 on a plugin built against 1.x loads in every later 1.y. */
#define BP_ABI_MAJOR 0
#define BP_ABI_MINOR 3

/* The oldest minor version of the host that this plugin can live with. Define it before the first include to promise that
 * the plugin copes with -ENOSYS from every function that is newer than that. */
#ifndef BP_ABI_MINOR_NEEDED
#define BP_ABI_MINOR_NEEDED BP_ABI_MINOR
#endif

#define BP_ID_MAX 64 /* bytes of a plugin's id in the note, the terminating NUL included */

/* What the ELF note (owner "backplane", type BP_NOTE_TYPE) carries. Read from the file before the plugin is loaded, so it
 * has no pointers. */
struct bp_note_desc {
	uint32_t magic; /* BP_NOTE_MAGIC */
	uint32_t abi_major;
	uint32_t abi_minor;        /* built against */
	uint32_t abi_minor_needed; /* see BP_ABI_MINOR_NEEDED */
	char id[BP_ID_MAX];        /* reverse domain name of the vendor and the plugin: "com.acme.led" */
};
BP_STATIC_ASSERT(sizeof(struct bp_note_desc) == 80, "bp_note_desc is part of the ABI");

#define BP_NOTE_OWNER "backplane"
#define BP_NOTE_TYPE  1u
#define BP_NOTE_MAGIC 0x616c7042u /* "Bpla" in memory order */

/* The whole note, as BP_PLUGIN lays it out in section .note.backplane. */
struct bp_note {
	uint32_t owner_size;
	uint32_t desc_size;
	uint32_t type;
	char owner[12]; /* BP_NOTE_OWNER, padded to 4 bytes */
	struct bp_note_desc desc;
};
BP_STATIC_ASSERT(sizeof(struct bp_note) == 104, "bp_note is part of the ABI");

/* What the exported symbol `backplane_plugin` is. Each entry of `classes` points to a class table, whose first two words
 * are its size and its kind (BP_CLASS_*), so that kinds can be added. */
struct bp_plugin {
	uint32_t size; /* sizeof(struct bp_plugin) */
	uint32_t abi_major;
	uint32_t abi_minor;
	uint32_t class_count;
	const char *id;      /* the same as in the note */
	const char *version; /* the plugin's own version, shown to people */
	const void *const *classes;
};

#define BP_CLASS_DEVICE 1u /* struct bp_device_class */

/* The name of the exported symbol, for dlsym. */
#define BP_ENTRY        "backplane_plugin"

/*
 * BP_PLUGIN(id, version, &class...): the last line of a plugin. `id` is a string literal of at most BP_ID_MAX - 1 bytes.
 * It defines the exported descriptor and the ELF note.
 */
#define BP_PLUGIN(plugin_id, plugin_version, ...)                                                                    \
	static const void *const bp_plugin_classes[] = { __VA_ARGS__ };                                              \
	BP_BEGIN_DECLS                                                                                               \
	extern const struct bp_plugin backplane_plugin __attribute__((visibility("default")));                       \
	const struct bp_plugin backplane_plugin = {                                                                  \
		sizeof(struct bp_plugin),                                                                            \
		BP_ABI_MAJOR,                                                                                        \
		BP_ABI_MINOR,                                                                                        \
		sizeof(bp_plugin_classes) / sizeof(bp_plugin_classes[0]),                                            \
		plugin_id,                                                                                           \
		plugin_version,                                                                                      \
		bp_plugin_classes,                                                                                   \
	};                                                                                                           \
	BP_END_DECLS                                                                                                 \
	__attribute__((section(".note.backplane"), used, aligned(4))) static const struct bp_note bp_plugin_note = { \
		sizeof(BP_NOTE_OWNER),                                                                               \
		sizeof(struct bp_note_desc),                                                                         \
		BP_NOTE_TYPE,                                                                                        \
		BP_NOTE_OWNER,                                                                                       \
		{ BP_NOTE_MAGIC, BP_ABI_MAJOR, BP_ABI_MINOR, BP_ABI_MINOR_NEEDED, plugin_id },                       \
	};

#endif
