/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Thread tags: every function of the host table is called from every place that a plugin's code can be in. Where its tag
 * allows that it must not give -EDEADLK, everywhere else it must, with the plugin's name and the function's in the log.
 */
#include "tests/unit/device_fixture.h"

/* Places. */
#define MAIN_CREATE (1u << 0)
#define MAIN_START  (1u << 1)
#define MAIN_STOP   (1u << 2)
#define DEV_ACCESS  (1u << 3)
#define DEV_RESET   (1u << 4)
#define DEV_TIMER   (1u << 5)
#define DEV_FD      (1u << 6)
#define OWN_THREAD  (1u << 7)  /* while the device runs */
#define NEW_THREAD  (1u << 8)  /* made and joined in create */
#define OTHER_DEV   (1u << 9)  /* another device's access */
#define OTHER_MAIN  (1u << 10) /* another device's start */
#define PLACES      11

#define MAIN        (MAIN_CREATE | MAIN_START | MAIN_STOP)
#define DEV         (DEV_ACCESS | DEV_RESET | DEV_TIMER | DEV_FD)
#define ANY         ((1u << PLACES) - 1)

/* What the probes work on; made in create, where everything is allowed that they need. */
struct tools {
	const struct bp_cfg *cfg; /* only while create runs */
	struct bp_stream *stream;
	int fd;
	uint32_t timer;
	uint32_t range;
};

static struct tools tools;

/* ---- probes: one for each function; -EDEADLK means "not from here" ---- */

static void no_fd(void *arg, int fd, uint32_t events)
{
	(void)arg, (void)fd, (void)events;
}

static void no_timer(void *arg, uint32_t timer)
{
	(void)arg, (void)timer;
}

static void no_stream(void *arg, uint32_t events)
{
	(void)arg, (void)events;
}

static int probe_log(struct bp_dev *dev)
{
	bp_log(dev, BP_LOG_DEBUG, "hello");
	return 0;
}

static int probe_fail(struct bp_dev *dev)
{
	return bp_fail(dev, -EIO, "some failure") == -EIO ? 0 : -EDEADLK;
}

static int probe_clock(struct bp_dev *dev)
{
	return bp_clock_ns(dev) ? 0 : -EDEADLK;
}

static int probe_event(struct bp_dev *dev)
{
	return bp_event(dev, BP_EVENT_MARK, 1);
}

static int probe_any_clock(struct bp_dev *dev)
{
	return bp_clock(dev, BP_CLOCK_START) ? 0 : -EDEADLK;
}

/* It returns nothing: the device must be broken afterwards, or not. */
static int probe_broken(struct bp_dev *dev)
{
	struct device *device = (struct device *)dev;
	bool before = device->broken, after;

	device->broken = false;
	bp_broken(dev, "a probe");
	after = device->broken;
	device->broken = before;
	return after ? 0 : -EDEADLK;
}

static int probe_cfg_count(struct bp_dev *dev)
{
	(void)dev;
	return bp_cfg_count(tools.cfg, "size") == 1 ? 0 : -EDEADLK;
}

static int probe_cfg_uint(struct bp_dev *dev)
{
	(void)dev;
	return bp_cfg_uint(tools.cfg, "size") == 4096 ? 0 : -EDEADLK;
}

static int probe_cfg_int(struct bp_dev *dev)
{
	(void)dev;
	return bp_cfg_int(tools.cfg, "int") == -3 ? 0 : -EDEADLK;
}

static int probe_cfg_string(struct bp_dev *dev)
{
	(void)dev;
	return !strcmp(bp_cfg_string(tools.cfg, "word"), "hello") ? 0 : -EDEADLK;
}

static int probe_cfg_fd(struct bp_dev *dev)
{
	(void)dev;
	return bp_cfg_fd(tools.cfg, "file") >= 0 ? 0 : -EDEADLK;
}

static int probe_cfg_stream(struct bp_dev *dev)
{
	(void)dev;
	return bp_cfg_stream(tools.cfg, "stream") ? 0 : -EDEADLK;
}

