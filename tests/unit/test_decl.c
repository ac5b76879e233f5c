/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Declarations as bytes. Those of all plugins that have been built go round and lose nothing; then what a hostile process may send: declarations that break
 * a rule, and bytes that are none. The plugins are in BP_BUILD/plugins/.libs and BP_BUILD/tests/plugins.
 */
#include "core/device/decl.h"

#include "core/base/fd.h"
#include "tests/unit/support.h"

#include <backplane/plugin.h>

#include <errno.h>

#define PATH "/nowhere/plugin.so"

static const char *in_build(const char *name)
{
	static char path[4096];

	snprintf(path, sizeof(path), "%s/%s", getenv("BP_BUILD") ? getenv("BP_BUILD") : ".", name);
	return path;
}

static struct plugin *load(const char *name)
{
	struct plugin *plugin = NULL;
	struct err err = ERR_NONE;

	if (plugin_load(in_build(name), &plugin, &err) < 0)
		fail_msg("%s", err.text);
	return plugin;
}

static struct bp_note_desc note_of(const struct plugin *plugin)
{
	struct bp_note_desc note = { .abi_major = BP_ABI_MAJOR, .abi_minor = plugin->abi_minor };

	snprintf(note.id, sizeof(note.id), "%s", plugin->id);
	return note;
}

static uint8_t *pack(const struct plugin *plugin, size_t *ret_count)
{
	struct pack_writer writer;
	uint8_t *bytes;

	pack_begin(&writer, DECL_BYTES_MAX);
	decl_pack(plugin, &writer);
	assert_int_equal(pack_end(&writer, &bytes, ret_count), 0);
	return bytes;
}

/* ---- what goes round ---- */

static void expect_text(const char *a, const char *b)
{
	assert_int_equal(!a, !b);
	if (a)
		assert_string_equal(a, b);
}

static void expect_schema(const struct schema *a, const struct schema *b)
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
		assert_int_equal(!x->group, !y->group);
		if (x->group)
			expect_schema(x->group, y->group);
	}
}

static void expect_decl(const struct class_decl *a, const struct class_decl *b)
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

static void go_round(const struct plugin *plugin)
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

static void every_plugin_that_is_built_goes_round(void **state)
{
	DIR *dir = opendir(in_build("plugins/.libs"));
	const struct dirent *entry;
	size_t virtio = 0, states = 0, plugins = 0;

	(void)state;
	assert_non_null(dir);
	while ((entry = readdir(dir))) {
		size_t length = strlen(entry->d_name);
		char name[512];
		struct plugin *plugin;

		if (length < 3 || strcmp(entry->d_name + length - 3, ".so") != 0)
			continue;
		snprintf(name, sizeof(name), "plugins/.libs/%s", entry->d_name);
		plugin = load(name);
		go_round(plugin);
		for (size_t i = 0; i < plugin->class_count; i++) {
			virtio += plugin->classes[i].decl.virtio.id != 0;
			states += plugin->classes[i].decl.has_state;
		}
		plugin_free(plugin);
		plugins++;
	}
	closedir(dir);
	/* It has looked at some. */
	assert_true(plugins >= 8 && virtio >= 3 && states >= 8);
}

static void plugins_of_tests_go_round(void **state)
{
	/* Of bad_class: a right one, a table of a later version, a default that is found later. */
	static const char *const names[] = {
		"tests/plugins/.libs/led.so",       "tests/plugins/.libs/dma.so",
		"tests/plugins/.libs/events.so",    "tests/plugins/bad/bad_class_0.so",
		"tests/plugins/bad/bad_class_1.so", "tests/plugins/bad/bad_class_13.so",
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		struct plugin *plugin = load(names[i]);

		go_round(plugin);
		plugin_free(plugin);
	}
}

static void elsewhere(void)
{
}

#define SOME(callback) ((__typeof__(callback))elsewhere)

/* Everything that a class can have. Freed with plugin_free(). */
static struct plugin *make_full(void)
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

static void everything_that_a_class_can_have_goes_round(void **state)
{
	struct plugin *plugin = make_full();

	(void)state;
	assert_true(plugin->classes[0].decl.has_access && plugin->classes[0].decl.has_state);
	assert_false(plugin->classes[0].decl.has_config_changed);
	assert_int_equal(plugin->classes[0].decl.state_version, 7);
	assert_true(plugin->classes[1].decl.has_config_changed);
	assert_false(plugin->classes[1].decl.has_access || plugin->classes[1].decl.has_state);
	go_round(plugin);
	plugin_free(plugin);
}

/* ---- declarations that break a rule ---- */

