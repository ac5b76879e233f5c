/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A host for tests of devices, without a virtual machine: it implements every function of struct
 * bp_host in one process, and the test plays the guest, the clock and the far side of streams. It
 * is deterministic: nothing happens unless the test makes it happen, and a device's callbacks run
 * inside the call that causes them.
 *
 *	struct fakehost *host;
 *	struct fakehost_dev *dev;
 *
 *	fakehost_new(1 << 20, &host);
 *	fakehost_create(host, &led_class, "led0", (struct fakehost_pair[]){ { "base", "0xd0000000" }, { NULL, NULL } }, &dev);
 *	fakehost_start(dev);
 *	fakehost_write(dev, 0, 0, 4, 1);
 *	assert(fakehost_breaches(host) == 0);
 *	fakehost_free(host);
 *
 * Whatever breaks the contract of <backplane/host.h> and <backplane/device.h> (a call from the
 * wrong place, an unknown parameter, something left behind) is a breach: it is counted, it stands
 * in the log, and the call fails as it would in the real host. One thread calls the functions
 * below; a device's own threads may call those of the host that are tagged [any].
 *
 * Unlike the real host, this one does not read the ELF note, has no rings of virtio devices, limits
 * no logging, and measures no time.
 */
#ifndef BACKPLANE_CHECK_FAKEHOST_H
#define BACKPLANE_CHECK_FAKEHOST_H

#include <backplane/plugin.h>

#include <stdbool.h>

BP_BEGIN_DECLS

struct fakehost;
struct fakehost_dev;
struct bp_stream; /* here: two buffers in memory */

/* What fakehost_log_line() says of a breach, besides BP_LOG_*. */
#define FAKEHOST_BREACH   100u

/* The clock stands here at first: a time of 0 would hide bugs. */
#define FAKEHOST_EPOCH_NS UINT64_C(1000000000)

/* And BP_CLOCK_REAL here: 2024-02-29 12:34:56 UTC. BP_CLOCK_START begins at 0. */
#define FAKEHOST_REAL_NS  UINT64_C(1709210096000000000)

/* One value, as text: numbers, sizes, durations and addresses as in the configuration file,
 * strings without quotation marks. A repeated parameter is given repeatedly; a member of a group
 * is "group.member", and one of a repeated group "group[0].member". Arrays end with a NULL name. */
struct fakehost_pair {
	const char *name;
	const char *value;
};

/* ---- the host ---- */

/* A host with `ram_bytes` of zeroed guest memory from address 0. 0 or -ENOMEM. */
int fakehost_new(size_t ram_bytes, struct fakehost **ret);

/* Stops and destroys what is still there. NULL is fine. */
void fakehost_free(struct fakehost *host);

/* Guest memory, for the test to read and write. Borrowed. */
uint8_t *fakehost_ram(struct fakehost *host);

/* Moves the clock forward; timers fire at their time and in order, equal ones by age. 0 fires
 * what is due now. */
void fakehost_advance(struct fakehost *host, uint64_t ns);
uint64_t fakehost_now(const struct fakehost *host);

/* What bp_clock() tells now. BP_CLOCK_REAL can be set to anything, BP_CLOCK_START and BP_CLOCK_MONOTONIC only forward; each goes on
 * from there with fakehost_advance(). Setting BP_CLOCK_MONOTONIC is fakehost_advance(). -EINVAL. */
uint64_t fakehost_clock(const struct fakehost *host, uint32_t clock);
int fakehost_clock_set(struct fakehost *host, uint32_t clock, uint64_t ns);

/* Looks once, without waiting, which registered fds are ready, and calls back. How many
 * callbacks, or -errno. As with the real host, a device has at most 4096 of them, if the test's
 * RLIMIT_NOFILE is that high. */
int fakehost_poll(struct fakehost *host);

/* How often the contract has been broken, by whomever. */
uint32_t fakehost_breaches(const struct fakehost *host);

/* How many lines of the log contain `text` ("" for all). */
uint32_t fakehost_log_count(const struct fakehost *host, const char *text);

/* Line `index` of the log, "led0: text"; its level in *ret_level unless NULL. NULL beyond the
 * last. Borrowed. */
const char *fakehost_log_line(const struct fakehost *host, uint32_t index, uint32_t *ret_level);

