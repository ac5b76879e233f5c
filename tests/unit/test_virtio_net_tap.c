/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A network card on the runtime and on a real tap interface, in a network namespace of the test's own: what the kernel does with our
 * headers, and we with its. The other end is a packet socket, which sees what the guest sends and sends what the guest gets.
 */
#include "tests/unit/net_nic.h"

#include "core/placement/tap.h"
#include "tests/unit/net_packet.h"

#include <sys/uio.h>

#define RX         0u
#define TX         1u
#define CONTROL    4u
#define LONG_BYTES 60000u

static bool has_taps;

struct fixture {
	struct nic nic;
	char name[IFNAMSIZ];
	int packets; /* the socket */
	uint8_t got[sizeof(struct virtio_net_hdr_v1) + 70000];
};

static void fixture_open(struct fixture *fixture, uint32_t pairs)
{
	struct network network = { 0 };
	struct err err = ERR_NONE;

	if (!has_taps) {
		print_message("no tap interface can be made here\n");
		skip();
	}
	if (tap_open(NULL, pairs, &network, fixture->name, &err) < 0)
		fail_msg("%s", err.text);
	/* It would ask for addresses by itself. */
	(void)uplink_write("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1");
	interface_flags(fixture->name, IFF_UP);
	fixture->packets = packet_socket(fixture->name);
	nic_open(&fixture->nic, &network);
}

static int setup(void **state)
{
	static struct fixture fixture;

	memset(&fixture, 0, sizeof(fixture));
	fixture.packets = -1;
	*state = &fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	log_release();
	nic_end(&fixture->nic);
	fd_close(fixture->packets);
	return 0;
}

/* ---- frames ---- */

/* What comes at the packet socket: its frame's bytes, and the header in *ret. */
static size_t packet_get(struct fixture *fixture, struct virtio_net_hdr *ret)
{
	struct pollfd ready = { .fd = fixture->packets, .events = POLLIN };
	ssize_t got;

	for (;;) {
		assert_int_equal(poll(&ready, 1, PATIENCE_S * 1000), 1);
		got = recv(fixture->packets, fixture->got, sizeof(fixture->got), 0);
		assert_true(got > (ssize_t)sizeof(*ret));
		memcpy(ret, fixture->got, sizeof(*ret));
		/* What this socket has sent comes back to it. */
		if (!memcmp(fixture->got + sizeof(*ret) + 6, nic_mac, 6))
			return (size_t)got - sizeof(*ret);
	}
}

static void packet_put(struct fixture *fixture, const struct virtio_net_hdr_v1 *header, const uint8_t *frame,
		       size_t bytes)
{
	struct iovec iov[] = { { (void *)(uintptr_t)header, sizeof(struct virtio_net_hdr) },
			       { (void *)(uintptr_t)frame, bytes } };

	assert_int_equal(writev(fixture->packets, iov, 2), sizeof(struct virtio_net_hdr) + bytes);
}

/* The next frame that the guest has received, in fixture->got behind its header; the buffers' are of `size` bytes. */
static size_t guest_get(struct fixture *fixture, uint32_t queue, size_t size, struct virtio_net_hdr_v1 *ret)
{
	struct nic *nic = &fixture->nic;
	size_t total = 0;

	assert_true(nic_wait(nic, queue, 1));
	for (uint16_t i = 0, count = 1; i < count; i++) {
		uint32_t bytes;
		uint16_t head = nic_take(nic, queue, &bytes);

		assert_true(total + bytes <= sizeof(fixture->got));
		for (size_t at = 0; at < bytes; at++)
			fixture->got[total + at] = *(uint8_t *)ring_at(&nic->ram, NIC_RECEIVE + head * size + at);
		total += bytes;
		if (!i) {
			memcpy(ret, fixture->got, sizeof(*ret));
			count = ret->num_buffers;
			assert_true(nic_wait(nic, queue, count - 1));
		}
	}
	return total - NIC_HEADER;
}

/* ---- from the guest ---- */

static void a_gso_frame_reaches_the_kernel_in_one_piece(void **state)
{
	static uint8_t frame[LONG_BYTES];
	struct fixture *fixture = *state;
	const struct virtio_net_hdr_v1 header = tcp_header(1448);
	struct virtio_net_hdr seen;

	fixture_open(fixture, 1);
	nic_drive(&fixture->nic, 0);
	make_tcp(frame, sizeof(frame), true);
	nic_send(&fixture->nic, TX, 0, NIC_SEND, &header, frame, sizeof(frame));
	nic_tell(&fixture->nic, TX);
	assert_int_equal(packet_get(fixture, &seen), sizeof(frame));
	assert_int_equal(seen.gso_type, VIRTIO_NET_HDR_GSO_TCPV4);
	assert_int_equal(seen.gso_size, 1448);
	assert_memory_equal(fixture->got + sizeof(seen), frame, sizeof(frame));
	assert_true(nic_wait(&fixture->nic, TX, 1));
}

