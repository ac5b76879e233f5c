/* SPDX-License-Identifier: BSD-3-Clause */
/* The functions of struct bp_host, except those for parameters; see fakehost.h. Each checks its
 * thread tag first. */
#include "fakehost_impl.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int fake_tag(struct fakehost_dev *dev, uint32_t allowed, const char *function)
{
	static const char *const names[] = { "validate", "create", "start, stop or destroy", "a [dev] callback",
					     "a job" };

	if (fake_here.dev == dev && (fake_here.where & allowed))
		return 0;
	if (!fake_here.where)
		fake_breach(dev, "%s called from outside of the device", function);
	else if (fake_here.dev != dev)
		fake_breach(dev, "%s called from another instance, %s", function, fake_here.dev->id);
	else
		fake_breach(dev, "%s called from %s", function, names[__builtin_ctz(fake_here.where)]);
	return -EDEADLK;
}

static void host_log(struct bp_dev *dev, uint32_t level, const char *text)
{
	if (level > BP_LOG_DEBUG)
		fake_breach(fake_dev(dev), "log level %u", level);
	else
		fake_log(fake_dev(dev)->host, fake_dev(dev), level, "%s", text);
}

static int host_fail(struct bp_dev *dev, int error, const char *text)
{
	if (error >= 0)
		fake_breach(fake_dev(dev), "bp_fail with %d", error);
	fake_log(fake_dev(dev)->host, fake_dev(dev), BP_LOG_ERROR, "%s", text);
	return error;
}

static void host_broken(struct bp_dev *dev, const char *text)
{
	if (fake_tag(fake_dev(dev), FAKE_DEV, "bp_broken"))
		return;
	if (!fake_dev(dev)->broken)
		fake_log(fake_dev(dev)->host, fake_dev(dev), BP_LOG_WARN, "broken: %s", text);
	fake_dev(dev)->broken = true;
}

static uint64_t host_clock_ns(struct bp_dev *dev)
{
	return fake_dev(dev)->host->now_ns;
}

/* ---- addresses and interrupts ---- */

/* Whether [base, base + length) is free and lies in its space. */
static int range_check(struct fakehost *host, const struct bp_range *range, uint64_t base)
{
	uint64_t limit = range->space == BP_PIO ? UINT64_C(0x10000) : UINT64_MAX;
	uint64_t end;

	if (__builtin_add_overflow(base, range->length, &end) || end > limit)
		return -EINVAL;
	for (const struct fakehost_dev *dev = host->devices; dev; dev = dev->next) {
		for (size_t i = 0; i < FAKE_RANGES_MAX; i++) {
			const struct fake_range *other = &dev->ranges[i];

			if (other->used && other->range.space == range->space &&
			    base < other->base + other->range.length && other->base < end)
				return -EEXIST;
		}
	}
	return 0;
}

int fake_claim(struct fakehost_dev *dev, const struct bp_range *range, uint64_t base, uint32_t *ret)
{
	const uint32_t widths = BP_W8 | BP_W16 | BP_W32 | BP_W64;
	uint32_t index = 0;
	int r;

	if ((range->space != BP_MMIO && range->space != BP_PIO) || range->flags || !range->length ||
	    !(range->widths & widths) || (range->widths & ~(widths | BP_UNALIGNED)))
		return -EINVAL;
	if (base == BP_BASE_ANY) {
		uint64_t align = 4096;

		if (range->space != BP_MMIO || range->length > UINT64_C(1) << 30)
			return -EINVAL;
		while (align < range->length)
			align *= 2;
		base = (dev->host->next_base + align - 1) & ~(align - 1);
		dev->host->next_base = base + align;
	}
	r = range_check(dev->host, range, base);
	if (r < 0)
		return r;
	while (index < FAKE_RANGES_MAX && dev->ranges[index].used)
		index++;
	if (index == FAKE_RANGES_MAX)
		return -ENOSPC;
	dev->ranges[index] = (struct fake_range){ .used = true, .range = *range, .base = base };
	*ret = index;
	return 0;
}

