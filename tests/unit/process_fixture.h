/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For tests of plugins in processes: a home that keeps what devices ask of it, devices made from what a configuration
 * would say, and the programs of the build tree (BP_BUILD).
 */
#ifndef TESTS_UNIT_PROCESS_FIXTURE_H
#define TESTS_UNIT_PROCESS_FIXTURE_H

#include "core/base/clock.h"
#include "core/base/fd.h"
#include "core/config/config.h"
#include "core/placement/open.h"
#include "core/placement/process_impl.h"
#include "tests/unit/support.h"

#include <backplane/host.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sys/pidfd.h>
#include <sys/wait.h>

/* For what has to come, and for what is not to come. */
#define PATIENT_NS   (PATIENCE_S * NS_PER_S)
#define IMPATIENT_NS (300 * NS_PER_MS)

#define CLAIMS_MAX   16
#define EVENTS_MAX   16
#define RAM_BYTES    0x100000u

static inline const char *build_folder(void)
{
	const char *build = getenv("BP_BUILD");

	return build ? build : ".";
}

/* In place of the product's own: a test does not lie where the program does. */
void spawner_find_program(const char *build_path, const char *name, char path[static 4096])
{
	(void)name;
	snprintf(path, PATH_MAX, "%s/%s", build_folder(), build_path);
}

static inline void must(int r, const struct err *err)
{
	if (r < 0)
		fail_msg("%s", err->text);
}

/* ---- a home ---- */

struct home_claim {
	bool used;
	uint32_t space, cookie;
	uint64_t base;
	struct class_range range;
	bus_access_fn *access;
	void *ctx;
};

struct home {
	struct home_claim claims[CLAIMS_MAX];
	int claim_error; /* what the next claim fails with */
	size_t event_count;
	uint32_t events[EVENTS_MAX];
	uint64_t values[EVENTS_MAX];
	uint32_t last_event;
	size_t quits, failures;
};

static int home_claim(void *ctx, const char *id, const struct class_range *range, uint64_t base, bus_access_fn *access,
		      void *access_ctx, uint32_t cookie, uint64_t *ret_base, struct err *err)
{
	struct home *home = ctx;

	MUST(!strcmp(id, "device"));
	if (home->claim_error)
		return err_set(err, home->claim_error, "the place refuses");
	for (size_t i = 0; i < CLAIMS_MAX; i++)
		if (!home->claims[i].used) {
			home->claims[i] = (struct home_claim){
				.used = true,
				.space = range->space,
				.cookie = cookie,
				.base = base,
				.range = *range,
				.access = access,
				.ctx = access_ctx,
			};
			*ret_base = base;
			return 0;
		}
	return err_set(err, -ENOSPC, "too many claims for this test");
}

static int home_release(void *ctx, uint32_t space, uint64_t base)
{
	struct home *home = ctx;

	for (size_t i = 0; i < CLAIMS_MAX; i++)
		if (home->claims[i].used && home->claims[i].space == space && home->claims[i].base == base) {
			home->claims[i].used = false;
			return 0;
		}
	return -ENOENT;
}

static void home_quit(void *ctx)
{
	((struct home *)ctx)->quits++;
}

static int home_event(void *ctx, const char *id, uint32_t event, uint64_t value)
{
	struct home *home = ctx;

	MUST(!strcmp(id, "device"));
	if (home->event_count < EVENTS_MAX) {
		home->events[home->event_count] = event;
		home->values[home->event_count] = value;
	}
	home->event_count++;
	home->last_event = event;
	return event >= BP_EVENT_PANIC && event <= BP_EVENT_MARK ? 0 : -EINVAL;
}

static void home_failed(void *ctx, const char *id)
{
	MUST(!strcmp(id, "device"));
	((struct home *)ctx)->failures++;
}

static inline struct placed_home home_of(struct home *home)
{
	return (struct placed_home){
		.claim = home_claim,
		.release = home_release,
		.quit = home_quit,
		.event = home_event,
		.failed = home_failed,
		.ctx = home,
	};
}

