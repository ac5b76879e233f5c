/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzz target: the backend of vhost-user, on a real device, under a frontend and a guest that do whatever the bytes
 * say. A step is
 *
 *	request  flags  bytes (2)  fds  which (1 each)  payload (`bytes`)     a message
 *	0xf0     offset (2)  value (4)                                       the guest writes to its memory, and kicks both queues
 *	0xf1     value                                                       the device changes its config space
 * whose descriptors come from a short list. Nothing of it may hang, touch memory that is not the guest's, or leave a
 * descriptor open.
 *
 * Linked in: core/placement/wire core/placement/child/memory.c core/placement/child/vhost_backend.c
 * Linked in: core/placement/child/vhost_backend_queue.c
 */
#include "core/base/fd.h"
#include "core/base/log.h"
#include "core/base/msg.h"
#include "core/device/vdev.h"
#include "core/placement/child/vhost_backend.h"
#include "core/placement/wire/vhost.h"
#include "tests/fuzz/input.h"

#include <backplane/virtio.h>

#include <errno.h>
#include <sys/mman.h>
#include <sys/socket.h>

#define RAM_BYTES    0x10000u
#define CONFIG_BYTES 16u
#define STEP_GUEST   0xf0u
#define STEP_CONFIG  0xf1u
#define FDS          8u

struct fuzz {
	struct input input;
	int fds[FDS];
	uint8_t *ram;
	struct device *device;
	int socket;
};

/* ---- the plugin ---- */

static struct bp_dev *plugin_dev;

static int plugin_create(struct bp_dev *dev, const struct bp_cfg *cfg, void **ret)
{
	(void)cfg;
	plugin_dev = dev;
	*ret = dev;
	return 0;
}

static void plugin_nothing(void *self)
{
	(void)self;
}

static void plugin_request(void *self, struct bp_chain *chain)
{
	uint8_t bytes[16];
	size_t count = bp_chain_read(chain, bytes, sizeof(bytes));

	(void)self;
	bp_chain_write(chain, "pong", 4);
	if (count)
		bp_virtio_config_write(plugin_dev, 0, bytes, 1);
	bp_chain_complete(chain);
}

static void plugin_config(void *self, uint32_t offset, uint32_t bytes)
{
	static uint8_t value;

	(void)self, (void)offset, (void)bytes;
	value++;
	bp_virtio_config_write(plugin_dev, 8, &value, 1);
}

static const struct bp_virtio_class plugin_virtio = {
	BP_VIRTIO_CLASS_INIT,         .id = 42,      .queue_count = 2,          .queue_size = 16,
	.config_bytes = CONFIG_BYTES, .features = 7, .request = plugin_request, .config_changed = plugin_config,
};

static const struct bp_device_class plugin_class = {
	BP_DEVICE_CLASS_INIT,      .name = "fuzz",           .create = plugin_create, .reset = plugin_nothing,
	.destroy = plugin_nothing, .virtio = &plugin_virtio,
};

/* ---- steps ---- */

static void step_guest(struct fuzz *fuzz)
{
	size_t offset = next16(&fuzz->input) & ~3u;
	uint32_t value = next16(&fuzz->input);

	value |= (uint32_t)next16(&fuzz->input) << 16;
	__atomic_store_n((uint32_t *)(void *)(fuzz->ram + offset), value, __ATOMIC_RELAXED);
	fd_event_signal(fuzz->fds[1]);
	fd_event_signal(fuzz->fds[2]);
}