static void refuse_bytes(const uint8_t *bytes, size_t count, const struct bp_note_desc *note, const char *sentence)
{
	struct plugin *plugin = NULL;
	struct err err = ERR_NONE;
	char expected[ERR_TEXT_MAX];

	assert_int_equal(decl_unpack(bytes, count, PATH, note, &plugin, &err), -EINVAL);
	assert_null(plugin);
	snprintf(expected, sizeof(expected), "plugin \"" PATH "\" is malformed: %s", sentence);
	assert_string_equal(err.text, expected);
}

/* With the note that the file would have. */
static void refuse(const struct plugin *plugin, const char *sentence)
{
	const struct bp_note_desc note = { .abi_major = BP_ABI_MAJOR, .abi_minor = 1, .id = "com.acme.full" };
	size_t count;
	uint8_t *bytes = pack(plugin, &count);

	refuse_bytes(bytes, count, &note, sentence);
	free(bytes);
}

/* What is packed is as wrong as what is set here. */
static void callbacks_that_have_to_be(void **state)
{
	struct plugin *plugin = make_full();
	struct plugin_class *raw = &plugin->classes[0], *other = &plugin->classes[1];
	const struct plugin_class right_raw = *raw, right_other = *other;

	(void)state;
#define WITHOUT(class, field, sentence)               \
	do {                                          \
		(class)->field = NULL;                \
		refuse(plugin, sentence);             \
		(class)->field = right_##class.field; \
	} while (0)
	WITHOUT(raw, callbacks.create, "class \"raw\" has no callback \"create\"");
	WITHOUT(raw, callbacks.destroy, "class \"raw\" has no callback \"destroy\"");
	WITHOUT(raw, callbacks.reset, "class \"raw\" has no callback \"reset\"");
	WITHOUT(raw, callbacks.access, "class \"raw\" has no callback \"access\"");
	WITHOUT(raw, callbacks.save, "class \"raw\" has no callback \"save\"");
	WITHOUT(raw, callbacks.load, "class \"raw\" has no callback \"load\"");
	WITHOUT(other, virtio.request, "class \"virtio\": its virtio class has no callback \"request\"");
	raw->decl.state_version = 0;
	refuse(plugin, "class \"raw\": a state version from 1 on and a save belong together");
	raw->decl.state_version = 7;
	other->callbacks.access = SOME(other->callbacks.access);
	refuse(plugin,
	       "class \"virtio\" is a virtio class and has ranges, irqs, hid, compatible or access, which are the "
	       "host's business then");
	plugin_free(plugin);
}

static void replace(char **text, const char *with)
{
	free(*text);
	*text = with ? strdup(with) : NULL;
}

static void fields_that_are_wrong(void **state)
{
	struct plugin *plugin = make_full();
	struct class_decl *raw = &plugin->classes[0].decl, *other = &plugin->classes[1].decl;

	(void)state;
	replace(&raw->name, "RAW");
	refuse(plugin, "a class has no usable name");
	replace(&raw->name, NULL);
	refuse(plugin, "a class has no usable name");
	replace(&raw->name, "virtio");
	refuse(plugin, "it has two classes \"virtio\"");
	replace(&raw->name, "raw");
	replace(&raw->summary, "a\nb");
	refuse(plugin, "class \"raw\": summary, hid or compatible is too long or not printable");
	replace(&raw->summary, "raw");
	raw->facts = 1u << 31;
	refuse(plugin, "class \"raw\": unknown firmware facts 0x80000000");
	raw->facts = 0;
	raw->ranges[1].widths = 0;
	refuse(plugin, "class \"raw\": range 1 is malformed");
	raw->ranges[1].widths = BP_W8;
	replace(&raw->ranges[0].base_param, "line");
	refuse(plugin, "class \"raw\": \"line\" is not a parameter of type address");
	replace(&raw->ranges[0].base_param, "base");
	replace(&raw->irqs[0].line_param, "nothing");
	refuse(plugin, "class \"raw\": \"nothing\" is not a parameter of type uint");
	replace(&raw->irqs[0].line_param, NULL);
	raw->schema->params[5].group->params[0].type = BP_P_BOOL;
	refuse(plugin, "class \"raw\": parameter \"group.limits\": a table without being a group");
	raw->schema->params[5].group->params[0].type = BP_P_GROUP;
	other->virtio.id = 64;
	refuse(plugin, "class \"virtio\": its virtio class has an id that no device type can have");
	other->virtio.id = 1;
	replace(&plugin->version, "\033[2J");
	refuse(plugin, "it has no usable version");
	replace(&plugin->version, NULL);
	refuse(plugin, "it has no usable version");
	replace(&plugin->version, "2");
	go_round(plugin);
	plugin_free(plugin);
}

