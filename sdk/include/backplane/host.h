/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the host does for a device: the table, and the calls that plugins make through it.
 *
 * Call the bp_*() functions, not the table. Each checks that the host has the entry, and gives -ENOSYS where it has not.
 * Thread tags are explained in <backplane/device.h>.
 */
#ifndef BACKPLANE_HOST_H
#define BACKPLANE_HOST_H

#include <backplane/device.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

struct bp_chain;
struct bp_io;
struct bp_io_request;
struct bp_network;
struct bp_reader;
struct bp_stream;
struct bp_writer;
struct iovec; /* <sys/uio.h> */

/* Log levels of bp_log(). */
#define BP_LOG_ERROR   0u
#define BP_LOG_WARN    1u
#define BP_LOG_INFO    2u
#define BP_LOG_DEBUG   3u

/* What a file descriptor can be waited for; also what its callback is told. BP_FD_HUP and BP_FD_ERR are always told. */
#define BP_FD_IN       (1u << 0)
#define BP_FD_OUT      (1u << 1)
#define BP_FD_HUP      (1u << 2)
#define BP_FD_ERR      (1u << 3)

/* How a slice of guest memory will be used. */
#define BP_SLICE_READ  (1u << 0)
#define BP_SLICE_WRITE (1u << 1)
#define BP_SLICE_PIN   (1u << 2) /* stays valid until bp_mem_unpin(), instead of until the callback returns */

/* [dev] `fd` is ready for `events` (BP_FD_*). */
typedef void bp_fd_fn(void *arg, int fd, uint32_t events);
/* [dev] The timer's deadline has passed; it is disarmed now. */
typedef void bp_timer_fn(void *arg, uint32_t timer);
/* [dev] See bp_stream_listen(). */
typedef void bp_stream_fn(void *arg, uint32_t events);
/* [work] The blocking part of a job: touches only what `arg` points to. Its result goes to the bp_job_done_fn. */
typedef int bp_job_fn(void *arg);
/* [dev] The job is over. `result` is what it returned. */
typedef void bp_job_done_fn(void *arg, int result);
/* [dev] What bp_connect() was asked for: a connected descriptor, which is the plugin's from now on, or -errno. */
typedef void bp_connect_fn(void *arg, int fd);

/* What a device tells the machine by bp_event(), and what `value` means. What follows is the deployer's choice. */
#define BP_EVENT_PANIC 1u /* the guest says that it has crashed; 0 */
#define BP_EVENT_CRASH_LOADED \
	2u /* the guest says that it has crashed and goes on with a kernel that saves its memory; 0 */
#define BP_EVENT_RESET     3u /* a reset line of the device was pulled; 0 */
#define BP_EVENT_POWEROFF  4u /* a power switch of the device was thrown; 0 */
#define BP_EVENT_MARK      5u /* the guest marks a moment of its start; a number that it chose */

/* Clocks of bp_clock(), all in nanoseconds. */
#define BP_CLOCK_MONOTONIC 1u /* what timers use: bp_clock_ns() */
#define BP_CLOCK_REAL      2u /* since 1970-01-01 00:00:00 UTC; can be set, so it can jump */
#define BP_CLOCK_START     3u /* since the program that runs the machine was started; monotonic */

/* What bp_info() tells. */
#define BP_INFO_VCPUS      1u /* of the machine */
#define BP_INFO_IDENTITY \
	2u /* since 0.3: a number that is this device's in each run of its machine, and most likely no other's */

/* Kinds of metrics. */
#define BP_METRIC_COUNTER 1u /* only grows, by bp_metric_add() */
#define BP_METRIC_GAUGE   2u /* goes up and down, by bp_metric_set() */

struct bp_host {
	uint32_t size; /* of the host's table: a plugin built against a later one must look */
	uint32_t abi_major;
	uint32_t abi_minor;
	uint32_t reserved;

	void (*log)(struct bp_dev *dev, uint32_t level, const char *text);
	int (*fail)(struct bp_dev *dev, int error, const char *text);
	void (*broken)(struct bp_dev *dev, const char *text);
	uint64_t (*clock_ns)(struct bp_dev *dev);

