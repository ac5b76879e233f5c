/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of the fake host share; see fakehost.h. */
#ifndef CHECK_FAKEHOST_IMPL_H
#define CHECK_FAKEHOST_IMPL_H

#include "fakehost.h"

#include <pthread.h>
#include <sys/uio.h>

#define FAKE_RANGES_MAX  16
#define FAKE_IRQS_MAX    16
#define FAKE_TIMERS_MAX  64
#define FAKE_FDS_MAX     4096
#define FAKE_PINS_MAX    64
#define FAKE_STREAMS_MAX 16
#define FAKE_FILES_MAX   64
#define FAKE_PAIRS_MAX   256
#define FAKE_METRICS_MAX 64
#define FAKE_JOBS_MAX    64 /* at a time */
#define FAKE_CONNECT_MAX 64 /* that have not been told */
#define FAKE_NAME_MAX    128
#define FAKE_DEPTH_MAX   4 /* groups in groups */
#define FAKE_IOS_MAX     8
#define FAKE_NETS_MAX    16

/* Where a thread is in a device's code; a mask for tag checks. */
#define FAKE_VALIDATE    (1u << 0)
#define FAKE_CREATE      (1u << 1)
#define FAKE_MAIN        (1u << 2) /* start, stop, destroy */
#define FAKE_DEV         (1u << 3)
#define FAKE_WORK        (1u << 4) /* the blocking part of a job */
#define FAKE_ANY_MAIN    (FAKE_VALIDATE | FAKE_CREATE | FAKE_MAIN)

/* state: entered by */
enum fake_state {
	FAKE_NEW,     /* fakehost_create */
	FAKE_CREATED, /* create == 0 */
	FAKE_RUNNING, /* start == 0, fakehost_resume */
	FAKE_QUIET,   /* fakehost_quiesce */
	FAKE_STOPPED, /* fakehost_stop */
};

struct fake_line {
	struct fake_line *next;
	uint32_t level;
	char text[BP_TEXT_MAX + FAKE_NAME_MAX];
};

struct fakehost {
	struct bp_host table; /* what the plugin sees */
	pthread_mutex_t lock; /* log, interrupts, memory: what [any] functions touch */
	uint8_t *ram;
	size_t ram_bytes;
	uint64_t now_ns;
	uint64_t real_ns;   /* what BP_CLOCK_REAL is ahead of now_ns; wraps */
	uint64_t start_ns;  /* the same of BP_CLOCK_START */
	uint64_t next_base; /* MMIO that is chosen */
	uint32_t vcpus;
	uint32_t columns; /* of the terminal of new streams; 0: none */
	uint32_t rows;
	uint32_t breaches;
	struct fake_line *lines;      /* oldest first */
	struct fakehost_dev *devices; /* in order of creation */
	struct fakehost_dev *lender;  /* whose files the devices get, as duplicates; NULL: they open their own */
};

struct fake_range {
	bool used;
	struct bp_range range;
	uint64_t base;
};

struct fake_timer {
	bool used;
	uint64_t deadline_ns; /* 0: disarmed */
	bp_timer_fn *fn;
	void *arg;
};

struct fake_fd {
	bool used;
	int fd;
	uint32_t events;
	bp_fd_fn *fn;
	void *arg;
};

struct fake_pin {
	void *slice; /* NULL: free */
	size_t bytes;
};

/* A file that a FILE parameter has opened, or a SOCKET one has made. */
struct fake_file {
	char name[FAKE_NAME_MAX];
	uint32_t index;
	int fd;
	char *made; /* a path to be removed, or NULL; malloc'ed */
};

/* What a NETWORK parameter has got. */
struct fake_network {
	char name[FAKE_NAME_MAX];
	uint32_t index;
	struct bp_network near;
	int far[BP_NETWORK_FDS_MAX]; /* -1: there is none */
	char *made;                  /* as of a file */
};

struct bp_stream {
	struct fakehost_dev *dev;
	char name[FAKE_NAME_MAX];
	bp_stream_fn *fn;
	void *arg;
	uint8_t *in;
	size_t in_head;
	size_t in_count;
	uint8_t *out;
	size_t out_count;
	size_t out_capacity;
	size_t room;
	bool owes_out;    /* a write was short: BP_STREAM_OUT is due when there is room */
	uint32_t owed;    /* events for a device that is quiet */
	uint32_t columns; /* 0: no terminal */
	uint32_t rows;
	uint64_t calls;
};

struct fake_event {
	uint32_t event;
	uint64_t value;
};

struct fake_metric {
	char name[32];
	uint64_t slot;
};

struct fake_job {
	struct fake_job *next; /* younger */
	bool begun;            /* and worked: `result` stands */
	int result;
	bp_job_fn *fn;
	bp_job_done_fn *done;
	void *arg;
};

/* What bp_connect() has been asked for and the device has not been told. Answers come in the same order. */
struct fake_connect {
	struct fake_connect *next; /* younger */
	const char *name;          /* borrowed from the class */
	uint32_t index;
	uint32_t number;
	bool answered; /* `fd` stands, and is the host's until it is told */
	int fd;        /* or -errno */
	bp_connect_fn *done;
	void *arg;
};

