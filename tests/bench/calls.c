/* SPDX-License-Identifier: BSD-3-Clause */
/* Counting calls; see calls.h. */
#include "tests/bench/calls.h"

#include "tests/bench/allocs.h"

#include <poll.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

_Thread_local bool calls_left_out;

static struct calls own;
static struct calls *calls = &own;

void calls_count_in(struct calls *to)
{
	calls = to;
	allocs_page = &to->allocations;
}

struct calls calls_now(void)
{
	return (struct calls){
		.syscalls = __atomic_load_n(&calls->syscalls, __ATOMIC_RELAXED),
		.allocations = __atomic_load_n(&calls->allocations, __ATOMIC_RELAXED),
	};
}

__attribute__((constructor)) static void begin(void)
{
	if (!allocs_page)
		allocs_page = &own.allocations;
}

static void count(void)
{
	if (!calls_left_out)
		__atomic_fetch_add(&calls->syscalls, 1, __ATOMIC_RELAXED);
}

long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);
int __real_epoll_wait(int fd, struct epoll_event *events, int max, int timeout);
int __wrap_epoll_wait(int fd, struct epoll_event *events, int max, int timeout);
int __real_epoll_ctl(int fd, int op, int other, struct epoll_event *event);
int __wrap_epoll_ctl(int fd, int op, int other, struct epoll_event *event);
int __real_poll(struct pollfd *fds, nfds_t nfds, int timeout);
int __wrap_poll(struct pollfd *fds, nfds_t nfds, int timeout);
int __real_ppoll(struct pollfd *fds, nfds_t nfds, const struct timespec *timeout, const sigset_t *signals);
int __wrap_ppoll(struct pollfd *fds, nfds_t nfds, const struct timespec *timeout, const sigset_t *signals);
ssize_t __real_read(int fd, void *buf, size_t bytes);
ssize_t __wrap_read(int fd, void *buf, size_t bytes);
ssize_t __real_write(int fd, const void *buf, size_t bytes);
ssize_t __wrap_write(int fd, const void *buf, size_t bytes);
ssize_t __real_recvmsg(int fd, struct msghdr *message, int flags);
ssize_t __wrap_recvmsg(int fd, struct msghdr *message, int flags);
ssize_t __real_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags);
int __real_timerfd_settime(int fd, int flags, const struct itimerspec *to, struct itimerspec *was);
int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *to, struct itimerspec *was);

/* No caller gives more than six; reading more of them than it gave is harmless on x86-64. */
long __wrap_syscall(long number, ...)
{
	long arguments[6];
	va_list list;

	va_start(list, number);
	for (size_t i = 0; i < 6; i++)
		arguments[i] = va_arg(list, long);
	va_end(list);
	count();
	return __real_syscall(number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4],
			      arguments[5]);
}

int __wrap_epoll_wait(int fd, struct epoll_event *events, int max, int timeout)
{
	count();
	return __real_epoll_wait(fd, events, max, timeout);
}

int __wrap_epoll_ctl(int fd, int op, int other, struct epoll_event *event)
{
	count();
	return __real_epoll_ctl(fd, op, other, event);
}

int __wrap_poll(struct pollfd *fds, nfds_t nfds, int timeout)
{
	count();
	return __real_poll(fds, nfds, timeout);
}

int __wrap_ppoll(struct pollfd *fds, nfds_t nfds, const struct timespec *timeout, const sigset_t *signals)
{
	count();
	return __real_ppoll(fds, nfds, timeout, signals);
}

ssize_t __wrap_read(int fd, void *buf, size_t bytes)
{
	count();
	return __real_read(fd, buf, bytes);
}

ssize_t __wrap_write(int fd, const void *buf, size_t bytes)
{
	count();
	return __real_write(fd, buf, bytes);
}

ssize_t __wrap_recvmsg(int fd, struct msghdr *message, int flags)
{
	count();
	return __real_recvmsg(fd, message, flags);
}

ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags)
{
	count();
	return __real_sendmsg(fd, message, flags);
}

int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *to, struct itimerspec *was)
{
	count();
	return __real_timerfd_settime(fd, flags, to, was);
}
