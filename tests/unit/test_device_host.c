/* SPDX-License-Identifier: BSD-3-Clause */
/* What the host does for a device apart from its event loop: values, memory, interrupts, claims, the log. */
#include "tests/unit/device_fixture.h"

/* ---- values ---- */

static int read_values(struct subject *subject, const struct bp_cfg *cfg)
{
	const struct bp_cfg *group = bp_cfg_group(cfg, "group");

	(void)subject;
	MUST(bp_cfg_has(cfg, "flag") && bp_cfg_uint(cfg, "flag") == 1);
	MUST(bp_cfg_int(cfg, "int") == -3);
	MUST(bp_cfg_count(cfg, "uint") == 3);
	MUST(bp_cfg_uint_at(cfg, "uint", 0) == 10 && bp_cfg_uint_at(cfg, "uint", 2) == 12);
	MUST(bp_cfg_uint_at(cfg, "uint", 3) == 0);
	MUST(bp_cfg_uint(cfg, "size") == UINT64_C(1) << 40);
	MUST(!strcmp(bp_cfg_string(cfg, "word"), "hello"));
	MUST(bp_cfg_uint(cfg, "colour") == 1 && !strcmp(bp_cfg_string(cfg, "colour"), "green"));
	MUST(fcntl(bp_cfg_fd(cfg, "file"), F_GETFD) >= 0);
	MUST(fcntl(bp_cfg_fd(cfg, "socket"), F_GETFD) >= 0 && !strcmp(bp_cfg_string(cfg, "socket"), "vm.sock"));
	MUST(group && bp_cfg_uint(group, "depth") == 7);
	MUST(!bp_cfg_has(group, "word") && !strcmp(bp_cfg_string(group, "word"), ""));
	return 0;
}

static void values_of_each_type(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	struct place nowhere = { .file = "test", .line = 1 };
	struct value file = { .text = strdup("disk.img"), .fd = fd_event(), .fd_out = -1 };
	struct value colour = value_text("green");
	struct values *group;
	int param = schema_find(one->class.decl.schema, "group");
	int depth = schema_find(one->class.decl.schema->params[param].group, "depth");
	struct value seven = value_number(7);

	colour.number = 1;
	subject_set(one, "flag", value_number(1));
	subject_set(one, "int", value_number((uint64_t)-3));
	for (uint64_t i = 10; i < 13; i++)
		subject_set(one, "uint", value_number(i));
	subject_set(one, "size", value_number(UINT64_C(1) << 40));
	subject_set(one, "word", value_text("hello"));
	subject_set(one, "colour", colour);
	subject_set(one, "file", file);
	subject_set(one, "socket", (struct value){ .text = strdup("vm.sock"), .fd = fd_event(), .fd_out = -1 });
	assert_int_equal(values_new(one->class.decl.schema->params[param].group, "g", nowhere, &group), 0);
	assert_int_equal(values_add(group, (size_t)depth, &seven), 0);
	subject_set(one, "group", (struct value){ .group = group, .fd = -1, .fd_out = -1 });
	one->hooks.validate = read_values;
	one->hooks.create = read_values;
	log_catch(LOG_LEVEL_DEBUG);
	assert_int_equal(subject_new(one), 0);
	assert_string_equal(log_caught(), "");
}