/* What bp_info() tells of a device's identity: for each id another number, the same in each run. */
uint64_t fakehost_identity(const struct fakehost_dev *dev);

/* What bp_info() tells of the number of vCPUs: 1 at first. A device that exists must not see it change. */
void fakehost_vcpus(struct fakehost *host, uint32_t vcpus);

/* ---- classes ---- */

/* Loads a plugin as the real host does (dlopen with RTLD_NOW, never unloaded). Borrowed, or
 * NULL: the reason is logged. */
const struct bp_plugin *fakehost_load(struct fakehost *host, const char *path);

/* A class of a plugin by name; NULL for the first. NULL if there is none. */
const struct bp_device_class *fakehost_class(const struct bp_plugin *plugin, const char *name);

/* ---- a device's life ---- */

/* Checks the values, calls validate and create. `id` names the device in the log. -EINVAL for
 * values that the table does not allow, -EEXIST for addresses that are taken, or what the device
 * says; the reason is logged. */
int fakehost_create(struct fakehost *host, const struct bp_device_class *class_table, const char *id,
		    const struct fakehost_pair *values, struct fakehost_dev **ret);

/* 0, or what the device says; -EINVAL in the wrong state. Streams that have input tell it
 * afterwards. */
int fakehost_start(struct fakehost_dev *dev);

/* As at a reset of the machine, or of a virtio device by its guest; brings back a device that is broken. Its io is carried out
 * and not told of, its chains are void, and its driver is gone. -EINVAL if it neither runs nor is quiet. */
int fakehost_reset(struct fakehost_dev *dev);

/* Jobs that the device has not been told of are dropped. -EINVAL if it neither runs nor is quiet. */
int fakehost_stop(struct fakehost_dev *dev);

/* Stops the device if it runs, and destroys it; `dev` is gone. */
void fakehost_destroy(struct fakehost_dev *dev);

/* What create returned. */
void *fakehost_state(struct fakehost_dev *dev);

/* ---- the guest ---- */

/*
 * One access, with the checks of the real bus: in the range as a whole, a width it takes, aligned.
 * -EACCES if the device has not been asked for one of these reasons or because it is broken or not
 * running; else what the device says, 0 or -errno. A read that fails gives all-ones in *ret; bits
 * above the width are cut.
 */
int fakehost_read(struct fakehost_dev *dev, uint32_t range, uint64_t offset, uint32_t width, uint64_t *ret);
int fakehost_write(struct fakehost_dev *dev, uint32_t range, uint64_t offset, uint32_t width, uint64_t value);

/* Where a range lies. -ENOENT. */
int fakehost_range_base(struct fakehost_dev *dev, uint32_t range, uint64_t *ret_base);

/* How often interrupt `irq` has been raised. */
uint64_t fakehost_irqs(const struct fakehost_dev *dev, uint32_t irq);

/* Whether the device has been declared broken by bp_broken() and not reset since. */
bool fakehost_is_broken(const struct fakehost_dev *dev);

/* ---- the driver of a virtio device ---- */

/* A buffer chain of the guest. Borrowed until its device is destroyed. */
struct fakehost_chain;

/* A piece of one: `bytes` that the device may read, which are copied, or, where it is NULL, as many that it may write. What the
 * device may read comes first. Arrays end with a count of 0. */
struct fakehost_piece {
	const void *bytes;
	size_t count;
};

/* The features that the device offers, without the host's own; 0 if it is no virtio device. How many queues, in *ret_queues unless NULL. */
uint64_t fakehost_virtio_offer(const struct fakehost_dev *dev, uint32_t *ret_queues);

/* The driver is ready, with some of these features and queues 0 to `queues` - 1. -EINVAL for others, and if the device does not run, is
 * broken, or has a driver already. */
int fakehost_activate(struct fakehost_dev *dev, uint64_t features, uint32_t queues);

/* Hands a chain to the device: classify, if it has that, and request. In *ret unless NULL. -EACCES without a driver or if the device
 * is broken or does not run, -ENOSPC if it has as many of this queue as that has entries, -EINVAL for pieces or a queue that cannot be. */
int fakehost_chain(struct fakehost_dev *dev, uint32_t queue, const struct fakehost_piece *pieces,
		   struct fakehost_chain **ret);

/* Where the chain stands among those that the device has completed: 1 for the first. 0 if it has not, or if the guest was not told,
 * since the device was reset or broken by then. */
