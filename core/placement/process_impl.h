/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A plugin's process and the set of them, as the process*.c files share them; and what tests need to play such a
 * process themselves. Main thread where nothing else is said.
 *
 * What fails: whoever finds out, on whichever thread, notes it (process_fail()), which the first does, and wakes the
 * main thread. From then on nobody asks the process for anything. The rest happens on the main thread
 * (process_settle()): the line in the log, which has to wait until the spawner has told how the process has ended, and
 * telling the transport and the VM.
 */
#ifndef PLACEMENT_PROCESS_IMPL_H
#define PLACEMENT_PROCESS_IMPL_H

#include "core/base/log.h"
#include "core/placement/process.h"
#include "core/placement/vhost_frontend.h"
#include "core/placement/wire/wire.h"

#include <pthread.h>
#include <stdatomic.h>

/* How many messages, and bytes of its standard error, are looked at before others have their turn. */
#define PROCESS_TURN_MESSAGES 64
#define PROCESS_TURN_BYTES    16384
/* How long the end of a process that has closed its socket may take; and how long the word of a spawner that is there, on a busy host. */
#define PROCESS_GRACE_NS      NS_PER_S
#define PROCESS_WORD_NS       (10 * NS_PER_S)
#define PROCESS_LINE_MAX      512

/* Beside enum failure_cause: it has closed its socket, and the spawner has not told yet why. */
#define PROCESS_GONE          (-1)

enum process_phase {
	PROCESS_LOADING,
	PROCESS_LOADED,
	PROCESS_MADE,
	PROCESS_RUNNING,
	PROCESS_QUIET,
	PROCESS_STOPPED,
};

/* Something in the set's epoll. */
enum process_source_kind { SOURCE_CONTROL, SOURCE_PIDFD, SOURCE_STDERR, SOURCE_VHOST, SOURCE_KINDS };
struct process_source {
	struct process *process;
	enum process_source_kind kind;
	int fd; /* -1: not in the set */
};

struct process_claim {
	bool claimed;
	uint32_t space;
	uint64_t base;
};

/* Its failure, once there is one. */
struct process_failure {
	pthread_mutex_t lock;
	bool there;
	int cause;          /* enum failure_cause, PROCESS_GONE */
	int detail;         /* see enum failure_cause; -1: not known */
	const char *during; /* static */
	char why[160];      /* of FAILURE_PROTOCOL */
	uint64_t since_ns;
};

struct process {
	struct processes *set;
	struct process *next;
	uint64_t token;
	char *id;
	char *path; /* of the plugin, as it was given */
	char *name; /* its file's name without ".so" */
	uint64_t read_ns, request_ns;
	enum on_failure on_failure;
	enum process_phase phase;
	bool may_connect;  /* its start has been asked for */
	uint32_t sequence; /* of the last request or ping */
	uint32_t asked;    /* the request that is under way; 0: none */
	struct wire control;
	int pidfd;
	int access_fd;
	int vhost_fd; /* -1 once it is the frontend's */
	int stderr_fd;
	struct process_source sources[SOURCE_KINDS];
	struct plugin *plugin;

	/* The device. */
	const struct plugin_class *class;
	/* Owned, with their descriptors, which say that what they name is in use; but for those of values_let_go(). */
	struct values *values;
	struct placed_home home;
	uint64_t bases[CLASS_RANGES_MAX];
	struct process_claim claims[CLASS_RANGES_MAX]; /* by cookie */

	/* Register accesses: any thread, under the lock. */
	pthread_mutex_t access_lock;
	uint64_t access_sequence;

	/* Virtio. */
	struct vhost_frontend *frontend;
	struct virtio_backend inner; /* the frontend's */
	struct virtio_isr *isr;      /* a page of ours that the process has, too */

	/* Any thread. */
	_Atomic(const char *) doing; /* what a vCPU wants of it at the moment */
	atomic_bool failed;
	struct process_failure failure;

	struct spawn_ended ended;
	uint64_t ping_since_ns; /* 0: none is under way */
	uint64_t ping_next_ns;
	uint32_t ping_sequence;
	bool ping_sent;
	bool has_ended;
	bool told;     /* the line has been written */
	bool settled;  /* and everybody has been told */
	bool line_cut; /* the rest of the line is left out */
	struct log_limit log_limit, stderr_limit;
	size_t line_bytes;
	char line[PROCESS_LINE_MAX];
};

struct processes {
	struct spawner *spawner; /* NULL in tests that play the processes themselves */
	bool spawner_gone;
	uint64_t last_token;
	int epoll_fd, wake_fd, timer_fd;
	uint64_t timer_ns; /* what it is set to; 0: nothing */
	struct process *first;
};