/* A plugin of other headers has another size: what is beyond its own does not arrive, what is beyond ours is nothing. */
static int read_networks(struct subject *subject, const struct bp_cfg *cfg)
{
	struct bp_network whole = { .size = sizeof(whole) }, one = whole, longer[2];
	const struct bp_network none = { 0 };

	(void)subject;
	MUST(!strcmp(bp_cfg_string(cfg, "network"), "tap"));
	MUST(bp_cfg_network(cfg, "network", &whole) == 0);
	MUST(whole.size == sizeof(whole) && whole.kind == BP_NETWORK_TAP && whole.flags == 0 && whole.fd_count == 2);
	MUST(fcntl(whole.fds[0], F_GETFD) >= 0 && fcntl(whole.fds[1], F_GETFD) >= 0 && whole.fds[0] != whole.fds[1]);
	one.size = offsetof(struct bp_network, fds) + sizeof(one.fds[0]);
	MUST(bp_cfg_network(cfg, "network", &one) == 0);
	MUST(one.fd_count == 2 && one.fds[0] == whole.fds[0] && one.fds[1] == 0);
	one.size--;
	MUST(bp_cfg_network(cfg, "network", &one) == -EINVAL);
	memset(longer, 0xa5, sizeof(longer));
	longer[0].size = sizeof(longer);
	MUST(bp_cfg_network(cfg, "network", &longer[0]) == 0);
	MUST(longer[0].size == sizeof(longer) && longer[0].fds[1] == whole.fds[1]);
	MUST(!memcmp(&longer[1], &none, sizeof(none)));
	MUST(bp_cfg_network_at(cfg, "network", 1, &whole) == -ENOENT);
	MUST(bp_cfg_network(cfg, "socket", &whole) == -ENOENT);
	return 0;
}

static void networks_for_callers_of_any_size(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	struct value value = value_text("tap");

	value.network = calloc(1, sizeof(*value.network));
	assert_non_null(value.network);
	*value.network = (struct network){
		.kind = BP_NETWORK_TAP,
		.fd_count = 2,
		.fds = { fd_event(), fd_event() },
	};
	subject_set(one, "network", value);
	one->hooks.create = read_networks;
	log_catch(LOG_LEVEL_DEBUG);
	assert_int_equal(subject_new(one), 0);
	assert_string_equal(
	    log_caught(),
	    "backplane: error: one: plugin error: bp_cfg_network was called with a size of 19\n"
	    "backplane: error: one: plugin error: bp_cfg_network was called for \"socket\", which is socket\n");
}

static int read_identity(struct subject *subject, const struct bp_cfg *cfg)
{
	(void)cfg;
	return bp_info(subject->dev, BP_INFO_IDENTITY) == 0x1d3 ? 0 : -EIO;
}

static void a_device_has_the_identity_that_it_is_given(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;

	one->hooks.create = read_identity;
	assert_int_equal(subject_new(one), 0);
}

static int read_absent_values(struct subject *subject, const struct bp_cfg *cfg)
{
	struct bp_network network = { .size = sizeof(network), .kind = 7 };

	(void)subject;
	MUST(!bp_cfg_has(cfg, "flag") && bp_cfg_uint(cfg, "flag") == 0);
	MUST(bp_cfg_int(cfg, "int") == 0);
	MUST(!strcmp(bp_cfg_string(cfg, "word"), ""));
	MUST(bp_cfg_fd(cfg, "file") == -1 && bp_cfg_fd(cfg, "socket") == -1);
	MUST(bp_cfg_network(cfg, "network", &network) == -ENOENT && network.kind == 7);
	MUST(!bp_cfg_stream(cfg, "stream"));
	MUST(!bp_cfg_group(cfg, "group"));
	return 0;
}

static void absent_values_are_empty(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;

	one->hooks.create = read_absent_values;
	log_catch(LOG_LEVEL_DEBUG);
	assert_int_equal(subject_new(one), 0);
	assert_string_equal(log_caught(), "");
}

static int read_wrongly(struct subject *subject, const struct bp_cfg *cfg)
{
	(void)subject;
	MUST(bp_cfg_uint(cfg, "nothing") == 0);
	MUST(bp_cfg_uint(cfg, "word") == 0);
	MUST(!strcmp(bp_cfg_string(cfg, "size"), ""));
	return 0;
}

static void wrong_questions_are_reported(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;

	subject_set(one, "word", value_text("hello"));
	subject_set(one, "size", value_number(1));
	one->hooks.create = read_wrongly;
	log_catch(LOG_LEVEL_ERROR);
	assert_int_equal(subject_new(one), 0);
	assert_string_equal(
	    log_caught(),
	    "backplane: error: one: plugin error: bp_cfg_uint was called for \"nothing\", which is not a parameter\n"
	    "backplane: error: one: plugin error: bp_cfg_uint was called for \"word\", which is string\n"
	    "backplane: error: one: plugin error: bp_cfg_string was called for \"size\", which is size\n");
}