static int host_claim(struct bp_dev *dev, const struct bp_range *range, uint64_t base, uint32_t *ret_range)
{
	int r = fake_tag(fake_dev(dev), FAKE_ANY_MAIN, "bp_claim");

	return r ? r : fake_claim(fake_dev(dev), range, base, ret_range);
}

static struct fake_range *range_find(struct bp_dev *dev, uint32_t range)
{
	struct fakehost_dev *own = fake_dev(dev);

	return range < FAKE_RANGES_MAX && own->ranges[range].used ? &own->ranges[range] : NULL;
}

static int host_release(struct bp_dev *dev, uint32_t range)
{
	int r = fake_tag(fake_dev(dev), FAKE_ANY_MAIN, "bp_release");
	struct fake_range *found = range_find(dev, range);

	if (r)
		return r;
	if (!found)
		return -ENOENT;
	found->used = false;
	return 0;
}

static int host_range_base(struct bp_dev *dev, uint32_t range, uint64_t *ret_base)
{
	struct fake_range *found = range_find(dev, range);

	if (!found)
		return -ENOENT;
	*ret_base = found->base;
	return 0;
}

static int host_irq_raise(struct bp_dev *dev, uint32_t irq)
{
	struct fakehost_dev *own = fake_dev(dev);

	if (irq >= own->class_table.irq_count)
		return -ENOENT;
	pthread_mutex_lock(&own->host->lock);
	own->irqs[irq]++;
	pthread_mutex_unlock(&own->host->lock);
	return 0;
}

/* ---- guest memory ---- */

static bool in_ram(const struct fakehost *host, uint64_t gpa, uint64_t bytes)
{
	uint64_t end;

	return !__builtin_add_overflow(gpa, bytes, &end) && end <= host->ram_bytes;
}

static int host_mem_read(struct bp_dev *dev, uint64_t gpa, void *buf, size_t bytes)
{
	struct fakehost *host = fake_dev(dev)->host;

	if (!in_ram(host, gpa, bytes))
		return -EFAULT;
	pthread_mutex_lock(&host->lock);
	memcpy(buf, host->ram + gpa, bytes);
	pthread_mutex_unlock(&host->lock);
	return 0;
}

static int host_mem_write(struct bp_dev *dev, uint64_t gpa, const void *buf, size_t bytes)
{
	struct fakehost *host = fake_dev(dev)->host;

	if (!in_ram(host, gpa, bytes))
		return -EFAULT;
	pthread_mutex_lock(&host->lock);
	memcpy(host->ram + gpa, buf, bytes);
	pthread_mutex_unlock(&host->lock);
	return 0;
}

static int host_mem_copy(struct bp_dev *dev, uint64_t dst_gpa, uint64_t src_gpa, uint64_t bytes)
{
	struct fakehost *host = fake_dev(dev)->host;

	if (!in_ram(host, dst_gpa, bytes) || !in_ram(host, src_gpa, bytes))
		return -EFAULT;
	pthread_mutex_lock(&host->lock);
	memmove(host->ram + dst_gpa, host->ram + src_gpa, bytes);
	pthread_mutex_unlock(&host->lock);
	return 0;
}

static int host_mem_slice(struct bp_dev *dev, uint64_t gpa, size_t bytes, uint32_t flags, void **ret)
{
	struct fakehost_dev *own = fake_dev(dev);
	int r = fake_tag(own, FAKE_DEV, "bp_mem_slice");
	size_t i = 0;

	if (r)
		return r;
	if (!(flags & (BP_SLICE_READ | BP_SLICE_WRITE)) || (flags & ~(BP_SLICE_READ | BP_SLICE_WRITE | BP_SLICE_PIN)))
		return -EINVAL;
	if (!in_ram(own->host, gpa, bytes))
		return -EFAULT;
	if (flags & BP_SLICE_PIN) {
		while (i < FAKE_PINS_MAX && own->pins[i].slice)
			i++;
		if (i == FAKE_PINS_MAX)
			return -ENOSPC;
		own->pins[i] = (struct fake_pin){ .slice = own->host->ram + gpa, .bytes = bytes };
	}
	*ret = own->host->ram + gpa;
	return 0;
}

