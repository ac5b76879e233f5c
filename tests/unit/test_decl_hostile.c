/* SPDX-License-Identifier: BSD-3-Clause */
/* What a hostile process may send as its declaration: some that break a rule, and bytes that are none. */
#include "tests/unit/decl_fixture.h"

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
	replace(&raw->schema->params[7].pairs_param, "line");
	refuse(plugin,
	       "class \"raw\": parameter \"network\": its pairs parameter \"line\" is not one of type uint with a "
	       "range within 1 to 16");
	replace(&raw->schema->params[7].pairs_param, "pairs");
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
	pack_text(writer, NULL); /* help */
	pack_text(writer, NULL); /* readonly_param */
	pack_text(writer, NULL); /* pairs_param */
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

	return cmocka_run_group_tests_name("decl_hostile", tests, NULL, NULL);
}