/* ---- memory ---- */

static int read_and_write_memory(struct subject *subject, const struct bp_access *access, uint64_t *val)
{
	struct bp_dev *dev = subject->dev;
	uint8_t all[RAM_BYTES];
	uint8_t byte = 0xee;

	(void)access, (void)val;
	MUST(bp_mem_write(dev, RAM_GPA, "first", 5) == 0);
	MUST(bp_mem_write(dev, RAM_GPA + RAM_BYTES - 4, "last", 4) == 0);
	MUST(!memcmp(subject->ram, "first", 5) && !memcmp(subject->ram + RAM_BYTES - 4, "last", 4));
	MUST(bp_mem_read(dev, RAM_GPA, all, sizeof(all)) == 0 && !memcmp(all, subject->ram, sizeof(all)));
	MUST(bp_mem_copy(dev, RAM_GPA + 2, RAM_GPA, 5) == 0 && !memcmp(subject->ram, "fifirst", 7));
	/* Nothing, anywhere. */
	MUST(bp_mem_read(dev, 0, &byte, 0) == 0 && bp_mem_write(dev, UINT64_MAX, &byte, 0) == 0);
	MUST(bp_mem_copy(dev, 0, UINT64_MAX, 0) == 0);
	/* One byte too many, at each end; and addresses that wrap. */
	MUST(bp_mem_read(dev, RAM_GPA - 1, &byte, 1) == -EFAULT);
	MUST(bp_mem_read(dev, RAM_GPA + RAM_BYTES, &byte, 1) == -EFAULT);
	MUST(bp_mem_read(dev, RAM_GPA, all, RAM_BYTES + 1) == -EFAULT);
	MUST(bp_mem_read(dev, RAM_GPA - 1, all, 2) == -EFAULT);
	MUST(bp_mem_write(dev, RAM_GPA + RAM_BYTES - 3, "last", 4) == -EFAULT);
	MUST(bp_mem_write(dev, UINT64_MAX, "x", 1) == -EFAULT);
	MUST(bp_mem_write(dev, RAM_GPA, "x", SIZE_MAX) == -EFAULT);
	MUST(bp_mem_write(dev, RAM_GPA + 1, "x", SIZE_MAX) == -EFAULT);
	MUST(bp_mem_copy(dev, RAM_GPA, RAM_GPA + RAM_BYTES - 4, 5) == -EFAULT);
	MUST(bp_mem_copy(dev, RAM_GPA + RAM_BYTES - 4, RAM_GPA, 5) == -EFAULT);
	MUST(bp_mem_copy(dev, RAM_GPA, RAM_GPA + 1, UINT64_MAX) == -EFAULT);
	/* Nothing has been transferred. */
	MUST(byte == 0xee && !memcmp(subject->ram, "fifirst", 7) && !memcmp(subject->ram + RAM_BYTES - 4, "last", 4));
	return 0;
}

static void memory_has_bounds(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;

	subject_run(one);
	assert_int_equal(on_dev(one, read_and_write_memory), 0);
}

