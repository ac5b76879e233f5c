/* SPDX-License-Identifier: BSD-3-Clause */
/* device-host, and a core that is the test. The plugin is one of tests/plugins, whose class declares one range at BASE. */
#ifndef TESTS_UNIT_CHILD_FIXTURE_H
#define TESTS_UNIT_CHILD_FIXTURE_H

#include "core/base/values_pack.h"
#include "tests/unit/process_fixture.h"

#include <sys/socket.h>

#define EXIT_BREACH 70
#define BASE        UINT64_C(0xd2000000)

struct host {
	struct spawner *spawner;
	int control_fd, access_fd, vhost_fd, stderr_fd, pidfd;
	struct wire wire;
	uint32_t sequence;
	char path[PATH_MAX];
	struct plugin *plugin;
	struct wire_create create;
	uint8_t *blob;
	size_t blob_bytes;
	int fds[4];
	size_t fd_count;
	struct wire_message reply;
	struct err err;
};

/* The class as a configuration with `keys` would have it. */
static inline void make_create(struct host *host, const char *class_name, const char *keys)
{
	const struct plugin_class *class = plugin_find_class(host->plugin, class_name);
	struct values_fds fds = { .count = 0 };
	struct pack_writer writer;
	struct values *values;
	struct source source;

	values = values_from(&source, class, keys);
	pack_begin(&writer, WIRE_BLOB_MAX);
	assert_int_equal(values_pack(values, &writer, &fds), 0);
	assert_int_equal(pack_end(&writer, &host->blob, &host->blob_bytes), 0);
	values_free(values);
	source_end(&source);
	host->create = (struct wire_create){ .id = "device", .vcpus = 1, .bases = { BASE } };
	snprintf(host->create.class_name, sizeof(host->create.class_name), "%s", class_name);
}

/* Bytes that the process's end of the control socket has room for; 0: as usual. */
static int control_room;

static inline int host_setup(void **state, const char *plugin, const char *class_name, const char *keys)
{
	static struct host host;
	int control[2], accesses[2], vhost[2], err[2], pid;

	memset(&host, 0, sizeof(host));
	must(spawner_new(&host.spawner, &host.err), &host.err);
	assert_int_equal(msg_pair(SOCK_SEQPACKET, control), 0);
	if (control_room)
		assert_int_equal(setsockopt(control[1], SOL_SOCKET, SO_SNDBUF, &control_room, sizeof(control_room)), 0);
	assert_int_equal(msg_pair(SOCK_SEQPACKET, accesses), 0);
	assert_int_equal(msg_pair(SOCK_STREAM, vhost), 0);
	assert_int_equal(pipe2(err, O_CLOEXEC), 0);
	must(spawner_start(host.spawner, 1, (const int[]){ err[1], control[1], accesses[1], vhost[1] }, &pid,
			   &host.pidfd, &host.err),
	     &host.err);
	close(err[1]);
	close(control[1]);
	close(accesses[1]);
	close(vhost[1]);
	host.control_fd = host.wire.fd = control[0];
	host.access_fd = accesses[0];
	host.vhost_fd = vhost[0];
	host.stderr_fd = err[0];
	plugin_file(plugin, host.path);
	must(plugin_load(host.path, &host.plugin, &host.err), &host.err);
	make_create(&host, class_name, keys);
	*state = &host;
	return 0;
}

static inline int host_teardown(void **state)
{
	struct host *host = *state;

	fd_close(host->control_fd);
	close(host->access_fd);
	close(host->vhost_fd);
	close(host->stderr_fd);
	spawner_free(host->spawner);
	close(host->pidfd);
	wire_end(&host->wire);
	plugin_free(host->plugin);
	free(host->blob);
	return 0;
}

/* ---- the core ---- */

static inline void send_request(struct host *host, uint32_t op, const void *body)
{
	struct wire_head head = { .op = op, .sequence = ++host->sequence };
	bool create = op == WIRE_CREATE;

	head.blob_bytes = create ? (uint32_t)host->blob_bytes : 0;
	head.fd_count = create ? (uint32_t)host->fd_count : 0;
	assert_int_equal(wire_send(&host->wire, &head, body, create ? host->blob : NULL, host->fds,
				   clock_now_ns() + PATIENT_NS),
			 0);
}

/* The next message that is no line of the log. */
static inline void take_message(struct host *host)
{
	int r;

	do {
		assert_int_equal(msg_wait(host->control_fd, -1, clock_now_ns() + PATIENT_NS), 0);
		r = wire_receive(&host->wire, &host->reply);
		assert_true(r == 1 || r == -EAGAIN);
	} while (r != 1 || host->reply.head.op == WIRE_LOG);
}

static inline int await_reply(struct host *host, uint32_t op)
{
	take_message(host);
	assert_int_equal(host->reply.head.op, op | WIRE_REPLY);
	assert_int_equal(host->reply.head.sequence, host->sequence);
	return host->reply.head.result;
}

static inline int request(struct host *host, uint32_t op, const void *body)
{
	send_request(host, op, body);
	return await_reply(host, op);
}

static inline struct wire_load load_of(const struct host *host)
{
	struct wire_load load = { .log_level = LOG_LEVEL_WARN };

	snprintf(load.path, sizeof(load.path), "%s", host->path);
	return load;
}

static inline int load(struct host *host)
{
	const struct wire_load body = load_of(host);

	return request(host, WIRE_LOAD, &body);
}

/* Answers what the process claims or gives back. */
static inline void grant(struct host *host)
{
	const struct wire_claimed claimed = { .base = BASE };
	struct wire_head head;

	take_message(host);
	assert_true(host->reply.head.op == WIRE_CLAIM || host->reply.head.op == WIRE_RELEASE);
	head = (struct wire_head){ .op = host->reply.head.op | WIRE_REPLY, .sequence = host->reply.head.sequence };
	assert_int_equal(wire_send(&host->wire, &head, &claimed, NULL, NULL, clock_now_ns() + PATIENT_NS), 0);
}

static inline void run(struct host *host)
{
	assert_int_equal(load(host), 0);
	send_request(host, WIRE_CREATE, &host->create);
	grant(host);
	assert_int_equal(await_reply(host, WIRE_CREATE), 0);
	assert_int_equal(request(host, WIRE_START, NULL), 0);
}

static inline void expect_end(struct host *host, int status)
{
	struct pollfd fd = { .fd = spawner_fd(host->spawner), .events = POLLIN };
	struct spawn_ended ended;

	assert_int_equal(poll(&fd, 1, PATIENCE_S * 1000), 1);
	assert_int_equal(spawner_next(host->spawner, &ended), 1);
	assert_int_equal(ended.code, CLD_EXITED);
	assert_int_equal(ended.status, status);
}

#endif
