/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A device whose plugin is this test: its class is handed over by pointer, without a shared object, and each callback runs
 * what the test has put into its hooks. The place that it lives in is a list of claims. Two of them live side by side where a
 * test needs that.
 */
#ifndef TESTS_UNIT_DEVICE_FIXTURE_H
#define TESTS_UNIT_DEVICE_FIXTURE_H

#include "core/base/fd.h"
#include "core/device/device.h"
#include "core/device/internal.h"

#include "tests/unit/support.h"

#include <backplane/plugin.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/eventfd.h>

#define RAM_BYTES  0x10000u
#define RAM_GPA    0x100000u
#define MMIO_BASE  UINT64_C(0xd0000000)
#define CLAIMS_MAX 32

struct subject;

/* What callbacks do, chosen by the test. NULL: nothing, with success. */
struct hooks {
	int (*validate)(struct subject *subject, const struct bp_cfg *cfg);
	int (*create)(struct subject *subject, const struct bp_cfg *cfg);
	int (*start)(struct subject *subject);
	int (*access)(struct subject *subject, const struct bp_access *access, uint64_t *val);
	void (*reset)(struct subject *subject);
	void (*stop)(struct subject *subject);
	void (*destroy)(struct subject *subject);
	void (*quiesce)(struct subject *subject);
	int (*save)(struct subject *subject, struct bp_writer *writer);
	int (*load)(struct subject *subject, struct bp_reader *reader, uint32_t version);
	void (*resume)(struct subject *subject);
	bool no_state; /* create leaves *ret alone */
};

struct place_claim {
	bool used;
	uint32_t space, cookie;
	uint64_t base, length;
	struct device *device;
};

/* One instance and everything around it. */
struct subject {
	struct plugin_class class;
	struct device_spec spec;
	struct device *device;
	struct bp_dev *dev; /* as the plugin got it */
	struct gmem mem;
	uint8_t *ram;
	struct hooks hooks;
	struct place_claim claims[CLAIMS_MAX];
	int claim_error; /* what the next claim fails with */
	/* What the place does for bp_connect(). NULL: it refuses. */
	int (*connect)(struct subject *subject, const struct device_connect *ask);
	struct event quit;
	size_t event_count;
	uint32_t last_event;
	uint64_t last_value;
	struct event done; /* for the test's use */
	struct err err;
	char trace[256]; /* names of the callbacks, in order; [main] ones and reset */
	int irq_fd;      /* ours, of the same eventfd as the device's */
	void *extra;
};

/* validate and create have no state to find the subject by. */
static struct subject *subject_now;

static inline void trace(struct subject *subject, const char *word)
{
	size_t used = strlen(subject->trace);

	snprintf(subject->trace + used, sizeof(subject->trace) - used, "%s%s", used ? " " : "", word);
}

/* ---- the plugin ---- */

static int subject_validate(struct bp_dev *dev, const struct bp_cfg *cfg)
{
	struct subject *subject = subject_now;

	subject->dev = dev;
	trace(subject, "validate");
	return subject->hooks.validate ? subject->hooks.validate(subject, cfg) : 0;
}

static int subject_create(struct bp_dev *dev, const struct bp_cfg *cfg, void **ret)
{
	struct subject *subject = subject_now;
	int r = 0;

	subject->dev = dev;
	trace(subject, "create");
	if (subject->hooks.create)
		r = subject->hooks.create(subject, cfg);
	if (r == 0 && !subject->hooks.no_state)
		*ret = subject;
	return r;
}

static int subject_start(void *self)
{
	struct subject *subject = self;

	trace(subject, "start");
	return subject->hooks.start ? subject->hooks.start(subject) : 0;
}

static int subject_access(void *self, const struct bp_access *access, uint64_t *val)
{
	struct subject *subject = self;

	return subject->hooks.access ? subject->hooks.access(subject, access, val) : 0;
}

static void subject_reset(void *self)
{
	struct subject *subject = self;

	trace(subject, "reset");
	if (subject->hooks.reset)
		subject->hooks.reset(subject);
}

static void subject_stop(void *self)
{
	struct subject *subject = self;

	trace(subject, "stop");
	if (subject->hooks.stop)
		subject->hooks.stop(subject);
}

static void subject_destroy(void *self)
{
	struct subject *subject = self;

	trace(subject, "destroy");
	if (subject->hooks.destroy)
		subject->hooks.destroy(subject);
}