static int take_slices(struct subject *subject, const struct bp_access *access, uint64_t *val)
{
	struct bp_dev *dev = subject->dev;
	void *slice = &slice;

	(void)access, (void)val;
	MUST(bp_mem_slice(dev, RAM_GPA, RAM_BYTES, BP_SLICE_READ, &slice) == 0 && slice == subject->ram);
	MUST(bp_mem_slice(dev, RAM_GPA + 16, 16, BP_SLICE_WRITE, &slice) == 0 && slice == subject->ram + 16);
	slice = &slice;
	MUST(bp_mem_slice(dev, RAM_GPA, RAM_BYTES + 1, BP_SLICE_READ, &slice) == -EFAULT);
	MUST(bp_mem_slice(dev, RAM_GPA - 1, 2, BP_SLICE_READ, &slice) == -EFAULT);
	MUST(bp_mem_slice(dev, RAM_GPA + 1, SIZE_MAX, BP_SLICE_READ, &slice) == -EFAULT);
	MUST(bp_mem_slice(dev, RAM_GPA, 0, BP_SLICE_READ, &slice) == -EFAULT);
	MUST(bp_mem_slice(dev, RAM_GPA, 1, 0, &slice) == -EINVAL);
	MUST(bp_mem_slice(dev, RAM_GPA, 1, BP_SLICE_PIN, &slice) == -EINVAL);
	MUST(bp_mem_slice(dev, RAM_GPA, 1, BP_SLICE_READ | 1u << 3, &slice) == -EINVAL);
	MUST(slice == &slice);
	return 0;
}

static void slices_have_bounds(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;

	subject_run(one);
	assert_int_equal(on_dev(one, take_slices), 0);
}

#define PINS_MAX 256

static int pin_all(struct subject *subject, const struct bp_access *access, uint64_t *val)
{
	struct bp_dev *dev = subject->dev;
	uint32_t flags = BP_SLICE_READ | BP_SLICE_WRITE | BP_SLICE_PIN;
	void *slice;

	(void)access, (void)val;
	for (size_t i = 0; i < PINS_MAX; i++)
		MUST(bp_mem_slice(dev, RAM_GPA + i, 4, flags, &slice) == 0 && slice == subject->ram + i);
	MUST(bp_mem_slice(dev, RAM_GPA, 4, flags, &slice) == -ENOSPC);
	/* Without a pin there is no limit. */
	MUST(bp_mem_slice(dev, RAM_GPA, 4, BP_SLICE_READ, &slice) == 0);
	MUST(bp_mem_unpin(dev, subject->ram + 7, 5) == -EINVAL);
	MUST(bp_mem_unpin(dev, subject->ram + PINS_MAX, 4) == -EINVAL);
	MUST(bp_mem_unpin(dev, NULL, 0) == -EINVAL);
	MUST(bp_mem_unpin(dev, subject->ram + 7, 4) == 0);
	MUST(bp_mem_unpin(dev, subject->ram + 7, 4) == -EINVAL);
	/* The same slice twice needs two ends. */
	MUST(bp_mem_slice(dev, RAM_GPA + 8, 4, flags, &slice) == 0);
	MUST(bp_mem_unpin(dev, subject->ram + 8, 4) == 0);
	MUST(bp_mem_unpin(dev, subject->ram + 8, 4) == 0);
	MUST(bp_mem_unpin(dev, subject->ram + 8, 4) == -EINVAL);
	return 0;
}

static void *unpin_all(void *arg)
{
	struct subject *subject = arg;

	for (size_t i = 0; i < PINS_MAX; i++)
		MUST(bp_mem_unpin(subject->dev, subject->ram + i, 4) == (i == 7 || i == 8 ? -EINVAL : 0));
	return NULL;
}

static void pins_are_counted(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	pthread_t thread;

	subject_run(one);
	assert_int_equal(on_dev(one, pin_all), 0);
	/* From a thread of the plugin's own, where an operation may have ended. */
	assert_int_equal(pthread_create(&thread, NULL, unpin_all, one), 0);
	assert_true(thread_join(thread));
	log_catch(LOG_LEVEL_WARN);
	subject_end(one);
	assert_string_equal(log_caught(), "");
}

static int pin_one(struct subject *subject, const struct bp_access *access, uint64_t *val)
{
	void *slice;

	(void)access, (void)val;
	return bp_mem_slice(subject->dev, RAM_GPA, 4, BP_SLICE_READ | BP_SLICE_PIN, &slice);
}

static void forgotten_pins_are_reported(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;

	subject_run(one);
	assert_int_equal(on_dev(one, pin_one), 0);
	log_catch(LOG_LEVEL_WARN);
	subject_end(one);
	assert_string_equal(log_caught(),
			    "backplane: warning: one: plugin error: 1 slices of guest memory were never unpinned\n");
}

