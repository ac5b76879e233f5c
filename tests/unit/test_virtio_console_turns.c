/* SPDX-License-Identifier: BSD-3-Clause */
/* The console plugin on the runtime itself, with the test as the guest: how much it does in one go. */
#include <backplane/plugin.h>

extern const struct bp_plugin backplane_plugin;

#define VSUBJECT_CLASS (backplane_plugin.classes[0])
#include "tests/unit/vdev_fixture.h"

#define OUTPUT_QUEUE 1u
/* More than one callback may hand over: a turn, and what is held between two reads of a chain. */
#define GO_MAX       (512u * 1024)

/* What the plugin hands to its stream, in callbacks that a timer ends. */
static struct {
	struct bp_host host;
	uint64_t bytes, total, most;
} spy;

static void end_go(void)
{
	if (spy.most < spy.bytes)
		spy.most = spy.bytes;
	spy.bytes = 0;
}

static int spy_stream_write(struct bp_dev *dev, struct bp_stream *stream, const void *buf, size_t bytes)
{
	int taken = device_host.stream_write(dev, stream, buf, bytes);

	MUST(taken >= 0);
	spy.bytes += (uint64_t)taken;
	spy.total += (uint64_t)taken;
	return taken;
}

static int spy_timer_set(struct bp_dev *dev, uint32_t timer, uint64_t deadline_ns)
{
	end_go();
	return device_host.timer_set(dev, timer, deadline_ns);
}

/* A console whose stream is "null", so that it takes all there is, with the queue of its output. */
static void run(struct vsubject *one)
{
	struct value null = { .fd = -1, .fd_out = -1 };
	struct vdev_queue_setup queues[QUEUES];
	struct vdev_setup setup;
	uint64_t since;
	int param = schema_find(one->class.decl.schema, "stream");

	MUST(param >= 0 && values_add(one->spec.values, (size_t)param, &null) == 0);
	vsubject_run(one);
	memset(&spy, 0, sizeof(spy));
	spy.host = device_host;
	spy.host.stream_write = spy_stream_write;
	spy.host.timer_set = spy_timer_set;
	since = device_enter(one->device, "test");
	one->device->head.host = &spy.host;
	device_leave(one->device, since);
	setup = v_setup(one, queues, ALL_FEATURES & ~FEATURES);
	queues[0].ready = false;
	queues[OUTPUT_QUEUE].ready = true;
	assert_int_equal(vdev_activate(one->device, &setup, &one->err), 0);
}

/* 16 MiB of output in a chain, as 64 times the same memory. */
static void output_comes_in_turns(void **state)
{
	struct vsubject *one = &((struct vfixture *)*state)->one;
	uint64_t since;

	run(one);
	for (uint32_t i = 0; i < QUEUE_SIZE; i++)
		ring_set(&one->driver, RING_DESC, i, RING_RAM_NEXT, RING_REGION, i + 1 < QUEUE_SIZE ? RING_F_NEXT : 0,
			 (uint16_t)(i + 1));
	ring_offer(&one->driver, 0);
	fd_event_signal(one->kick_fds[OUTPUT_QUEUE]);
	assert_true(wait_used(one, 1));
	since = device_enter(one->device, "test");
	end_go();
	device_leave(one->device, since);
	assert_int_equal(spy.total, RING_REGION * QUEUE_SIZE);
	assert_in_range(spy.most, 1, GO_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(output_comes_in_turns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
