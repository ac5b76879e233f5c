/* SPDX-License-Identifier: BSD-3-Clause */
/* Class tables, which are hostile: handed over by pointer, right ones first, then with one thing wrong at a time. */
#include "core/device/plugin.h"

#include "tests/unit/support.h"

#include <backplane/plugin.h>

#include <errno.h>

static int no_create(struct bp_dev *dev, const struct bp_cfg *cfg, void **ret)
{
	(void)dev, (void)cfg, (void)ret;
	return -EIO;
}

static int no_access(void *self, const struct bp_access *access, uint64_t *val)
{
	(void)self, (void)access, (void)val;
	return 0;
}

static void nothing(void *self)
{
	(void)self;
}

static const struct bp_param params[] = {
	{ .name = "base", .type = BP_P_ADDRESS },
	{ .name = "line", .type = BP_P_UINT },
	{ .name = "bases", .type = BP_P_ADDRESS, .flags = BP_P_REPEATED },
};

static struct bp_range ranges[17];
static struct bp_irq irqs[17];
static struct bp_device_class class;

static int class_setup(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(ranges); i++)
		ranges[i] = (struct bp_range){ .space = BP_MMIO, .length = 8, .widths = BP_W32 };
	memset(irqs, 0, sizeof(irqs));
	class = (struct bp_device_class){
		BP_DEVICE_CLASS_INIT,
		.name = "hostile",
		.summary = "table in memory",
		BP_PARAMS(params),
		.range_stride = sizeof(ranges[0]),
		.range_count = 1,
		.ranges = ranges,
		.irq_stride = sizeof(irqs[0]),
		.irq_count = 1,
		.irqs = irqs,
		.create = no_create,
		.access = no_access,
		.reset = nothing,
		.destroy = nothing,
	};
	return 0;
}

static void accept_class(void)
{
	struct plugin_class copy;
	struct err err = ERR_NONE;

	if (class_copy(&class, &copy, &err) < 0)
		fail_msg("%s", err.text);
	class_free(&copy);
}

static void refuse_class(const char *sentence)
{
	struct plugin_class copy = { .decl = { .name = (char *)0x1 } };
	struct err err = ERR_NONE;

	assert_int_equal(class_copy(&class, &copy, &err), -EINVAL);
	assert_string_equal(err.text, sentence);
	/* Nothing has been written. */
	assert_ptr_equal(copy.decl.name, (char *)0x1);
}

static void a_class_is_copied(void **state)
{
	char name[] = "hostile", hid[] = "ACME0001";
	struct plugin_class copy;
	struct err err = ERR_NONE;

	(void)state;
	class.name = name;
	class.hid = hid;
	class.range_count = 16;
	class.irq_count = 16;
	ranges[3].base_param = "base";
	irqs[5].line_param = "line";
	assert_int_equal(class_copy(&class, &copy, &err), 0);
	/* What the plugin does with its table afterwards does not matter. */
	memset(&class, 0xa5, sizeof(class));
	memset(ranges, 0xa5, sizeof(ranges));
	memset(name, 'x', sizeof(name));
	memset(hid, 'x', sizeof(hid));
	assert_string_equal(copy.decl.name, "hostile");
	assert_string_equal(copy.decl.hid, "ACME0001");
	assert_int_equal(copy.decl.range_count, 16);
	assert_int_equal(copy.decl.irq_count, 16);
	assert_string_equal(copy.decl.ranges[3].base_param, "base");
	assert_null(copy.decl.ranges[4].base_param);
	assert_string_equal(copy.decl.irqs[5].line_param, "line");
	assert_int_equal(copy.decl.ranges[15].length, 8);
	assert_ptr_equal(copy.callbacks.create, no_create);
	assert_true(copy.decl.has_access);
	assert_false(copy.decl.has_state);
	class_free(&copy);
}

/* A class table as ABI 0.1 has it ends here. */
#define CLASS_BYTES_0_1 (offsetof(struct bp_device_class, destroy) + sizeof(void (*)(void *)))

