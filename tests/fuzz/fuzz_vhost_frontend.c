/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzz target: the frontend of vhost-user, with a backend that is the bytes. The first says what the frontend is made
 * for; then come steps
 *
 *	what  count  bytes (`count`)
 * whose bytes are there to be read before it happens: as replies, or with 0x80 in `what` as the backend's own requests,
 * with 0x40 a descriptor among them. The first step is vhost_frontend_new(). A deadline is over when there is nothing
 * to read, so nothing waits.
 *
 * Whatever the backend says, a reset makes the device as new, the config space has its size, failing is told once with
 * one line, and no descriptor stays open.
 *
 * Linked in: core/placement/wire core/placement/vhost_frontend.c core/placement/vhost_frontend_exchange.c
 * Linked in: core/placement/vhost_frontend_ops.c
 */
#include "core/base/fd.h"
#include "core/base/log.h"
#include "core/base/msg.h"
#include "core/placement/vhost_frontend.h"
#include "core/placement/wire/vhost.h"
#include "core/virtio/device.h"
#include "tests/fuzz/input.h"

#include <sys/socket.h>

#define RAM        UINT64_C(0x100000)
#define RAM_BYTES  UINT64_C(0x10000)
#define OF_BACKEND 0x80u
#define WITH_FD    0x40u
#define STATUS_ON  0x0fu

enum step { START, RESET, CONFIG_READ, CONFIG_WRITE, MIND, SIGNAL, FAIL, STEPS };

struct fuzz {
	struct input input;
	int socket;           /* the backend's */
	int ask_fd, error_fd; /* that the frontend has given it; -1: none */
	struct vhost_frontend *frontend;
	struct virtio_device *device;
	unsigned int failures;
};

/* ---- the backend ---- */

/* Takes what the frontend has sent, which is as the protocol has it, and keeps two descriptors. */
static void take_requests(struct fuzz *fuzz)
{
	struct vhost_message message;
	uint8_t byte;

	while (recv(fuzz->socket, &byte, 1, MSG_DONTWAIT | MSG_PEEK) == 1) {
		check(vhost_receive(fuzz->socket, false, &message, 1) == 0);
		if (message.head.request == VHOST_SET_BACKEND_REQ_FD || message.head.request == VHOST_SET_VRING_ERR) {
			int *kept = message.head.request == VHOST_SET_VRING_ERR ? &fuzz->error_fd : &fuzz->ask_fd;

			fd_close(*kept);
			*kept = message.fds.fds[0];
			message.fds.count = 0;
		}
		msg_fds_close(&message.fds);
	}
}

/* Puts the step's bytes where they are to be read. */
static void speak(struct fuzz *fuzz, uint8_t what)
{
	struct msg_fds fds = { .count = 1, .fds = { fuzz->socket } };
	const uint8_t *bytes;
	size_t count = next(&fuzz->input);
	int fd = what & OF_BACKEND ? fuzz->ask_fd : fuzz->socket;

	count = next_bytes(&fuzz->input, count, &bytes);
	if (count && fd >= 0)
		(void)msg_send(fd, bytes, count, what & WITH_FD ? &fds : NULL, 0);
}

/* ---- the core ---- */

static void failed(void *ctx, int error, const char *why)
{
	struct fuzz *fuzz = ctx;

	check(error < 0 && why[0] && !strchr(why, '\n'));
	fuzz->failures++;
}

static void needs_reset(void *ctx)
{
	virtio_device_needs_reset(((struct fuzz *)ctx)->device);
}

static void config_changed(void *ctx)
{
	virtio_device_config_changed(((struct fuzz *)ctx)->device);
}

/* ---- the driver ---- */

static void start(struct virtio_device *device)
{
	virtio_device_set_status(device, 1);
	virtio_device_set_status(device, 3);
	for (uint32_t word = 0; word < 2; word++)
		virtio_device_set_driver_features(device, word, virtio_device_features(device, word));
	virtio_device_set_status(device, 0xb);
	for (uint32_t i = 0; i < virtio_device_queue_count(device); i++) {
		for (uint32_t j = 0; j < 3; j++)
			virtio_device_set_queue_address(device, i, (enum virtio_queue_address)j, false,
							(uint32_t)RAM + 0x1000 * j);
		virtio_device_set_queue_ready(device, i, 1);
	}
	virtio_device_set_status(device, STATUS_ON);
}