static int probe_cfg_network(struct bp_dev *dev)
{
	struct bp_network network = { .size = sizeof(network) };

	(void)dev;
	return bp_cfg_network(tools.cfg, "network", &network) ? -EDEADLK : 0;
}

static int probe_cfg_group(struct bp_dev *dev)
{
	(void)dev;
	return bp_cfg_group(tools.cfg, "group") ? 0 : -EDEADLK;
}

static int probe_claim(struct bp_dev *dev)
{
	static const struct bp_range what = { .space = BP_MMIO, .length = 8, .widths = BP_W32 };
	uint32_t range;

	return bp_claim(dev, &what, BP_BASE_ANY, &range);
}

static int probe_release(struct bp_dev *dev)
{
	return bp_release(dev, tools.range);
}

static int probe_range_base(struct bp_dev *dev)
{
	uint64_t base;

	return bp_range_base(dev, 0, &base);
}

static int probe_irq_raise(struct bp_dev *dev)
{
	return bp_irq_raise(dev, 0);
}

static int probe_mem_read(struct bp_dev *dev)
{
	uint8_t byte;

	return bp_mem_read(dev, RAM_GPA, &byte, 1);
}

static int probe_mem_write(struct bp_dev *dev)
{
	return bp_mem_write(dev, RAM_GPA, "", 1);
}

static int probe_mem_copy(struct bp_dev *dev)
{
	return bp_mem_copy(dev, RAM_GPA, RAM_GPA + 8, 8);
}

static int probe_mem_slice(struct bp_dev *dev)
{
	void *slice;

	return bp_mem_slice(dev, RAM_GPA, 8, BP_SLICE_READ, &slice);
}

static int probe_mem_unpin(struct bp_dev *dev)
{
	return bp_mem_unpin(dev, &tools, 8) == -EINVAL ? 0 : -EDEADLK;
}

static int probe_fd_add(struct bp_dev *dev)
{
	return bp_fd_add(dev, -1, BP_FD_IN, no_fd, NULL) == -EDEADLK ? -EDEADLK : 0;
}

static int probe_fd_set(struct bp_dev *dev)
{
	return bp_fd_set(dev, tools.fd, 0);
}

static int probe_fd_del(struct bp_dev *dev)
{
	return bp_fd_del(dev, tools.fd);
}

static int probe_timer_add(struct bp_dev *dev)
{
	uint32_t timer;

	return bp_timer_add(dev, no_timer, NULL, &timer);
}

static int probe_timer_set(struct bp_dev *dev)
{
	return bp_timer_set(dev, tools.timer, 0);
}

static int probe_timer_del(struct bp_dev *dev)
{
	return bp_timer_del(dev, tools.timer);
}

static int probe_stream_listen(struct bp_dev *dev)
{
	return bp_stream_listen(dev, tools.stream, no_stream, NULL);
}

static int probe_stream_read(struct bp_dev *dev)
{
	uint8_t byte;

	return bp_stream_read(dev, tools.stream, &byte, 1);
}

static int probe_stream_write(struct bp_dev *dev)
{
	int r = bp_stream_write(dev, tools.stream, "x", 1);

	return r > 0 ? 0 : r;
}

static int no_job(void *arg)
{
	(void)arg;
	return 0;
}

static void no_done(void *arg, int result)
{
	(void)arg, (void)result;
}

static int probe_job(struct bp_dev *dev)
{
	return bp_job(dev, no_job, no_done, NULL) == -EDEADLK ? -EDEADLK : 0;
}

static int probe_metric(struct bp_dev *dev)
{
	uint64_t *slot;

	return bp_metric(dev, BP_METRIC_COUNTER, "probes", "calls of the probe", &slot) == -EDEADLK ? -EDEADLK : 0;
}

static int probe_info(struct bp_dev *dev)
{
	return bp_info(dev, BP_INFO_VCPUS) == 3 && bp_info(dev, 99) == 0 ? 0 : -EDEADLK;
}

/* The device is no virtio device, so they fail where they may be called. */
static int probe_virtio_offer(struct bp_dev *dev)
{
	return bp_virtio_offer(dev, 0, 1) == -EINVAL ? 0 : -EDEADLK;
}