/* The size in a table's first word is all that may be read. Behind it lies a page that nobody may touch. */
static void a_table_is_read_no_further_than_it_says(void **state)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	uint8_t *pages = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint32_t head[] = { 8, BP_CLASS_DEVICE };
	struct plugin_class copy;
	struct err err = ERR_NONE;

	(void)state;
	assert_true(pages != MAP_FAILED);
	assert_int_equal(mprotect(pages + page, page, PROT_NONE), 0);
	for (uint32_t size = 8; size < sizeof(class); size += 8) {
		uint8_t *table = pages + page - size;

		memcpy(table, &class, size);
		head[0] = size;
		memcpy(table, head, sizeof(head));
		if (size < CLASS_BYTES_0_1) {
			assert_int_equal(class_copy(table, &copy, &err), -EINVAL);
			continue;
		}
		/* One that is older than this host, whose later fields are absent. */
		assert_int_equal(class_copy(table, &copy, &err), 0);
		assert_null(copy.callbacks.resume);
		class_free(&copy);
	}
	memcpy(pages + page - sizeof(class), &class, sizeof(class));
	assert_int_equal(class_copy(pages + page - sizeof(class), &copy, &err), 0);
	class_free(&copy);
	munmap(pages, 2 * page);
}

static void sizes_and_kinds(void **state)
{
	char sentence[128];

	(void)state;
	class.size = 0;
	refuse_class("it has a class table of 0 bytes, which is too small");
	class.size = CLASS_BYTES_0_1 - 1;
	snprintf(sentence, sizeof(sentence), "it has a class table of %zu bytes, which is too small",
		 CLASS_BYTES_0_1 - 1);
	refuse_class(sentence);
	class.size = UINT32_MAX;
	accept_class();
	class.kind = 0;
	refuse_class("it has a class of kind 0, which this backplane does not know");
}

static void names_and_texts(void **state)
{
	static const char *const bad[] = {
		NULL,  "",    "A",   "1a",  "-a",   "a b",
		"a_b", "a.b", "a/b", "a\n", "\xff", "abcdefghijklmnopqrstuvwxyz012345",
	};
	char text[300];

	(void)state;
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		class.name = bad[i];
		refuse_class("a class has no usable name");
	}
	class.name = "abcdefghijklmnopqrstuvwxyz01234";
	accept_class();
	class.name = "a-1";
	accept_class();
	class.summary = NULL;
	accept_class();
	memset(text, 'x', sizeof(text));
	text[200] = 0;
	class.summary = text;
	accept_class();
	text[200] = 'x';
	text[201] = 0;
	refuse_class("class \"a-1\": summary, hid or compatible is too long or not printable");
	class.summary = "two\nlines";
	refuse_class("class \"a-1\": summary, hid or compatible is too long or not printable");
	class.summary = "";
	class.hid = "ABCD12345";
	refuse_class("class \"a-1\": summary, hid or compatible is too long or not printable");
	class.hid = "\033[31m";
	refuse_class("class \"a-1\": summary, hid or compatible is too long or not printable");
	class.hid = NULL;
	text[128] = 0;
	class.compatible = text;
	refuse_class("class \"a-1\": summary, hid or compatible is too long or not printable");
	text[127] = 0;
	accept_class();
}

static int no_state(void *self, struct bp_writer *writer)
{
	(void)self, (void)writer;
	return 0;
}

static int no_load(void *self, struct bp_reader *reader, uint32_t version)
{
	(void)self, (void)reader, (void)version;
	return 0;
}

static void save_load_and_version_belong_together(void **state)
{
	(void)state;
	class.save = no_state;
	class.state_version = 1;
	refuse_class("class \"hostile\" has no callback \"load\"");
	class.load = no_load;
	accept_class();
	class.state_version = 0;
	refuse_class("class \"hostile\": a state version from 1 on and a save belong together");
	class.save = NULL;
	refuse_class("class \"hostile\" has no callback \"save\"");
	class.load = NULL;
	accept_class();
	class.state_version = 1;
	refuse_class("class \"hostile\": a state version from 1 on and a save belong together");
}

static void unknown_facts(void **state)
{
	(void)state;
	class.facts = BP_FACT_I8042 | BP_FACT_VGA | BP_FACT_RTC;
	accept_class();
	class.facts = 1u << 3;
	refuse_class("class \"hostile\": unknown firmware facts 0x8");
}

#define RANGE_BAD "class \"hostile\": range 0 is malformed"