static void a_declaration_that_disagrees_with_the_note(void **state)
{
	struct plugin *plugin = make_full();
	struct bp_note_desc note = note_of(plugin);
	size_t count;
	uint8_t *bytes = pack(plugin, &count);

	(void)state;
	note.abi_minor++;
	refuse_bytes(bytes, count, &note, "its descriptor and its note name different ABI versions");
	note.abi_minor--;
	note.abi_major++;
	refuse_bytes(bytes, count, &note, "its descriptor and its note name different ABI versions");
	note.abi_major--;
	note.id[0] = 'C';
	refuse_bytes(bytes, count, &note, "its descriptor and its note name different ids");
	snprintf(note.id, sizeof(note.id), "com.acme.ful");
	refuse_bytes(bytes, count, &note, "its descriptor and its note name different ids");
	free(bytes);
	plugin_free(plugin);
}

/* ---- bytes that are no declaration ---- */

#define UNREADABLE "its declaration cannot be read"

/* Up to the parameters of the first class. */
static void begin_class(struct pack_writer *writer)
{
	pack_begin(writer, DECL_BYTES_MAX);
	pack_u32(writer, BP_ABI_MAJOR);
	pack_u32(writer, 1);
	pack_text(writer, "com.acme.full");
	pack_text(writer, "1.0");
	pack_u32(writer, 1);
	pack_text(writer, "class");
	pack_text(writer, "");
	pack_text(writer, NULL);
	pack_text(writer, NULL);
	pack_u32(writer, 0);
	pack_u32(writer, 0);
	pack_u32(writer, 1u << 1 | 1u << 4 | 1u << 6); /* create, reset, destroy */
}

static void begin_param(struct pack_writer *writer, const char *name, uint32_t type)
{
	pack_text(writer, name);
	pack_u32(writer, type);
	pack_u32(writer, 0);
	pack_text(writer, NULL);
	pack_u64(writer, 0);
	pack_u64(writer, 0);
	pack_u32(writer, 0);
	pack_text(writer, NULL);
	pack_text(writer, NULL);
}

/* Ranges, irqs, virtio: none. NULL: it is accepted. */
static void end_class(struct pack_writer *writer, const char *sentence)
{
	const struct bp_note_desc note = { .abi_major = BP_ABI_MAJOR, .abi_minor = 1, .id = "com.acme.full" };
	struct err err = ERR_NONE;
	struct plugin *plugin;
	uint8_t *bytes;
	size_t count;

	pack_u32(writer, 0);
	pack_u32(writer, 0);
	pack_u32(writer, 0);
	assert_int_equal(pack_end(writer, &bytes, &count), 0);
	if (sentence) {
		refuse_bytes(bytes, count, &note, sentence);
	} else if (decl_unpack(bytes, count, PATH, &note, &plugin, &err) < 0) {
		fail_msg("%s", err.text);
	} else {
		plugin_free(plugin);
	}
	free(bytes);
}

static void groups_are_bounded_in_depth(void **state)
{
	struct pack_writer writer;

	(void)state;
	for (unsigned int depth = 1; depth <= 3 * SCHEMA_DEPTH_MAX; depth++) {
		begin_class(&writer);
		for (unsigned int i = 0; i < depth; i++) {
			pack_u32(&writer, 1);
			begin_param(&writer, "group", BP_P_GROUP);
		}
		pack_u32(&writer, 1);
		begin_param(&writer, "inner", BP_P_BOOL);
		pack_u32(&writer, 0);
		end_class(&writer, depth <= SCHEMA_DEPTH_MAX ? NULL : UNREADABLE);
	}
	/* As deep as bytes can say. */
	begin_class(&writer);
	while (writer.count < DECL_BYTES_MAX - 200) {
		pack_u32(&writer, 1);
		begin_param(&writer, "group", BP_P_GROUP);
	}
	end_class(&writer, UNREADABLE);
}

static void parameters_are_bounded_in_number(void **state)
{
	static const char *const sentences[] = { NULL, UNREADABLE };
	struct pack_writer writer;
	char name[16];

	(void)state;
	begin_class(&writer);
	pack_u32(&writer, SCHEMA_PARAMS_MAX + 1);
	end_class(&writer, UNREADABLE);
	begin_class(&writer);
	pack_u32(&writer, UINT32_MAX);
	end_class(&writer, UNREADABLE);
	/* Eight groups with 63 each are SCHEMA_TOTAL_MAX; one more is one too many. */
	for (uint32_t more = 0; more < 2; more++) {
		begin_class(&writer);
		pack_u32(&writer, 8 + more);
		for (uint32_t i = 0; i < 8; i++) {
			snprintf(name, sizeof(name), "group%u", i);
			begin_param(&writer, name, BP_P_GROUP);
			pack_u32(&writer, 63);
			for (uint32_t j = 0; j < 63; j++) {
				snprintf(name, sizeof(name), "p%u", j);
				begin_param(&writer, name, BP_P_BOOL);
				pack_u32(&writer, 0);
			}
		}
		if (more) {
			begin_param(&writer, "more", BP_P_BOOL);
			pack_u32(&writer, 0);
		}
		end_class(&writer, sentences[more]);
	}
}

