/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A stream as its two files share it: stream.c moves bytes, far.c sees far sides come and go. Everything [dev], under the
 * device's lock, but for making and freeing.
 *
 * A side is what is read, or what is written. With a far side that is fixed, a side that has ended stays so. Otherwise:
 *
 *   kind             there is somebody                         he is gone when
 *   STREAM_PTY       the slave is open (`present`)             its last opener closes it: HUP, EIO
 *   STREAM_LISTENER  a client was accepted: both sides exist   both sides have ended
 *
 * While nobody is there, output is accepted and dropped.
 */
#ifndef DEVICE_STREAM_H
#define DEVICE_STREAM_H

#include "core/device/internal.h"

#define STREAM_INPUT_BYTES  4096u
#define STREAM_OUTPUT_BYTES 65536u

struct side {
	int fd;     /* -1: absent, ended or failed */
	bool owned; /* it is a client's, and not of the values */
	bool socket;
	bool always_ready; /* epoll does not take it */
	bool parked;       /* out of the epoll set, which cannot be told to keep quiet about a hang-up */
	bool edge;         /* in the epoll set edge-triggered, which keeps quiet about one that lasts */
	bool may_block;    /* its open file description is not ours to make non-blocking */
	size_t safe_bytes; /* then: what fits for certain where poll() says that there is room */
};

struct bp_stream {
	struct device *device;
	enum stream_kind kind;
	struct side in;
	struct side out;
	int listen_fd; /* LISTENER; of the values. -1: there is none */
	int next_in;   /* LISTENER: input of the client, while that of the one before him is still read; -1: none */
	bool present;  /* PTY: the slave was open when we looked last */
	bool retry;    /* LISTENER: a client could not be accepted; the timer is armed */
	bool escape;   /* input is a terminal: the escape key ends the VM */
	bp_stream_fn *fn;
	void *arg;
	bool want_room; /* the device was told "no room" */
	bool gathering; /* output; the timer is armed */
	bool waiting;   /* for the far side to take more */
	bool announce;  /* input that no event of its descriptor will tell of; the timer is armed */
	uint32_t timer;
	size_t in_at, in_count;
	size_t out_at, out_count;
	uint8_t input[STREAM_INPUT_BYTES];
	uint8_t output[STREAM_OUTPUT_BYTES];
};

/* ---- stream.c ---- */

/* Gives a stream a side: the descriptor goes into the epoll set, or is marked as one that need not. One that cannot be waited
 * for is not kept. */
void side_open_in(struct bp_stream *stream, int fd, bool owned);
void side_open_out(struct bp_stream *stream, int fd, bool owned);
/* The side has ended. */
void side_end(struct device *device, struct side *side);

/* More input is waited for when somebody listens and all that came has been taken. */
void stream_input_watch(struct bp_stream *stream);

/* ---- far.c ---- */

/* [main] The sides of a stream that is new, by its kind. 0, or -errno. */
int far_init(struct bp_stream *stream, const struct value *value);
/* [main] What far_init() and clients have brought. */
void far_free(struct bp_stream *stream);

/* Reading has met the end, or an error. The side may have been replaced when this returns. */
void far_input_ended(struct bp_stream *stream);
/* Writing has met an error, or the far side has hung up. */
void far_output_ended(struct bp_stream *stream);

/* PTY: whether there is somebody who could read; asked before and after what the master did not take. */
bool far_present(struct bp_stream *stream);
/* The stream's timer has fired. */
void far_timer(struct bp_stream *stream);

#endif
