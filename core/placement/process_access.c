/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Register accesses of the guest for a device in another process: writes are posted, reads wait for the value. Any
 * thread, one at a time. A thread that waits for its turn behind a read that is not answered is released with it:
 * whoever comes after a failure gets all-ones.
 */
#include "core/base/clock.h"
#include "core/placement/process_impl.h"

#include <errno.h>

static int take_value(struct process *process, const struct wire_access *asked, uint64_t deadline_ns,
		      struct wire_access *ret)
{
	ssize_t bytes = -EAGAIN;

	while (bytes == -EAGAIN) {
		int r = msg_wait(process->access_fd, process->pidfd, deadline_ns);

		if (r < 0)
			return r;
		bytes = msg_recv(process->access_fd, ret, sizeof(*ret), NULL);
	}
	if (bytes == 0)
		return -ECONNRESET;
	if (bytes != (ssize_t)sizeof(*ret) || ret->op != WIRE_ACCESS_VALUE || ret->sequence != asked->sequence ||
	    ret->result > 0)
		return -EPROTO;
	return 0;
}

/* -errno of the proxy; what the device says is in *ret. */
static int exchange(struct process *process, struct wire_access *access, struct wire_access *ret)
{
	uint64_t deadline_ns = clock_now_ns() + process->read_ns;
	int r;

	access->sequence = ++process->access_sequence;
	r = msg_send(process->access_fd, access, sizeof(*access), NULL, deadline_ns);
	if (r == 0 && access->op == WIRE_ACCESS_READ)
		r = take_value(process, access, deadline_ns, ret);
	return r;
}

int process_access(void *ctx, uint32_t cookie, uint64_t offset, uint32_t width, bool write, uint64_t *value)
{
	struct process *process = ctx;
	struct wire_access answer = { .result = 0 };
	struct wire_access access = {
		.op = write ? WIRE_ACCESS_WRITE : WIRE_ACCESS_READ,
		.range = cookie,
		.offset = offset,
		.width = width,
		.value = write ? *value : 0,
	};
	int r = -ENODEV;

	pthread_mutex_lock(&process->access_lock);
	if (!process_failed(process)) {
		atomic_store(&process->doing, "access");
		r = exchange(process, &access, &answer);
		if (r < 0)
			process_fail_of(process, r, "access", "an answer to a register access that cannot be");
		atomic_store(&process->doing, NULL);
	}
	pthread_mutex_unlock(&process->access_lock);
	if (r < 0)
		return -ENODEV;
	if (!write)
		*value = answer.value;
	return answer.result;
}
