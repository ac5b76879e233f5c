/* SPDX-License-Identifier: BSD-3-Clause */
/* What a hostile side sends over a socket: bytes, with more descriptors than anybody asked for. */
#ifndef UNIT_SEND_RAW_H
#define UNIT_SEND_RAW_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SEND_RAW_FDS_MAX 64

/* `fd_count` times standard error goes with it. `flags` are of sendmsg(). Whether all of it has been sent. */
static inline bool send_raw(int fd, const void *data, size_t bytes, size_t fd_count, int flags)
{
	union {
		struct cmsghdr align;
		uint8_t bytes[CMSG_SPACE(sizeof(int) * SEND_RAW_FDS_MAX)];
	} control = { 0 };
	struct iovec iov = { .iov_base = (void *)(uintptr_t)data, .iov_len = bytes };
	struct msghdr header = { .msg_iov = &iov, .msg_iovlen = 1 };
	int fds[SEND_RAW_FDS_MAX];

	if (fd_count > SEND_RAW_FDS_MAX)
		return false;
	for (size_t i = 0; i < fd_count; i++)
		fds[i] = STDERR_FILENO;
	if (fd_count) {
		header.msg_control = control.bytes;
		header.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
		memcpy(CMSG_DATA(&control.align), fds, sizeof(int) * fd_count);
	}
	return sendmsg(fd, &header, flags | MSG_NOSIGNAL) == (ssize_t)bytes;
}

#endif