static inline size_t claims_held(const struct home *home)
{
	size_t count = 0;

	for (size_t i = 0; i < CLAIMS_MAX; i++)
		count += home->claims[i].used;
	return count;
}

/* ---- what devices are made from ---- */

struct source {
	struct config *config;
	struct opener opener;
};

/* Opened values of a class, from a configuration with `keys`. */
static inline struct values *values_from(struct source *source, const struct plugin_class *class, const char *keys)
{
	static const char *const common[] = { "plugin", "id", "class", NULL };
	char path[] = "/tmp/bp-process-XXXXXX";
	struct values *values = NULL;
	struct err err = ERR_NONE;
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	memset(source, 0, sizeof(*source));
	dprintf(fd,
		"machine = { memory = \"64M\"; };\nboot = { kernel = \"none\"; };\n"
		"devices = ( { plugin = \"any\"; id = \"device\"; %s } );\n",
		keys);
	close(fd);
	must(config_load(path, NULL, 0, &source->config, &err), &err);
	must(config_check_group(source->config->devices[0].node, class->decl.schema, "devices.device", common, &values,
				&err),
	     &err);
	must(open_values(&source->opener, values, &err), &err);
	unlink(path);
	return values;
}

static inline void source_end(struct source *source)
{
	opener_end(&source->opener);
	config_free(source->config);
	source->config = NULL;
}

static inline void plugin_file(const char *name, char path[static PATH_MAX])
{
	snprintf(path, PATH_MAX, "%s/plugins/.libs/%s.so", build_folder(), name);
	if (access(path, R_OK) < 0)
		snprintf(path, PATH_MAX, "%s/tests/plugins/.libs/%s.so", build_folder(), name);
}

/* ---- a device in a process ---- */

struct rig {
	struct processes *set;
	struct process *process;
	struct process_spec spec;
	char path[PATH_MAX];
	struct home home;
	struct source source;
	struct placed placed; /* ops NULL: not made */
	int ram_fd;
	uint8_t *ram;
	struct process_memory memory;
	struct err err;
};

/* Without a set. */
static inline void rig_begin_bare(struct rig *rig)
{
	memset(rig, 0, sizeof(*rig));
	rig->spec = (struct process_spec){
		.id = "device",
		.plugin_path = rig->path,
		.read_ns = PATIENT_NS,
		.request_ns = PATIENT_NS,
	};
	rig->ram_fd = fd_memfd("ram", RAM_BYTES);
	assert_true(rig->ram_fd >= 0);
	rig->ram = mmap(NULL, RAM_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, rig->ram_fd, 0);
	assert_true(rig->ram != MAP_FAILED);
	rig->memory =
	    (struct process_memory){ .count = 1, .regions = { { .gpa = 0, .bytes = RAM_BYTES, .fd = rig->ram_fd } } };
}

static inline void rig_begin(struct rig *rig)
{
	rig_begin_bare(rig);
	must(processes_new(&rig->set, &rig->err), &rig->err);
}

/* process_new() with a plugin of the build tree. */
static inline int rig_load(struct rig *rig, const char *plugin)
{
	plugin_file(plugin, rig->path);
	return process_new(rig->set, &rig->spec, &rig->process, &rig->err);
}

/* process_create() with the class of that name, NULL for the first. What is left of a failure is freed. */
static inline int rig_create(struct rig *rig, const char *class_name, const char *keys)
{
	struct process_device spec = {
		.class = plugin_find_class(process_plugin(rig->process), class_name),
		.memory = &rig->memory,
		.vcpus = 1,
		.identity = UINT64_C(0x0123456789abcdef),
	};
	const struct placed_home home = home_of(&rig->home);
	const struct class_decl *decl = &spec.class->decl;
	int r;

	spec.values = values_from(&rig->source, spec.class, keys);
	for (size_t i = 0; i < decl->range_count; i++) {
		const char *param = decl->ranges[i].base_param;
		const struct value *value = param ? values_get(spec.values, param, 0) : NULL;

		spec.bases[i] = value ? value->number : UINT64_C(0xd0000000) + i * 0x1000;
	}
	for (size_t i = 0; i < decl->irq_count; i++)
		spec.irq_fds[i] = fd_event();
	r = process_create(rig->process, &spec, &home, &rig->placed, &rig->err);
	if (r < 0) {
		for (size_t i = 0; i < decl->irq_count; i++)
			close(spec.irq_fds[i]);
		values_free(spec.values);
	}
	return r;
}

