/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a device's event loop waits for: the plugin's descriptors, and the runtime's own. They lie in a table that grows with the number of
 * them, and are found by descriptor through another one, which grows up to the largest descriptor that was added: so neither adding
 * nor finding one depends on how many there are. A source that is gone leaves its place to the next, with another generation:
 * what was fetched for the one is not told to the other.
 *
 * All under the device's lock, or on [main] before the loop runs.
 */
#include "core/device/internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#define CAPACITY_FIRST 16u

static_assert(DEVICE_SOURCES_MAX < UINT16_MAX, "numbers of sources fit into the table of descriptors");

static uint64_t token_of(const struct device_sources *sources, uint32_t index)
{
	return (uint64_t)sources->all[index].generation << 32 | index;
}

static uint32_t to_epoll(uint32_t events)
{
	return (events & BP_FD_IN ? (uint32_t)EPOLLIN : 0) | (events & BP_FD_OUT ? (uint32_t)EPOLLOUT : 0) |
	       (events & LOOP_FD_EDGE ? (uint32_t)EPOLLET : 0);
}

void loop_sources_free(struct device_sources *sources)
{
	free(sources->all);
	free(sources->by_fd);
}

/* ---- finding ---- */

static struct device_source *find(const struct device_sources *sources, int fd)
{
	uint16_t number = fd >= 0 && (size_t)fd < sources->fd_count ? sources->by_fd[fd] : 0;

	return number ? &sources->all[number - 1] : NULL;
}

const struct device_source *loop_source(const struct device_sources *sources, uint64_t token)
{
	uint32_t index = (uint32_t)token;

	return index < sources->fresh && sources->all[index].used && token_of(sources, index) == token
		   ? &sources->all[index]
		   : NULL;
}

/* ---- adding and removing ---- */

/* Makes the table longer. */
static int grow(struct device_sources *sources)
{
	uint32_t capacity = sources->capacity ? 2 * sources->capacity : CAPACITY_FIRST;
	struct device_source *all;

	if (capacity > DEVICE_SOURCES_MAX)
		capacity = DEVICE_SOURCES_MAX;
	all = reallocarray(sources->all, capacity, sizeof(*all));
	if (!all)
		return -ENOMEM;
	memset(all + sources->capacity, 0, (capacity - sources->capacity) * sizeof(*all));
	sources->all = all;
	sources->capacity = capacity;
	return 0;
}

/* A place for one more, which stays free. NULL without memory. */
static struct device_source *find_free(struct device_sources *sources)
{
	if (sources->free)
		return &sources->all[sources->free - 1];
	if (sources->fresh == sources->capacity && grow(sources) < 0)
		return NULL;
	return &sources->all[sources->fresh];
}

/* Makes room for a descriptor, which exists: so it is below what the host allows a process. */
static int reserve_fd(struct device_sources *sources, int fd)
{
	size_t count = sources->fd_count ? sources->fd_count : CAPACITY_FIRST;
	uint16_t *by_fd;

	while (count <= (size_t)fd)
		count *= 2;
	if (count == sources->fd_count)
		return 0;
	by_fd = reallocarray(sources->by_fd, count, sizeof(*by_fd));
	if (!by_fd)
		return -ENOMEM;
	memset(by_fd + sources->fd_count, 0, (count - sources->fd_count) * sizeof(*by_fd));
	sources->by_fd = by_fd;
	sources->fd_count = count;
	return 0;
}

static int add(struct device_loop *loop, const struct device_source *source)
{
	struct device_sources *sources = &loop->sources;
	struct epoll_event event = { .events = to_epoll(source->events) };
	struct device_source *place;
	uint32_t index, generation;
	int r;

	if (find(sources, source->fd))
		return -EEXIST;
	if (source->own ? sources->own_count == DEVICE_OWN_SOURCES : sources->plugin_count == DEVICE_PLUGIN_SOURCES)
		return -ENOSPC;
	place = find_free(sources);
	if (!place)
		return -ENOMEM;
	index = (uint32_t)(place - sources->all);
	generation = ++place->generation;
	event.data.u64 = token_of(sources, index);
	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, source->fd, &event) < 0)
		return -errno;
	r = reserve_fd(sources, source->fd);
	if (r < 0) {
		(void)epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, source->fd, NULL);
		return r;
	}
	if (sources->free)
		sources->free = place->next_free;
	else
		sources->fresh++;
	*place = *source;
	place->used = true;
	place->generation = generation;
	sources->by_fd[source->fd] = (uint16_t)(index + 1);
	++*(source->own ? &sources->own_count : &sources->plugin_count);
	return 0;
}