static int host_mem_unpin(struct bp_dev *dev, void *slice, size_t bytes)
{
	struct fakehost_dev *own = fake_dev(dev);

	for (size_t i = 0; i < FAKE_PINS_MAX; i++) {
		if (own->pins[i].slice == slice && own->pins[i].bytes == bytes && slice) {
			own->pins[i].slice = NULL;
			return 0;
		}
	}
	return -EINVAL;
}

/* ---- the device's event loop ---- */

static struct fake_fd *fd_find(struct fakehost_dev *dev, int fd)
{
	for (size_t i = 0; i < dev->fd_count; i++)
		if (dev->fds[i].used && dev->fds[i].fd == fd)
			return &dev->fds[i];
	return NULL;
}

/* The first that is not used. NULL beyond FAKE_FDS_MAX, or without memory. */
static struct fake_fd *fd_take(struct fakehost_dev *dev)
{
	size_t i = 0;

	while (i < dev->fd_count && dev->fds[i].used)
		i++;
	if (i == FAKE_FDS_MAX)
		return NULL;
	if (i == dev->fd_capacity) {
		size_t capacity = i ? 2 * i : 16;
		struct fake_fd *fds = realloc(dev->fds, capacity * sizeof(*fds));

		if (!fds)
			return NULL;
		dev->fds = fds;
		dev->fd_capacity = capacity;
	}
	if (i == dev->fd_count)
		dev->fd_count++;
	return &dev->fds[i];
}

static int host_fd_add(struct bp_dev *dev, int fd, uint32_t events, bp_fd_fn *fn, void *arg)
{
	struct fakehost_dev *own = fake_dev(dev);
	int r = fake_tag(own, FAKE_ANY_MAIN | FAKE_DEV, "bp_fd_add");
	struct fake_fd *place;
	struct stat st;

	if (r)
		return r;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode))
		return -EPERM;
	if (fd_find(own, fd))
		return -EEXIST;
	place = fd_take(own);
	if (!place)
		return -ENOSPC;
	*place = (struct fake_fd){ .used = true, .fd = fd, .events = events, .fn = fn, .arg = arg };
	return 0;
}

static int host_fd_set(struct bp_dev *dev, int fd, uint32_t events)
{
	int r = fake_tag(fake_dev(dev), FAKE_ANY_MAIN | FAKE_DEV, "bp_fd_set");
	struct fake_fd *found = fd_find(fake_dev(dev), fd);

	if (r)
		return r;
	if (!found)
		return -ENOENT;
	found->events = events;
	return 0;
}

static int host_fd_del(struct bp_dev *dev, int fd)
{
	int r = fake_tag(fake_dev(dev), FAKE_ANY_MAIN | FAKE_DEV, "bp_fd_del");
	struct fake_fd *found = fd_find(fake_dev(dev), fd);

	if (r)
		return r;
	if (!found)
		return -ENOENT;
	found->used = false;
	return 0;
}

static int host_timer_add(struct bp_dev *dev, bp_timer_fn *fn, void *arg, uint32_t *ret_timer)
{
	struct fakehost_dev *own = fake_dev(dev);
	int r = fake_tag(own, FAKE_ANY_MAIN | FAKE_DEV, "bp_timer_add");
	uint32_t i = 0;

	if (r)
		return r;
	while (i < FAKE_TIMERS_MAX && own->timers[i].used)
		i++;
	if (i == FAKE_TIMERS_MAX)
		return -ENOSPC;
	own->timers[i] = (struct fake_timer){ .used = true, .fn = fn, .arg = arg };
	*ret_timer = i;
	return 0;
}

static struct fake_timer *timer_find(struct bp_dev *dev, uint32_t timer)
{
	struct fakehost_dev *own = fake_dev(dev);

	return timer < FAKE_TIMERS_MAX && own->timers[timer].used ? &own->timers[timer] : NULL;
}

