/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The vsock plugin on the runtime itself, with real rings and a driver that behaves as Linux's: buffers of 4 KiB behind indirect
 * descriptors, given again when half of them are used up, packets of up to 64 KiB, notifications and interrupts only where they are asked for.
 * What it costs is counted in system calls.
 */
#include "core/base/fd.h"
#include "core/device/device.h"
#include "core/device/internal.h"
#include "core/device/vdev.h"

#include "tests/unit/support.h"

#include <backplane/plugin.h>

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/virtio_vsock.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>

#define HEADER      sizeof(struct virtio_vsock_hdr)
#define CID         3u
#define MEMORY_GPA  UINT64_C(0x100000)
#define MEMORY      UINT64_C(0x800000)
#define SIZE        256u
#define RX          0u
#define TX          1u
#define QUEUES      3u
#define RX_BYTES    4096u
#define TX_BYTES    65536u
#define TX_SLOTS    32u
#define BUF_ALLOC   262144u
#define STREAM      (UINT32_C(4) << 20)
#define F_INDIRECT  (UINT64_C(1) << 28)
#define F_EVENT_IDX (UINT64_C(1) << 29)
#define F_VERSION_1 (UINT64_C(1) << 32)

extern const struct bp_plugin backplane_plugin;

/* ---- what it costs ---- */

static atomic_uint readvs, waits;

ssize_t __real_readv(int fd, const struct iovec *iov, int count);
ssize_t __wrap_readv(int fd, const struct iovec *iov, int count);
int __real_epoll_wait(int fd, struct epoll_event *events, int most, int timeout_ms);
int __wrap_epoll_wait(int fd, struct epoll_event *events, int most, int timeout_ms);

ssize_t __wrap_readv(int fd, const struct iovec *iov, int count)
{
	atomic_fetch_add(&readvs, 1);
	return __real_readv(fd, iov, count);
}

int __wrap_epoll_wait(int fd, struct epoll_event *events, int most, int timeout_ms)
{
	atomic_fetch_add(&waits, 1);
	return __real_epoll_wait(fd, events, most, timeout_ms);
}

/* ---- the machine ---- */

struct desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};

/* A queue, as its driver sees it. Each entry of the table is an indirect one, of two buffers. */
struct queue {
	struct desc *desc, *tables;
	uint16_t *avail; /* flags, idx, ring, used_event */
	uint16_t *used;  /* flags, idx, ring of 4 words each, avail_event */
	uint16_t avail_idx, shown_idx, used_seen;
	int kick_fd;
};

struct machine {
	struct plugin_class class;
	struct device_spec spec;
	struct device *device;
	struct gmem mem;
	struct virtio_isr isr;
	struct err err;
	int call_fd;
	struct queue queues[QUEUES];
	bool stingy;    /* buffers are not given again */
	uint32_t spent; /* those that have not been */
	uint16_t free_slots[TX_SLOTS];
	uint32_t free_count;
	unsigned int kicks, interrupts;
	char dir[32], path[48];
	/* One connection. */
	uint32_t host_port, guest_port;
	uint32_t fwd_cnt;                    /* to the guest: taken */
	uint32_t told;                       /* and what the device knows of that */
	uint32_t sent, dev_alloc, forwarded; /* from the guest */
	uint16_t last_op;
	uint64_t got; /* bytes, checked */
};

static uint8_t pattern(uint64_t at)
{
	return (uint8_t)(at * 7 + at / 251 + at / 65521);
}

static uint8_t *at(const struct machine *machine, uint64_t gpa)
{
	MUST(gpa >= MEMORY_GPA && gpa < MEMORY_GPA + MEMORY);
	return machine->mem.regions[0].host + (gpa - MEMORY_GPA);
}

static uint64_t queue_gpa(uint32_t queue)
{
	return MEMORY_GPA + queue * 0x10000;
}

static uint64_t buffer_gpa(uint32_t queue, uint32_t index)
{
	return queue == RX ? MEMORY_GPA + 0x100000 + index * 0x1100 : MEMORY_GPA + 0x400000 + index * 0x10100;
}