int loop_fd_add(struct device *device, int fd, uint32_t events, bp_fd_fn *fn, void *arg, const char *what)
{
	const struct device_source source = { .fd = fd, .events = events, .fn = fn, .arg = arg, .what = what };

	return add(&device->loop, &source);
}

int loop_own_add(struct device *device, int fd, bool edge, bp_fd_fn *fn, void *arg, const char *what)
{
	const struct device_source source = {
		.own = true,
		.fd = fd,
		.events = edge ? BP_FD_IN | LOOP_FD_EDGE : BP_FD_IN,
		.fn = fn,
		.arg = arg,
		.what = what,
	};

	return add(&device->loop, &source);
}

/* Asks for the events of a source that is in the set. */
static int modify(const struct device_loop *loop, const struct device_source *source, uint32_t events)
{
	struct epoll_event event = {
		.events = to_epoll(events),
		.data.u64 = token_of(&loop->sources, (uint32_t)(source - loop->sources.all)),
	};

	return epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, source->fd, &event) < 0 ? -errno : 0;
}

int loop_fd_set(struct device *device, int fd, uint32_t events)
{
	struct device_source *source = find(&device->loop.sources, fd);
	int r;

	if (!source)
		return -ENOENT;
	if (source->events == events)
		return 0;
	r = modify(&device->loop, source, events);
	if (r == 0)
		source->events = events;
	return r;
}

int loop_fd_del(struct device *device, int fd)
{
	struct device_sources *sources = &device->loop.sources;
	struct device_source *source = find(sources, fd);

	if (!source)
		return -ENOENT;
	source->used = false;
	source->next_free = sources->free;
	sources->free = (uint32_t)(source - sources->all) + 1;
	sources->by_fd[fd] = 0;
	--*(source->own ? &sources->own_count : &sources->plugin_count);
	/* It fails only if the plugin closed the fd before, which removed it from the set. */
	(void)epoll_ctl(device->loop.epoll_fd, EPOLL_CTL_DEL, fd, NULL);
	return 0;
}

void loop_sources_look_again(const struct device_loop *loop)
{
	for (uint32_t i = 0; i < loop->sources.fresh; i++) {
		const struct device_source *source = &loop->sources.all[i];

		/* It fails only if the plugin has closed the fd, which removed it from the set. */
		if (source->used)
			(void)modify(loop, source, source->events);
	}
}

/* ---- the host table's entries ---- */

int host_fd_add(struct bp_dev *dev, int fd, uint32_t events, bp_fd_fn *fn, void *arg)
{
	struct device *device = device_of(dev);

	if (!device_on_tag(device, true, true, "bp_fd_add"))
		return -EDEADLK;
	if (!fn || (events & ~(BP_FD_IN | BP_FD_OUT)))
		return -EINVAL;
	return loop_fd_add(device, fd, events, fn, arg, "fd callback");
}

int host_fd_set(struct bp_dev *dev, int fd, uint32_t events)
{
	struct device *device = device_of(dev);

	if (!device_on_tag(device, true, true, "bp_fd_set"))
		return -EDEADLK;
	if (events & ~(BP_FD_IN | BP_FD_OUT))
		return -EINVAL;
	return loop_fd_set(device, fd, events);
}

int host_fd_del(struct bp_dev *dev, int fd)
{
	struct device *device = device_of(dev);

	if (!device_on_tag(device, true, true, "bp_fd_del"))
		return -EDEADLK;
	return loop_fd_del(device, fd);
}