/* Where a device saves to or loads from; `on` while it does. */
struct fake_writer {
	struct bp_writer writer; /* what the plugin sees */
	bool on;
	int error; /* the first */
	struct fakehost_bytes bytes;
	size_t payload; /* bytes of all fields */
};

struct fake_reader {
	struct bp_reader reader; /* what the plugin sees */
	bool on;
	const struct fakehost_bytes *bytes;
	uint8_t *read; /* one a field: whether it has been read */
};

/* One side of a chain behind its cursor: pieces [at, end) without the first `offset` bytes. */
struct fake_side {
	uint32_t at, end;
	size_t offset;
	uint64_t left;
};

/* state: entered by */
enum fake_chain_state {
	FAKE_CHAIN_BUSY, /* fakehost_chain */
	FAKE_CHAIN_VOID, /* a reset; nobody has completed it */
	FAKE_CHAIN_DONE, /* bp_chain_complete */
};

struct fakehost_chain {
	struct bp_chain chain; /* what the plugin sees */
	struct fakehost_dev *dev;
	struct fakehost_chain *next; /* of the same device, younger */
	enum fake_chain_state state;
	uint32_t order; /* of its completion, as the guest sees it; 0: it does not */
	uint32_t iov_count;
	struct iovec *iov; /* what the device reads, then what it writes; each piece malloc'ed */
	uint32_t writable; /* the first of these */
	struct fake_side read, write;
	uint64_t write_bytes;
	uint64_t write_limit; /* bytes of the write side that count as written, at most */
	struct bp_op op;
};

/* The virtio side of a device. */
struct fake_virtio {
	struct bp_virtio_class class_table; /* copied; id 0: it has none */
	uint64_t features;                  /* offered */
	uint32_t queues;
	bool active;
	uint32_t queues_used;                /* by the driver */
	uint32_t left[BP_VIRTIO_QUEUES_MAX]; /* chains that the device has */
	uint32_t done;                       /* how many the guest has got back */
	bool changed;                        /* config space, in this callback */
	uint32_t notices;
	uint8_t config[BP_VIRTIO_CONFIG_MAX];
	struct fakehost_chain *chains; /* oldest first */
	struct fakehost_chain **chains_end;
};

struct bp_io {
	struct fakehost_dev *dev;
	int fd;
	bool is_block;
	uint32_t depth;
	uint32_t count; /* under way */
};

/* An operation that waits for the test. */
struct fake_op {
	struct fake_op *next; /* younger, of any engine of the device */
	struct bp_io *io;
	struct bp_io_request request; /* without `iov` */
	struct fakehost_chain *chain; /* whose write side is being filled, or NULL */
	uint64_t chain_start;
	uint32_t iov_count;
	struct iovec *iov;
};

/* The io of a device. */
struct fake_ios {
	size_t count;
	struct bp_io *ios[FAKE_IOS_MAX];
	struct fake_op *ops; /* oldest first */
	int fail;            /* how the next one ends, or 0 */
	uint64_t cut;        /* of the next READ or WRITE; UINT64_MAX: none */
};

/* The values of a device or of a group of it. */
struct fake_cfg {
	struct bp_cfg cfg; /* what the plugin sees */
	struct fakehost_dev *dev;
	const struct bp_param *table;
	uint32_t stride;
	uint32_t count;
	char prefix[FAKE_NAME_MAX]; /* "" or "group." */
	struct fake_cfg *next;      /* of the same device */
};

struct fakehost_dev {
	struct bp_dev dev; /* what the plugin sees */
	struct fakehost *host;
	struct fakehost_dev *next;
	struct bp_device_class class_table; /* copied */
	char id[FAKE_NAME_MAX];
	enum fake_state state;
	bool broken;
	void *self;
	size_t pair_count;
	struct fakehost_pair pairs[FAKE_PAIRS_MAX]; /* owned copies */
	struct fake_cfg *cfgs;                      /* the device's first */
	uint64_t irqs[FAKE_IRQS_MAX];
	struct fake_range ranges[FAKE_RANGES_MAX];
	struct fake_timer timers[FAKE_TIMERS_MAX];
	size_t fd_count; /* that were in use at a time */
	size_t fd_capacity;
	struct fake_fd *fds;
	struct fake_pin pins[FAKE_PINS_MAX];
	size_t stream_count;
	struct bp_stream *streams[FAKE_STREAMS_MAX];
	size_t file_count;
	struct fake_file files[FAKE_FILES_MAX];
	size_t network_count;
	struct fake_network networks[FAKE_NETS_MAX];
	size_t event_count;
	struct fake_event *events;
	size_t metric_count;
	struct fake_metric metrics[FAKE_METRICS_MAX];
	struct fake_job *jobs; /* oldest first */
	struct fake_connect *connects;
	struct fake_writer writer;
	struct fake_reader reader;
	struct fake_virtio virtio;
	struct fake_ios io;
};

