/* SPDX-License-Identifier: BSD-3-Clause */
/* For tests of declarations: one with everything in it, and what two of them have to have in common. */
#ifndef UNIT_DECL_FIXTURE_H
#define UNIT_DECL_FIXTURE_H

#include "core/device/decl.h"
#include "tests/unit/support.h"

#include <backplane/plugin.h>

#include <errno.h>

#define PATH "/nowhere/plugin.so"

static inline struct bp_note_desc note_of(const struct plugin *plugin)
{
	struct bp_note_desc note = { .abi_major = BP_ABI_MAJOR, .abi_minor = plugin->abi_minor };

	snprintf(note.id, sizeof(note.id), "%s", plugin->id);
	return note;
}

static inline uint8_t *pack(const struct plugin *plugin, size_t *ret_count)
{
	struct pack_writer writer;
	uint8_t *bytes;

	pack_begin(&writer, DECL_BYTES_MAX);
	decl_pack(plugin, &writer);
	assert_int_equal(pack_end(&writer, &bytes, ret_count), 0);
	return bytes;
}

/* ---- what goes round ---- */

static inline void expect_text(const char *a, const char *b)
{
	assert_int_equal(!a, !b);
	if (a)
		assert_string_equal(a, b);
}

static inline void expect_schema(const struct schema *a, const struct schema *b)
{
	assert_int_equal(a->count, b->count);
	for (size_t i = 0; i < a->count; i++) {
		const struct param *x = &a->params[i], *y = &b->params[i];

		expect_text(x->name, y->name);
		assert_int_equal(x->type, y->type);
		assert_int_equal(x->flags, y->flags);
		expect_text(x->def, y->def);
		assert_int_equal(x->min, y->min);
		assert_int_equal(x->max, y->max);
		assert_int_equal(x->choice_count, y->choice_count);
		for (size_t j = 0; j < x->choice_count; j++)
			expect_text(x->choices[j], y->choices[j]);
		expect_text(x->help, y->help);
		expect_text(x->readonly_param, y->readonly_param);
		expect_text(x->pairs_param, y->pairs_param);
		assert_int_equal(!x->group, !y->group);
		if (x->group && y->group)
			expect_schema(x->group, y->group);
	}
}

static inline void expect_decl(const struct class_decl *a, const struct class_decl *b)
{
	expect_text(a->name, b->name);
	expect_text(a->summary, b->summary);
	expect_text(a->hid, b->hid);
	expect_text(a->compatible, b->compatible);
	assert_int_equal(a->facts, b->facts);
	expect_schema(a->schema, b->schema);
	assert_int_equal(a->range_count, b->range_count);
	for (size_t i = 0; i < a->range_count; i++) {
		assert_int_equal(a->ranges[i].space, b->ranges[i].space);
		assert_int_equal(a->ranges[i].widths, b->ranges[i].widths);
		assert_int_equal(a->ranges[i].length, b->ranges[i].length);
		expect_text(a->ranges[i].base_param, b->ranges[i].base_param);
	}
	assert_int_equal(a->irq_count, b->irq_count);
	for (size_t i = 0; i < a->irq_count; i++)
		expect_text(a->irqs[i].line_param, b->irqs[i].line_param);
	assert_memory_equal(&a->virtio, &b->virtio, sizeof(a->virtio));
	assert_int_equal(a->has_access, b->has_access);
	assert_int_equal(a->has_state, b->has_state);
	assert_int_equal(a->has_config_changed, b->has_config_changed);
	assert_int_equal(a->state_version, b->state_version);
}

static inline void go_round(const struct plugin *plugin)
{
	static const struct bp_device_class no_callbacks;
	static const struct bp_virtio_class no_virtio;
	struct bp_note_desc note = note_of(plugin);
	struct err err = ERR_NONE;
	struct plugin *copy;
	size_t count;
	uint8_t *bytes = pack(plugin, &count);

	if (decl_unpack(bytes, count, PATH, &note, &copy, &err) < 0)
		fail_msg("%s", err.text);
	memset(bytes, 0xa5, count);
	free(bytes);
	assert_string_equal(copy->path, PATH);
	assert_string_equal(copy->id, plugin->id);
	assert_string_equal(copy->version, plugin->version);
	assert_int_equal(copy->abi_minor, plugin->abi_minor);
	assert_int_equal(copy->class_count, plugin->class_count);
	for (size_t i = 0; i < plugin->class_count; i++) {
		expect_decl(&copy->classes[i].decl, &plugin->classes[i].decl);
		assert_memory_equal(&copy->classes[i].callbacks, &no_callbacks, sizeof(no_callbacks));
		assert_memory_equal(&copy->classes[i].virtio, &no_virtio, sizeof(no_virtio));
	}
	plugin_free(copy);
}

