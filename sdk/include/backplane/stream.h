/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Streams: the far side of a console-like device, whatever it is: "terminal", "null" for nothing, "file:PATH", a
 * pseudo terminal ("pty", "pty:LINK"), or clients of a Unix socket ("unix:PATH").
 *
 * The host opens it, reads and writes it, and keeps two bounded buffers. No call blocks, and a far side that does not
 * read or floods grows nothing: input stays where it is until the device has taken the last of it, and output is accepted
 * as far as there is room. While nobody is there, on a pseudo terminal or a socket, output is accepted and dropped; whoever comes
 * next finds what is written from then on. The device is not told of this: a cable is plugged in or not.
 */
#ifndef BACKPLANE_STREAM_H
#define BACKPLANE_STREAM_H

#include <backplane/host.h>

#define BP_STREAM_IN   (1u << 0) /* input has come: bp_stream_read() gives some */
#define BP_STREAM_OUT  (1u << 1) /* there is room again, after a bp_stream_write() that took less than it was given */
#define BP_STREAM_SIZE (1u << 2) /* since 0.2: a terminal on the far side has another size: bp_stream_size() tells */

/* [main] Where events go, from start on. Told once per change: IN when bytes arrive while the buffer is empty, also for those
 * that came before start; OUT as described, also when the far side has gone and everything is accepted and dropped. */
static inline int bp_stream_listen(struct bp_dev *dev, struct bp_stream *stream, bp_stream_fn *fn, void *arg)
{
	return BP_HOST_CALL(dev, stream_listen, -ENOSYS, dev, stream, fn, arg);
}

/* [dev] Takes up to `bytes` of what has come in. How many: fewer than asked for says nothing, 0 says that IN will tell of more;
 * -errno only for a call that is wrong. */
static inline int bp_stream_read(struct bp_dev *dev, struct bp_stream *stream, void *buf, size_t bytes)
{
	return BP_HOST_CALL(dev, stream_read, -ENOSYS, dev, stream, buf, bytes);
}

/* [dev], and [main] in stop: hands over up to `bytes`, which leave within a millisecond or two. How many were accepted, 0 while there is no room; -errno only for a call that is wrong.
 * A stream whose far side has failed or was never there accepts everything and drops it. */
static inline int bp_stream_write(struct bp_dev *dev, struct bp_stream *stream, const void *buf, size_t bytes)
{
	return BP_HOST_CALL(dev, stream_write, -ENOSYS, dev, stream, buf, bytes);
}

/* [main] [dev] Since 0.2: the size of the terminal on the far side, in characters. -ENOTTY if it is none, or does not say. */
static inline int bp_stream_size(struct bp_dev *dev, struct bp_stream *stream, uint32_t *ret_columns,
				 uint32_t *ret_rows)
{
	return BP_HOST_CALL(dev, stream_size, -ENOSYS, dev, stream, ret_columns, ret_rows);
}

#endif
