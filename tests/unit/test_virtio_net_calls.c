/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A network card on the runtime itself: how many system calls its thread makes for frames that come or go together, and how often its driver
 * has to tell it something. Counted, not timed; the other end of its tap is a socket.
 */
#include "tests/unit/net_nic.h"

#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/uio.h>

#define RX          0u
#define TX          1u
#define FRAMES      64u
#define FRAME_BYTES 1000u
/* Of system calls for each frame, at most 1.1. */
#define CALLS_MAX   (FRAMES + FRAMES / 10)

/* ---- the device's thread ---- */

static struct {
	const struct device *device;
	_Atomic(uint32_t) all, readv, writev, waits;
	_Atomic(bool) waiting;
} calls;

static void count(_Atomic(uint32_t) *which)
{
	const struct device *device = __atomic_load_n(&calls.device, __ATOMIC_ACQUIRE);

	if (!device || !loop_is_current(device))
		return;
	atomic_fetch_add(&calls.all, 1);
	if (which)
		atomic_fetch_add(which, 1);
}

ssize_t __real_read(int fd, void *buf, size_t bytes);
ssize_t __wrap_read(int fd, void *buf, size_t bytes);
ssize_t __real_write(int fd, const void *buf, size_t bytes);
ssize_t __wrap_write(int fd, const void *buf, size_t bytes);
ssize_t __real_readv(int fd, const struct iovec *iov, int iov_count);
ssize_t __wrap_readv(int fd, const struct iovec *iov, int iov_count);
ssize_t __real_writev(int fd, const struct iovec *iov, int iov_count);
ssize_t __wrap_writev(int fd, const struct iovec *iov, int iov_count);
int __real_epoll_wait(int fd, struct epoll_event *events, int max, int timeout);
int __wrap_epoll_wait(int fd, struct epoll_event *events, int max, int timeout);
int __real_epoll_ctl(int fd, int op, int other, struct epoll_event *event);
int __wrap_epoll_ctl(int fd, int op, int other, struct epoll_event *event);
int __real_timerfd_settime(int fd, int flags, const struct itimerspec *to, struct itimerspec *was);
int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *to, struct itimerspec *was);
int __wrap_ioctl(int fd, unsigned long request, ...);

ssize_t __wrap_read(int fd, void *buf, size_t bytes)
{
	count(NULL);
	return __real_read(fd, buf, bytes);
}

ssize_t __wrap_write(int fd, const void *buf, size_t bytes)
{
	count(NULL);
	return __real_write(fd, buf, bytes);
}

ssize_t __wrap_readv(int fd, const struct iovec *iov, int iov_count)
{
	count(&calls.readv);
	return __real_readv(fd, iov, iov_count);
}

ssize_t __wrap_writev(int fd, const struct iovec *iov, int iov_count)
{
	count(&calls.writev);
	return __real_writev(fd, iov, iov_count);
}

int __wrap_epoll_wait(int fd, struct epoll_event *events, int max, int timeout)
{
	int r;

	count(&calls.waits);
	atomic_store(&calls.waiting, true);
	r = __real_epoll_wait(fd, events, max, timeout);
	atomic_store(&calls.waiting, false);
	return r;
}

int __wrap_epoll_ctl(int fd, int op, int other, struct epoll_event *event)
{
	count(NULL);
	return __real_epoll_ctl(fd, op, other, event);
}

int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *to, struct itimerspec *was)
{
	count(NULL);
	return __real_timerfd_settime(fd, flags, to, was);
}

/* Offloads, which a socket has none of. */
int __wrap_ioctl(int fd, unsigned long request, ...)
{
	(void)fd;
	(void)request;
	count(NULL);
	return 0;
}

/* ---- the card ---- */

struct fixture {
	struct nic nic;
	int far;
};

static int setup(void **state)
{
	static struct fixture fixture;
	struct network network = { .kind = BP_NETWORK_TAP, .fd_count = 1 };
	int fds[2];

	memset(&calls, 0, sizeof(calls));
	MUST(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0);
	network.fds[0] = fds[0];
	fixture.far = fds[1];
	nic_open(&fixture.nic, &network);
	nic_drive(&fixture.nic, 0);
	__atomic_store_n(&calls.device, fixture.nic.device, __ATOMIC_RELEASE);
	*state = &fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	__atomic_store_n(&calls.device, NULL, __ATOMIC_RELEASE);
	nic_end(&fixture->nic);
	close(fixture->far);
	return 0;
}

static void far_put(const struct fixture *fixture, uint32_t number)
{
	static const struct virtio_net_hdr_v1 header;
	uint8_t bytes[sizeof(header) + FRAME_BYTES];

	memcpy(bytes, &header, sizeof(header));
	memset(bytes + sizeof(header), (int)number, FRAME_BYTES);
	assert_int_equal(send(fixture->far, bytes, sizeof(bytes), MSG_DONTWAIT), sizeof(bytes));
}