/* ---- process_set.c ---- */

/* As processes_new(), with a spawner (owned on success) or with NULL. */
int processes_new_with(struct spawner *spawner, struct processes **ret, struct err *err);
/* Takes in what the spawner has to tell. */
void processes_hear(struct processes *set);
/* The same for one process that has ended. */
void processes_note_ended(struct processes *set, const struct spawn_ended *ended);
/* Sets the timer for the next ping or judgement. */
void processes_rearm(struct processes *set);
int process_watch(struct process *process, enum process_source_kind kind, int fd);
void process_unwatch(struct process *process, enum process_source_kind kind);

/* ---- process.c ---- */

/* The core's ends of a process. */
struct process_ends {
	int pidfd, control_fd, access_fd, vhost_fd, stderr_fd;
};

/* A struct process around `ends`, which it takes over on success, in the state before LOAD. */
int process_adopt(struct processes *set, const struct process_spec *spec, uint64_t token,
		  const struct process_ends *ends, struct process **ret, struct err *err);
/* The rest of process_new(). */
int process_load(struct process *process, struct err *err);

/* ---- process_request.c ---- */

struct process_request {
	uint32_t op;
	const void *body; /* as of wire_send() */
	const void *blob;
	size_t blob_bytes;
	const int *fds;
	size_t fd_count;
};

/* Asks, and waits for the answer, within request_ns. 0 with the reply in *ret, and what belongs to it in
 * process->control until the next message; the reply's result if that is < 0, with its text in *err; -ENODEV, once it
 * has failed, with the words of process_sentence(). */
int process_ask(struct process *process, const struct process_request *request, struct wire_message *ret,
		struct err *err);
/* The same for what has no body on either side. */
int process_ask_plain(struct process *process, uint32_t op, struct err *err);
/* Looks at no more than PROCESS_TURN_MESSAGES that have come without being waited for. */
void process_listen(struct process *process);
/* Sends a ping, judges the last one. */
void process_mind_ping(struct process *process, uint64_t now_ns);
/* "load", "create", ... */
const char *process_op_name(uint32_t op);
/* The same of the request that is under way; NULL for none. */
const char *process_during(const struct process *process);

/* ---- process_claim.c: what the process asks ---- */

void process_serve_claim(struct process *process, const struct wire_message *message);
void process_serve_release(struct process *process, const struct wire_message *message);
void process_release_all(struct process *process);

/* ---- process_connect.c ---- */

void process_serve_connect(struct process *process, const struct wire_connect *asked);

/* ---- process_output.c ---- */

void process_log_line(struct process *process, const struct wire_log *line);
/* Reads no more than PROCESS_TURN_BYTES of its standard error. */
void process_read_stderr(struct process *process);
/* What has come of a line without an end. */
void process_flush_stderr(struct process *process);

/* ---- process_failure.c ---- */

/* [any] Notes a failure; the first one counts. `during` is static; NULL: what a vCPU is doing, or nothing in
 * particular. `why` is copied. Kills the process unless the cause is PROCESS_GONE. */
void process_fail(struct process *process, int cause, const char *during, const char *why);
/* The same by what a call returned: -ETIMEDOUT; -ECONNRESET, -EPIPE; all else. */
void process_fail_of(struct process *process, int error, const char *during, const char *why);
static inline bool process_failed(const struct process *process)
{
	return atomic_load_explicit(&process->failed, memory_order_acquire);
}
/* Waits, no longer than PROCESS_WORD_NS, until it is known how a process that has gone has ended. */
void process_find_out(struct process *process);
/* "plugin \"x\": its process was killed by SIGSEGV while it was loaded"; finds out first. Returns -errno that fits. */
int process_sentence(struct process *process, struct err *err);
/* For a process that has failed: does what is left to do, once that is possible. When to look again, or 0. */
uint64_t process_settle(struct process *process, uint64_t now_ns);
/* The line in the log, unless it was told already or the failure was an error of a call. */
void process_tell(struct process *process);

/* ---- process_device.c, process_access.c, process_virtio.c ---- */

extern const struct placed_ops process_placed_ops;
int process_access(void *ctx, uint32_t cookie, uint64_t offset, uint32_t width, bool write, uint64_t *value);
/* The page with the interrupt status: its descriptor, which the caller closes, or -errno. */
int process_make_isr(struct process *process, struct err *err);
int process_join_frontend(struct process *process, const struct process_memory *memory,
			  const struct wire_created *created, struct err *err);
void process_free_virtio(struct process *process);
void process_backend(void *ctx, struct virtio_backend *ret);
void process_attach(void *ctx, const struct placed_notices *notices);

#endif