/* ---- interrupts ---- */

static int raise_twice(struct subject *subject, const struct bp_access *access, uint64_t *val)
{
	(void)access, (void)val;
	MUST(bp_irq_raise(subject->dev, 0) == 0);
	MUST(bp_irq_raise(subject->dev, 0) == 0);
	MUST(bp_irq_raise(subject->dev, 1) == -ENOENT);
	MUST(bp_irq_raise(subject->dev, UINT32_MAX) == -ENOENT);
	return 0;
}

static void interrupts_reach_their_line(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;

	subject_run(one);
	assert_int_equal(fd_event_clear(one->irq_fd), 0);
	assert_int_equal(on_dev(one, raise_twice), 0);
	assert_int_equal(fd_event_clear(one->irq_fd), 2);
	assert_int_equal(fd_event_clear(one->irq_fd), 0);
}

/* ---- claims ---- */

static void declared_ranges_are_claimed_before_create(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;

	assert_int_equal(subject_new(one), 0);
	assert_int_equal(claims_held(one), 1);
	assert_int_equal(one->claims[0].space, BP_MMIO);
	assert_int_equal(one->claims[0].base, MMIO_BASE);
	assert_int_equal(one->claims[0].length, 0x100);
	assert_int_equal(one->claims[0].cookie, 0);
	assert_ptr_equal(one->claims[0].device, one->device);
}

static const struct bp_range eight_bytes = { .space = BP_MMIO, .length = 8, .widths = BP_W32 };

static int claim_all(struct subject *subject, const struct bp_cfg *cfg)
{
	static const struct bp_range flagged = { .space = BP_MMIO, .flags = 1, .length = 8, .widths = BP_W32 };
	static const struct bp_range ports = { .space = BP_PIO, .length = 8, .widths = BP_W8 };
	struct bp_dev *dev = subject->dev;
	uint32_t range = 99;
	uint64_t base;

	(void)cfg;
	MUST(bp_range_base(dev, 0, &base) == 0 && base == MMIO_BASE);
	MUST(bp_range_base(dev, 1, &base) == -ENOENT && bp_range_base(dev, UINT32_MAX, &base) == -ENOENT);
	MUST(bp_claim(dev, &flagged, MMIO_BASE, &range) == -EINVAL);
	MUST(bp_claim(dev, &ports, BP_BASE_ANY, &range) == -EINVAL);
	MUST(range == 99);
	MUST(bp_claim(dev, &ports, 0x3f8, &range) == 0 && range == 1);
	for (uint32_t i = 2; i < 16; i++)
		MUST(bp_claim(dev, &eight_bytes, MMIO_BASE + i * 0x1000, &range) == 0 && range == i);
	MUST(bp_claim(dev, &eight_bytes, MMIO_BASE + 0x100000, &range) == -ENOSPC);
	MUST(bp_range_base(dev, 15, &base) == 0 && base == MMIO_BASE + 15 * 0x1000);
	MUST(bp_release(dev, 5) == 0);
	MUST(bp_release(dev, 5) == -ENOENT && bp_release(dev, 16) == -ENOENT && bp_release(dev, UINT32_MAX) == -ENOENT);
	MUST(bp_range_base(dev, 5, &base) == -ENOENT);
	MUST(bp_claim(dev, &eight_bytes, BP_BASE_ANY, &range) == 0 && range == 5);
	MUST(bp_range_base(dev, 5, &base) == 0 && base == MMIO_BASE + 0x1000000);
	return 0;
}

static void a_device_can_claim_more(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;

	one->hooks.create = claim_all;
	assert_int_equal(subject_new(one), 0);
	assert_int_equal(claims_held(one), 16);
	device_free(one->device);
	one->device = NULL;
	one->spec.values = NULL;
	one->spec.irq_fds[0] = -1;
	assert_int_equal(claims_held(one), 0);
}