static void step(struct fuzz *fuzz, uint8_t what)
{
	uint64_t value = what;

	switch ((enum step)(what % STEPS)) {
	case START:
		start(fuzz->device);
		break;
	case RESET:
		virtio_device_set_status(fuzz->device, 0);
		check(virtio_device_status(fuzz->device) == 0);
		break;
	case CONFIG_READ:
		(void)virtio_device_config_read(fuzz->device, 8, 4, &value);
		break;
	case CONFIG_WRITE:
		(void)virtio_device_config_write(fuzz->device, 4, 4, value);
		break;
	case MIND:
		vhost_frontend_mind(fuzz->frontend);
		break;
	case SIGNAL:
		if (fuzz->error_fd >= 0)
			fd_event_signal(fuzz->error_fd);
		break;
	case FAIL:
		vhost_frontend_fail(fuzz->frontend);
		break;
	default:
		break;
	}
}

static void run(struct fuzz *fuzz, const struct vhost_frontend_spec *spec, int call_fd)
{
	struct virtio_isr isr = { .word = 0 };
	struct virtio_device_spec device = { .name = "fuzz", .isr = &isr, .call_fd = call_fd, .notice_fd = call_fd };
	struct err err = ERR_NONE;

	if (vhost_frontend_new(spec, &fuzz->frontend, &err) < 0) {
		check(err.text[0] && !fuzz->failures);
		fd_close(spec->fd);
		return;
	}
	take_requests(fuzz);
	vhost_frontend_backend(fuzz->frontend, &device.backend);
	check(device.backend.config_bytes == 0 || device.backend.config_bytes == spec->config_bytes);
	check(virtio_device_new(&device, &fuzz->device, &err) == 0);
	vhost_frontend_attach(fuzz->frontend, &(struct placed_notices){ .needs_reset = needs_reset,
									.config_changed = config_changed,
									.ctx = fuzz });
	while (fuzz->input.size) {
		uint8_t what = next(&fuzz->input);

		speak(fuzz, what);
		step(fuzz, what & (WITH_FD - 1));
		take_requests(fuzz);
	}
	vhost_frontend_attach(fuzz->frontend, NULL);
	virtio_device_free(fuzz->device);
	vhost_frontend_free(fuzz->frontend);
	check(fuzz->failures <= 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int lowest = lowest_fd();
	struct fuzz fuzz = { .input = { data, size }, .ask_fd = -1, .error_fd = -1 };
	struct process_memory memory = { .count = 1 };
	int sockets[2], call_fd = fd_event();
	uint8_t kind = next(&fuzz.input);
	struct vhost_frontend_spec spec = {
		.id = "fuzz",
		.gone_fd = -1,
		.deadline_ns = 1,
		.device_id = 42,
		.queue_max = 1 + kind % 4,
		.queue_size = 16,
		.config_bytes = kind & 4 ? 256 : 16,
		.config_writable = kind & 8,
		.outside = kind & 16,
		.memory = &memory,
		.failed = failed,
		.ctx = &fuzz,
	};

	log_set_level(LOG_LEVEL_ERROR);
	memory.regions[0].gpa = RAM;
	memory.regions[0].bytes = RAM_BYTES;
	memory.regions[0].fd = fd_memfd("ram", RAM_BYTES);
	check(call_fd >= 0 && memory.regions[0].fd >= 0 && msg_pair(SOCK_STREAM, sockets) == 0);
	spec.fd = sockets[0];
	fuzz.socket = sockets[1];
	speak(&fuzz, 0);
	run(&fuzz, &spec, call_fd);
	fd_close(sockets[1]);
	fd_close(fuzz.ask_fd);
	fd_close(fuzz.error_fd);
	fd_close(memory.regions[0].fd);
	fd_close(call_fd);
	check(lowest_fd() == lowest);
	return 0;
}