static int probe_virtio_config_write(struct bp_dev *dev)
{
	return bp_virtio_config_write(dev, 0, "x", 1) == -EINVAL ? 0 : -EDEADLK;
}

static int probe_virtio_config_read(struct bp_dev *dev)
{
	uint8_t byte;

	return bp_virtio_config_read(dev, 0, &byte, 1) == -EINVAL ? 0 : -EDEADLK;
}

static int probe_io_open(struct bp_dev *dev)
{
	struct bp_io *io;

	return bp_io_open(dev, -1, BP_IO_AUTO, 1, &io) == -EINVAL ? 0 : -EDEADLK;
}

static const struct {
	const char *name;
	int (*probe)(struct bp_dev *dev);
	unsigned int allowed;
	bool needs_cfg; /* its argument exists in create only */
} functions[] = {
	{ "bp_log", probe_log, ANY, false },
	{ "bp_fail", probe_fail, ANY, false },
	{ "bp_broken", probe_broken, DEV, false },
	{ "bp_clock_ns", probe_clock, ANY, false },
	{ "bp_cfg_count", probe_cfg_count, MAIN, true },
	{ "bp_cfg_uint", probe_cfg_uint, MAIN, true },
	{ "bp_cfg_int", probe_cfg_int, MAIN, true },
	{ "bp_cfg_string", probe_cfg_string, MAIN, true },
	{ "bp_cfg_fd", probe_cfg_fd, MAIN, true },
	{ "bp_cfg_stream", probe_cfg_stream, MAIN, true },
	{ "bp_cfg_network", probe_cfg_network, MAIN, true },
	{ "bp_cfg_group", probe_cfg_group, MAIN, true },
	{ "bp_claim", probe_claim, MAIN, false },
	{ "bp_release", probe_release, MAIN, false },
	{ "bp_range_base", probe_range_base, ANY, false },
	{ "bp_irq_raise", probe_irq_raise, ANY, false },
	{ "bp_mem_read", probe_mem_read, ANY, false },
	{ "bp_mem_write", probe_mem_write, ANY, false },
	{ "bp_mem_copy", probe_mem_copy, ANY, false },
	{ "bp_mem_slice", probe_mem_slice, DEV, false },
	{ "bp_mem_unpin", probe_mem_unpin, ANY, false },
	{ "bp_fd_add", probe_fd_add, MAIN | DEV, false },
	{ "bp_fd_set", probe_fd_set, MAIN | DEV, false },
	{ "bp_fd_del", probe_fd_del, MAIN | DEV, false },
	{ "bp_timer_add", probe_timer_add, MAIN | DEV, false },
	{ "bp_timer_set", probe_timer_set, MAIN | DEV, false },
	{ "bp_timer_del", probe_timer_del, MAIN | DEV, false },
	{ "bp_stream_listen", probe_stream_listen, MAIN, false },
	{ "bp_stream_read", probe_stream_read, DEV, false },
	{ "bp_stream_write", probe_stream_write, MAIN | DEV, false },
	{ "bp_event", probe_event, DEV, false },
	{ "bp_clock", probe_any_clock, ANY, false },
	{ "bp_job", probe_job, MAIN | DEV, false },
	{ "bp_metric", probe_metric, MAIN, false },
	{ "bp_info", probe_info, ANY, false },
	{ "bp_virtio_offer", probe_virtio_offer, MAIN, false },
	{ "bp_virtio_config_write", probe_virtio_config_write, MAIN | DEV, false },
	{ "bp_virtio_config_read", probe_virtio_config_read, MAIN | DEV, false },
	{ "bp_io_open", probe_io_open, MAIN, false },
};

/* Those that take something which exists inside of one callback only, and those that this host does not have yet. */
static const char *const elsewhere[] __attribute__((unused)) = {
	"bp_put_uint",   "bp_put_bytes",   "bp_get_uint",   "bp_get_bytes",  "bp_chain_left",
	"bp_chain_read", "bp_chain_write", "bp_chain_take", "bp_chain_skip", "bp_chain_complete",
	"bp_io_submit",  "bp_stream_size", "bp_connect",    "bp_chain_peek", "bp_chain_wrote",
};

