/* SPDX-License-Identifier: BSD-3-Clause */
/* See faults.h. */
#include "faults.h"

#include <assert.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define FD_FIRST       3
#define FD_END         256
#define BOMB_FDS       200
#define BOMBS          16
#define SCRIBBLE_BYTES 2048
const char *const faults[] = {
	"segv",    "abort", "exit0", "exit1", "hang",  "freeze", "scribble", "close",
	"garbage", "lie",   "flood", "bomb",  "twice", "keep",   "fail",     NULL,
};
static_assert(sizeof(faults) / sizeof(faults[0]) == FAULTS + 1, "every way has a name");

static void send_all(const void *bytes, size_t count, const int *fds, size_t fd_count)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int) * BOMB_FDS)];
	} control;
	struct iovec iov = { .iov_len = count };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };

	memset(&control, 0, sizeof(control));
	/* It is only read. */
	memcpy(&iov.iov_base, &bytes, sizeof(bytes));
	if (fd_count) {
		message.msg_control = &control;
		message.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
		control.head.cmsg_level = SOL_SOCKET;
		control.head.cmsg_type = SCM_RIGHTS;
		control.head.cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
		memcpy(CMSG_DATA(&control.head), fds, sizeof(int) * fd_count);
	}
	for (int fd = FD_FIRST; fd < FD_END; fd++)
		(void)sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void send_bombs(void)
{
	int fds[BOMB_FDS];

	fds[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (fds[0] < 0)
		abort();
	for (size_t i = 1; i < BOMB_FDS; i++)
		fds[i] = fds[0];
	for (size_t i = 0; i < BOMBS; i++)
		send_all("bomb", 4, fds, BOMB_FDS);
	close(fds[0]);
}

/* As core/placement/wire/wire.h has it, and all zero. */
struct answer {
	uint64_t sequence;
	uint32_t op, range;
	uint64_t offset;
	uint32_t width;
	int32_t result;
	uint64_t value;
};

static void send_lies(void)
{
	for (uint64_t i = 0; i < 64; i++) {
		const struct answer lie = { .sequence = UINT64_MAX - i, .op = 3, .value = UINT64_C(0x1badf00d) };

		send_all(&lie, sizeof(lie), NULL, 0);
	}
}

static void *flood(void *arg)
{
	struct {
		uint32_t version, op, sequence;
		int32_t result;
		uint32_t blob_bytes, fd_count;
		uint32_t level, pad;
		char text[1024];
	} line = { .version = 1, .op = 18, .level = 0, .text = "flood" };

	(void)arg;
	for (;;)
		(void)send(FD_FIRST, &line, sizeof(line), MSG_NOSIGNAL);
	return NULL;
}

static void hang(void)
{
	for (;;)
		pause();
}

void fault_make(enum fault how, struct bp_dev *dev)
{
	static const char garbage[4096] = { [0 ... 4095] = '\xff' };
	volatile int *volatile nowhere = NULL; /* or the compiler leaves it out */
	pthread_t thread;

	switch (how) {
	case FAULT_SEGV:
		*nowhere = 1;
		break;
	case FAULT_ABORT:
		abort();
	case FAULT_EXIT0:
		_exit(0);
	case FAULT_EXIT1:
		_exit(1);
	case FAULT_HANG:
		hang();
		break;
	case FAULT_FREEZE:
		raise(SIGSTOP);
		break;
	case FAULT_SCRIBBLE:
		if (dev)
			memset((void *)dev, 0xa5, SCRIBBLE_BYTES);
		break;
	case FAULT_CLOSE:
		close_range(FD_FIRST, ~0U, 0);
		break;
	case FAULT_GARBAGE:
		send_all(garbage, sizeof(garbage), NULL, 0);
		break;
	case FAULT_LIE:
		send_lies();
		break;
	case FAULT_FLOOD:
		if (pthread_create(&thread, NULL, flood, NULL) != 0)
			abort();
		pthread_detach(thread);
		break;
	case FAULT_BOMB:
		send_bombs();
		break;
	default:
		break;
	}
}

#ifdef FAULTY_CONSTRUCTOR
__attribute__((constructor)) static void fail_when_loaded(void)
{
	fault_make(FAULTY_CONSTRUCTOR, NULL);
}
#endif