	uint32_t (*cfg_count)(const struct bp_cfg *cfg, const char *name);
	uint64_t (*cfg_uint)(const struct bp_cfg *cfg, const char *name, uint32_t index);
	int64_t (*cfg_int)(const struct bp_cfg *cfg, const char *name, uint32_t index);
	const char *(*cfg_string)(const struct bp_cfg *cfg, const char *name, uint32_t index);
	int (*cfg_fd)(const struct bp_cfg *cfg, const char *name, uint32_t index);
	struct bp_stream *(*cfg_stream)(const struct bp_cfg *cfg, const char *name, uint32_t index);
	const struct bp_cfg *(*cfg_group)(const struct bp_cfg *cfg, const char *name, uint32_t index);

	int (*claim)(struct bp_dev *dev, const struct bp_range *range, uint64_t base, uint32_t *ret_range);
	int (*release)(struct bp_dev *dev, uint32_t range);
	int (*range_base)(struct bp_dev *dev, uint32_t range, uint64_t *ret_base);
	int (*irq_raise)(struct bp_dev *dev, uint32_t irq);

	int (*mem_read)(struct bp_dev *dev, uint64_t gpa, void *buf, size_t bytes);
	int (*mem_write)(struct bp_dev *dev, uint64_t gpa, const void *buf, size_t bytes);
	int (*mem_copy)(struct bp_dev *dev, uint64_t dst_gpa, uint64_t src_gpa, uint64_t bytes);
	int (*mem_slice)(struct bp_dev *dev, uint64_t gpa, size_t bytes, uint32_t flags, void **ret);
	int (*mem_unpin)(struct bp_dev *dev, void *slice, size_t bytes);

	int (*fd_add)(struct bp_dev *dev, int fd, uint32_t events, bp_fd_fn *fn, void *arg);
	int (*fd_set)(struct bp_dev *dev, int fd, uint32_t events);
	int (*fd_del)(struct bp_dev *dev, int fd);
	int (*timer_add)(struct bp_dev *dev, bp_timer_fn *fn, void *arg, uint32_t *ret_timer);
	int (*timer_set)(struct bp_dev *dev, uint32_t timer, uint64_t deadline_ns);
	int (*timer_del)(struct bp_dev *dev, uint32_t timer);

	int (*stream_listen)(struct bp_dev *dev, struct bp_stream *stream, bp_stream_fn *fn, void *arg);
	int (*stream_read)(struct bp_dev *dev, struct bp_stream *stream, void *buf, size_t bytes);
	int (*stream_write)(struct bp_dev *dev, struct bp_stream *stream, const void *buf, size_t bytes);

	/* Since 0.2. */
	int (*stream_size)(struct bp_dev *dev, struct bp_stream *stream, uint32_t *ret_columns, uint32_t *ret_rows);

	int (*event)(struct bp_dev *dev, uint32_t event, uint64_t value);
	uint64_t (*clock)(struct bp_dev *dev, uint32_t clock);
	int (*job)(struct bp_dev *dev, bp_job_fn *fn, bp_job_done_fn *done, void *arg);
	int (*metric)(struct bp_dev *dev, uint32_t kind, const char *name, const char *help, uint64_t **ret_slot);

	int (*put_uint)(struct bp_writer *writer, uint32_t tag, uint64_t value);
	int (*put_bytes)(struct bp_writer *writer, uint32_t tag, const void *bytes, size_t count);
	int (*get_uint)(struct bp_reader *reader, uint32_t tag, uint64_t *ret);
	int (*get_bytes)(struct bp_reader *reader, uint32_t tag, void *buf, size_t cap);

	int (*virtio_offer)(struct bp_dev *dev, uint64_t features, uint32_t queues);
	int (*virtio_config_write)(struct bp_dev *dev, uint32_t offset, const void *buf, uint32_t bytes);
	int (*virtio_config_read)(struct bp_dev *dev, uint32_t offset, void *buf, uint32_t bytes);
	uint64_t (*chain_left)(struct bp_chain *chain, uint32_t side);
	size_t (*chain_read)(struct bp_chain *chain, void *buf, size_t bytes);
	size_t (*chain_write)(struct bp_chain *chain, const void *buf, size_t bytes);
	int (*chain_take)(struct bp_chain *chain, uint32_t side, uint64_t bytes, struct iovec *iov, uint32_t iov_max);
	void (*chain_complete)(struct bp_chain *chain);