/* Every entry of the table after its four leading words is a pointer, and stands above. */
_Static_assert(COUNT_OF(functions) + COUNT_OF(elsewhere) ==
		   (sizeof(struct bp_host) - offsetof(struct bp_host, log)) / sizeof(void (*)(void)),
	       "one row a host function");

/* ---- places ---- */

/* The call under test, and what it gave. */
static struct {
	int (*probe)(struct bp_dev *dev);
	unsigned int place;
	struct bp_dev *dev;
	int result;
	struct event done;
} call;

static void make_call(void)
{
	call.result = call.probe(call.dev);
	event_post(&call.done);
}

static void *call_in_thread(void *arg)
{
	(void)arg;
	make_call();
	return NULL;
}

static void call_and_join(void)
{
	pthread_t thread;

	MUST(pthread_create(&thread, NULL, call_in_thread, NULL) == 0);
	MUST(thread_join(thread));
}

static void call_from_timer(void *arg, uint32_t timer)
{
	(void)arg, (void)timer;
	make_call();
}

static void call_from_fd(void *arg, int fd, uint32_t events)
{
	(void)arg, (void)events;
	fd_event_clear(fd);
	if (call.place == DEV_FD)
		make_call();
}

static int tools_create(struct subject *subject, const struct bp_cfg *cfg)
{
	static const struct bp_range what = { .space = BP_MMIO, .length = 8, .widths = BP_W32 };
	uint32_t timer;

	tools.cfg = cfg;
	/* The stream is asked for once only, as the contract says. */
	tools.stream = call.probe == probe_cfg_stream ? NULL : bp_cfg_stream(cfg, "stream");
	tools.fd = fd_event();
	MUST(tools.fd >= 0);
	MUST(bp_timer_add(subject->dev, no_timer, NULL, &tools.timer) == 0);
	MUST(bp_timer_add(subject->dev, call_from_timer, NULL, &timer) == 0);
	MUST(bp_fd_add(subject->dev, tools.fd, BP_FD_IN, call_from_fd, NULL) == 0);
	MUST(bp_claim(subject->dev, &what, MMIO_BASE + 0x10000, &tools.range) == 0);
	call.dev = subject->dev;
	if (call.place == MAIN_CREATE)
		make_call();
	else if (call.place == NEW_THREAD)
		call_and_join();
	else if (call.place == DEV_TIMER)
		MUST(bp_timer_set(subject->dev, timer, 1) == 0);
	else if (call.place == DEV_FD)
		fd_event_signal(tools.fd);
	return 0;
}

static int tools_start(struct subject *subject)
{
	(void)subject;
	if (call.place == MAIN_START)
		make_call();
	return 0;
}

static int other_start(struct subject *subject)
{
	(void)subject;
	if (call.place == OTHER_MAIN)
		make_call();
	return 0;
}

static int any_access(struct subject *subject, const struct bp_access *access, uint64_t *val)
{
	(void)subject, (void)access, (void)val;
	make_call();
	return 0;
}

static void any_reset(struct subject *subject)
{
	(void)subject;
	if (call.place == DEV_RESET)
		make_call();
}

static void any_stop(struct subject *subject)
{
	(void)subject;
	if (call.place == MAIN_STOP)
		make_call();
}

static void tools_destroy(struct subject *subject)
{
	(void)subject;
	close(tools.fd);
}

static void give_values(struct subject *subject)
{
	struct values *group;
	struct place nowhere = { .file = "test", .line = 1 };
	int param = schema_find(subject->class.decl.schema, "group");

	subject_set(subject, "size", value_number(4096));
	subject_set(subject, "int", value_number((uint64_t)-3));
	subject_set(subject, "word", value_text("hello"));
	subject_set(subject, "file", (struct value){ .fd = fd_event(), .fd_out = -1 });
	subject_set(subject, "stream", (struct value){ .fd = -1, .fd_out = -1 });
	subject_set(subject, "network",
		    (struct value){ .network = calloc(1, sizeof(struct network)), .fd = -1, .fd_out = -1 });
	assert_int_equal(values_new(subject->class.decl.schema->params[param].group, "g", nowhere, &group), 0);
	subject_set(subject, "group", (struct value){ .group = group, .fd = -1, .fd_out = -1 });
}