static int claim_and_fail(struct subject *subject, const struct bp_cfg *cfg)
{
	uint32_t range;

	(void)cfg;
	MUST(bp_claim(subject->dev, &eight_bytes, MMIO_BASE + 0x1000, &range) == 0);
	subject->claim_error = -EEXIST;
	return bp_claim(subject->dev, &eight_bytes, MMIO_BASE + 0x2000, &range);
}

static void a_failed_create_gives_its_claims_back(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;

	one->hooks.create = claim_and_fail;
	assert_int_equal(subject_new(one), -EEXIST);
	/* Why the claim failed is why create failed. */
	assert_string_equal(one->err.text, "the place refuses");
	assert_int_equal(claims_held(one), 0);
}

static int claim_without_access(struct subject *subject, const struct bp_cfg *cfg)
{
	uint32_t range;

	(void)cfg;
	return bp_claim(subject->dev, &eight_bytes, MMIO_BASE + 0x1000, &range);
}

/* A class without ranges needs no access callback, and must not be called through one. */
static void a_class_that_cannot_answer_claims_nothing(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;

	one->class.callbacks.access = NULL;
	one->hooks.create = claim_without_access;
	assert_int_equal(subject_new(one), -EINVAL);
	assert_string_equal(one->err.text, "bp_claim was called by a class without an access callback");
}

/* ---- log ---- */

static int log_each_level(struct subject *subject, const struct bp_access *access, uint64_t *val)
{
	(void)access, (void)val;
	for (uint32_t level = BP_LOG_ERROR; level <= BP_LOG_DEBUG + 1; level++)
		bp_log(subject->dev, level, "level %u", level);
	return 0;
}

static void the_log_names_the_device(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;

	subject_run(one);
	log_catch(LOG_LEVEL_DEBUG);
	assert_int_equal(on_dev(one, log_each_level), 0);
	assert_string_equal(log_caught(), "backplane: error: one: level 0\n"
					  "backplane: warning: one: level 1\n"
					  "backplane: info: one: level 2\n"
					  "backplane: debug: one: level 3\n"
					  "backplane: debug: one: level 4\n");
}

static int log_a_flood(struct subject *subject, const struct bp_access *access, uint64_t *val)
{
	char text[BP_TEXT_MAX * 2];

	(void)access, (void)val;
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = 0;
	bp_log(subject->dev, BP_LOG_WARN, "%s", text);
	for (int i = 0; i < 1000; i++)
		bp_log(subject->dev, BP_LOG_WARN, "line\n%d", i);
	return 0;
}

static void the_log_has_a_limit(void **state)
{
	struct fixture *fixture = *state;

	subject_run(&fixture->one);
	subject_run(&fixture->two);
	log_catch(LOG_LEVEL_WARN);
	assert_int_equal(on_dev(&fixture->one, log_a_flood), 0);
	assert_int_equal(count_of_text(log_caught(), "\n"), 10);
	assert_non_null(strstr(log_caught(), "one: line?8\n"));
	assert_true(strcspn(log_caught(), "\n") < BP_TEXT_MAX + 40);
	/* Each device has a budget of its own. */
	assert_int_equal(on_dev(&fixture->two, log_a_flood), 0);
	assert_int_equal(count_of_text(log_caught(), "\n"), 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(values_of_each_type),
		TEST(networks_for_callers_of_any_size),
		TEST(a_device_has_the_identity_that_it_is_given),
		TEST(absent_values_are_empty),
		TEST(wrong_questions_are_reported),
		TEST(memory_has_bounds),
		TEST(slices_have_bounds),
		TEST(pins_are_counted),
		TEST(forgotten_pins_are_reported),
		TEST(interrupts_reach_their_line),
		TEST(declared_ranges_are_claimed_before_create),
		TEST(a_device_can_claim_more),
		TEST(a_failed_create_gives_its_claims_back),
		TEST(a_class_that_cannot_answer_claims_nothing),
		TEST(the_log_names_the_device),
		TEST(the_log_has_a_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