	int (*io_open)(struct bp_dev *dev, int fd, uint32_t engine, uint32_t depth, struct bp_io **ret);
	int (*io_submit)(struct bp_io *io, const struct bp_io_request *request);

	int (*chain_skip)(struct bp_chain *chain, uint32_t side, uint64_t bytes);
	uint64_t (*info)(struct bp_dev *dev, uint32_t what);

	/* Since 0.3. */
	int (*cfg_network)(const struct bp_cfg *cfg, const char *name, uint32_t index, struct bp_network *ret);
	int (*connect)(struct bp_dev *dev, const char *name, uint32_t index, uint32_t number, bp_connect_fn *done,
		       void *arg);
	int (*chain_peek)(struct bp_chain *chain, uint32_t side, uint64_t bytes, struct iovec *iov, uint32_t iov_max);
	int (*chain_wrote)(struct bp_chain *chain, uint64_t bytes);
	int (*virtio_look)(struct bp_dev *dev, uint32_t queue, uint32_t tell);
};

/* Whether the host has entry `field`. */
#define BP_HOST_HAS(host, field) \
	((host)->size >= offsetof(struct bp_host, field) + sizeof((host)->field) && (host)->field)
/* Calls entry `field` of the host, or gives `otherwise`. The parentheses keep function-like macros of that name away, such as
 * a test framework's fail(). */
#define BP_HOST_CALL(owner, field, otherwise, ...) \
	(BP_HOST_HAS((owner)->host, field) ? ((owner)->host->field)(__VA_ARGS__) : (otherwise))

#define BP_TEXT_MAX 512 /* bytes of a log line, cut beyond */

/* ---- log, failure, clock ---- */

/* [any] One line in the log, prefixed with the instance's name; rate limited per instance. */
static inline void __attribute__((format(printf, 3, 4)))
bp_log(struct bp_dev *dev, uint32_t level, const char *format, ...)
{
	char text[BP_TEXT_MAX];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	if (BP_HOST_HAS(dev->host, log))
		(dev->host->log)(dev, level, text);
}

/* [any] Records why a callback is about to fail, and returns `error` (-errno): `return bp_fail(dev, -EINVAL, "...")`.
 * In validate and create the text becomes the one line that the user sees, with the device's place in the file. */
static inline int __attribute__((format(printf, 3, 4))) bp_fail(struct bp_dev *dev, int error, const char *format, ...)
{
	char text[BP_TEXT_MAX];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	return BP_HOST_CALL(dev, fail, error, dev, error, text);
}

/* [dev] The guest's driver has broken the protocol. The device gets no more accesses until it is reset: reads give
 * all-ones, writes vanish. The VM and its other devices go on. Logged once. */
static inline void __attribute__((format(printf, 2, 3))) bp_broken(struct bp_dev *dev, const char *format, ...)
{
	char text[BP_TEXT_MAX];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	if (BP_HOST_HAS(dev->host, broken))
		(dev->host->broken)(dev, text);
}

/* [any] Nanoseconds of the clock that timers use; monotonic. */
static inline uint64_t bp_clock_ns(struct bp_dev *dev)
{
	return BP_HOST_CALL(dev, clock_ns, 0, dev);
}

/* [any] Now, on one of the BP_CLOCK_*; 0 for one that the host does not know. */
static inline uint64_t bp_clock(struct bp_dev *dev, uint32_t clock)
{
	return BP_HOST_CALL(dev, clock, 0, dev, clock);
}

/* ---- the machine ---- */

/* [dev] Tells the machine of a BP_EVENT_*. Returns at once; what follows (the end of the machine, a restart, nothing) happens
 * after the callback. -EINVAL for an event that the host does not know. */
static inline int bp_event(struct bp_dev *dev, uint32_t event, uint64_t value)
{
	return BP_HOST_CALL(dev, event, -ENOSYS, dev, event, value);
}

