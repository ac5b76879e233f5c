/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages with descriptors over Unix sockets; see msg.h. unix(7), cmsg(3). */
#include "core/base/msg.h"

#include "core/base/clock.h"
#include "core/base/fd.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Room for the descriptors of one message and not one more: what goes beyond is closed by the kernel, which says so. */
union control {
	struct cmsghdr align;
	uint8_t bytes[CMSG_SPACE(sizeof(int) * MSG_FDS_MAX)];
};
static_assert(CMSG_SPACE(sizeof(int) * MSG_FDS_MAX) == CMSG_LEN(sizeof(int) * MSG_FDS_MAX), "no room for a ninth");

void msg_fds_close(struct msg_fds *fds)
{
	for (size_t i = 0; i < fds->count; i++)
		fd_close(fds->fds[i]);
	fds->count = 0;
}

int msg_pair(int type, int ret[static 2])
{
	int pair[2];

	if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	ret[0] = pair[0];
	ret[1] = pair[1];
	return 0;
}

/* How many of them are ready; -ETIMEDOUT, another -errno. 0 as a deadline is none. */
static int wait_until(struct pollfd *polled, nfds_t count, uint64_t deadline_ns)
{
	for (;;) {
		struct timespec left = { 0 };
		int r;

		if (deadline_ns) {
			uint64_t now = clock_now_ns(), ns = deadline_ns > now ? deadline_ns - now : 0;

			left.tv_sec = (time_t)(ns / NS_PER_S);
			left.tv_nsec = (long)(ns % NS_PER_S);
		}
		r = ppoll(polled, count, deadline_ns ? &left : NULL, NULL);
		if (r > 0)
			return r;
		if (r == 0)
			return -ETIMEDOUT;
		if (errno != EINTR)
			return -errno;
	}
}

int msg_wait(int fd, int gone_fd, uint64_t deadline_ns)
{
	struct pollfd polled[2] = { { .fd = fd, .events = POLLIN }, { .fd = gone_fd, .events = POLLIN } };
	int r = wait_until(polled, 2, deadline_ns);

	if (r < 0)
		return r;
	/* poll() looks at one after the other: the process may have written after its socket was looked at, and have
	 * ended before the pidfd was. What it has written comes first. */
	if (!polled[0].revents && poll(polled, 1, 0) <= 0)
		return -ECONNRESET;
	return polled[0].revents & POLLNVAL ? -EBADF : 0;
}

/* ---- sending ---- */

static bool means_gone(int error)
{
	return error == EPIPE || error == ECONNRESET || error == ECONNREFUSED || error == ENOTCONN;
}

static void put_fds(struct msghdr *header, union control *control, const struct msg_fds *fds)
{
	struct cmsghdr *cmsg = &control->align;
	size_t bytes = sizeof(int) * fds->count;

	memset(control, 0, sizeof(*control));
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(bytes);
	memcpy(CMSG_DATA(cmsg), fds->fds, bytes);
	header->msg_control = control->bytes;
	header->msg_controllen = CMSG_SPACE(bytes);
}

int msg_send(int fd, const void *bytes, size_t count, const struct msg_fds *fds, uint64_t deadline_ns)
{
	union control control;
	size_t sent = 0;

	assert(count && (!fds || fds->count <= MSG_FDS_MAX));
	while (sent < count) {
		struct iovec iov = { .iov_base = (uint8_t *)(uintptr_t)bytes + sent, .iov_len = count - sent };
		struct msghdr header = { .msg_iov = &iov, .msg_iovlen = 1 };
		struct pollfd polled = { .fd = fd, .events = POLLOUT };
		ssize_t n;
		int r;

		/* They go with the first byte. */
		if (fds && fds->count && !sent)
			put_fds(&header, &control, fds);
		n = sendmsg(fd, &header, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n >= 0) {
			sent += (size_t)n;
			continue;
		}
		if (errno == EINTR)
			continue;
		if (means_gone(errno))
			return -EPIPE;
		if (errno != EAGAIN || !deadline_ns)
			return -errno;
		r = wait_until(&polled, 1, deadline_ns);
		if (r < 0)
			return r;
	}
	return 0;
}

/* ---- receiving ---- */

/* Adds the descriptors that came with a message to `fds`. 0; -EPROTO if that is more than there may be, -EMFILE if we
 * cannot hold them. Those in `fds` are the caller's in each case. */
static int gather_fds(struct msghdr *header, struct msg_fds *fds)
{
	int r = 0;

	for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(header); cmsg; cmsg = CMSG_NXTHDR(header, cmsg)) {
		size_t count;

		if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS)
			continue;
		count = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(fd), sizeof(fd));
			if (fds->count < MSG_FDS_MAX) {
				fds->fds[fds->count++] = fd;
			} else {
				close(fd);
				r = -EPROTO;
			}
		}
	}
	if (r == 0 && (header->msg_flags & MSG_CTRUNC))
		r = header->msg_control && fds->count < MSG_FDS_MAX ? -EMFILE : -EPROTO;
	return r;
}

/* One recvmsg(): its result or -errno, with EINTR dealt with. `fds` as above; NULL: none may come. */
static ssize_t receive(int fd, void *buf, size_t cap, struct msg_fds *fds, int *ret_flags)
{
	struct msg_fds none = { .count = 0 };
	union control control;
	struct iovec iov = { .iov_base = buf, .iov_len = cap };
	struct msghdr header;
	ssize_t n;
	int r;

	do {
		header = (struct msghdr){ .msg_iov = &iov, .msg_iovlen = 1 };
		/* Without room the kernel closes what comes. */
		if (fds) {
			header.msg_control = control.bytes;
			header.msg_controllen = sizeof(control);
		}
		n = recvmsg(fd, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	*ret_flags = header.msg_flags;
	r = gather_fds(&header, fds ? fds : &none);
	return r < 0 ? r : n;
}

ssize_t msg_recv(int fd, void *buf, size_t cap, struct msg_fds *ret_fds)
{
	struct msg_fds fds = { .count = 0 };
	int flags = 0;
	ssize_t n = receive(fd, buf, cap, ret_fds ? &fds : NULL, &flags);

	/* Told once, where the other side has left something unread; what it had sent before is still there. */
	if (n == -ECONNRESET)
		n = receive(fd, buf, cap, ret_fds ? &fds : NULL, &flags);
	if (n == -ECONNRESET)
		n = 0;
	if (n >= 0 && (flags & MSG_TRUNC))
		n = -EMSGSIZE;
	/* An empty message cannot be told from the end; descriptors may come with one. */
	if (n <= 0)
		msg_fds_close(&fds);
	if (n >= 0 && ret_fds)
		*ret_fds = fds;
	return n;
}

int msg_recv_all(int fd, void *buf, size_t count, struct msg_fds *ret_fds, uint64_t deadline_ns)
{
	struct msg_fds fds = { .count = 0 };
	size_t got = 0;
	int r = 0;

	while (got < count && r >= 0) {
		struct pollfd polled = { .fd = fd, .events = POLLIN };
		int flags;
		ssize_t n = receive(fd, (uint8_t *)buf + got, count - got, ret_fds ? &fds : NULL, &flags);

		if (n > 0)
			got += (size_t)n;
		else if (n == 0)
			r = -ECONNRESET;
		else if (n == -EAGAIN)
			r = wait_until(&polled, 1, deadline_ns);
		else
			r = (int)n;
	}
	if (r < 0) {
		msg_fds_close(&fds);
		return r;
	}
	if (ret_fds)
		*ret_fds = fds;
	return 0;
}
