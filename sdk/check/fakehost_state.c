/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Saving and loading on the fake host; see fakehost.h.
 *
 * The bytes are the version (4 bytes), and for each field, in the order in which the device wrote them: tag (4), kind (4), the number or
 * the count of bytes (8), and the bytes. Numbers are the host's own: such a state never leaves the program that made it.
 */
#include "fakehost_impl.h"

#include <stdlib.h>
#include <string.h>

#define VERSION_BYTES sizeof(uint32_t)
#define KIND_UINT     1u
#define KIND_BYTES    2u

struct field {
	uint32_t tag;
	uint32_t kind;
	uint64_t value; /* or the count of bytes that follow */
};
_Static_assert(sizeof(struct field) == 16, "it is written as it stands in memory");

/* ---- the form ---- */

/* The field at *at, which moves behind it; its bytes in *ret_bytes. False at the end, and where there is no field. */
static bool field_next(const struct fakehost_bytes *state, size_t *at, struct field *ret, const uint8_t **ret_bytes)
{
	size_t from = *at + sizeof(*ret);

	if (from > state->count)
		return false;
	memcpy(ret, state->data + *at, sizeof(*ret));
	*ret_bytes = state->data + from;
	if (ret->kind == KIND_BYTES) {
		if (ret->value > state->count - from)
			return false;
		from += (size_t)ret->value;
	} else if (ret->kind != KIND_UINT) {
		return false;
	}
	*at = from;
	return true;
}

static bool field_find(const struct fakehost_bytes *state, uint32_t tag, struct field *ret, const uint8_t **ret_bytes,
		       size_t *ret_index)
{
	size_t at = VERSION_BYTES;

	for (size_t index = 0; field_next(state, &at, ret, ret_bytes); index++) {
		if (ret->tag == tag) {
			*ret_index = index;
			return true;
		}
	}
	return false;
}

/* Whether it is a state as a whole, in which each tag stands once; how many fields it has. */
static bool state_ok(const struct fakehost_bytes *state, size_t *ret_fields)
{
	size_t at = VERSION_BYTES, fields = 0;
	struct field field, same;
	const uint8_t *bytes;
	size_t index;

	if (state->count < VERSION_BYTES)
		return false;
	while (field_next(state, &at, &field, &bytes)) {
		if (!field_find(state, field.tag, &same, &bytes, &index) || index != fields)
			return false;
		fields++;
	}
	*ret_fields = fields;
	return at == state->count;
}

bool fake_state_tag(const struct fakehost_bytes *state, size_t index, uint32_t *ret)
{
	size_t at = VERSION_BYTES;
	const uint8_t *bytes;
	struct field field;

	while (field_next(state, &at, &field, &bytes)) {
		if (!index--) {
			*ret = field.tag;
			return true;
		}
	}
	return false;
}

static int append(struct fakehost_bytes *state, const void *bytes, size_t count)
{
	uint8_t *data = realloc(state->data, state->count + count + 1);

	if (!data)
		return -ENOMEM;
	if (bytes && count)
		memcpy(data + state->count, bytes, count);
	state->data = data;
	state->count += count;
	return 0;
}

static int append_field(struct fakehost_bytes *state, const struct field *field, const void *bytes)
{
	int r = append(state, field, sizeof(*field));

	return r < 0 || field->kind == KIND_UINT ? r : append(state, bytes, (size_t)field->value);
}

void fakehost_bytes_free(struct fakehost_bytes *state)
{
	free(state->data);
	*state = (struct fakehost_bytes){ 0 };
}

int fakehost_bytes_drop(struct fakehost_bytes *state, uint32_t tag)
{
	size_t at = VERSION_BYTES, from = at;
	struct field field;
	const uint8_t *bytes;

	while (field_next(state, &at, &field, &bytes)) {
		if (field.tag == tag) {
			memmove(state->data + from, state->data + at, state->count - at);
			state->count -= at - from;
			return 0;
		}
		from = at;
	}
	return -ENOENT;
}

int fakehost_bytes_uint(struct fakehost_bytes *state, uint32_t tag, uint64_t value)
{
	fakehost_bytes_drop(state, tag);
	return append_field(state, &(struct field){ tag, KIND_UINT, value }, NULL);
}