static void wrong_ranges(void **state)
{
	(void)state;
	class.range_count = 17;
	refuse_class("class \"hostile\": bad table of ranges");
	class.range_count = UINT32_MAX;
	refuse_class("class \"hostile\": bad table of ranges");
	class.range_count = 1;
	class.ranges = NULL;
	refuse_class("class \"hostile\": bad table of ranges");
	class.ranges = ranges;
	class.range_stride = 0;
	refuse_class("class \"hostile\": bad table of ranges");
	class.range_stride = UINT32_MAX;
	refuse_class("class \"hostile\": bad table of ranges");
	class_setup(NULL);
	ranges[0].flags = 1;
	refuse_class(RANGE_BAD);
	class_setup(NULL);
	ranges[0].length = 0;
	refuse_class(RANGE_BAD);
	class_setup(NULL);
	ranges[0].widths = BP_UNALIGNED;
	refuse_class(RANGE_BAD);
	ranges[0].widths = BP_W8 | 1u << 4;
	refuse_class(RANGE_BAD);
	class_setup(NULL);
	ranges[0].space = 3;
	refuse_class(RANGE_BAD);
	ranges[0].space = BP_PIO;
	refuse_class("class \"hostile\": range 0 is of ports and has no parameter for its base");
	ranges[0].base_param = "line";
	refuse_class("class \"hostile\": \"line\" is not a parameter of type address");
	ranges[0].base_param = "bases";
	refuse_class("class \"hostile\": \"bases\" is not a parameter of type address");
	ranges[0].base_param = "\033[31m";
	refuse_class("class \"hostile\": a range or interrupt names an unusable parameter");
	ranges[0].base_param = "base";
	accept_class();
	/* A class without ranges may do without an answer. */
	class.range_count = 0;
	class.ranges = NULL;
	class.access = NULL;
	accept_class();
}

static void wrong_interrupts(void **state)
{
	(void)state;
	class.irq_count = 17;
	refuse_class("class \"hostile\": bad table of interrupts");
	class.irq_count = 1;
	class.irqs = NULL;
	refuse_class("class \"hostile\": bad table of interrupts");
	class.irqs = irqs;
	class.irq_stride = sizeof(irqs[0]) - 1;
	refuse_class("class \"hostile\": bad table of interrupts");
	class.irq_stride = sizeof(irqs[0]);
	irqs[0].flags = 1;
	refuse_class("class \"hostile\": interrupt 0 is malformed");
	irqs[0].flags = 0;
	irqs[0].line_param = "base";
	refuse_class("class \"hostile\": \"base\" is not a parameter of type uint");
	irqs[0].line_param = "nothing";
	refuse_class("class \"hostile\": \"nothing\" is not a parameter of type uint");
}

/* Tables of a later version have longer rows; what we know of them is at their beginning. */
static void longer_rows(void **state)
{
	static struct {
		struct bp_range range;
		uint64_t later[3];
	} rows[2];
	struct plugin_class copy;
	struct err err = ERR_NONE;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		rows[i].range = (struct bp_range){ .space = BP_MMIO, .length = 8 * (i + 1), .widths = BP_W32 };
		memset(rows[i].later, 0xff, sizeof(rows[i].later));
	}
	class.ranges = &rows[0].range;
	class.range_stride = sizeof(rows[0]);
	class.range_count = 2;
	assert_int_equal(class_copy(&class, &copy, &err), 0);
	assert_int_equal(copy.decl.ranges[0].length, 8);
	assert_int_equal(copy.decl.ranges[1].length, 16);
	class_free(&copy);
}

/* ---- virtio classes ---- */

static struct bp_virtio_class virtio;

static void no_request(void *self, struct bp_chain *chain)
{
	(void)self, (void)chain;
}

static void make_virtio(void)
{
	virtio = (struct bp_virtio_class){
		BP_VIRTIO_CLASS_INIT,  .id = 42,
		.queue_count = 3,      .config_bytes = 8,
		.scratch_bytes = 100,  .features = UINT64_C(0xfffc000000ffffff),
		.request = no_request,
	};
	class.virtio = &virtio;
	class.range_count = 0;
	class.irq_count = 0;
	class.access = NULL;
}