static void queue_init(struct machine *machine, uint32_t index)
{
	struct queue *queue = &machine->queues[index];
	uint32_t count = index == RX ? SIZE : TX_SLOTS, bytes = index == RX ? RX_BYTES : TX_BYTES;
	uint16_t write = index == RX ? 2 : 0;

	queue->desc = (struct desc *)(void *)at(machine, queue_gpa(index));
	queue->avail = (uint16_t *)(void *)at(machine, queue_gpa(index) + 0x2000);
	queue->used = (uint16_t *)(void *)at(machine, queue_gpa(index) + 0x4000);
	queue->tables = (struct desc *)(void *)at(machine, queue_gpa(index) + 0x8000);
	queue->kick_fd = fd_event();
	for (uint32_t i = 0; i < count; i++) {
		queue->desc[i] = (struct desc){ queue_gpa(index) + 0x8000 + i * 32, 32, 4, 0 };
		queue->tables[2 * i] = (struct desc){ buffer_gpa(index, i), HEADER, (uint16_t)(1 | write), 1 };
		queue->tables[2 * i + 1] = (struct desc){ buffer_gpa(index, i) + 64, bytes, write, 0 };
	}
}

static void queue_add(struct queue *queue, uint16_t head)
{
	queue->avail[2 + queue->avail_idx++ % SIZE] = head;
}

/* Shows what was added, and tells the device if it wants to know. */
static void queue_show(struct machine *machine, struct queue *queue)
{
	uint16_t before = queue->shown_idx, now = queue->avail_idx, event;

	__atomic_store_n(&queue->avail[1], now, __ATOMIC_RELEASE);
	queue->shown_idx = now;
	__sync_synchronize();
	event = __atomic_load_n(&queue->used[2 + 4 * SIZE], __ATOMIC_RELAXED);
	if ((uint16_t)(now - event - 1) < (uint16_t)(now - before)) {
		machine->kicks++;
		fd_event_signal(queue->kick_fd);
	}
}

/* The next that the device has used. */
static bool queue_used(struct queue *queue, uint32_t *ret_head, uint32_t *ret_len)
{
	uint32_t entry[2];

	if (__atomic_load_n(&queue->used[1], __ATOMIC_ACQUIRE) == queue->used_seen)
		return false;
	memcpy(entry, &queue->used[2 + 4 * (queue->used_seen++ % SIZE)], sizeof(entry));
	*ret_head = entry[0];
	*ret_len = entry[1];
	return true;
}

/* Wants an interrupt for the next that is used. True if there is one already. */
static bool queue_arm(struct queue *queue)
{
	__atomic_store_n(&queue->avail[2 + SIZE], queue->used_seen, __ATOMIC_RELAXED);
	__sync_synchronize();
	return __atomic_load_n(&queue->used[1], __ATOMIC_ACQUIRE) != queue->used_seen;
}

/* ---- the guest ---- */

static void guest_send(struct machine *machine, uint16_t op, uint32_t len, uint32_t flags)
{
	struct queue *queue = &machine->queues[TX];
	struct virtio_vsock_hdr header = {
		.src_cid = htole64(CID),
		.dst_cid = htole64(2),
		.src_port = htole32(machine->guest_port),
		.dst_port = htole32(machine->host_port),
		.len = htole32(len),
		.type = htole16(VIRTIO_VSOCK_TYPE_STREAM),
		.op = htole16(op),
		.flags = htole32(flags),
		.buf_alloc = htole32(BUF_ALLOC),
		.fwd_cnt = htole32(machine->fwd_cnt),
	};
	uint16_t slot;

	MUST(machine->free_count);
	slot = machine->free_slots[--machine->free_count];
	machine->told = machine->fwd_cnt;
	memcpy(at(machine, buffer_gpa(TX, slot)), &header, HEADER);
	for (uint32_t i = 0; i < len; i++)
		at(machine, buffer_gpa(TX, slot) + 64)[i] = pattern(machine->sent + i);
	machine->sent += len;
	queue->tables[2 * slot].flags = len ? 1 : 0;
	queue->tables[2 * slot + 1].len = len;
	queue->desc[slot].len = len ? 32 : 16;
	queue_add(queue, slot);
	queue_show(machine, queue);
}

