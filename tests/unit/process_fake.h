/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A plugin's process that is played by the test: it answers as device-host does, with the declaration of
 * tests/plugins/faulty.c or another, until the request comes at which its script has its turn. No spawner is there, so how
 * it ended is not known.
 */
#ifndef TESTS_UNIT_PROCESS_FAKE_H
#define TESTS_UNIT_PROCESS_FAKE_H

#include "core/device/decl.h"
#include "tests/unit/process_fixture.h"

#include <sys/socket.h>

#define AT_ACCESS 1000u /* beside WIRE_*: a read of a register */

struct fake;

/* Whether it has answered, or does not want to. */
typedef bool script_fn(struct fake *fake, const struct wire_message *message);

struct fake {
	struct rig rig;     /* first */
	const char *plugin; /* its first class of this name is the device's */
	const char *keys;
	pid_t pid;
	uint8_t *decl;
	size_t decl_bytes;
	/* In the process. */
	struct wire wire;
	int access_fd, stderr_fd;
	uint32_t at;
	script_fn *script;
	uint32_t sequence;
	struct wire_access access; /* the one to be answered */
	size_t connected_count, connected_fds;
	struct wire_connected connected[2 * WIRE_CONNECTS]; /* that have come */
};

/* ---- the process ---- */

static inline void fake_tell(struct fake *fake, const struct wire_head *head, const void *body, const void *blob)
{
	if (wire_send(&fake->wire, head, body, blob, NULL, clock_now_ns() + PATIENT_NS) < 0)
		_exit(0);
}

static inline void fake_reply(struct fake *fake, const struct wire_message *message, const void *body, const void *blob,
			      size_t blob_bytes)
{
	const struct wire_head head = {
		.op = message->head.op | WIRE_REPLY,
		.sequence = message->head.sequence,
		.blob_bytes = (uint32_t)blob_bytes,
	};

	fake_tell(fake, &head, body, blob);
}

static inline void fake_notice(struct fake *fake, uint32_t op, const void *body)
{
	const struct wire_head head = { .op = op };

	fake_tell(fake, &head, body, NULL);
}

/* Bytes as they are. */
static inline void fake_raw(const struct fake *fake, const void *bytes, size_t count)
{
	(void)send(fake->wire.fd, bytes, count, MSG_NOSIGNAL);
}

/* Asks for a range, and takes the answer; or what is no answer, if the core does not like it. */
static inline void fake_ask(struct fake *fake, uint32_t op, const void *body)
{
	const struct wire_head head = { .op = op, .sequence = ++fake->sequence };
	struct wire nested = { .fd = fake->wire.fd };
	struct wire_message answer;

	fake_tell(fake, &head, body, NULL);
	if (msg_wait(nested.fd, -1, 0) < 0 || wire_receive(&nested, &answer) <= 0)
		_exit(0);
	wire_end(&nested);
}

static inline struct wire_claim fake_claim(uint32_t cookie)
{
	return (struct wire_claim){
		.cookie = cookie,
		.space = BP_MMIO,
		.widths = BP_W32 | BP_W64,
		.length = 16,
		.base = UINT64_C(0xd2001000) + cookie * UINT64_C(0x1000),
	};
}

static inline void fake_answer(struct fake *fake, const struct wire_message *message)
{
	const struct wire_created created = { .queue_count = 0 };
	const struct wire_claim claim = fake_claim(0);

	switch (message->head.op) {
	case WIRE_LOAD:
		fake_reply(fake, message, NULL, fake->decl, fake->decl_bytes);
		break;
	case WIRE_CREATE:
		fake_ask(fake, WIRE_CLAIM, &claim);
		fake_reply(fake, message, &created, NULL, 0);
		break;
	default:
		fake_reply(fake, message, NULL, NULL, 0);
		break;
	}
	if (message->head.op == WIRE_END)
		_exit(0);
}

static inline void fake_send_value(const struct fake *fake, const struct wire_access *access, size_t bytes)
{
	(void)send(fake->access_fd, access, bytes, MSG_NOSIGNAL);
}

static inline void fake_take_access(struct fake *fake)
{
	ssize_t got = recv(fake->access_fd, &fake->access, sizeof(fake->access), 0);

	if (got <= 0)
		_exit(0);
	if (fake->access.op != WIRE_ACCESS_READ)
		return;
	fake->access.op = WIRE_ACCESS_VALUE;
	fake->access.value = 0x1234;
	if (fake->at == AT_ACCESS && fake->script(fake, NULL))
		return;
	fake_send_value(fake, &fake->access, sizeof(fake->access));
}

