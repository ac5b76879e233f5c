/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The instance as the files of core/device share it. `lock` is the instance's: whoever holds it is on the [dev] tag.
 */
#ifndef DEVICE_INTERNAL_H
#define DEVICE_INTERNAL_H

#include "core/base/lock.h"
#include "core/base/log.h"
#include "core/device/device.h"

#include <backplane/host.h>
#include <backplane/stream.h>
#include <backplane/virtio.h>

#include <pthread.h>
#include <stdatomic.h>

#define DEVICE_RANGES_MAX     16
#define DEVICE_IOS_MAX        8
/* A plugin may wait for so many descriptors, its streams' among them; the rest is for queues and engines. */
#define DEVICE_PLUGIN_SOURCES 4096
#define DEVICE_OWN_SOURCES    (BP_VIRTIO_QUEUES_MAX + DEVICE_IOS_MAX)
#define DEVICE_SOURCES_MAX    (DEVICE_PLUGIN_SOURCES + DEVICE_OWN_SOURCES)
/* A plugin may have 64; the rest is for its streams. */
#define DEVICE_PLUGIN_TIMERS  64
#define DEVICE_TIMERS_MAX     72
#define DEVICE_PINS_MAX       256
#define DEVICE_STREAMS_MAX    8
#define DEVICE_JOBS_MAX       64
#define DEVICE_METRICS_MAX    64

enum device_state { DEVICE_NEW, DEVICE_CREATED, DEVICE_RUNNING, DEVICE_QUIET, DEVICE_STOPPED };

/* On which tag plugin code runs in this thread, and whose. */
enum device_tag { DEVICE_TAG_NONE, DEVICE_TAG_MAIN, DEVICE_TAG_DEV };
struct device_context {
	struct device *device;
	const char *callback;
	enum device_tag tag;
	uint64_t lap; /* when the part of the callback began that is being timed, if it has parts */
};
extern _Thread_local struct device_context device_context;

/* A plugin's view of values; `head` is what it holds. Made on demand, freed when create has returned. */
struct device_cfg {
	struct bp_cfg head;
	struct device *device;
	const struct values *values;
	struct device_cfg *next;
};

struct device_range {
	bool claimed;
	struct class_range what;
	uint64_t base;
};

/* Something in the epoll set: a plugin's fd, or one of the runtime's. */
struct device_source {
	bool used, own;
	int fd;
	uint32_t events;     /* BP_FD_* */
	uint32_t generation; /* so that an event that was fetched before a removal is recognised */
	uint32_t next_free;  /* number + 1 of the next that is not used, or 0 */
	bp_fd_fn *fn;
	void *arg;
	const char *what; /* for messages: "fd callback", "stream" */
};

/* All of them; see source.c. */
struct device_sources {
	struct device_source *all;
	uint32_t capacity;
	uint32_t fresh; /* from here on none has ever been used */
	uint32_t free;  /* number + 1 of the one that was left last, or 0 */
	uint32_t plugin_count, own_count;
	uint16_t *by_fd; /* the number + 1 of a descriptor's source, or 0 */
	size_t fd_count;
};

struct device_timer {
	bool used;
	uint64_t deadline_ns; /* 0: disarmed */
	bp_timer_fn *fn;
	void *arg;
};

/* The device's event loop: all under the device's lock, but for the waiting itself. */
struct device_loop {
	int epoll_fd;
	int timer_fd;
	int wake_fd;
	_Atomic(bool) stop;
	bool running;
	pthread_t thread;
	uint64_t armed_ns; /* what the timerfd is set to; 0: nothing */
	struct device_sources sources;
	struct device_timer timers[DEVICE_TIMERS_MAX];
};

struct device_job {
	bp_job_fn *fn;
	bp_job_done_fn *done;
	void *arg;
	int result;
};

/* See job.c. */
struct device_jobs {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	pthread_t thread;
	bool running; /* the thread exists */
	bool stop;
	int event_fd; /* -1 until the first job */
	uint64_t added, ran, done;
	struct device_job ring[DEVICE_JOBS_MAX];
};