/* [any] A BP_INFO_* of the machine; 0 for what the host does not know. It does not change while the device exists. */
static inline uint64_t bp_info(struct bp_dev *dev, uint32_t what)
{
	return BP_HOST_CALL(dev, info, 0, dev, what);
}

/* ---- metrics ---- */

/* [main] In create: a number that deployers can watch, under `name` ([a-z][a-z0-9_]*, at most 31 bytes, with its unit at the end
 * where it has one: "read_bytes"); `help` is one line. Both are copied. *ret_slot is the number, 0 now, and stays until destroy
 * returns. -EINVAL for a name, kind or help that cannot be, -EEXIST, -ENOSPC beyond 64. Where the host has no metrics, *ret_slot is
 * left alone: a slot that is NULL takes no values, so a plugin need not look at the result. */
static inline int bp_metric(struct bp_dev *dev, uint32_t kind, const char *name, const char *help, uint64_t **ret_slot)
{
	return BP_HOST_CALL(dev, metric, -ENOSYS, dev, kind, name, help, ret_slot);
}

/* [any] NOLINTNEXTLINE(readability-non-const-parameter): the builtin writes through it */
static inline void bp_metric_add(uint64_t *slot, uint64_t more)
{
	if (slot)
		__atomic_fetch_add(slot, more, __ATOMIC_RELAXED);
}

/* [any] NOLINTNEXTLINE(readability-non-const-parameter): the same */
static inline void bp_metric_set(uint64_t *slot, uint64_t value)
{
	if (slot)
		__atomic_store_n(slot, value, __ATOMIC_RELAXED);
}

/* ---- jobs ---- */

/* [main] [dev] In create or later: runs fn(arg) on a thread that may block, then done(arg, result) back on the device, which is told
 * once it runs. Jobs of a device run one after the other, in order. done is called exactly once for each, unless the device ends
 * first: stop comes only after a job that has begun, and what has not been told by then is dropped without done. reset does not end
 * jobs. -ENOSPC beyond 64 at a time, -ESHUTDOWN in stop. */
static inline int bp_job(struct bp_dev *dev, bp_job_fn *fn, bp_job_done_fn *done, void *arg)
{
	return BP_HOST_CALL(dev, job, -ENOSYS, dev, fn, done, arg);
}

/* ---- parameters: [main], in validate and create; `index` counts the values of a REPEATED parameter ---- */

/* How many values the parameter has; 0 if it is absent and has no default. */
static inline uint32_t bp_cfg_count(const struct bp_cfg *cfg, const char *name)
{
	return BP_HOST_CALL(cfg, cfg_count, 0, cfg, name);
}

/* 1 if the parameter has a value, else 0. */
static inline int bp_cfg_has(const struct bp_cfg *cfg, const char *name)
{
	return bp_cfg_count(cfg, name) > 0;
}

/* UINT, SIZE (bytes), DURATION (nanoseconds), ADDRESS, BOOL (0 or 1), CHOICE (its index), MAC (first byte lowest). */
static inline uint64_t bp_cfg_uint_at(const struct bp_cfg *cfg, const char *name, uint32_t index)
{
	return BP_HOST_CALL(cfg, cfg_uint, 0, cfg, name, index);
}

static inline uint64_t bp_cfg_uint(const struct bp_cfg *cfg, const char *name)
{
	return bp_cfg_uint_at(cfg, name, 0);
}

/* INT. */
static inline int64_t bp_cfg_int_at(const struct bp_cfg *cfg, const char *name, uint32_t index)
{
	return BP_HOST_CALL(cfg, cfg_int, 0, cfg, name, index);
}

static inline int64_t bp_cfg_int(const struct bp_cfg *cfg, const char *name)
{
	return bp_cfg_int_at(cfg, name, 0);
}

/* STRING, CHOICE, and FILE, SOCKET and NETWORK as they stand in the configuration. Copy what must outlive create. */
static inline const char *bp_cfg_string_at(const struct bp_cfg *cfg, const char *name, uint32_t index)
{
	return BP_HOST_CALL(cfg, cfg_string, "", cfg, name, index);
}