static void guest_gets(struct machine *machine, uint32_t slot, uint32_t used)
{
	struct virtio_vsock_hdr header = { 0 };
	uint32_t len;

	memcpy(&header, at(machine, buffer_gpa(RX, slot)), HEADER);
	len = le32toh(header.len);
	MUST(used == HEADER + len && len <= RX_BYTES);
	machine->dev_alloc = le32toh(header.buf_alloc);
	machine->forwarded = le32toh(header.fwd_cnt);
	machine->last_op = le16toh(header.op);
	if (machine->last_op == VIRTIO_VSOCK_OP_REQUEST) {
		machine->host_port = le32toh(header.src_port);
		machine->guest_port = le32toh(header.dst_port);
	}
	for (uint32_t i = 0; i < len; i++)
		MUST(at(machine, buffer_gpa(RX, slot) + 64)[i] == pattern(machine->got + i));
	machine->got += len;
	machine->fwd_cnt += len;
	/* As Linux does: when it seems to the device that little is left. */
	if (BUF_ALLOC - (machine->fwd_cnt - machine->told) < 65536)
		guest_send(machine, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0, 0);
}

static void guest_gives(struct machine *machine, uint32_t first, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		queue_add(&machine->queues[RX], (uint16_t)(first + i));
	queue_show(machine, &machine->queues[RX]);
}

/* What the interrupt handler does. Whether there was anything. */
static bool guest_works(struct machine *machine)
{
	uint32_t head, len;
	bool any = false;

	while (queue_used(&machine->queues[TX], &head, &len)) {
		machine->free_slots[machine->free_count++] = (uint16_t)head;
		any = true;
	}
	while (queue_used(&machine->queues[RX], &head, &len)) {
		guest_gets(machine, head, len);
		if (!machine->stingy)
			queue_add(&machine->queues[RX], (uint16_t)head);
		if (!machine->stingy && ++machine->spent == SIZE / 2) {
			machine->spent = 0;
			queue_show(machine, &machine->queues[RX]);
		}
		any = true;
	}
	return any;
}

/* Until there is something to do, which is then done. False when patience ends. */
static bool guest_waits(struct machine *machine)
{
	struct pollfd pfd = { .fd = machine->call_fd, .events = POLLIN };

	if (guest_works(machine))
		return true;
	if (queue_arm(&machine->queues[RX]) || queue_arm(&machine->queues[TX]))
		return guest_works(machine);
	if (poll(&pfd, 1, PATIENCE_S * 1000) != 1)
		return false;
	fd_event_clear(machine->call_fd);
	machine->interrupts++;
	guest_works(machine);
	return true;
}

static void guest_waits_for(struct machine *machine, uint16_t op)
{
	while (machine->last_op != op)
		assert_true(guest_waits(machine));
}

/* ---- life ---- */

static int no_claims(void *ctx, struct device *device, uint32_t cookie, const struct class_range *range, uint64_t base,
		     uint64_t *ret_base, struct err *err)
{
	(void)ctx, (void)device, (void)cookie, (void)range, (void)base, (void)ret_base;
	return err_set(err, -ENOSPC, "no claims");
}

static void set_value(struct machine *machine, const char *name, const struct value *value)
{
	int param = schema_find(machine->class.decl.schema, name);

	MUST(param >= 0 && values_add(machine->spec.values, (size_t)param, value) == 0);
}

static int listen_at(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	MUST(fd >= 0 && bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0 && listen(fd, 64) == 0);
	return fd;
}

static void power(struct machine *machine)
{
	struct place nowhere = { .file = "test", .line = 1 };
	struct value cid = { .number = CID, .fd = -1, .fd_out = -1 }, path = { .fd_out = -1 };
	struct value connections = { .number = 1023, .fd = -1, .fd_out = -1 };

	machine->mem.count = 1;
	machine->mem.regions[0] = (struct gmem_region){ .gpa = MEMORY_GPA, .bytes = MEMORY };
	machine->mem.regions[0].host = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	MUST(machine->mem.regions[0].host != MAP_FAILED);
	MUST(class_copy(backplane_plugin.classes[0], &machine->class, &machine->err) == 0);
	machine->spec = (struct device_spec){
		.id = "vsock",
		.class = &machine->class,
		.mem = &machine->mem,
		.place = { .claim = no_claims, .ctx = machine },
	};
	MUST(values_new(machine->class.decl.schema, "devices.vsock", nowhere, &machine->spec.values) == 0);
	path.text = strdup(machine->path);
	path.fd = listen_at(machine->path);
	set_value(machine, "cid", &cid);
	set_value(machine, "uds_path", &path);
	set_value(machine, "connections", &connections);
	if (device_new(&machine->spec, &machine->device, &machine->err) < 0 ||
	    device_start(machine->device, &machine->err) < 0)
		fail_msg("%s", machine->err.text);
}