/* What the calling thread is executing. */
struct fake_here {
	struct fakehost_dev *dev;
	uint32_t where; /* one of FAKE_*; 0 outside */
};
extern _Thread_local struct fake_here fake_here;

/* Enters and leaves a device's code; calls nest. */
struct fake_here fake_enter(struct fakehost_dev *dev, uint32_t where);
void fake_leave(struct fake_here before);

/* A line in the log, cut at its size. `dev` may be NULL. */
void fake_log(struct fakehost *host, struct fakehost_dev *dev, uint32_t level, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
#define fake_breach(dev, ...) fake_log((dev)->host, (dev), FAKEHOST_BREACH, __VA_ARGS__)

/* The functions of struct bp_host. */
void fake_host_fill(struct bp_host *table);
void fake_cfg_fill(struct bp_host *table);
void fake_machine_fill(struct bp_host *table);
void fake_state_fill(struct bp_host *table);
void fake_virtio_fill(struct bp_host *table);
void fake_io_fill(struct bp_host *table);
void fake_connect_fill(struct bp_host *table);

static inline struct fakehost_dev *fake_dev(struct bp_dev *dev)
{
	return (struct fakehost_dev *)dev;
}

/* 0, or -EDEADLK if the calling thread is not inside `dev` at one of the places in `allowed`. */
int fake_tag(struct fakehost_dev *dev, uint32_t allowed, const char *function);

/* Claims, without a tag check. */
int fake_claim(struct fakehost_dev *dev, const struct bp_range *range, uint64_t base, uint32_t *ret);

/* Copies the class's virtio table. -EINVAL for one that cannot be, a breach. */
int fake_virtio_new(struct fakehost_dev *dev);
void fake_virtio_free(struct fakehost_dev *dev);
/* A callback of the device is over: tells the guest what it has to know. */
void fake_virtio_settle(struct fakehost_dev *dev);
/* The two halves of a reset, before and after the plugin's: the driver is gone; its chains are. */
void fake_virtio_deactivate(struct fakehost_dev *dev);
void fake_virtio_void(struct fakehost_dev *dev);

/* Whether there is such a part of configuration space. */
bool fake_config_ok(const struct fakehost_dev *dev, uint32_t offset, uint32_t bytes);

/* As bp_chain_take(), without a tag check; the chain is checked. Where the write side's cursor was, in *ret_start. */
int fake_chain_take(struct fakehost_chain *chain, uint32_t side, uint64_t bytes, struct iovec *iov, uint32_t iov_max,
		    uint64_t *ret_start);
/* Of what was taken from byte `start` of the write side on, only `bytes` have been written. */
void fake_chain_wrote_only(struct fakehost_chain *chain, uint64_t start, uint64_t bytes);

/* Carries out all operations: told of, until none is left; or not. */
void fake_io_finish(struct fakehost_dev *dev);
void fake_io_end(struct fakehost_dev *dev);
void fake_io_free(struct fakehost_dev *dev);

/* The tag of field `index` of a state; false beyond the last. */
bool fake_state_tag(const struct fakehost_bytes *state, size_t index, uint32_t *ret);

/* Drops all jobs without telling of them. */
void fake_jobs_drop(struct fakehost_dev *dev);

/* Tells a device that runs of connections that have an answer; drops all, and closes what nobody has been told of. */
void fake_connects_tell(struct fakehost_dev *dev);
void fake_connects_drop(struct fakehost_dev *dev);

/* Tells the device of events of its stream, if it runs and listens; later if it is quiet. */
void fake_stream_tell(struct bp_stream *stream, uint32_t events);

/* Text to a number of any type; INT as two's complement. Other types have none, and any text. False for what it cannot be. */
bool fake_parse(const struct bp_param *param, const char *text, uint64_t *ret);
bool fake_in_bounds(const struct bp_param *param, uint64_t number);

/* Checks the device's pairs against its table and makes its first fake_cfg. -EINVAL, logged. */
int fake_cfg_new(struct fakehost_dev *dev, const struct fakehost_pair *values);
void fake_cfg_free(struct fakehost_dev *dev);

/* The text of a value of the device's own table, or NULL if it is absent; its parameter in *ret, if there is one of the name. */
const char *fake_cfg_text(const struct fakehost_dev *dev, const char *name, uint32_t index, struct bp_param *ret);

/* The value of a parameter of the device, or `otherwise` if it is absent. */
uint64_t fake_cfg_number(struct fakehost_dev *dev, const char *name, uint64_t otherwise);

/* A Unix socket that listens at `path`, which is noted in *ret_made. The fd, or -errno. */
int fake_listen(const char *path, char **ret_made);

/* Value `index` of NETWORK parameter `name`, which says `text`, with `pairs` queue pairs. 0 or -errno. */
int fake_network_get(struct fakehost_dev *dev, const char *name, uint32_t index, const char *text, uint32_t pairs,
		     struct bp_network *ret);
void fake_networks_free(struct fakehost_dev *dev);

/* Whether a NETWORK can say `text`. */
bool fake_network_ok(const char *text);
/* Whether bp_connect() connects it. */
bool fake_network_connects(const char *text);

#endif