static inline const char *bp_cfg_string(const struct bp_cfg *cfg, const char *name)
{
	return bp_cfg_string_at(cfg, name, 0);
}

/* FILE, in create only: an open descriptor; SOCKET with BP_P_LISTEN: the listening one, non-blocking. The host owns it and closes it after
 * destroy. -1 if absent. */
static inline int bp_cfg_fd_at(const struct bp_cfg *cfg, const char *name, uint32_t index)
{
	return BP_HOST_CALL(cfg, cfg_fd, -1, cfg, name, index);
}

static inline int bp_cfg_fd(const struct bp_cfg *cfg, const char *name)
{
	return bp_cfg_fd_at(cfg, name, 0);
}

/* STREAM, in create only, once each: valid until destroy returns; the host owns it. NULL if absent. */
static inline struct bp_stream *bp_cfg_stream_at(const struct bp_cfg *cfg, const char *name, uint32_t index)
{
	return BP_HOST_CALL(cfg, cfg_stream, NULL, cfg, name, index);
}

static inline struct bp_stream *bp_cfg_stream(const struct bp_cfg *cfg, const char *name)
{
	return bp_cfg_stream_at(cfg, name, 0);
}

/* GROUP: its values; valid as long as `cfg`. NULL if absent. */
static inline const struct bp_cfg *bp_cfg_group_at(const struct bp_cfg *cfg, const char *name, uint32_t index)
{
	return BP_HOST_CALL(cfg, cfg_group, NULL, cfg, name, index);
}

static inline const struct bp_cfg *bp_cfg_group(const struct bp_cfg *cfg, const char *name)
{
	return bp_cfg_group_at(cfg, name, 0);
}

/* ---- connections ---- */

/* [main] [dev] Since 0.3. In start or later: has the host connect to a Unix stream socket that the configuration allows, and calls
 * done(arg, fd) on the device, not from within this call, exactly once unless the device ends first; reset does not end it. `fd` is
 * connected, non-blocking, and the plugin's to close; or -errno, such as -ENOENT and -ECONNREFUSED where nobody listens, -EAGAIN where
 * the one who does is not keeping up.
 * `name` and `index` are those of a value in the device's own table, not in a group: a SOCKET with BP_P_CONNECT, then the socket is at
 * PATH_NUMBER, with `number` in decimal; or a NETWORK that can be connected (BP_NETWORK_CONNECTS), then `number` is 0.
 * -EINVAL for any other or one that is absent, -ENOSPC beyond 64 at a time, -ESHUTDOWN in stop. */
static inline int bp_connect(struct bp_dev *dev, const char *name, uint32_t index, uint32_t number, bp_connect_fn *done,
			     void *arg)
{
	return BP_HOST_CALL(dev, connect, -ENOSYS, dev, name, index, number, done, arg);
}

/* ---- addresses and interrupts ---- */

#define BP_BASE_ANY UINT64_MAX

/* [main] Claims a range that only create can know; `range->base_param` is not looked at. `base` may be BP_BASE_ANY for
 * MMIO. *ret_range is what bp_access.range will say. -EEXIST if it overlaps another range, -EINVAL if it is malformed,
 * -ENOSPC if no room or more than 16 ranges. */
static inline int bp_claim(struct bp_dev *dev, const struct bp_range *range, uint64_t base, uint32_t *ret_range)
{
	return BP_HOST_CALL(dev, claim, -ENOSYS, dev, range, base, ret_range);
}

/* [main] Gives up a range; on return no access to it is under way. -ENOENT if it is not claimed. */
static inline int bp_release(struct bp_dev *dev, uint32_t range)
{
	return BP_HOST_CALL(dev, release, -ENOSYS, dev, range);
}

/* [any] Where a range lies, for devices that report their own address. -ENOENT if it is not claimed. */
static inline int bp_range_base(struct bp_dev *dev, uint32_t range, uint64_t *ret_base)
{
	return BP_HOST_CALL(dev, range_base, -ENOSYS, dev, range, ret_base);
}

/* [any] Raises interrupt `irq` (index into the class's irqs) once: an edge. -ENOENT if there is no such interrupt. */
static inline int bp_irq_raise(struct bp_dev *dev, uint32_t irq)
{
	return BP_HOST_CALL(dev, irq_raise, -ENOSYS, dev, irq);
}