static inline void fake_take_connected(struct fake *fake, const struct wire_connected *connected)
{
	if (fake->connected_count == COUNT_OF(fake->connected) || fake->wire.fd_count != (connected->result ? 0 : 1))
		_exit(1);
	fake->connected[fake->connected_count++] = *connected;
	fake->connected_fds += fake->wire.fd_count;
}

static inline _Noreturn void fake_live(struct fake *fake)
{
	for (;;) {
		struct pollfd fds[] = {
			{ .fd = fake->wire.fd, .events = POLLIN },
			{ .fd = fake->access_fd, .events = POLLIN },
		};
		struct wire_message message;
		int r;

		if (poll(fds, 2, -1) < 0)
			_exit(0);
		if (fds[1].revents)
			fake_take_access(fake);
		if (!fds[0].revents)
			continue;
		r = wire_receive(&fake->wire, &message);
		if (r == -EAGAIN)
			continue;
		if (r <= 0)
			_exit(0);
		if (message.head.op == WIRE_CONNECTED)
			fake_take_connected(fake, &message.body.connected);
		else if (message.head.op != fake->at || !fake->script(fake, &message))
			fake_answer(fake, &message);
		wire_next(&fake->wire);
	}
}

/* ---- the test ---- */

static inline int fake_setup_of(void **state, const char *name)
{
	static struct fake fake;
	struct plugin *plugin;
	struct pack_writer writer;

	memset(&fake, 0, sizeof(fake));
	fake.plugin = name;
	fake.keys = "";
	rig_begin_bare(&fake.rig);
	must(processes_new_with(NULL, &fake.rig.set, &fake.rig.err), &fake.rig.err);
	plugin_file(name, fake.rig.path);
	must(plugin_load(fake.rig.path, &plugin, &fake.rig.err), &fake.rig.err);
	pack_begin(&writer, DECL_BYTES_MAX);
	decl_pack(plugin, &writer);
	assert_int_equal(pack_end(&writer, &fake.decl, &fake.decl_bytes), 0);
	plugin_free(plugin);
	log_catch(LOG_LEVEL_WARN);
	*state = &fake;
	return 0;
}

static inline int fake_setup(void **state)
{
	return fake_setup_of(state, "faulty");
}

static inline int fake_teardown(void **state)
{
	struct fake *fake = *state;

	rig_end(&fake->rig);
	if (fake->pid)
		waitpid(fake->pid, NULL, 0);
	free(fake->decl);
	log_release();
	return 0;
}

#define FAKE_TEST(name) cmocka_unit_test_setup_teardown(name, fake_setup, fake_teardown)

/* The process begins; nothing has been asked yet. */
static inline void fake_begin(struct fake *fake, uint32_t at, script_fn *script)
{
	int control[2], accesses[2], vhost[2], err[2];
	struct process_ends ends;

	assert_int_equal(msg_pair(SOCK_SEQPACKET, control), 0);
	assert_int_equal(msg_pair(SOCK_SEQPACKET, accesses), 0);
	assert_int_equal(msg_pair(SOCK_STREAM, vhost), 0);
	assert_int_equal(pipe2(err, O_CLOEXEC | O_NONBLOCK), 0);
	fake->pid = fork();
	assert_true(fake->pid >= 0);
	if (fake->pid == 0) {
		close(control[0]);
		close(accesses[0]);
		close(vhost[0]);
		close(err[0]);
		fake->wire.fd = control[1];
		fake->access_fd = accesses[1];
		fake->stderr_fd = err[1];
		fake->at = at;
		fake->script = script;
		fake_live(fake);
	}
	close(control[1]);
	close(accesses[1]);
	close(vhost[1]);
	close(err[1]);
	ends = (struct process_ends){
		.pidfd = pidfd_open(fake->pid, 0),
		.control_fd = control[0],
		.access_fd = accesses[0],
		.vhost_fd = vhost[0],
		.stderr_fd = err[0],
	};
	assert_true(ends.pidfd >= 0);
	must(process_adopt(fake->rig.set, &fake->rig.spec, 1, &ends, &fake->rig.process, &fake->rig.err),
	     &fake->rig.err);
}

/* As far as a device that runs. */
static inline void fake_run(struct fake *fake, uint32_t at, script_fn *script)
{
	struct rig *rig = &fake->rig;

	fake_begin(fake, at, script);
	must(process_load(rig->process, &rig->err), &rig->err);
	must(rig_create(rig, fake->plugin, fake->keys), &rig->err);
	must(rig->placed.ops->start(rig->placed.ctx, &rig->err), &rig->err);
}

#endif