static int host_timer_set(struct bp_dev *dev, uint32_t timer, uint64_t deadline_ns)
{
	int r = fake_tag(fake_dev(dev), FAKE_ANY_MAIN | FAKE_DEV, "bp_timer_set");
	struct fake_timer *found = timer_find(dev, timer);

	if (r)
		return r;
	if (!found)
		return -ENOENT;
	found->deadline_ns = deadline_ns;
	return 0;
}

static int host_timer_del(struct bp_dev *dev, uint32_t timer)
{
	int r = fake_tag(fake_dev(dev), FAKE_ANY_MAIN | FAKE_DEV, "bp_timer_del");
	struct fake_timer *found = timer_find(dev, timer);

	if (r)
		return r;
	if (!found)
		return -ENOENT;
	found->used = false;
	return 0;
}

/* ---- streams ---- */

static int host_stream_listen(struct bp_dev *dev, struct bp_stream *stream, bp_stream_fn *fn, void *arg)
{
	int r = fake_tag(fake_dev(dev), FAKE_ANY_MAIN, "bp_stream_listen");

	if (r)
		return r;
	stream->fn = fn;
	stream->arg = arg;
	return 0;
}

static int host_stream_read(struct bp_dev *dev, struct bp_stream *stream, void *buf, size_t bytes)
{
	int r = fake_tag(fake_dev(dev), FAKE_DEV, "bp_stream_read");
	uint8_t *to = buf;
	size_t taken = 0;

	if (r)
		return r;
	stream->calls++;
	for (; taken < bytes && stream->in_count; taken++, stream->in_count--) {
		to[taken] = stream->in[stream->in_head];
		stream->in_head = (stream->in_head + 1) % FAKEHOST_STREAM_IN_MAX;
	}
	return (int)taken;
}

static int host_stream_write(struct bp_dev *dev, struct bp_stream *stream, const void *buf, size_t bytes)
{
	int r = fake_tag(fake_dev(dev), FAKE_DEV, "bp_stream_write");
	size_t taken = bytes < stream->room ? bytes : stream->room;

	if (r)
		return r;
	stream->calls++;
	if (stream->out_count + taken > stream->out_capacity) {
		size_t capacity = (stream->out_count + taken) * 2;
		uint8_t *out = realloc(stream->out, capacity);

		if (!out)
			return -ENOMEM;
		stream->out = out;
		stream->out_capacity = capacity;
	}
	if (taken)
		memcpy(stream->out + stream->out_count, buf, taken);
	stream->out_count += taken;
	if (stream->room != SIZE_MAX)
		stream->room -= taken;
	stream->owes_out = taken < bytes;
	return (int)taken;
}

static int host_stream_size(struct bp_dev *dev, struct bp_stream *stream, uint32_t *ret_columns, uint32_t *ret_rows)
{
	int r = fake_tag(fake_dev(dev), FAKE_ANY_MAIN | FAKE_DEV, "bp_stream_size");

	if (r)
		return r;
	if (!stream->columns || !stream->rows)
		return -ENOTTY;
	*ret_columns = stream->columns;
	*ret_rows = stream->rows;
	return 0;
}

void fake_host_fill(struct bp_host *table)
{
	table->log = host_log;
	table->fail = host_fail;
	table->broken = host_broken;
	table->clock_ns = host_clock_ns;
	table->claim = host_claim;
	table->release = host_release;
	table->range_base = host_range_base;
	table->irq_raise = host_irq_raise;
	table->mem_read = host_mem_read;
	table->mem_write = host_mem_write;
	table->mem_copy = host_mem_copy;
	table->mem_slice = host_mem_slice;
	table->mem_unpin = host_mem_unpin;
	table->fd_add = host_fd_add;
	table->fd_set = host_fd_set;
	table->fd_del = host_fd_del;
	table->timer_add = host_timer_add;
	table->timer_set = host_timer_set;
	table->timer_del = host_timer_del;
	table->stream_listen = host_stream_listen;
	table->stream_read = host_stream_read;
	table->stream_write = host_stream_write;
	table->stream_size = host_stream_size;
}