/* One that bp_connect() has asked for; see connect.c. */
struct device_connect_slot {
	int state;
	uint32_t token;
	int fd; /* or -errno: the answer */
	bp_connect_fn *done;
	void *arg;
};

struct device_connects {
	pthread_mutex_t lock;
	bool ended;
	struct device_connect_slot slots[DEVICE_CONNECTS_MAX];
	uint32_t first, count; /* of `answered`, a ring: slots whose answer the plugin has not been told */
	uint8_t answered[DEVICE_CONNECTS_MAX];
};

struct device_metric {
	char *name;
	char *help;
	uint32_t kind;
	uint64_t value; /* atomic */
};

struct device {
	struct bp_dev head; /* first: what the plugin holds */
	char *id;
	const struct plugin_class *class;
	struct values *values;
	const struct gmem *mem;
	uint32_t vcpus;
	uint64_t identity;
	struct device_place place;
	struct lock lock;
	enum device_state state; /* under lock */
	bool broken;             /* under lock */
	bool settle;             /* under lock: something is to be done at the end of the callback */
	void *self;              /* the plugin's */
	struct device_range ranges[DEVICE_RANGES_MAX];
	int irq_fds[CLASS_IRQS_MAX];
	struct device_cfg *cfgs;
	struct device_loop loop;
	struct bp_io *ios[DEVICE_IOS_MAX]; /* the first of them; the rest NULL */
	struct vdev *vdev;                 /* NULL: no virtio device */
	struct device_jobs jobs;
	struct device_connects connects;
	size_t metric_count;
	struct device_metric metrics[DEVICE_METRICS_MAX];
	struct bp_stream *streams[DEVICE_STREAMS_MAX];
	struct log_limit log_limit;
	pthread_mutex_t pin_lock;
	size_t pin_count;
	struct {
		const void *slice;
		size_t bytes;
	} pins[DEVICE_PINS_MAX];
	struct err error; /* what the plugin told bp_fail() on [main] */
};

extern const struct bp_host device_host;

static inline struct device *device_of(struct bp_dev *dev)
{
	return (struct device *)dev;
}

/* Enters and leaves plugin code on [main]; nests, since a plugin's thread is the core's main thread. */
struct device_context device_enter_main(struct device *device, const char *callback);
void device_leave_main(struct device_context before);

/* Takes the lock and enters plugin code on [dev]. Leaving settles what the callback has left to do, and looks how long it took.
 * The value goes from one to the other. */
uint64_t device_enter(struct device *device, const char *callback);
void device_leave(struct device *device, uint64_t since);

/* One of several calls into the plugin has returned: looks how long that one took. */
void device_lap(struct device *device);

/* What device_reset() does once it has entered. */
void device_reset_entered(struct device *device);

/* The guest's driver did `what`: nothing of the device works until its reset. Said once. */
void device_broken(struct device *device, const char *what);

/* Whether the calling thread is inside of this device's code on one of the allowed tags; if not, the breach is logged. */
bool device_on_tag(struct device *device, bool main, bool dev, const char *function);

