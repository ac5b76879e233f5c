/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Messages between two of our processes over a Unix socket, with descriptors. The other side is hostile: what it sends
 * beyond the limits is refused, and descriptors that nobody asked for are closed. Any thread; no state.
 *
 * O_NONBLOCK is never set, since it belongs to the open file description that both sides may have: everything here uses
 * MSG_DONTWAIT and poll().
 */
#ifndef BASE_MSG_H
#define BASE_MSG_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define MSG_FDS_MAX 8 /* of one message */

struct msg_fds {
	size_t count;
	int fds[MSG_FDS_MAX];
};

/* A connected pair, close-on-exec; `type` is SOCK_SEQPACKET (whole messages) or SOCK_STREAM. 0 or -errno. */
int msg_pair(int type, int ret[static 2]);

/* Sends all of `bytes` (not 0) with the descriptors (borrowed; NULL: none). Waits for room until `deadline_ns`
 * (CLOCK_MONOTONIC; 0: does not wait). 0; -EAGAIN if it does not wait and there is no room, -ETIMEDOUT, -EPIPE if the
 * other side has gone, another -errno. A stream on which it failed in the middle of a message cannot be used any more.
 * Never raises SIGPIPE. */
int msg_send(int fd, const void *bytes, size_t count, const struct msg_fds *fds, uint64_t deadline_ns);

/* Takes one message of a SOCK_SEQPACKET, at most `cap` bytes, without waiting. Its length; 0 if the other side has
 * gone; -EAGAIN if there is none; -EMSGSIZE for one that is longer; -EPROTO for more than MSG_FDS_MAX descriptors, or
 * for any if `ret_fds` is NULL: all of that message is dropped then, its descriptors closed; so, too, for -EMFILE, if
 * this process can have no more. On success the caller owns those in *ret_fds, which are close-on-exec. */
ssize_t msg_recv(int fd, void *buf, size_t cap, struct msg_fds *ret_fds);

/* Takes exactly `count` bytes of a SOCK_STREAM, waiting until `deadline_ns` (0: for ever). Descriptors may come with
 * any of the bytes, at most MSG_FDS_MAX in all; as above. 0; -ECONNRESET if the other side has gone before or within
 * them, -ETIMEDOUT, -EPROTO, another -errno. */
int msg_recv_all(int fd, void *buf, size_t count, struct msg_fds *ret_fds, uint64_t deadline_ns);

/* Waits until `fd` is readable or hung up, at most until `deadline_ns` (0: for ever). 0; -ETIMEDOUT; -ECONNRESET if
 * `gone_fd` (a pidfd; -1: none) became readable and `fd` is not. */
int msg_wait(int fd, int gone_fd, uint64_t deadline_ns);

/* Closes all of them; count is 0 then. */
void msg_fds_close(struct msg_fds *fds);

#endif