static inline void elsewhere(void)
{
}

#define SOME(callback) ((__typeof__(callback))elsewhere)

/* Everything that a class can have. Freed with plugin_free(). */
static inline struct plugin *make_full(void)
{
	static const char *const choices[] = { "one", "two", NULL };
	static const struct bp_param inner[] = {
		{ .name = "size", .type = BP_P_SIZE, .min = 1, .max = INT64_MAX, .help = "bytes" },
	};
	static const struct bp_param group[] = {
		{ .name = "limits", .type = BP_P_GROUP, .flags = BP_P_REPEATED, BP_GROUP(inner) },
		{ .name = "kind", .type = BP_P_CHOICE, .def = "two", .choices = choices },
	};
	static const struct bp_param params[] = {
		{ .name = "base", .type = BP_P_ADDRESS },
		{ .name = "line", .type = BP_P_UINT },
		{ .name = "ro", .type = BP_P_BOOL, .def = "false" },
		{ .name = "path", .type = BP_P_FILE, .flags = BP_P_REQUIRED | BP_P_WRITE, .readonly_param = "ro" },
		{ .name = "offset", .type = BP_P_INT, .min = INT64_MIN, .max = -1 },
		{ .name = "group", .type = BP_P_GROUP, BP_GROUP(group) },
		{ .name = "pairs", .type = BP_P_UINT, .min = 1, .max = 16 },
		{ .name = "network", .type = BP_P_NETWORK, .pairs_param = "pairs" },
		{ .name = "socket", .type = BP_P_SOCKET, .flags = BP_P_LISTEN | BP_P_CONNECT },
	};
	static const struct bp_range ranges[] = {
		{ .space = BP_PIO, .length = 8, .widths = BP_W8 | BP_UNALIGNED, .base_param = "base" },
		{ .space = BP_MMIO, .length = UINT64_C(0x100000000), .widths = BP_W32 | BP_W64 },
	};
	static const struct bp_irq irqs[] = { { .line_param = "line" }, { .line_param = NULL } };
	static const struct bp_device_class raw = {
		BP_DEVICE_CLASS_INIT,
		.name = "raw",
		.summary = "something of everything",
		.hid = "ACME0001",
		.compatible = "acme,raw",
		.facts = BP_FACT_RTC | BP_FACT_VGA,
		BP_PARAMS(params),
		BP_RANGES(ranges),
		BP_IRQS(irqs),
		.create = SOME(raw.create),
		.access = SOME(raw.access),
		.reset = SOME(raw.reset),
		.destroy = SOME(raw.destroy),
		.state_version = 7,
		.save = SOME(raw.save),
		.load = SOME(raw.load),
	};
	static const struct bp_virtio_class virtio = {
		BP_VIRTIO_CLASS_INIT,
		.id = 42,
		.queue_count = 3,
		.queue_size = 128,
		.config_bytes = 8,
		.scratch_bytes = 100,
		.features = UINT64_C(0xfffc000000ffffff),
		.request = SOME(virtio.request),
		.config_changed = SOME(virtio.config_changed),
	};
	static const struct bp_device_class other = {
		BP_DEVICE_CLASS_INIT,           .name = "virtio",
		.create = SOME(other.create),   .reset = SOME(other.reset),
		.destroy = SOME(other.destroy), .virtio = &virtio,
	};
	static const void *const classes[] = { &raw, &other };
	static const struct bp_plugin entry = {
		.size = sizeof(entry),
		.abi_major = BP_ABI_MAJOR,
		.abi_minor = 1,
		.class_count = COUNT_OF(classes),
		.id = "com.acme.full",
		.version = "1.0",
		.classes = classes,
	};
	static const struct bp_note_desc note = { .abi_major = BP_ABI_MAJOR, .abi_minor = 1, .id = "com.acme.full" };
	struct err err = ERR_NONE;
	struct plugin *plugin = NULL;

	if (plugin_copy(&entry, &note, &plugin, &err) < 0)
		fail_msg("%s", err.text);
	return plugin;
}

#endif