/* A line of the log with the instance's name, within its budget. */
void device_log(struct device *device, enum log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* loop.c */
int device_loop_init(struct device_loop *loop);
void device_loop_destroy(struct device_loop *loop);
int device_loop_start(struct device *device, struct err *err);
void device_loop_stop(struct device *device);

/* source.c. LOOP_FD_EDGE, beside BP_FD_*: each event is told of once, when it comes, and what there is when this is set. */
#define LOOP_FD_EDGE (1u << 31)
int loop_fd_add(struct device *device, int fd, uint32_t events, bp_fd_fn *fn, void *arg, const char *what);
int loop_fd_set(struct device *device, int fd, uint32_t events);
int loop_fd_del(struct device *device, int fd);
/* The same for one of the runtime's own descriptors, which is waited for until it is readable, or if `edge` for each time that it
 * becomes so again: an eventfd need not be read then. */
int loop_own_add(struct device *device, int fd, bool edge, bp_fd_fn *fn, void *arg, const char *what);
/* The source that an event is for, unless it is gone. Valid until one is added. */
const struct device_source *loop_source(const struct device_sources *sources, uint64_t token);
/* Those that are ready are told, whether the loop has passed them over or not. */
void loop_sources_look_again(const struct device_loop *loop);
void loop_sources_free(struct device_sources *sources);

/* loop.c. Whether the calling thread is the device's. */
bool loop_is_current(const struct device *device);
int loop_timer_add(struct device *device, bp_timer_fn *fn, void *arg, uint32_t *ret_timer);
int loop_timer_set(struct device *device, uint32_t timer, uint64_t deadline_ns);
/* Under the lock, when a device is no longer at rest: timers that are due and descriptors that are ready are told, whether the loop has
 * passed them over meanwhile or not. */
void loop_look_again(struct device *device);
/* Calls device_jobs_tell() whenever `fd` is signalled. 0 or -errno. */
int loop_jobs_watch(struct device *device, int fd);

/* job.c */
void device_jobs_init(struct device_jobs *jobs);
void device_jobs_destroy(struct device_jobs *jobs);
/* [loop] Calls `done` of each job that is over. */
void device_jobs_tell(struct device *device);
/* Until no job is under way and each has been told. The loop runs. */
void device_jobs_wait(struct device *device);
/* Waits for the job that runs, drops the others. */
void device_jobs_stop(struct device *device);

/* connect.c */
void device_connects_init(struct device_connects *connects);
void device_connects_destroy(struct device_connects *connects); /* after device_connects_end() */
/* [loop] Calls `done` of each that has an answer, if the device runs. */
void device_connects_tell(struct device *device);
/* The device runs now: answers that came before are told. */
void device_connects_look_again(struct device *device);
/* Nobody is told any more, and nothing can be asked for: answers that are there are closed, as are those that come. */
void device_connects_end(struct device *device);

/* metric.c */
void device_metrics_free(struct device *device);

/* stream.c. The descriptors are borrowed from the values. NULL without memory. */
struct bp_stream *stream_new(struct device *device, const struct value *value);
/* vdev.c. vdev_new before create, vdev_make_queues after it; vdev_free also after a failure of these. */
int vdev_new(struct device *device);
int vdev_make_queues(struct device *device);
void vdev_free(struct device *device);
/* Publishes, interrupts, notices. */
void vdev_settle(struct device *device);
/* Takes what other threads have completed. Nothing if it is no virtio device. */
void vdev_woken(struct device *device);
/* The device's loop is back: what came meanwhile is looked at. */
void vdev_resume(struct device *device);
/* Ends the life of all queues. */
void vdev_close(struct device *device);
/* Whether the plugin still has the chain, and the guest still waits for it. */
struct chain;
bool vdev_chain_live(const struct device *device, struct chain *chain);

/* device_io.c. Submits what was queued, or wakes the loop to do it. */
void device_io_settle(struct device *device);
/* On the loop: whether something is to be submitted. */
void device_io_woken(struct device *device);
/* [any] Whether device_io_reap() would find something; may be wrong for a moment. */
bool device_io_ready(const struct device *device);
void device_io_reap(struct device *device);
/* Waits for all that is under way, and tells the plugin, also of what it submits meanwhile. Under the lock, entered. */
void device_io_finish(struct device *device);
/* Waits for what the kernel does already, and drops the rest; no plugin is told of it. */
void device_io_end(struct device *device);
void device_io_free(struct device *device);

void stream_free(struct bp_stream *stream);
/* The device runs now: input that no event will announce is announced. Under the lock. */
void stream_start(struct bp_stream *stream);
/* The device has stopped, no thread runs any more: what is left gets a moment to leave. */
void stream_flush_last(struct bp_stream *stream);

/* The entries of the host table, by file. */
uint32_t host_cfg_count(const struct bp_cfg *cfg, const char *name);
uint64_t host_cfg_uint(const struct bp_cfg *cfg, const char *name, uint32_t index);
int64_t host_cfg_int(const struct bp_cfg *cfg, const char *name, uint32_t index);
const char *host_cfg_string(const struct bp_cfg *cfg, const char *name, uint32_t index);
int host_cfg_fd(const struct bp_cfg *cfg, const char *name, uint32_t index);
int host_cfg_network(const struct bp_cfg *cfg, const char *name, uint32_t index, struct bp_network *ret);
struct bp_stream *host_cfg_stream(const struct bp_cfg *cfg, const char *name, uint32_t index);
const struct bp_cfg *host_cfg_group(const struct bp_cfg *cfg, const char *name, uint32_t index);
int host_mem_read(struct bp_dev *dev, uint64_t gpa, void *buf, size_t bytes);
int host_mem_write(struct bp_dev *dev, uint64_t gpa, const void *buf, size_t bytes);
int host_mem_copy(struct bp_dev *dev, uint64_t dst_gpa, uint64_t src_gpa, uint64_t bytes);
int host_mem_slice(struct bp_dev *dev, uint64_t gpa, size_t bytes, uint32_t flags, void **ret);
int host_mem_unpin(struct bp_dev *dev, void *slice, size_t bytes);
int host_fd_add(struct bp_dev *dev, int fd, uint32_t events, bp_fd_fn *fn, void *arg);
int host_fd_set(struct bp_dev *dev, int fd, uint32_t events);
int host_fd_del(struct bp_dev *dev, int fd);
int host_timer_add(struct bp_dev *dev, bp_timer_fn *fn, void *arg, uint32_t *ret_timer);
int host_timer_set(struct bp_dev *dev, uint32_t timer, uint64_t deadline_ns);
int host_timer_del(struct bp_dev *dev, uint32_t timer);
int host_job(struct bp_dev *dev, bp_job_fn *fn, bp_job_done_fn *done, void *arg);
int host_connect(struct bp_dev *dev, const char *name, uint32_t index, uint32_t number, bp_connect_fn *done, void *arg);
int host_metric(struct bp_dev *dev, uint32_t kind, const char *name, const char *help, uint64_t **ret_slot);
int host_stream_listen(struct bp_dev *dev, struct bp_stream *stream, bp_stream_fn *fn, void *arg);
int host_stream_read(struct bp_dev *dev, struct bp_stream *stream, void *buf, size_t bytes);
int host_stream_size(struct bp_dev *dev, struct bp_stream *stream, uint32_t *ret_columns, uint32_t *ret_rows);
int host_stream_write(struct bp_dev *dev, struct bp_stream *stream, const void *buf, size_t bytes);
int host_virtio_offer(struct bp_dev *dev, uint64_t features, uint32_t queues);
int host_virtio_config_write(struct bp_dev *dev, uint32_t offset, const void *buf, uint32_t bytes);
int host_virtio_config_read(struct bp_dev *dev, uint32_t offset, void *buf, uint32_t bytes);
uint64_t host_chain_left(struct bp_chain *handle, uint32_t side);
size_t host_chain_read(struct bp_chain *handle, void *buf, size_t bytes);
size_t host_chain_write(struct bp_chain *handle, const void *buf, size_t bytes);
int host_chain_skip(struct bp_chain *handle, uint32_t side, uint64_t bytes);
int host_chain_take(struct bp_chain *handle, uint32_t side, uint64_t bytes, struct iovec *iov, uint32_t iov_max);
int host_chain_peek(struct bp_chain *handle, uint32_t side, uint64_t bytes, struct iovec *iov, uint32_t iov_max);
int host_chain_wrote(struct bp_chain *handle, uint64_t bytes);
void host_chain_complete(struct bp_chain *handle);
int host_io_open(struct bp_dev *dev, int fd, uint32_t engine, uint32_t depth, struct bp_io **ret);
int host_io_submit(struct bp_io *io, const struct bp_io_request *request);

/* cfg.c: the view that create gets, and its end. NULL without memory. */
const struct bp_cfg *device_cfg_open(struct device *device, const struct values *values);
void device_cfg_close(struct device *device);

#endif