/* ---- guest memory (DMA). Only RAM: -EFAULT if any byte lies outside, and nothing has been transferred then ---- */

/* [any] The guest may write at the same time: read each field once, and check the copy. */
static inline int bp_mem_read(struct bp_dev *dev, uint64_t gpa, void *buf, size_t bytes)
{
	return BP_HOST_CALL(dev, mem_read, -ENOSYS, dev, gpa, buf, bytes);
}

/* [any] */
static inline int bp_mem_write(struct bp_dev *dev, uint64_t gpa, const void *buf, size_t bytes)
{
	return BP_HOST_CALL(dev, mem_write, -ENOSYS, dev, gpa, buf, bytes);
}

/* [any] As memmove. */
static inline int bp_mem_copy(struct bp_dev *dev, uint64_t dst_gpa, uint64_t src_gpa, uint64_t bytes)
{
	return BP_HOST_CALL(dev, mem_copy, -ENOSYS, dev, dst_gpa, src_gpa, bytes);
}

/* [dev] A pointer to `bytes` of guest memory, for readv and the like; contiguous. Valid until the callback returns, or
 * with BP_SLICE_PIN until bp_mem_unpin(). -EINVAL for unknown flags or neither READ nor WRITE, -ENOSPC beyond 256 pins. */
static inline int bp_mem_slice(struct bp_dev *dev, uint64_t gpa, size_t bytes, uint32_t flags, void **ret)
{
	return BP_HOST_CALL(dev, mem_slice, -ENOSYS, dev, gpa, bytes, flags, ret);
}

/* [any] Gives a pinned slice back, with the pointer and size that it was got with. -EINVAL if it is not pinned. */
static inline int bp_mem_unpin(struct bp_dev *dev, void *slice, size_t bytes)
{
	return BP_HOST_CALL(dev, mem_unpin, -ENOSYS, dev, slice, bytes);
}

/* ---- the device's event loop ---- */

/* [main] [dev] Calls `fn` whenever `fd` is ready for `events`; level triggered. The plugin keeps owning the fd, and calls
 * bp_fd_del() before it closes it. -EEXIST if it is there already, -EPERM for a file that is always ready, -ENOSPC beyond
 * 4096 (64 before 0.3). */
static inline int bp_fd_add(struct bp_dev *dev, int fd, uint32_t events, bp_fd_fn *fn, void *arg)
{
	return BP_HOST_CALL(dev, fd_add, -ENOSYS, dev, fd, events, fn, arg);
}

/* [main] [dev] Waits for other events; 0 for none but HUP and ERR. -ENOENT. */
static inline int bp_fd_set(struct bp_dev *dev, int fd, uint32_t events)
{
	return BP_HOST_CALL(dev, fd_set, -ENOSYS, dev, fd, events);
}

/* [main] [dev] No callback for `fd` follows. -ENOENT. */
static inline int bp_fd_del(struct bp_dev *dev, int fd)
{
	return BP_HOST_CALL(dev, fd_del, -ENOSYS, dev, fd);
}

/* [main] [dev] A timer, disarmed. -ENOSPC beyond 64. */
static inline int bp_timer_add(struct bp_dev *dev, bp_timer_fn *fn, void *arg, uint32_t *ret_timer)
{
	return BP_HOST_CALL(dev, timer_add, -ENOSYS, dev, fn, arg, ret_timer);
}

/* [main] [dev] Arms the timer for a moment of bp_clock_ns(), once; a moment in the past fires at once, 0 disarms. -ENOENT. */
static inline int bp_timer_set(struct bp_dev *dev, uint32_t timer, uint64_t deadline_ns)
{
	return BP_HOST_CALL(dev, timer_set, -ENOSYS, dev, timer, deadline_ns);
}

/* [main] [dev] No callback of the timer follows. -ENOENT. */
static inline int bp_timer_del(struct bp_dev *dev, uint32_t timer)
{
	return BP_HOST_CALL(dev, timer_del, -ENOSYS, dev, timer);
}

#endif