static void drain(int fd)
{
	uint8_t bytes[4096];

	while (recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		;
}

/* False: the connection is over. */
static bool step_message(struct fuzz *fuzz, struct vhost_backend *backend, uint8_t request)
{
	struct {
		struct vhost_head head;
		uint8_t payload[1024];
	} bytes = { .head = { .request = request } };
	struct msg_fds fds = { .count = 0 };
	const uint8_t *payload;
	struct err err;
	size_t sent;

	bytes.head.flags = next(&fuzz->input);
	bytes.head.bytes = next16(&fuzz->input);
	fds.count = next(&fuzz->input) % (MSG_FDS_MAX + 1);
	for (size_t i = 0; i < fds.count; i++)
		fds.fds[i] = fuzz->fds[next(&fuzz->input) % FDS];
	sent = bytes.head.bytes;
	if (sent > sizeof(bytes.payload))
		sent = sizeof(bytes.payload);
	sent = next_bytes(&fuzz->input, sent, &payload);
	memcpy(bytes.payload, payload, sent);
	if (msg_send(fuzz->socket, &bytes, sizeof(bytes.head) + sent, fds.count ? &fds : NULL, 0) < 0)
		return false;
	/* Nobody is to wait for what does not come. */
	if (sent != bytes.head.bytes)
		shutdown(fuzz->socket, SHUT_WR);
	if (vhost_backend_mind(backend, &err) < 0) {
		check(err.text[0] && !strchr(err.text, '\n'));
		return false;
	}
	drain(fuzz->socket);
	return sent == bytes.head.bytes;
}

static void run(struct fuzz *fuzz, struct vhost_backend *backend)
{
	while (fuzz->input.size) {
		uint8_t step = next(&fuzz->input);

		if (step == STEP_GUEST) {
			step_guest(fuzz);
		} else if (step == STEP_CONFIG) {
			uint8_t value = next(&fuzz->input);

			vdev_config_write(fuzz->device, value % CONFIG_BYTES, &value, 1);
		} else if (!step_message(fuzz, backend, step)) {
			break;
		}
	}
}

/* ---- its surroundings ---- */

static int claim(void *ctx, struct device *device, uint32_t cookie, const struct class_range *range, uint64_t base,
		 uint64_t *ret_base, struct err *err)
{
	(void)ctx, (void)device, (void)cookie, (void)range, (void)base, (void)ret_base;
	return err_set(err, -ENOSPC, "no claims");
}

static void open_fds(struct fuzz *fuzz, int pair[2], int ends[2])
{
	fuzz->fds[0] = fd_memfd("ram", RAM_BYTES);
	for (size_t i = 1; i < 4; i++)
		fuzz->fds[i] = fd_event();
	check(msg_pair(SOCK_STREAM, pair) == 0 && pipe2(ends, O_CLOEXEC) == 0);
	fuzz->fds[4] = pair[0];
	fuzz->fds[5] = ends[1];
	fuzz->fds[6] = memfd_create("loose", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	fuzz->fds[7] = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (size_t i = 0; i < FDS; i++)
		check(fuzz->fds[i] >= 0);
	check(ftruncate(fuzz->fds[6], RAM_BYTES) == 0);
	fuzz->ram = mmap(NULL, RAM_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fuzz->fds[0], 0);
	check(fuzz->ram != MAP_FAILED);
}

static void one(struct fuzz *fuzz)
{
	static struct plugin_class class;
	struct place nowhere = { .file = "fuzz", .line = 1 };
	struct gmem mem = { .count = 0 };
	struct virtio_isr isr = { .word = 0 };
	struct device_spec spec = { .id = "fuzz", .class = &class, .mem = &mem, .place = { .claim = claim } };
	struct vhost_backend_spec backend_spec = { .isr = &isr, .mem = &mem };
	struct vhost_backend *backend;
	int sockets[2], pair[2], ends[2];
	struct err err;

	open_fds(fuzz, pair, ends);
	check(class_copy(&plugin_class, &class, &err) == 0);
	check(values_new(class.decl.schema, "devices.fuzz", nowhere, &spec.values) == 0);
	check(device_new(&spec, &fuzz->device, &err) == 0);
	check(msg_pair(SOCK_STREAM, sockets) == 0);
	fuzz->socket = sockets[0];
	backend_spec.device = fuzz->device;
	backend_spec.fd = sockets[1];
	check(vhost_backend_new(&backend_spec, &backend, &err) == 0);
	check(device_start(fuzz->device, &err) == 0);
	run(fuzz, backend);
	device_stop(fuzz->device);
	vhost_backend_free(backend);
	check(mem.count == 0);
	device_free(fuzz->device);
	class_free(&class);
	munmap(fuzz->ram, RAM_BYTES);
	for (size_t i = 0; i < FDS; i++)
		fd_close(fuzz->fds[i]);
	for (int i = 0; i < 2; i++)
		fd_close(sockets[i]);
	fd_close(pair[1]);
	fd_close(ends[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz fuzz = { .input = { data, size } };
	int lowest = lowest_fd();

	log_set_level(LOG_LEVEL_ERROR);
	one(&fuzz);
	check(lowest_fd() == lowest);
	return 0;
}