/* All of it, started. */
static inline void rig_run(struct rig *rig, const char *plugin, const char *class_name, const char *keys)
{
	must(rig_load(rig, plugin), &rig->err);
	must(rig_create(rig, class_name, keys), &rig->err);
	must(rig->placed.ops->start(rig->placed.ctx, &rig->err), &rig->err);
}

/* From here on a device that runs is soon found to hang; until here a busy machine is not taken for that. */
static inline void rig_hurry(struct rig *rig, uint64_t request_ns)
{
	rig->process->request_ns = request_ns;
	rig->process->ping_next_ns = clock_now_ns();
	processes_rearm(rig->set);
}

static inline void rig_free_process(struct rig *rig)
{
	if (rig->source.config)
		source_end(&rig->source);
	process_free(rig->process);
	opener_wait(&rig->source.opener);
	rig->process = NULL;
	rig->placed = (struct placed){ .ops = NULL };
	assert_int_equal(claims_held(&rig->home), 0);
}

static inline void rig_end(struct rig *rig)
{
	if (!rig->set)
		return;
	rig_free_process(rig);
	processes_free(rig->set);
	munmap(rig->ram, RAM_BYTES);
	close(rig->ram_fd);
	rig->set = NULL;
}

/* Minds the set once, when there is something to do or after a moment. */
static inline void rig_mind(struct rig *rig)
{
	struct pollfd fd = { .fd = processes_fd(rig->set), .events = POLLIN };

	poll(&fd, 1, 100);
	must(processes_mind(rig->set, &rig->err), &rig->err);
}

/* Until the condition holds. */
#define MIND_UNTIL(rig, condition)                                                            \
	do {                                                                                  \
		uint64_t end_ns_ = clock_now_ns() + PATIENT_NS;                               \
		while (!(condition)) {                                                        \
			if (clock_now_ns() >= end_ns_)                                        \
				fail_msg("%s:%d: never: %s", __FILE__, __LINE__, #condition); \
			rig_mind(rig);                                                        \
		}                                                                             \
	} while (0)

/* Accesses of a guest to the range with that cookie, as the bus makes them: all-ones where the device gives no value. */
static inline struct home_claim *claim_of(struct home *home, uint32_t cookie)
{
	for (size_t i = 0; i < CLAIMS_MAX; i++)
		if (home->claims[i].used && home->claims[i].cookie == cookie)
			return &home->claims[i];
	fprintf(stderr, "range %u is not claimed\n", cookie);
	abort();
}

static inline uint64_t home_read(struct home *home, uint32_t cookie, uint64_t offset, uint32_t width)
{
	const struct home_claim *claim = claim_of(home, cookie);
	uint64_t ones = width == 8 ? UINT64_MAX : (UINT64_C(1) << (8 * width)) - 1, value = 0;

	return claim->access(claim->ctx, cookie, offset, width, false, &value) < 0 ? ones : value & ones;
}

static inline void home_write(struct home *home, uint32_t cookie, uint64_t offset, uint32_t width, uint64_t value)
{
	const struct home_claim *claim = claim_of(home, cookie);

	claim->access(claim->ctx, cookie, offset, width, true, &value);
}

/* ---- for each test ---- */

static inline int rig_setup(void **state)
{
	static struct rig rig;

	rig_begin(&rig);
	*state = &rig;
	return 0;
}

static inline int rig_teardown(void **state)
{
	rig_end(*state);
	log_release();
	return 0;
}

#define RIG_TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

#endif