uint32_t fakehost_chain_order(const struct fakehost_chain *chain);

/* How many bytes the guest is told were written: those from the first one on without a gap. */
uint64_t fakehost_chain_used(const struct fakehost_chain *chain);

/* Copies what is in the pieces that the device may write, from byte `offset` of them on; 0xa5 where nothing has been written.
 * How many bytes. */
size_t fakehost_chain_get(const struct fakehost_chain *chain, uint64_t offset, void *buf, size_t bytes);

/* What classify said: a BP_OP_*. */
uint32_t fakehost_chain_kind(const struct fakehost_chain *chain);

/* How many chains of a queue the device has, and how many it has completed since it was created. */
uint32_t fakehost_chains_left(const struct fakehost_dev *dev, uint32_t queue);
uint32_t fakehost_chains_done(const struct fakehost_dev *dev);

/* Configuration space, as the guest accesses it. -EINVAL outside of it, -EACCES for a write that the device does not get. */
int fakehost_config_read(const struct fakehost_dev *dev, uint32_t offset, void *buf, uint32_t bytes);
int fakehost_config_write(struct fakehost_dev *dev, uint32_t offset, const void *buf, uint32_t bytes);

/* How often a driver has been told that the device has changed it: once for each callback that did. */
uint32_t fakehost_config_notices(const struct fakehost_dev *dev);

/* ---- io: operations wait until the test has them carried out, on the real file ---- */

/* One that waits. */
struct fakehost_op {
	uint32_t op;    /* BP_IO_READ and so on */
	uint32_t flags; /* BP_IO_F_* */
	uint64_t offset;
	uint64_t bytes;
};

/* How many operations of a device wait, of all its engines. */
uint32_t fakehost_io_count(const struct fakehost_dev *dev);

/* Operation `index`, 0 for the oldest. -ENOENT. */
int fakehost_io_look(const struct fakehost_dev *dev, uint32_t index, struct fakehost_op *ret);

/* Carries up to `count` of them out, oldest first and those that follow from them too, and tells the device of each. How many. */
uint32_t fakehost_io_run(struct fakehost_dev *dev, uint32_t count);

/* The same for one of them: nothing says that they end in the order in which they began. -EINVAL if there is none, or the device does not run. */
int fakehost_io_run_at(struct fakehost_dev *dev, uint32_t index);

/* The next operation does nothing and ends with this -errno. */
void fakehost_io_fail(struct fakehost_dev *dev, int error);

/* The next READ or WRITE ends after `bytes`, as a read does at the end of a file. */
void fakehost_io_cut(struct fakehost_dev *dev, uint64_t bytes);

/* ---- events, metrics, jobs ---- */

/* How often the device has called bp_event() for `event` (a BP_EVENT_*; 0 for any). */
uint32_t fakehost_event_count(const struct fakehost_dev *dev, uint32_t event);

/* Event `index` in the order of the calls, its value in *ret_value unless NULL. 0 beyond the last. */
uint32_t fakehost_event(const struct fakehost_dev *dev, uint32_t index, uint64_t *ret_value);

/* What a metric says. -ENOENT. */
int fakehost_metric(const struct fakehost_dev *dev, const char *name, uint64_t *ret);

/* Jobs wait until the test runs them, one by one: the blocking part of the oldest, and then what follows on the device. Between the
 * two anything can happen to the device. -EINVAL: there is no job, it is in the other half, or the device does not run. */
int fakehost_job_work(struct fakehost_dev *dev);
int fakehost_job_done(struct fakehost_dev *dev);

/* Runs jobs as a whole until none is left. How many. */
uint32_t fakehost_jobs(struct fakehost_dev *dev);

/* ---- state ---- */

/* The device comes to rest, and jobs that it still has are run: no access, timer, fd or stream reaches it until fakehost_resume(), which tells of
 * what streams had to say meanwhile. -EINVAL in the wrong state. */
int fakehost_quiesce(struct fakehost_dev *dev);
int fakehost_resume(struct fakehost_dev *dev);

/* A saved state, in a form that is the kit's own. */
struct fakehost_bytes {
	uint8_t *data; /* malloc'ed */
	size_t count;
};

/* What the device writes, in *ret, which is the caller's to free. -EINVAL unless it is quiet, -ENOTSUP if it cannot be saved, or
 * what has gone wrong. */