/* Makes two devices, brings the first to the place, calls, and tells what came of it. */
static void try_place(size_t function, unsigned int place, struct fixture *fixture)
{
	struct subject *one = &fixture->one, *two = &fixture->two;

	subject_init(one, "one");
	subject_init(two, "two");
	give_values(one);
	call.probe = functions[function].probe;
	call.place = place;
	call.result = 1;
	call.done.count = 0;
	one->hooks = (struct hooks){
		.create = tools_create,
		.start = tools_start,
		.reset = any_reset,
		.stop = any_stop,
		.destroy = tools_destroy,
	};
	two->hooks.start = other_start;
	subject_run(one);
	subject_run(two);
	if (place == DEV_ACCESS)
		on_dev(one, any_access);
	else if (place == OTHER_DEV)
		on_dev(two, any_access);
	else if (place == DEV_RESET)
		device_reset(one->device);
	else if (place == OWN_THREAD)
		call_and_join();
	else if (place == MAIN_STOP)
		device_stop(one->device);
	assert_true(event_wait(&call.done, 1));
	subject_end(one);
	subject_end(two);
}

static void try_everywhere(size_t function, struct fixture *fixture)
{
	for (unsigned int bit = 0; bit < PLACES; bit++) {
		unsigned int place = 1u << bit;
		bool allowed = functions[function].allowed & place;
		char expected[128];

		/* The values live while create runs, so nobody can ask later; a thread can. */
		if (functions[function].needs_cfg && !(place & (MAIN_CREATE | NEW_THREAD)))
			continue;
		log_catch(LOG_LEVEL_ERROR);
		try_place(function, place, fixture);
		snprintf(expected, sizeof(expected), "backplane: error: one: plugin error: %s was called from ",
			 functions[function].name);
		if (!call.result != allowed || (call.result && call.result != -EDEADLK) ||
		    !strstr(log_caught(), expected) != allowed) {
			char log[512];

			snprintf(log, sizeof(log), "%.500s", log_caught());
			log_release();
			fail_msg("%s in place %u: %d, log: %s", functions[function].name, bit, call.result, log);
		}
		log_release();
	}
}

static void every_function_in_every_place(void **state)
{
	static struct fixture fixture;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(functions); i++)
		try_everywhere(i, &fixture);
}

static void the_breach_names_the_callback(void **state)
{
	static struct fixture fixture;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(functions); i++)
		if (functions[i].probe == probe_claim) {
			log_catch(LOG_LEVEL_ERROR);
			try_place(i, DEV_TIMER, &fixture);
			assert_string_equal(log_caught(),
					    "backplane: error: one: plugin error: bp_claim was called from "
					    "timer callback, where it is not allowed\n");
			log_release();
			log_catch(LOG_LEVEL_ERROR);
			try_place(i, OWN_THREAD, &fixture);
			assert_string_equal(
			    log_caught(),
			    "backplane: error: one: plugin error: bp_claim was called from a thread of the "
			    "plugin's own or for another device, where it is not allowed\n");
			log_release();
		}
}

static int call_after_other(struct subject *subject, const struct bp_access *access, uint64_t *val)
{
	void *slice;

	(void)access, (void)val;
	/* A breach does not cost the rights that the callback has. */
	MUST(bp_mem_slice(call.dev, RAM_GPA, 8, BP_SLICE_READ, &slice) == -EDEADLK);
	return bp_mem_slice(subject->dev, RAM_GPA, 8, BP_SLICE_READ, &slice);
}

static void a_breach_changes_nothing_else(void **state)
{
	struct fixture *fixture = *state;

	subject_run(&fixture->one);
	subject_run(&fixture->two);
	call.dev = fixture->one.dev;
	log_catch(LOG_LEVEL_ERROR);
	assert_int_equal(on_dev(&fixture->two, call_after_other), 0);
	assert_int_equal(guest_write(&fixture->one, 1), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_function_in_every_place),
		cmocka_unit_test(the_breach_names_the_callback),
		TEST(a_breach_changes_nothing_else),
	};

	call.done = (struct event)EVENT_INIT;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