/* Its thread has nothing to do any more: it waits, with nothing to be told of, and did so a moment ago. */
static void wait_idle(const struct fixture *fixture)
{
	struct pollfd ready = { .fd = fixture->nic.device->loop.epoll_fd, .events = POLLIN };
	uint32_t before = UINT32_MAX;

	for (int i = 0; i < PATIENCE_S * 1000; i++) {
		uint32_t now = atomic_load(&calls.all);
		bool idle = atomic_load(&calls.waiting) && poll(&ready, 1, 0) == 0;

		if (idle && now == before)
			return;
		before = idle ? now : UINT32_MAX;
		poll(NULL, 0, 2);
	}
	fail_msg("the device's thread does not come to rest");
}

static void forget(const struct fixture *fixture)
{
	wait_idle(fixture);
	atomic_store(&calls.all, 0);
	atomic_store(&calls.readv, 0);
	atomic_store(&calls.writev, 0);
}

/* ---- claims ---- */

static void frames_that_come_together_cost_a_call_each(void **state)
{
	struct fixture *fixture = *state;
	struct nic *nic = &fixture->nic;
	uint64_t since;

	nic_receive(nic, RX, 0, 128, 2048);
	nic_tell(nic, RX);
	wait_idle(fixture);
	nic_want(nic, RX);
	forget(fixture);
	since = nic_hold(nic);
	for (uint32_t i = 0; i < FRAMES; i++)
		far_put(fixture, i);
	nic_let(nic, since);
	assert_true(nic_wait(nic, RX, FRAMES));
	wait_idle(fixture);
	assert_in_range(atomic_load(&calls.readv), FRAMES, FRAMES + 1);
	assert_in_range(atomic_load(&calls.all), FRAMES, CALLS_MAX);
	/* One interrupt for all of them. */
	assert_int_equal(fd_event_clear(nic->call_fd), 1);
}

static void frames_that_go_together_cost_a_call_each(void **state)
{
	static const struct virtio_net_hdr_v1 header;
	struct fixture *fixture = *state;
	struct nic *nic = &fixture->nic;
	uint8_t frame[FRAME_BYTES] = { 0 };

	memcpy(frame + 6, nic_mac, 6);
	nic_want(nic, TX);
	forget(fixture);
	for (uint16_t i = 0; i < FRAMES; i++)
		nic_send(nic, TX, (uint16_t)(2 * i), NIC_SEND + i * 0x400u, &header, frame, FRAME_BYTES);
	nic_tell(nic, TX);
	assert_true(nic_wait(nic, TX, FRAMES));
	wait_idle(fixture);
	assert_int_equal(atomic_load(&calls.writev), FRAMES);
	assert_in_range(atomic_load(&calls.all), FRAMES, CALLS_MAX);
	assert_int_equal(fd_event_clear(nic->call_fd), 1);
	assert_int_equal(nic->queues[TX].kicks, 1);
}

/* A driver that gives its buffers back as it goes has no need to tell: they are looked for. */
static void buffers_are_given_without_telling(void **state)
{
	struct fixture *fixture = *state;
	struct nic *nic = &fixture->nic;
	uint32_t before = 0;

	nic_receive(nic, RX, 0, 128, 2048);
	nic_tell(nic, RX);
	wait_idle(fixture);
	for (uint32_t round = 0; round < 20; round++) {
		if (round == 2)
			before = nic->queues[RX].kicks;
		for (uint32_t i = 0; i < 32; i++)
			far_put(fixture, i);
		assert_true(nic_wait(nic, RX, 32));
		for (uint32_t i = 0; i < 32; i++) {
			uint32_t bytes;
			uint16_t head = nic_take(nic, RX, &bytes);
			const uint8_t *got = ring_at(&nic->ram, NIC_RECEIVE + head * 2048u);

			assert_int_equal(bytes, NIC_HEADER + FRAME_BYTES);
			assert_int_equal(got[NIC_HEADER], i);
			nic_offer(nic, RX, head);
			nic_tell(nic, RX);
		}
	}
	assert_int_equal(nic->queues[RX].kicks, before);
}

/* Until there are none. */
static void a_driver_that_has_run_out_tells(void **state)
{
	struct fixture *fixture = *state;
	struct nic *nic = &fixture->nic;
	uint32_t bytes;

	nic_receive(nic, RX, 0, 8, 2048);
	nic_tell(nic, RX);
	for (uint32_t round = 0; round < 20; round++) {
		for (uint32_t i = 0; i < 16; i++)
			far_put(fixture, i);
		for (uint32_t i = 0; i < 16; i++) {
			assert_true(nic_wait(nic, RX, 1));
			/* All eight are out when the frame after them waits. */
			nic_offer(nic, RX, nic_take(nic, RX, &bytes));
			nic_tell(nic, RX);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(frames_that_come_together_cost_a_call_each, setup, teardown),
		cmocka_unit_test_setup_teardown(frames_that_go_together_cost_a_call_each, setup, teardown),
		cmocka_unit_test_setup_teardown(buffers_are_given_without_telling, setup, teardown),
		cmocka_unit_test_setup_teardown(a_driver_that_has_run_out_tells, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