static void callbacks_that_are_not_known(void **state)
{
	struct pack_writer writer;

	(void)state;
	for (uint32_t bit = 11; bit < 32; bit++) {
		begin_class(&writer);
		writer.count -= sizeof(uint32_t);
		pack_u32(&writer, 1u << bit | 1u << 1 | 1u << 4 | 1u << 6);
		pack_u32(&writer, 0);
		end_class(&writer, UNREADABLE);
	}
}

static void bytes_behind_the_end(void **state)
{
	struct plugin *plugin = make_full();
	struct bp_note_desc note = note_of(plugin);
	size_t count;
	uint8_t *bytes = pack(plugin, &count), *more = calloc(1, DECL_BYTES_MAX + 1);

	(void)state;
	assert_non_null(more);
	memcpy(more, bytes, count);
	refuse_bytes(more, count + 1, &note, UNREADABLE);
	refuse_bytes(more, DECL_BYTES_MAX, &note, UNREADABLE);
	refuse_bytes(more, DECL_BYTES_MAX + 1, &note, "its declaration is too long");
	free(more);
	free(bytes);
	plugin_free(plugin);
}

/* Of exactly its size, so that a sanitizer sees each byte too far. Whether it was accepted. */
static bool try(const uint8_t *bytes, size_t count, const struct bp_note_desc *note)
{
	uint8_t *exact = malloc(count ? count : 1);
	struct plugin *plugin = NULL;
	struct err err = ERR_NONE;
	int r;

	assert_non_null(exact);
	memcpy(exact, bytes, count);
	r = decl_unpack(exact, count, PATH, note, &plugin, &err);
	free(exact);
	if (r < 0) {
		assert_int_equal(r, -EINVAL);
		assert_null(plugin);
		assert_true(err.text[0] && !strchr(err.text, '\n'));
		return false;
	}
	/* What is accepted can be looked at, all of it. */
	for (size_t i = 0; i < plugin->class_count; i++)
		expect_decl(&plugin->classes[i].decl, &plugin->classes[i].decl);
	plugin_free(plugin);
	return true;
}

static void a_declaration_that_is_cut(void **state)
{
	struct plugin *plugin = make_full();
	struct bp_note_desc note = note_of(plugin);
	size_t count;
	uint8_t *bytes = pack(plugin, &count);

	(void)state;
	for (size_t cut = 0; cut < count; cut++)
		assert_false(try(bytes, cut, &note));
	assert_true(try(bytes, count, &note));
	free(bytes);
	plugin_free(plugin);
}

static void each_byte_flipped(void **state)
{
	static const uint8_t flips[] = { 0x01, 0x80, 0xff };
	struct plugin *plugin = make_full();
	struct bp_note_desc note = note_of(plugin);
	size_t count, refused = 0;
	uint8_t *bytes = pack(plugin, &count);

	(void)state;
	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; j < COUNT_OF(flips); j++) {
			bytes[i] ^= flips[j];
			refused += !try(bytes, count, &note);
			bytes[i] ^= flips[j];
		}
	/* Most of them, though a letter of a text is as good as another. */
	assert_true(refused > count);
	assert_true(try(bytes, count, &note));
	free(bytes);
	plugin_free(plugin);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_plugin_that_is_built_goes_round),
		cmocka_unit_test(plugins_of_tests_go_round),
		cmocka_unit_test(everything_that_a_class_can_have_goes_round),
		cmocka_unit_test(callbacks_that_have_to_be),
		cmocka_unit_test(fields_that_are_wrong),
		cmocka_unit_test(a_declaration_that_disagrees_with_the_note),
		cmocka_unit_test(groups_are_bounded_in_depth),
		cmocka_unit_test(parameters_are_bounded_in_number),
		cmocka_unit_test(callbacks_that_are_not_known),
		cmocka_unit_test(bytes_behind_the_end),
		cmocka_unit_test(a_declaration_that_is_cut),
		cmocka_unit_test(each_byte_flipped),
	};

	return cmocka_run_group_tests_name("decl", tests, NULL, NULL);
}
