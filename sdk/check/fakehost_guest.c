/* SPDX-License-Identifier: BSD-3-Clause */
/* What is around a device of the fake host, played by the test: the guest, and the far side of
 * streams; see fakehost.h. */
#include "fakehost_impl.h"

#include <string.h>

/* ---- the guest ---- */

static uint64_t width_mask(uint32_t width)
{
	return width >= 8 ? UINT64_MAX : (UINT64_C(1) << (width * 8)) - 1;
}

static int guest_access(struct fakehost_dev *dev, struct bp_access *access, uint64_t *val)
{
	const struct fake_range *range = access->range < FAKE_RANGES_MAX ? &dev->ranges[access->range] : NULL;
	uint32_t width = access->width;
	struct fake_here before;
	uint64_t end;
	int r;

	if (dev->state != FAKE_RUNNING || dev->broken || !range || !range->used)
		return -EACCES;
	if ((width != 1 && width != 2 && width != 4 && width != 8) || !(range->range.widths & width))
		return -EACCES;
	if (__builtin_add_overflow(access->offset, width, &end) || end > range->range.length)
		return -EACCES;
	if ((access->offset & (width - 1)) && !(range->range.widths & BP_UNALIGNED))
		return -EACCES;
	before = fake_enter(dev, FAKE_DEV);
	r = dev->class_table.access(dev->self, access, val);
	fake_leave(before);
	if (r > 0)
		fake_breach(dev, "access returned %d", r);
	return r;
}

int fakehost_read(struct fakehost_dev *dev, uint32_t range, uint64_t offset, uint32_t width, uint64_t *ret)
{
	struct bp_access access = { .size = sizeof(access), .range = range, .offset = offset, .width = width };
	uint64_t val = 0;
	int r = guest_access(dev, &access, &val);

	*ret = (r < 0 ? UINT64_MAX : val) & width_mask(width);
	return r;
}

int fakehost_write(struct fakehost_dev *dev, uint32_t range, uint64_t offset, uint32_t width, uint64_t value)
{
	struct bp_access access = {
		.size = sizeof(access), .range = range, .offset = offset, .width = width, .write = 1
	};
	uint64_t val = value & width_mask(width);

	return guest_access(dev, &access, &val);
}

int fakehost_range_base(struct fakehost_dev *dev, uint32_t range, uint64_t *ret_base)
{
	return dev->host->table.range_base(&dev->dev, range, ret_base);
}

uint64_t fakehost_irqs(const struct fakehost_dev *dev, uint32_t irq)
{
	return irq < FAKE_IRQS_MAX ? dev->irqs[irq] : 0;
}

bool fakehost_is_broken(const struct fakehost_dev *dev)
{
	return dev->broken;
}

/* ---- the far side of streams ---- */

void fake_stream_tell(struct bp_stream *stream, uint32_t events)
{
	struct fake_here before;

	if (stream->dev->state == FAKE_QUIET)
		stream->owed |= events;
	if (stream->dev->state != FAKE_RUNNING || !stream->fn)
		return;
	before = fake_enter(stream->dev, FAKE_DEV);
	stream->fn(stream->arg, events);
	fake_leave(before);
}

struct bp_stream *fakehost_stream(struct fakehost_dev *dev, const char *name)
{
	for (size_t i = 0; i < dev->stream_count; i++)
		if (!strcmp(dev->streams[i]->name, name))
			return dev->streams[i];
	return NULL;
}

size_t fakehost_stream_put(struct bp_stream *stream, const void *bytes, size_t count)
{
	const uint8_t *from = bytes;
	bool was_empty = !stream->in_count;
	size_t taken = 0;

	for (; taken < count && stream->in_count < FAKEHOST_STREAM_IN_MAX; taken++)
		stream->in[(stream->in_head + stream->in_count++) % FAKEHOST_STREAM_IN_MAX] = from[taken];
	if (was_empty && taken)
		fake_stream_tell(stream, BP_STREAM_IN);
	return taken;
}

size_t fakehost_stream_left(const struct bp_stream *stream)
{
	return stream->in_count;
}

void fakehost_stream_room(struct bp_stream *stream, size_t bytes)
{
	stream->room = bytes;
	if (bytes && stream->owes_out) {
		stream->owes_out = false;
		fake_stream_tell(stream, BP_STREAM_OUT);
	}
}

void fakehost_stream_resize(struct bp_stream *stream, uint32_t columns, uint32_t rows)
{
	stream->columns = columns;
	stream->rows = rows;
	fake_stream_tell(stream, BP_STREAM_SIZE);
}

void fakehost_terminal(struct fakehost *host, uint32_t columns, uint32_t rows)
{
	host->columns = columns;
	host->rows = rows;
}

const uint8_t *fakehost_stream_output(const struct bp_stream *stream, size_t *ret)
{
	*ret = stream->out_count;
	return stream->out;
}

void fakehost_stream_clear(struct bp_stream *stream)
{
	stream->out_count = 0;
}

uint64_t fakehost_stream_calls(const struct bp_stream *stream)
{
	return stream->calls;
}