int fakehost_save(struct fakehost_dev *dev, struct fakehost_bytes *ret);

/* Resets the device and has it take the state over. A field that is left unread and is not BP_TAG_OPTIONAL fails this with
 * -EBADMSG. After a failure the device has been reset. -EINVAL unless it is quiet, or for bytes that are no state, -ENOTSUP for a
 * newer version or a device that cannot be loaded. */
int fakehost_restore(struct fakehost_dev *dev, const struct fakehost_bytes *state);

/* Makes a state a hostile one: sets a field, which is replaced or added, or drops it (-ENOENT). */
int fakehost_bytes_uint(struct fakehost_bytes *state, uint32_t tag, uint64_t value);
int fakehost_bytes_set(struct fakehost_bytes *state, uint32_t tag, const void *bytes, size_t count);
int fakehost_bytes_drop(struct fakehost_bytes *state, uint32_t tag);
void fakehost_bytes_free(struct fakehost_bytes *state);

/*
 * The round trip that every device has to survive: a running device is saved twice, which must give the same; a second instance, on a
 * host of its own with the same memory and clocks, takes that over and saves the same; and each mandatory field that is missing, and
 * one that nobody knows, either fails or does no harm. The device goes on afterwards. 0, or -errno: the reason is in the log.
 */
int fakehost_check_state(struct fakehost_dev *dev);

/* ---- the far side of streams ---- */

#define FAKEHOST_STREAM_IN_MAX ((size_t)65536)

/* The stream of a parameter, or NULL if the device has not asked for it. Borrowed; valid until
 * destroy. */
struct bp_stream *fakehost_stream(struct fakehost_dev *dev, const char *name);

/* Input arrives. How many bytes found room. */
size_t fakehost_stream_put(struct bp_stream *stream, const void *bytes, size_t count);

/* Input that the device has not taken yet. */
size_t fakehost_stream_left(const struct bp_stream *stream);

/* From now on `bytes` more are accepted; SIZE_MAX, as at first, for any number. */
void fakehost_stream_room(struct bp_stream *stream, size_t bytes);

/* All output so far, and its size in *ret. Borrowed until the next output. */
const uint8_t *fakehost_stream_output(const struct bp_stream *stream, size_t *ret);

/* Forgets the output so far. */
void fakehost_stream_clear(struct bp_stream *stream);

/* The terminal on the far side has this size from now on, which the device is told. Without it there is no terminal. */
void fakehost_stream_resize(struct bp_stream *stream, uint32_t columns, uint32_t rows);

/* Streams that devices of this host get from now on have such a terminal from the beginning; 0 and 0: none, as at first. */
void fakehost_terminal(struct fakehost *host, uint32_t columns, uint32_t rows);

/* How often the device has called bp_stream_read() and bp_stream_write(). */
uint64_t fakehost_stream_calls(const struct bp_stream *stream);

/* ---- networks, sockets, connections ---- */

/*
 * The far end of a NETWORK parameter that the device has asked for, in place of what the configuration would name; the host keeps owning
 * it, non-blocking. Of a value "tap", "tap:NAME" or "fd:N": of queue pair `pair`, a SOCK_SEQPACKET socket, each message of which is one
 * frame behind its header (the ioctls of a tap fail with ENOTTY). Of "passt": a stream. Of "connect:PATH": nothing yet, it has to
 * be connected; "listen:PATH" makes a socket there, as does a SOCKET parameter with BP_P_LISTEN, and it is removed when the device
 * goes. -ENOENT for none.
 */
int fakehost_network(const struct fakehost_dev *dev, const char *name, uint32_t pair);

/* How many of those that bp_connect() has been asked for have no answer yet. A reset does not change that; a stop drops all. */
uint32_t fakehost_connects(const struct fakehost_dev *dev);

/* The oldest: what it is for. `*ret_name` is borrowed from the class. -ENOENT for none. */
int fakehost_connect_look(const struct fakehost_dev *dev, const char **ret_name, uint32_t *ret_index,
			  uint32_t *ret_number);

/* Answers the oldest: with `fd`, which is the device's then, or with -errno. A device that is quiet is told by fakehost_resume().
 * -ENOENT for none, -ESHUTDOWN after stop: the fd is the caller's still. */
int fakehost_connect_answer(struct fakehost_dev *dev, int fd);

BP_END_DECLS

#endif