static void subject_quiesce(void *self)
{
	struct subject *subject = self;

	trace(subject, "quiesce");
	if (subject->hooks.quiesce)
		subject->hooks.quiesce(subject);
}

static int subject_save(void *self, struct bp_writer *writer)
{
	struct subject *subject = self;

	return subject->hooks.save ? subject->hooks.save(subject, writer) : 0;
}

static int subject_load(void *self, struct bp_reader *reader, uint32_t version)
{
	struct subject *subject = self;

	trace(subject, "load");
	return subject->hooks.load ? subject->hooks.load(subject, reader, version) : 0;
}

static void subject_resume(void *self)
{
	struct subject *subject = self;

	trace(subject, "resume");
	if (subject->hooks.resume)
		subject->hooks.resume(subject);
}

static const char *const subject_choices[] = { "red", "green", NULL };

static const struct bp_param subject_group[] = {
	{ .name = "depth", .type = BP_P_UINT },
	{ .name = "word", .type = BP_P_STRING },
};

static const struct bp_param subject_params[] = {
	{ .name = "base", .type = BP_P_ADDRESS },
	{ .name = "flag", .type = BP_P_BOOL },
	{ .name = "int", .type = BP_P_INT },
	{ .name = "uint", .type = BP_P_UINT, .flags = BP_P_REPEATED },
	{ .name = "size", .type = BP_P_SIZE },
	{ .name = "word", .type = BP_P_STRING },
	{ .name = "colour", .type = BP_P_CHOICE, .choices = subject_choices },
	{ .name = "file", .type = BP_P_FILE },
	{ .name = "stream", .type = BP_P_STREAM },
	{ .name = "network", .type = BP_P_NETWORK },
	{ .name = "socket", .type = BP_P_SOCKET, .flags = BP_P_LISTEN | BP_P_CONNECT },
	{ .name = "group", .type = BP_P_GROUP, BP_GROUP(subject_group) },
	{ .name = "absent", .type = BP_P_UINT },
};

static const struct bp_range subject_ranges[] = {
	{ .space = BP_MMIO, .length = 0x100, .widths = BP_W8 | BP_W16 | BP_W32 | BP_W64, .base_param = "base" },
};

static const struct bp_irq subject_irqs[] = {
	{ .line_param = NULL },
};

static const struct bp_device_class subject_class = {
	BP_DEVICE_CLASS_INIT,       .name = "subject",        .summary = "device under test", BP_PARAMS(subject_params),
	BP_RANGES(subject_ranges),  BP_IRQS(subject_irqs),    .validate = subject_validate,   .create = subject_create,
	.start = subject_start,     .access = subject_access, .reset = subject_reset,         .stop = subject_stop,
	.destroy = subject_destroy, .state_version = 3,       .quiesce = subject_quiesce,     .save = subject_save,
	.load = subject_load,       .resume = subject_resume,
};

/* ---- its place ---- */

static int place_claim(void *ctx, struct device *device, uint32_t cookie, const struct class_range *range,
		       uint64_t base, uint64_t *ret_base, struct err *err)
{
	struct subject *subject = ctx;

	if (subject->claim_error)
		return err_set(err, subject->claim_error, "the place refuses");
	if (base == BP_BASE_ANY)
		base = MMIO_BASE + 0x1000000;
	for (size_t i = 0; i < CLAIMS_MAX; i++)
		if (!subject->claims[i].used) {
			subject->claims[i] = (struct place_claim){
				.used = true,
				.space = range->space,
				.cookie = cookie,
				.base = base,
				.length = range->length,
				.device = device,
			};
			*ret_base = base;
			return 0;
		}
	return err_set(err, -ENOSPC, "too many claims for this test");
}

static int place_release(void *ctx, uint32_t space, uint64_t base)
{
	struct subject *subject = ctx;

	for (size_t i = 0; i < CLAIMS_MAX; i++)
		if (subject->claims[i].used && subject->claims[i].space == space && subject->claims[i].base == base) {
			subject->claims[i].used = false;
			return 0;
		}
	return -ENOENT;
}

static void place_quit(void *ctx)
{
	struct subject *subject = ctx;

	event_post(&subject->quit);
}

static int place_event(void *ctx, struct device *device, uint32_t event, uint64_t value)
{
	struct subject *subject = ctx;

	MUST(device_id(device) && device == device_of(subject->dev));
	if (event < BP_EVENT_PANIC || event > BP_EVENT_MARK)
		return -EINVAL;
	subject->event_count++;
	subject->last_event = event;
	subject->last_value = value;
	return 0;
}