int fakehost_bytes_set(struct fakehost_bytes *state, uint32_t tag, const void *bytes, size_t count)
{
	fakehost_bytes_drop(state, tag);
	return append_field(state, &(struct field){ tag, KIND_BYTES, count }, bytes);
}

/* ---- the functions of struct bp_host ---- */

static struct fakehost_dev *writer_dev(struct bp_writer *writer)
{
	return (struct fakehost_dev *)((char *)writer - offsetof(struct fakehost_dev, writer.writer));
}

static struct fakehost_dev *reader_dev(struct bp_reader *reader)
{
	return (struct fakehost_dev *)((char *)reader - offsetof(struct fakehost_dev, reader.reader));
}

static int put(struct bp_writer *writer, const struct field *field, const void *bytes)
{
	struct fakehost_dev *dev = writer_dev(writer);
	struct fake_writer *own = &dev->writer;
	int r = fake_tag(dev, FAKE_DEV, "bp_put");
	size_t payload = field->kind == KIND_BYTES ? (size_t)field->value : sizeof(field->value);
	const uint8_t *there;
	struct field same;
	size_t index;

	if (!r && !own->on) {
		fake_breach(dev, "bp_put called outside of save");
		return -EDEADLK;
	}
	if (!r && field_find(&own->bytes, field->tag, &same, &there, &index)) {
		fake_breach(dev, "tag 0x%x is written twice", field->tag);
		r = -EEXIST;
	}
	if (!r && payload > BP_STATE_MAX - own->payload)
		r = -ENOSPC;
	if (!r)
		r = append_field(&own->bytes, field, bytes);
	if (r < 0) {
		own->error = own->error ? own->error : r;
		return r;
	}
	own->payload += payload;
	return 0;
}

static int host_put_uint(struct bp_writer *writer, uint32_t tag, uint64_t value)
{
	return put(writer, &(struct field){ tag, KIND_UINT, value }, NULL);
}

static int host_put_bytes(struct bp_writer *writer, uint32_t tag, const void *bytes, size_t count)
{
	return put(writer, &(struct field){ tag, KIND_BYTES, count }, bytes);
}

/* The field, which counts as read if it is of that kind and has at most `cap` bytes. */
static int get(struct bp_reader *reader, uint32_t tag, uint32_t kind, size_t cap, struct field *ret,
	       const uint8_t **ret_bytes)
{
	struct fakehost_dev *dev = reader_dev(reader);
	struct fake_reader *own = &dev->reader;
	int r = fake_tag(dev, FAKE_DEV, "bp_get");
	size_t index;

	if (!r && !own->on) {
		fake_breach(dev, "bp_get called outside of load");
		r = -EDEADLK;
	}
	if (r)
		return r;
	if (!field_find(own->bytes, tag, ret, ret_bytes, &index))
		return -ENOENT;
	if (ret->kind != kind)
		return -EINVAL;
	if (kind == KIND_BYTES && ret->value > cap)
		return -EMSGSIZE;
	own->read[index] = 1;
	return 0;
}

static int host_get_uint(struct bp_reader *reader, uint32_t tag, uint64_t *ret)
{
	const uint8_t *bytes = NULL;
	struct field field = { 0 };
	int r = get(reader, tag, KIND_UINT, 0, &field, &bytes);

	if (r < 0)
		return r;
	*ret = field.value;
	return 0;
}

static int host_get_bytes(struct bp_reader *reader, uint32_t tag, void *buf, size_t cap)
{
	const uint8_t *bytes = NULL;
	struct field field = { 0 };
	int r = get(reader, tag, KIND_BYTES, cap, &field, &bytes);

	if (r < 0)
		return r;
	if (field.value)
		memcpy(buf, bytes, (size_t)field.value);
	return (int)field.value;
}

void fake_state_fill(struct bp_host *table)
{
	table->put_uint = host_put_uint;
	table->put_bytes = host_put_bytes;
	table->get_uint = host_get_uint;
	table->get_bytes = host_get_bytes;
}

/* ---- what the test calls ---- */