/* Headers that pass our checks pass the kernel's: nothing is refused. */
static void headers_at_their_bounds_are_taken_by_the_kernel(void **state)
{
	static const uint16_t sizes[] = { 1, 536, 1448, 8948, 65495 };
	static uint8_t frame[2000];
	struct fixture *fixture = *state;
	struct virtio_net_hdr seen;

	fixture_open(fixture, 1);
	nic_drive(&fixture->nic, 0);
	for (uint16_t i = 0; i < COUNT_OF(sizes); i++) {
		struct virtio_net_hdr_v1 header = tcp_header(sizes[i]);

		/* Wrong, as it may be (5.1.6.2.2). */
		header.hdr_len = i % 2 ? 0 : 0xffff;
		make_tcp(frame, sizeof(frame), true);
		nic_send(&fixture->nic, TX, (uint16_t)(2 * i), NIC_SEND + i * 0x1000u, &header, frame, sizeof(frame));
		nic_tell(&fixture->nic, TX);
		assert_int_equal(packet_get(fixture, &seen), sizeof(frame));
	}
}

/* ---- to the guest ---- */

static void a_gso_frame_reaches_the_guest_in_one_piece(void **state)
{
	static uint8_t frame[LONG_BYTES];
	struct fixture *fixture = *state;
	const struct virtio_net_hdr_v1 header = tcp_header(1448);
	struct virtio_net_hdr_v1 got;

	fixture_open(fixture, 1);
	nic_drive(&fixture->nic, 0);
	nic_receive(&fixture->nic, RX, 0, 64, 4096);
	nic_tell(&fixture->nic, RX);
	make_tcp(frame, sizeof(frame), false);
	packet_put(fixture, &header, frame, sizeof(frame));
	assert_int_equal(guest_get(fixture, RX, 4096, &got), sizeof(frame));
	assert_int_equal(got.num_buffers, (NIC_HEADER + sizeof(frame) + 4095) / 4096);
	assert_int_equal(got.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
	assert_int_equal(got.gso_type, VIRTIO_NET_HDR_GSO_TCPV4);
	assert_int_equal(got.gso_size, 1448);
	assert_memory_equal(fixture->got + NIC_HEADER, frame, sizeof(frame));
}

/* A guest that can do nothing itself gets segments with whole checksums. */
static void without_offloads_the_kernel_does_the_work(void **state)
{
	static uint8_t frame[DATA_AT + 10 * 1000];
	struct fixture *fixture = *state;
	const struct virtio_net_hdr_v1 header = tcp_header(1000);
	struct virtio_net_hdr_v1 got;

	fixture_open(fixture, 1);
	nic_drive(&fixture->nic, NIC_BIT(GUEST_CSUM) | NIC_BIT(GUEST_TSO4) | NIC_BIT(GUEST_TSO6) | NIC_BIT(GUEST_ECN));
	nic_receive(&fixture->nic, RX, 0, 64, 4096);
	nic_tell(&fixture->nic, RX);
	make_tcp(frame, sizeof(frame), false);
	packet_put(fixture, &header, frame, sizeof(frame));
	for (uint32_t i = 0; i < 10; i++) {
		const uint8_t *segment = fixture->got + NIC_HEADER;

		assert_int_equal(guest_get(fixture, RX, 4096, &got), DATA_AT + 1000);
		assert_int_equal(got.flags, 0);
		assert_int_equal(got.gso_type, VIRTIO_NET_HDR_GSO_NONE);
		assert_memory_equal(segment + DATA_AT, frame + DATA_AT + i * 1000u, 1000);
		assert_int_equal(sum(segment + TCP_AT, sizeof(struct tcphdr) + 1000,
				     pseudo_sum(segment, DATA_AT + 1000)),
				 0xffff);
	}
}

static void offloads_end_with_the_driver(void **state)
{
	static uint8_t frame[DATA_AT + 3 * 1000];
	struct fixture *fixture = *state;
	const struct virtio_net_hdr_v1 header = tcp_header(1000);
	struct virtio_net_hdr_v1 got;

	fixture_open(fixture, 1);
	nic_drive(&fixture->nic, 0);
	vdev_reset(fixture->nic.device);
	make_tcp(frame, sizeof(frame), false);
	packet_put(fixture, &header, frame, sizeof(frame));
	nic_drive(&fixture->nic, 0);
	nic_receive(&fixture->nic, RX, 0, 64, 4096);
	nic_tell(&fixture->nic, RX);
	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(guest_get(fixture, RX, 4096, &got), DATA_AT + 1000);
}

/* ---- queue pairs ---- */

static uint8_t set_pairs(struct fixture *fixture, uint16_t pairs)
{
	struct nic *nic = &fixture->nic;
	const uint8_t command[] = { VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, (uint8_t)pairs,
				    (uint8_t)(pairs >> 8) };
	uint64_t at = RING_RAM_FAR;
	uint32_t bytes;

	memcpy(ring_at(&nic->ram, at), command, sizeof(command));
	nic_set(nic, CONTROL, 0, at, sizeof(command), RING_F_NEXT, 1);
	nic_set(nic, CONTROL, 1, at + 64, 1, RING_F_WRITE, 0);
	nic_offer(nic, CONTROL, 0);
	nic_tell(nic, CONTROL);
	assert_true(nic_wait(nic, CONTROL, 1));
	nic_take(nic, CONTROL, &bytes);
	assert_int_equal(bytes, 1);
	return *(uint8_t *)ring_at(&nic->ram, at + 64);
}

static void pairs_come_and_go_while_frames_flow(void **state)
{
	static uint8_t frame[500];
	struct fixture *fixture = *state;
	const struct virtio_net_hdr_v1 header = tcp_header(0);
	struct virtio_net_hdr seen;

	fixture_open(fixture, 2);
	nic_drive(&fixture->nic, 0);
	make_tcp(frame, sizeof(frame), true);
	for (uint16_t i = 0; i < 20; i++) {
		assert_int_equal(set_pairs(fixture, (uint16_t)(2 - i % 2)), VIRTIO_NET_OK);
		/* By both pairs, whether they are in use or not. */
		for (uint32_t pair = 0; pair < 2; pair++) {
			nic_send(&fixture->nic, 2 * pair + TX, (uint16_t)(2 * i), NIC_SEND + i * 0x400u, &header, frame,
				 sizeof(frame));
			nic_tell(&fixture->nic, 2 * pair + TX);
			assert_int_equal(packet_get(fixture, &seen), sizeof(frame));
			assert_memory_equal(fixture->got + sizeof(seen) + DATA_AT, frame + DATA_AT,
					    sizeof(frame) - DATA_AT);
			/* Its memory is the guest's again. */
			assert_true(nic_wait(&fixture->nic, 2 * pair + TX, (uint16_t)(i + 1)));
		}
	}
	assert_int_equal(set_pairs(fixture, 3), VIRTIO_NET_ERR);
	assert_int_equal(set_pairs(fixture, 0), VIRTIO_NET_ERR);
}

/* With one pair all comes to the first queue, with two each frame to one of them: none is lost. */
static void frames_come_to_the_pairs_in_use(void **state)
{
	static uint8_t frame[500];
	struct fixture *fixture = *state;
	const struct virtio_net_hdr_v1 header = tcp_header(0);
	struct nic *nic = &fixture->nic;
	struct virtio_net_hdr_v1 got;

	fixture_open(fixture, 2);
	nic_drive(nic, 0);
	nic_receive(nic, RX, 0, 64, 2048);
	nic_tell(nic, RX);
	nic_receive(nic, 2 + RX, 64, 32, 2048);
	nic_tell(nic, 2 + RX);
	make_tcp(frame, sizeof(frame), false);
	for (uint16_t i = 0; i < 16; i++) {
		frame[TCP_AT] = (uint8_t)i;
		packet_put(fixture, &header, frame, sizeof(frame));
		assert_int_equal(guest_get(fixture, RX, 2048, &got), sizeof(frame));
	}
	assert_int_equal(nic_used_idx(nic, 2 + RX), 0);
	assert_int_equal(set_pairs(fixture, 2), VIRTIO_NET_OK);
	for (uint16_t i = 0; i < 16; i++) {
		frame[TCP_AT] = (uint8_t)i;
		packet_put(fixture, &header, frame, sizeof(frame));
	}
	for (int i = 0; i < PATIENCE_S * 1000; i++) {
		if (nic_used_idx(nic, RX) + nic_used_idx(nic, 2 + RX) == 32)
			return;
		poll(NULL, 0, 1);
	}
	fail_msg("%u and %u frames came", nic_used_idx(nic, RX), nic_used_idx(nic, 2 + RX));
}

/* ---- the interface's own life ---- */

static uint64_t metric(const struct nic *nic, const char *name)
{
	for (size_t i = 0; i < nic->device->metric_count; i++)
		if (!strcmp(nic->device->metrics[i].name, name))
			return __atomic_load_n(&nic->device->metrics[i].value, __ATOMIC_RELAXED);
	fail_msg("no metric %s", name);
	return 0;
}

static void an_interface_that_is_down_costs_frames_only(void **state)
{
	static uint8_t frame[500];
	struct fixture *fixture = *state;
	const struct virtio_net_hdr_v1 header = tcp_header(0);
	struct virtio_net_hdr seen;

	fixture_open(fixture, 1);
	nic_drive(&fixture->nic, 0);
	make_tcp(frame, sizeof(frame), true);
	interface_flags(fixture->name, 0);
	nic_send(&fixture->nic, TX, 0, NIC_SEND, &header, frame, sizeof(frame));
	nic_tell(&fixture->nic, TX);
	assert_true(nic_wait(&fixture->nic, TX, 1));
	assert_int_equal(metric(&fixture->nic, "tx_drop_host"), 1);
	interface_flags(fixture->name, IFF_UP);
	fd_close(fixture->packets);
	fixture->packets = packet_socket(fixture->name);
	nic_send(&fixture->nic, TX, 2, NIC_SEND, &header, frame, sizeof(frame));
	nic_tell(&fixture->nic, TX);
	assert_int_equal(packet_get(fixture, &seen), sizeof(frame));
	assert_true(nic_wait(&fixture->nic, TX, 2));
	assert_int_equal(metric(&fixture->nic, "tx_frames"), 1);
}

static void wait_link_down(struct nic *nic)
{
	uint16_t status = VIRTIO_NET_S_LINK_UP;

	for (int i = 0; status && i < PATIENCE_S * 1000; i++) {
		vdev_config_read(nic->device, 6, &status, sizeof(status));
		poll(NULL, 0, 1);
	}
	assert_int_equal(status, 0);
	assert_int_equal(atomic_load(&nic->config_notices), 1);
	assert_int_equal(count_of_text(log_caught(), "the tap interface is gone"), 1);
}

static void an_interface_that_is_deleted_takes_the_link_down(void **state)
{
	static const struct virtio_net_hdr_v1 header;
	static uint8_t frame[500];
	struct fixture *fixture = *state;
	struct nic *nic = &fixture->nic;

	fixture_open(fixture, 2);
	nic_drive(nic, 0);
	nic_receive(nic, RX, 0, 8, 2048);
	nic_tell(nic, RX);
	assert_int_equal(set_pairs(fixture, 2), VIRTIO_NET_OK);
	log_catch(LOG_LEVEL_WARN);
	assert_int_equal(delete_interface(fixture->name), 0);
	wait_link_down(nic);
	/* The guest goes on, and gets what it sends back. */
	make_tcp(frame, sizeof(frame), true);
	nic_send(nic, TX, 0, NIC_SEND, &header, frame, sizeof(frame));
	nic_tell(nic, TX);
	assert_true(nic_wait(nic, TX, 1));
	assert_int_equal(count_of_text(log_caught(), "the tap interface is gone"), 1);
	log_release();
	vdev_reset(nic->device);
	nic_drive(nic, 0);
}

/* The kernel tells that only to who wants to read. */
static void without_buffers_that_is_noticed_with_the_next_frame(void **state)
{
	static const struct virtio_net_hdr_v1 header;
	static uint8_t frame[500];
	struct fixture *fixture = *state;
	struct nic *nic = &fixture->nic;

	fixture_open(fixture, 1);
	nic_drive(nic, 0);
	log_catch(LOG_LEVEL_WARN);
	assert_int_equal(delete_interface(fixture->name), 0);
	make_tcp(frame, sizeof(frame), true);
	nic_send(nic, TX, 0, NIC_SEND, &header, frame, sizeof(frame));
	nic_tell(nic, TX);
	assert_true(nic_wait(nic, TX, 1));
	wait_link_down(nic);
	log_release();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* Before there is another thread. */
static int enter_namespace(void **state)
{
	struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	FD_AUTO int fd = -1;

	(void)state;
	if (uplink_unshare() == 0)
		fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	has_taps = fd >= 0 && ioctl(fd, TUNSETIFF, &request) == 0;
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_gso_frame_reaches_the_kernel_in_one_piece),
		TEST(headers_at_their_bounds_are_taken_by_the_kernel),
		TEST(a_gso_frame_reaches_the_guest_in_one_piece),
		TEST(without_offloads_the_kernel_does_the_work),
		TEST(offloads_end_with_the_driver),
		TEST(pairs_come_and_go_while_frames_flow),
		TEST(frames_come_to_the_pairs_in_use),
		TEST(an_interface_that_is_down_costs_frames_only),
		TEST(an_interface_that_is_deleted_takes_the_link_down),
		TEST(without_buffers_that_is_noticed_with_the_next_frame),
	};

	return cmocka_run_group_tests(tests, enter_namespace, NULL);
}