static void a_virtio_class_is_copied(void **state)
{
	struct plugin_class copy;
	struct err err = ERR_NONE;

	(void)state;
	make_virtio();
	assert_int_equal(class_copy(&class, &copy, &err), 0);
	memset(&virtio, 0xa5, sizeof(virtio));
	assert_int_equal(copy.decl.virtio.id, 42);
	assert_int_equal(copy.decl.virtio.queue_count, 3);
	assert_int_equal(copy.decl.virtio.queue_size, 256); /* since it says nothing */
	assert_int_equal(copy.decl.virtio.config_bytes, 8);
	assert_int_equal(copy.decl.virtio.scratch_bytes, 100);
	assert_int_equal(copy.decl.virtio.features, UINT64_C(0xfffc000000ffffff));
	assert_ptr_equal(copy.virtio.request, no_request);
	assert_null(copy.callbacks.virtio);
	class_free(&copy);
	/* One that ends with `request`, as a table of an earlier version would. */
	make_virtio();
	virtio.size = offsetof(struct bp_virtio_class, config_changed);
	memset(&virtio.config_changed, 0xff, sizeof(virtio.config_changed));
	assert_int_equal(class_copy(&class, &copy, &err), 0);
	assert_null(copy.virtio.config_changed);
	assert_false(copy.decl.has_config_changed);
	class_free(&copy);
	/* The largest that there can be. */
	make_virtio();
	virtio.id = 63;
	virtio.queue_count = BP_VIRTIO_QUEUES_MAX;
	virtio.queue_size = BP_VIRTIO_SIZE_MAX;
	virtio.config_bytes = BP_VIRTIO_CONFIG_MAX;
	virtio.scratch_bytes = 4096;
	accept_class();
	/* And a class that is none. */
	class.virtio = NULL;
	assert_int_equal(class_copy(&class, &copy, &err), 0);
	assert_int_equal(copy.decl.virtio.id, 0);
	class_free(&copy);
}

static void wrong_virtio_classes(void **state)
{
#define REFUSE_VIRTIO(field, value, what) \
	make_virtio();                    \
	virtio.field = (value);           \
	refuse_class("class \"hostile\": its virtio class has " what)
	(void)state;
	REFUSE_VIRTIO(size, 0, "a table that is too small");
	REFUSE_VIRTIO(size, offsetof(struct bp_virtio_class, request), "a table that is too small");
	REFUSE_VIRTIO(id, 0, "an id that no device type can have");
	REFUSE_VIRTIO(id, 64, "an id that no device type can have");
	REFUSE_VIRTIO(queue_count, 0, "no queues or too many");
	REFUSE_VIRTIO(queue_count, BP_VIRTIO_QUEUES_MAX + 1, "no queues or too many");
	REFUSE_VIRTIO(queue_size, 3, "queues of a size that is too large or no power of two");
	REFUSE_VIRTIO(queue_size, 2 * BP_VIRTIO_SIZE_MAX, "queues of a size that is too large or no power of two");
	REFUSE_VIRTIO(config_bytes, BP_VIRTIO_CONFIG_MAX + 1, "too large a configuration space");
	REFUSE_VIRTIO(scratch_bytes, 4097, "too much scratch");
	/* Those between 24 and 49 are the host's. */
	REFUSE_VIRTIO(features, UINT64_C(1) << 24, "features that are not its device type's");
	REFUSE_VIRTIO(features, UINT64_C(1) << 32, "features that are not its device type's");
	REFUSE_VIRTIO(features, UINT64_C(1) << 49, "features that are not its device type's");
	REFUSE_VIRTIO(request, NULL, "no callback \"request\"");
}

static void virtio_classes_have_no_resources(void **state)
{
	static const char sentence[] =
	    "class \"hostile\" is a virtio class and has ranges, irqs, hid, compatible or access, which are "
	    "the host's business then";

	(void)state;
	make_virtio();
	class.range_count = 1;
	class.access = no_access;
	refuse_class(sentence);
	make_virtio();
	class.irq_count = 1;
	refuse_class(sentence);
	make_virtio();
	class.hid = "ACME0001";
	refuse_class(sentence);
	make_virtio();
	class.hid = NULL;
	class.compatible = "acme,thing";
	refuse_class(sentence);
	make_virtio();
	class.compatible = NULL;
	class.access = no_access;
	refuse_class(sentence);
}

#define TEST(name) cmocka_unit_test_setup(name, class_setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_class_is_copied),
		TEST(a_table_is_read_no_further_than_it_says),
		TEST(sizes_and_kinds),
		TEST(names_and_texts),
		TEST(unknown_facts),
		TEST(wrong_ranges),
		TEST(save_load_and_version_belong_together),
		TEST(wrong_interrupts),
		TEST(longer_rows),
		TEST(a_virtio_class_is_copied),
		TEST(wrong_virtio_classes),
		TEST(virtio_classes_have_no_resources),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