int fakehost_quiesce(struct fakehost_dev *dev)
{
	if (dev->state != FAKE_RUNNING)
		return -EINVAL;
	if (dev->class_table.quiesce) {
		struct fake_here before = fake_enter(dev, FAKE_DEV);

		dev->class_table.quiesce(dev->self);
		fake_leave(before);
	}
	/* Each may lead to some of the other. */
	do {
		fakehost_jobs(dev);
		fake_io_finish(dev);
	} while (dev->jobs || dev->io.ops);
	dev->state = FAKE_QUIET;
	return 0;
}

int fakehost_resume(struct fakehost_dev *dev)
{
	if (dev->state != FAKE_QUIET)
		return -EINVAL;
	dev->state = FAKE_RUNNING;
	if (dev->class_table.resume) {
		struct fake_here before = fake_enter(dev, FAKE_DEV);

		dev->class_table.resume(dev->self);
		fake_leave(before);
	}
	fake_connects_tell(dev);
	for (size_t i = 0; i < dev->stream_count; i++) {
		uint32_t owed = dev->streams[i]->owed;

		dev->streams[i]->owed = 0;
		if (owed)
			fake_stream_tell(dev->streams[i], owed);
	}
	return 0;
}

int fakehost_save(struct fakehost_dev *dev, struct fakehost_bytes *ret)
{
	struct fake_writer *writer = &dev->writer;
	struct fake_here before;
	int r;

	if (dev->state != FAKE_QUIET)
		return -EINVAL;
	if (!dev->class_table.save)
		return -ENOTSUP;
	*writer = (struct fake_writer){ .writer.host = &dev->host->table };
	r = append(&writer->bytes, &dev->class_table.state_version, VERSION_BYTES);
	if (r < 0)
		return r;
	writer->on = true;
	before = fake_enter(dev, FAKE_DEV);
	r = dev->class_table.save(dev->self, &writer->writer);
	fake_leave(before);
	writer->on = false;
	if (r > 0)
		fake_breach(dev, "save returned %d", r);
	r = r ? r : writer->error;
	if (r) {
		fakehost_bytes_free(&writer->bytes);
		return r < 0 ? r : -EINVAL;
	}
	*ret = writer->bytes;
	writer->bytes = (struct fakehost_bytes){ 0 };
	return 0;
}

/* Tells of fields that nobody has read. */
static int check_unread(struct fakehost_dev *dev, const struct fakehost_bytes *state, const uint8_t *read)
{
	size_t at = VERSION_BYTES;
	const uint8_t *bytes;
	struct field field;
	int r = 0;

	for (size_t i = 0; field_next(state, &at, &field, &bytes); i++) {
		if (read[i] || (field.tag & BP_TAG_OPTIONAL))
			continue;
		fake_log(dev->host, dev, BP_LOG_ERROR, "load has not read tag 0x%x", field.tag);
		r = -EBADMSG;
	}
	return r;
}

int fakehost_restore(struct fakehost_dev *dev, const struct fakehost_bytes *state)
{
	struct fake_reader *reader = &dev->reader;
	struct fake_here before;
	uint32_t version;
	size_t fields;
	int r;

	if (dev->state != FAKE_QUIET || !state_ok(state, &fields))
		return -EINVAL;
	memcpy(&version, state->data, VERSION_BYTES);
	if (!dev->class_table.load || version > dev->class_table.state_version)
		return -ENOTSUP;
	*reader = (struct fake_reader){ .reader.host = &dev->host->table, .bytes = state };
	reader->read = calloc(fields + 1, 1);
	if (!reader->read)
		return -ENOMEM;
	fakehost_reset(dev);
	reader->on = true;
	before = fake_enter(dev, FAKE_DEV);
	r = dev->class_table.load(dev->self, &reader->reader, version);
	fake_leave(before);
	reader->on = false;
	if (r > 0) {
		fake_breach(dev, "load returned %d", r);
		r = -EINVAL;
	}
	if (!r)
		r = check_unread(dev, state, reader->read);
	free(reader->read);
	reader->read = NULL;
	if (r < 0)
		fakehost_reset(dev);
	return r;
}
