/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * State: what a device writes when it is saved and reads when it is loaded. Since ABI 0.2.
 *
 * A state is a set of fields, each with a tag that the device chooses: never a raw struct, so that it means the same to every build
 * of the plugin. A tag stands once. A field whose tag has BP_TAG_OPTIONAL may be left unread by a plugin that does not know it; any
 * other field that load leaves unread makes the load fail, so that nothing is lost in silence. Host resources (files, streams, their
 * buffers) and what the host keeps for the device (queues, registers of the transport, ranges) are not the device's to save.
 */
#ifndef BACKPLANE_STATE_H
#define BACKPLANE_STATE_H

#include <backplane/host.h>

#define BP_TAG_OPTIONAL UINT32_C(0x80000000)

#define BP_STATE_MAX    (1u << 20) /* bytes of a device's state, all fields together */

/* Where save writes and load reads; valid until that callback returns. */
struct bp_writer {
	const struct bp_host *host;
};
struct bp_reader {
	const struct bp_host *host;
};

/* [dev] In save: a number. -EEXIST if the tag stands already, -ENOSPC beyond BP_STATE_MAX. An error is remembered, and makes the save
 * fail: the result need not be looked at. */
static inline int bp_put_uint(struct bp_writer *writer, uint32_t tag, uint64_t value)
{
	return BP_HOST_CALL(writer, put_uint, -ENOSYS, writer, tag, value);
}

/* [dev] In save: `count` bytes, 0 is fine. Errors as with bp_put_uint(). */
static inline int bp_put_bytes(struct bp_writer *writer, uint32_t tag, const void *bytes, size_t count)
{
	return BP_HOST_CALL(writer, put_bytes, -ENOSYS, writer, tag, bytes, count);
}

/* [dev] In load: a number. -ENOENT if there is no such field, -EINVAL if it is not a number; *ret is left alone then. */
static inline int bp_get_uint(struct bp_reader *reader, uint32_t tag, uint64_t *ret)
{
	return BP_HOST_CALL(reader, get_uint, -ENOSYS, reader, tag, ret);
}

/* [dev] In load: the field's bytes, at most `cap` of them. How many, -ENOENT if there is no such field, -EINVAL if it is a number,
 * -EMSGSIZE if there are more than `cap`; nothing is written then. */
static inline int bp_get_bytes(struct bp_reader *reader, uint32_t tag, void *buf, size_t cap)
{
	return BP_HOST_CALL(reader, get_bytes, -ENOSYS, reader, tag, buf, cap);
}

/* [dev] In load: a number that must be there and lie in [0, max]. 0, -ENOENT, -EINVAL, -ERANGE; *ret is left alone then. */
static inline int bp_get_uint_max(struct bp_reader *reader, uint32_t tag, uint64_t max, uint64_t *ret)
{
	uint64_t value;
	int r = bp_get_uint(reader, tag, &value);

	if (r < 0)
		return r;
	if (value > max)
		return -ERANGE;
	*ret = value;
	return 0;
}

#endif