static void drive(struct machine *machine)
{
	struct vdev_queue_setup queues[QUEUES] = { 0 };
	struct vdev_setup setup = {
		.features = F_INDIRECT | F_EVENT_IDX | F_VERSION_1,
		.isr = &machine->isr,
		.queue_count = QUEUES,
		.queues = queues,
	};

	machine->call_fd = fd_event();
	for (uint32_t i = 0; i < 2; i++) {
		queue_init(machine, i);
		queues[i] = (struct vdev_queue_setup){
			.ready = true,
			.size = SIZE,
			.desc_gpa = queue_gpa(i),
			.avail_gpa = queue_gpa(i) + 0x2000,
			.used_gpa = queue_gpa(i) + 0x4000,
			.kick_fd = machine->queues[i].kick_fd,
			.call_fd = machine->call_fd,
		};
	}
	for (uint16_t i = 0; i < TX_SLOTS; i++)
		machine->free_slots[machine->free_count++] = i;
	if (vdev_activate(machine->device, &setup, &machine->err) < 0)
		fail_msg("%s", machine->err.text);
}

static int setup(void **state)
{
	struct machine *machine = calloc(1, sizeof(*machine));

	MUST(machine);
	snprintf(machine->dir, sizeof(machine->dir), "/tmp/bp-vsock-XXXXXX");
	MUST(mkdtemp(machine->dir));
	snprintf(machine->path, sizeof(machine->path), "%s/v.sock", machine->dir);
	power(machine);
	drive(machine);
	*state = machine;
	return 0;
}

static int teardown(void **state)
{
	struct machine *machine = *state;

	device_free(machine->device);
	class_free(&machine->class);
	for (uint32_t i = 0; i < 2; i++)
		fd_close(machine->queues[i].kick_fd);
	fd_close(machine->call_fd);
	munmap(machine->mem.regions[0].host, MEMORY);
	unlink(machine->path);
	rmdir(machine->dir);
	free(machine);
	return 0;
}

/* ---- programs of the host ---- */

static int dial(const struct machine *machine, uint32_t port)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char line[32];

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", machine->path);
	assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	snprintf(line, sizeof(line), "CONNECT %" PRIu32 "\n", port);
	assert_int_equal(send(fd, line, strlen(line), MSG_NOSIGNAL), strlen(line));
	return fd;
}

/* The guest lets the program in, which reads its answer. */
static int open_stream(struct machine *machine, uint32_t port)
{
	int fd = dial(machine, port);
	char c = 0;

	guest_waits_for(machine, VIRTIO_VSOCK_OP_REQUEST);
	machine->last_op = 0;
	machine->fwd_cnt = machine->told = machine->sent = 0;
	machine->got = 0;
	guest_send(machine, VIRTIO_VSOCK_OP_RESPONSE, 0, 0);
	while (c != '\n')
		assert_int_equal(recv(fd, &c, 1, 0), 1);
	return fd;
}

static void *write_stream(void *arg)
{
	static uint8_t data[65536];
	int fd = *(int *)arg;

	for (uint32_t done = 0; done < STREAM;) {
		ssize_t n;

		for (size_t i = 0; i < sizeof(data); i++)
			data[i] = pattern(done + i);
		n = send(fd, data, sizeof(data), MSG_NOSIGNAL);
		MUST(n == sizeof(data));
		done += sizeof(data);
	}
	return NULL;
}

static void *read_stream(void *arg)
{
	static uint8_t data[65536];
	int fd = *(int *)arg;

	for (uint64_t done = 0; done < STREAM;) {
		ssize_t n = recv(fd, data, sizeof(data), 0);

		MUST(n > 0);
		for (ssize_t i = 0; i < n; i++)
			MUST(data[i] == pattern(done + (uint64_t)i));
		done += (uint64_t)n;
	}
	return NULL;
}