static int place_connect(void *ctx, struct device *device, const struct device_connect *ask)
{
	struct subject *subject = ctx;

	MUST(device == device_of(subject->dev));
	return subject->connect ? subject->connect(subject, ask) : -ENOSYS;
}

static inline size_t claims_held(const struct subject *subject)
{
	size_t count = 0;

	for (size_t i = 0; i < CLAIMS_MAX; i++)
		count += subject->claims[i].used;
	return count;
}

/* ---- its life ---- */

/* Everything but the device. */
static inline void subject_init(struct subject *subject, const char *id)
{
	struct place nowhere = { .file = "test", .line = 1 };

	memset(subject, 0, sizeof(*subject));
	subject->quit = (struct event)EVENT_INIT;
	subject->done = (struct event)EVENT_INIT;
	subject->irq_fd = fd_event();
	subject->ram = calloc(1, RAM_BYTES);
	MUST(subject->irq_fd >= 0 && subject->ram);
	MUST(class_copy(&subject_class, &subject->class, &subject->err) == 0);
	subject->mem = (struct gmem){
		.count = 1,
		.regions = { { .gpa = RAM_GPA, .bytes = RAM_BYTES, .host = subject->ram } },
	};
	subject->spec = (struct device_spec){
		.id = id,
		.class = &subject->class,
		.mem = &subject->mem,
		.vcpus = 3,
		.identity = 0x1d3,
		.place = {
			.claim = place_claim,
			.release = place_release,
			.quit = place_quit,
			.event = place_event,
			.connect = place_connect,
			.ctx = subject,
		},
		.bases = { MMIO_BASE },
		.irq_fds = { dup(subject->irq_fd) },
	};
	MUST(values_new(subject->class.decl.schema, "devices.test", nowhere, &subject->spec.values) == 0);
}

/* Gives a parameter a value; what it points to goes over. */
static inline void subject_set(struct subject *subject, const char *name, struct value value)
{
	int param = schema_find(subject->class.decl.schema, name);

	MUST(param >= 0);
	MUST(values_add(subject->spec.values, (size_t)param, &value) == 0);
}

static inline struct value value_number(uint64_t number)
{
	return (struct value){ .number = number, .fd = -1, .fd_out = -1 };
}

static inline struct value value_text(const char *text)
{
	return (struct value){ .text = strdup(text), .fd = -1, .fd_out = -1 };
}

static inline int subject_new(struct subject *subject)
{
	int r;

	subject_now = subject;
	subject->err.text[0] = 0;
	r = device_new(&subject->spec, &subject->device, &subject->err);
	subject_now = NULL;
	return r;
}

static inline void subject_run(struct subject *subject)
{
	assert_int_equal(subject_new(subject), 0);
	assert_int_equal(device_start(subject->device, &subject->err), 0);
}

/* Ends the device, whatever state it is in, and what belongs to it. */
static inline void subject_end(struct subject *subject)
{
	if (!subject->ram)
		return;
	if (subject->device) {
		device_free(subject->device);
	} else {
		/* A device_new() that failed has left these to us. */
		values_free(subject->spec.values);
		fd_close(subject->spec.irq_fds[0]);
	}
	class_free(&subject->class);
	fd_close(subject->irq_fd);
	free(subject->ram);
	subject->ram = NULL;
	subject->device = NULL;
}

/* One access of the guest, from this thread. */
static inline int guest_write(struct subject *subject, uint64_t value)
{
	return device_access(subject->device, 0, 0, 4, true, &value);
}

static inline int guest_read(struct subject *subject, uint64_t *value)
{
	return device_access(subject->device, 0, 0, 4, false, value);
}

/* Runs `fn` inside an access of the subject; what it returned. -ENODEV if the device does not run. */
static inline int on_dev(struct subject *subject,
			 int (*fn)(struct subject *subject, const struct bp_access *access, uint64_t *val))
{
	subject->hooks.access = fn;
	return guest_write(subject, 0);
}

/* ---- two of them for each test ---- */

struct fixture {
	struct subject one;
	struct subject two;
};

static int setup(void **state)
{
	static struct fixture fixture;

	subject_init(&fixture.one, "one");
	subject_init(&fixture.two, "two");
	*state = &fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	log_release();
	subject_end(&fixture->one);
	subject_end(&fixture->two);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