/* ---- tests ---- */

static void a_stream_to_the_guest_costs_few_calls(void **state)
{
	struct machine *machine = *state;
	unsigned int reads, calls;
	pthread_t writer;
	int fd;

	guest_gives(machine, 0, SIZE);
	fd = open_stream(machine, 1);
	reads = atomic_load(&readvs);
	calls = atomic_load(&waits);
	machine->kicks = machine->interrupts = 0;
	assert_int_equal(pthread_create(&writer, NULL, write_stream, &fd), 0);
	while (machine->got < STREAM)
		assert_true(guest_waits(machine));
	assert_int_equal(machine->got, STREAM);
	assert_true(thread_join(writer));
	reads = atomic_load(&readvs) - reads;
	calls = atomic_load(&waits) - calls;
	print_message("%u packets: %u reads, %u waits, %u notifications, %u interrupts\n", STREAM / RX_BYTES, reads,
		      calls, machine->kicks, machine->interrupts);
	/* Buffers are of 4 KiB. A writer and a guest that take turns make the device read in smaller pieces, but never one by one. */
	assert_true(reads <= STREAM / 8192);
	assert_true(machine->kicks <= STREAM / 32768);
	close(fd);
}

static void a_stream_from_the_guest_costs_few_calls(void **state)
{
	struct machine *machine = *state;
	pthread_t reader;
	int fd;

	guest_gives(machine, 0, SIZE);
	fd = open_stream(machine, 1);
	machine->kicks = machine->interrupts = 0;
	assert_int_equal(pthread_create(&reader, NULL, read_stream, &fd), 0);
	while (machine->sent < STREAM) {
		uint32_t room = machine->dev_alloc - (machine->sent - machine->forwarded);

		if (room >= TX_BYTES && machine->free_count > 4)
			guest_send(machine, VIRTIO_VSOCK_OP_RW, TX_BYTES, 0);
		else
			assert_true(guest_waits(machine));
	}
	assert_true(thread_join(reader));
	print_message("%u packets: %u notifications, %u interrupts\n", STREAM / TX_BYTES, machine->kicks,
		      machine->interrupts);
	assert_true(machine->kicks <= STREAM / TX_BYTES + 2);
	close(fd);
}

/* Programs that have sent and gone, and those that still wait, while the guest gives no buffers: what others do wakes nobody for them. */
static void those_that_wait_cost_nothing(void **state)
{
	struct machine *machine = *state;
	unsigned int calls;
	int fds[20], fd;
	char c;

	/* As many buffers as opening takes: a request for each. */
	machine->stingy = true;
	for (uint32_t i = 0; i < COUNT_OF(fds); i++) {
		guest_gives(machine, i, 1);
		fds[i] = open_stream(machine, 2 + i);
	}
	guest_gives(machine, COUNT_OF(fds), 1);
	fd = open_stream(machine, 1);
	for (uint32_t i = 0; i < COUNT_OF(fds); i++) {
		assert_int_equal(send(fds[i], "hello", 5, MSG_NOSIGNAL), 5);
		if (i % 2)
			close(fds[i]);
	}
	/* Until the device has looked at all of them, whatever the order. */
	for (int i = 0; i < 100; i++) {
		machine->sent = 0;
		guest_send(machine, VIRTIO_VSOCK_OP_RW, 1, 0);
		assert_int_equal(recv(fd, &c, 1, 0), 1);
		while (machine->free_count < TX_SLOTS)
			assert_true(guest_waits(machine));
	}
	calls = atomic_load(&waits);
	for (int i = 0; i < 100; i++) {
		machine->sent = 0;
		guest_send(machine, VIRTIO_VSOCK_OP_RW, 1, 0);
		assert_int_equal(recv(fd, &c, 1, 0), 1);
		while (machine->free_count < TX_SLOTS)
			assert_true(guest_waits(machine));
	}
	/* One for each packet, and those that come to nothing. */
	assert_in_range(atomic_load(&waits) - calls, 1, 300);
	for (uint32_t i = 0; i < COUNT_OF(fds); i += 2)
		close(fds[i]);
	close(fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_stream_to_the_guest_costs_few_calls),
		TEST(a_stream_from_the_guest_costs_few_calls),
		TEST(those_that_wait_cost_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
