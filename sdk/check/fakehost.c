/* SPDX-License-Identifier: BSD-3-Clause */
/* The fake host: log, clock, life of devices; see fakehost.h. */
#include "fakehost_impl.h"

#include <dlfcn.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MMIO_BASE   UINT64_C(0xd0000000)
#define FIRINGS_MAX 1000000 /* of timers in one step: more is a loop */

_Thread_local struct fake_here fake_here;

struct fake_here fake_enter(struct fakehost_dev *dev, uint32_t where)
{
	struct fake_here before = fake_here;

	fake_here = (struct fake_here){ .dev = dev, .where = where };
	return before;
}

void fake_leave(struct fake_here before)
{
	struct fakehost_dev *dev = fake_here.dev;

	fake_here = before;
	if (dev && before.dev != dev)
		fake_virtio_settle(dev);
}

void fake_log(struct fakehost *host, struct fakehost_dev *dev, uint32_t level, const char *format, ...)
{
	struct fake_line *line = calloc(1, sizeof(*line));
	struct fake_line **at = &host->lines;
	va_list ap;
	int used;

	if (!line)
		return;
	line->level = level;
	used = snprintf(line->text, sizeof(line->text), "%s: %s", dev ? dev->id : "host",
			level == FAKEHOST_BREACH ? "breach: " : "");
	va_start(ap, format);
	vsnprintf(line->text + used, sizeof(line->text) - (size_t)used, format, ap);
	va_end(ap);
	pthread_mutex_lock(&host->lock);
	if (level == FAKEHOST_BREACH)
		host->breaches++;
	while (*at)
		at = &(*at)->next;
	*at = line;
	pthread_mutex_unlock(&host->lock);
}

/* ---- the host ---- */

int fakehost_new(size_t ram_bytes, struct fakehost **ret)
{
	struct fakehost *host = calloc(1, sizeof(*host));

	if (!host)
		return -ENOMEM;
	host->ram = calloc(1, ram_bytes ? ram_bytes : 1);
	if (!host->ram)
		goto fail_free;
	if (pthread_mutex_init(&host->lock, NULL))
		goto fail_ram;
	host->ram_bytes = ram_bytes;
	host->now_ns = FAKEHOST_EPOCH_NS;
	host->real_ns = FAKEHOST_REAL_NS - FAKEHOST_EPOCH_NS;
	host->start_ns = 0 - FAKEHOST_EPOCH_NS;
	host->next_base = MMIO_BASE;
	host->vcpus = 1;
	host->table = (struct bp_host){
		.size = sizeof(host->table),
		.abi_major = BP_ABI_MAJOR,
		.abi_minor = BP_ABI_MINOR,
	};
	fake_host_fill(&host->table);
	fake_cfg_fill(&host->table);
	fake_machine_fill(&host->table);
	fake_state_fill(&host->table);
	fake_virtio_fill(&host->table);
	fake_io_fill(&host->table);
	fake_connect_fill(&host->table);
	*ret = host;
	return 0;

fail_ram:
	free(host->ram);
fail_free:
	free(host);
	return -ENOMEM;
}

void fakehost_free(struct fakehost *host)
{
	if (!host)
		return;
	while (host->devices)
		fakehost_destroy(host->devices);
	while (host->lines) {
		struct fake_line *next = host->lines->next;

		free(host->lines);
		host->lines = next;
	}
	pthread_mutex_destroy(&host->lock);
	free(host->ram);
	free(host);
}

uint8_t *fakehost_ram(struct fakehost *host)
{
	return host->ram;
}

uint64_t fakehost_now(const struct fakehost *host)
{
	return host->now_ns;
}

uint32_t fakehost_breaches(const struct fakehost *host)
{
	return host->breaches;
}

uint32_t fakehost_log_count(const struct fakehost *host, const char *text)
{
	uint32_t count = 0;

	for (const struct fake_line *line = host->lines; line; line = line->next)
		count += strstr(line->text, text) != NULL;
	return count;
}

const char *fakehost_log_line(const struct fakehost *host, uint32_t index, uint32_t *ret_level)
{
	const struct fake_line *line = host->lines;

	while (line && index--)
		line = line->next;
	if (!line)
		return NULL;
	if (ret_level)
		*ret_level = line->level;
	return line->text;
}

/* The timer that is due first, at `until_ns` at the latest. */
static struct fakehost_dev *timer_next(struct fakehost *host, uint64_t until_ns, uint32_t *ret_timer)
{
	struct fakehost_dev *found = NULL;

	for (struct fakehost_dev *dev = host->devices; dev; dev = dev->next) {
		if (dev->state != FAKE_RUNNING)
			continue;
		for (uint32_t i = 0; i < FAKE_TIMERS_MAX; i++) {
			uint64_t deadline_ns = dev->timers[i].deadline_ns;

			if (!dev->timers[i].used || !deadline_ns || deadline_ns > until_ns)
				continue;
			if (found && deadline_ns >= found->timers[*ret_timer].deadline_ns)
				continue;
			found = dev;
			*ret_timer = i;
		}
	}
	return found;
}

void fakehost_advance(struct fakehost *host, uint64_t ns)
{
	uint64_t until_ns = host->now_ns + ns;
	uint32_t firings = 0;
	struct fakehost_dev *dev;
	uint32_t timer = 0;

	while ((dev = timer_next(host, until_ns, &timer))) {
		struct fake_timer copy = dev->timers[timer];
		struct fake_here before;

		if (++firings > FIRINGS_MAX) {
			fake_breach(dev, "timer %u is set again and again for the past", timer);
			break;
		}
		if (copy.deadline_ns > host->now_ns)
			host->now_ns = copy.deadline_ns;
		dev->timers[timer].deadline_ns = 0;
		before = fake_enter(dev, FAKE_DEV);
		copy.fn(copy.arg, timer);
		fake_leave(before);
	}
	host->now_ns = until_ns;
}

static uint32_t events_of_poll(short revents)
{
	return (revents & POLLIN ? BP_FD_IN : 0) | (revents & POLLOUT ? BP_FD_OUT : 0) |
	       (revents & POLLHUP ? BP_FD_HUP : 0) | (revents & (POLLERR | POLLNVAL) ? BP_FD_ERR : 0);
}

int fakehost_poll(struct fakehost *host)
{
	int called = 0;

	for (struct fakehost_dev *dev = host->devices; dev; dev = dev->next) {
		for (size_t i = 0; dev->state == FAKE_RUNNING && i < dev->fd_count; i++) {
			/* The callback may add others, for which the list may move. */
			struct fake_fd fd = dev->fds[i];
			struct pollfd pfd = { .fd = fd.fd };
			struct fake_here before;

			if (!fd.used)
				continue;
			if (fd.events & BP_FD_IN)
				pfd.events |= POLLIN;
			if (fd.events & BP_FD_OUT)
				pfd.events |= POLLOUT;
			if (poll(&pfd, 1, 0) < 0)
				return -errno;
			if (!pfd.revents)
				continue;
			before = fake_enter(dev, FAKE_DEV);
			fd.fn(fd.arg, fd.fd, events_of_poll(pfd.revents));
			fake_leave(before);
			called++;
		}
	}
	return called;
}

/* ---- classes ---- */

const struct bp_plugin *fakehost_load(struct fakehost *host, const char *path)
{
	const struct bp_plugin *plugin;
	void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);

	if (!handle) {
		fake_log(host, NULL, BP_LOG_ERROR, "%s", dlerror());
		return NULL;
	}
	plugin = dlsym(handle, BP_ENTRY);
	if (!plugin)
		fake_log(host, NULL, BP_LOG_ERROR, "%s: no symbol " BP_ENTRY, path);
	return plugin;
}

const struct bp_device_class *fakehost_class(const struct bp_plugin *plugin, const char *name)
{
	for (uint32_t i = 0; i < plugin->class_count; i++) {
		const struct bp_device_class *class_table = plugin->classes[i];

		if (!class_table || class_table->kind != BP_CLASS_DEVICE || !class_table->name)
			continue;
		if (!name || !strcmp(class_table->name, name))
			return class_table;
	}
	return NULL;
}

/* ---- a device's life ---- */

/* The ranges that the class declares. */
static int claim_declared(struct fakehost_dev *dev)
{
	const struct bp_device_class *table = &dev->class_table;

	for (uint32_t i = 0; i < table->range_count; i++) {
		struct bp_range range = { 0 };
		uint64_t base = BP_BASE_ANY;
		uint32_t index;
		int r;

		memcpy(&range, (const char *)table->ranges + (size_t)i * table->range_stride,
		       table->range_stride < sizeof(range) ? table->range_stride : sizeof(range));
		if (range.base_param)
			base = fake_cfg_number(dev, range.base_param, BP_BASE_ANY);
		r = fake_claim(dev, &range, base, &index);
		if (r < 0) {
			fake_log(dev->host, dev, BP_LOG_ERROR, "range %u cannot be claimed: %s", i, strerror(-r));
			return r;
		}
	}
	return 0;
}

/* Reports what a device has left behind. */
static void check_leftovers(struct fakehost_dev *dev, bool created)
{
	for (size_t i = 0; i < dev->fd_count; i++)
		if (dev->fds[i].used)
			fake_breach(dev, "fd %d is still registered", dev->fds[i].fd);
	for (size_t i = 0; i < FAKE_PINS_MAX; i++)
		if (dev->pins[i].slice)
			fake_breach(dev, "a slice of %zu bytes is still pinned", dev->pins[i].bytes);
	for (size_t i = 0; !created && i < FAKE_TIMERS_MAX; i++)
		if (dev->timers[i].used)
			fake_breach(dev, "create has failed and left timer %zu", i);
}

static void dev_free(struct fakehost_dev *dev)
{
	struct fakehost_dev **at = &dev->host->devices;

	while (*at && *at != dev)
		at = &(*at)->next;
	if (*at)
		*at = dev->next;
	for (size_t i = 0; i < dev->stream_count; i++) {
		free(dev->streams[i]->in);
		free(dev->streams[i]->out);
		free(dev->streams[i]);
	}
	for (size_t i = 0; i < dev->file_count; i++) {
		close(dev->files[i].fd);
		if (dev->files[i].made)
			unlink(dev->files[i].made);
		free(dev->files[i].made);
	}
	fake_networks_free(dev);
	fake_cfg_free(dev);
	fake_jobs_drop(dev);
	fake_connects_drop(dev);
	fake_io_free(dev);
	fake_virtio_free(dev);
	free(dev->events);
	free(dev->fds);
	free(dev);
}

static int call_create(struct fakehost_dev *dev)
{
	struct bp_cfg *cfg = &dev->cfgs->cfg;
	struct fake_here before;
	int r = 0;

	if (dev->class_table.validate) {
		before = fake_enter(dev, FAKE_VALIDATE);
		r = dev->class_table.validate(&dev->dev, cfg);
		fake_leave(before);
		if (r > 0)
			fake_breach(dev, "validate returned %d", r);
		if (r)
			return r < 0 ? r : -EINVAL;
	}
	before = fake_enter(dev, FAKE_CREATE);
	r = dev->class_table.create(&dev->dev, cfg, &dev->self);
	fake_leave(before);
	if (r > 0)
		fake_breach(dev, "create returned %d", r);
	if (!r && !dev->self) {
		fake_breach(dev, "create returned 0 and no state");
		return -EINVAL;
	}
	if (r)
		check_leftovers(dev, false);
	return r <= 0 ? r : -EINVAL;
}

int fakehost_create(struct fakehost *host, const struct bp_device_class *class_table, const char *id,
		    const struct fakehost_pair *values, struct fakehost_dev **ret)
{
	struct fakehost_dev *dev = calloc(1, sizeof(*dev));
	struct fakehost_dev **at = &host->devices;
	int r;

	if (!dev)
		return -ENOMEM;
	dev->dev.host = &host->table;
	dev->host = host;
	snprintf(dev->id, sizeof(dev->id), "%s", id);
	memcpy(&dev->class_table, class_table,
	       class_table->size < sizeof(dev->class_table) ? class_table->size : sizeof(dev->class_table));
	while (*at)
		at = &(*at)->next;
	*at = dev;
	if (!dev->class_table.create || !dev->class_table.destroy || !dev->class_table.reset ||
	    (dev->class_table.range_count && !dev->class_table.access) || dev->class_table.irq_count > FAKE_IRQS_MAX ||
	    !dev->class_table.save != !dev->class_table.load ||
	    !dev->class_table.save != !dev->class_table.state_version) {
		fake_breach(dev, "the class table is not complete");
		r = -EINVAL;
		goto fail_free;
	}
	r = fake_virtio_new(dev);
	if (r < 0)
		goto fail_free;
	r = fake_cfg_new(dev, values);
	if (r < 0)
		goto fail_free;
	r = claim_declared(dev);
	if (r < 0)
		goto fail_free;
	r = call_create(dev);
	if (r < 0)
		goto fail_free;
	dev->state = FAKE_CREATED;
	*ret = dev;
	return 0;

fail_free:
	dev_free(dev);
	return r;
}

int fakehost_start(struct fakehost_dev *dev)
{
	int r = 0;

	if (dev->state != FAKE_CREATED)
		return -EINVAL;
	if (dev->class_table.start) {
		struct fake_here before = fake_enter(dev, FAKE_MAIN);

		r = dev->class_table.start(dev->self);
		fake_leave(before);
		if (r > 0)
			fake_breach(dev, "start returned %d", r);
	}
	if (r)
		return r < 0 ? r : -EINVAL;
	dev->state = FAKE_RUNNING;
	fake_connects_tell(dev);
	for (size_t i = 0; i < dev->stream_count; i++)
		if (dev->streams[i]->in_count)
			fake_stream_tell(dev->streams[i], BP_STREAM_IN);
	return 0;
}

int fakehost_reset(struct fakehost_dev *dev)
{
	struct fake_here before;

	if (dev->state != FAKE_RUNNING && dev->state != FAKE_QUIET)
		return -EINVAL;
	dev->broken = false;
	fake_virtio_deactivate(dev);
	fake_io_end(dev);
	before = fake_enter(dev, FAKE_DEV);
	dev->class_table.reset(dev->self);
	fake_leave(before);
	fake_virtio_void(dev);
	return 0;
}

int fakehost_stop(struct fakehost_dev *dev)
{
	if (dev->state != FAKE_RUNNING && dev->state != FAKE_QUIET)
		return -EINVAL;
	dev->state = FAKE_STOPPED;
	fake_jobs_drop(dev);
	fake_connects_drop(dev);
	if (dev->class_table.stop) {
		struct fake_here before = fake_enter(dev, FAKE_MAIN);

		dev->class_table.stop(dev->self);
		fake_leave(before);
	}
	return 0;
}

void fakehost_destroy(struct fakehost_dev *dev)
{
	struct fake_here before;

	fakehost_stop(dev);
	dev->state = FAKE_STOPPED;
	before = fake_enter(dev, FAKE_MAIN);
	dev->class_table.destroy(dev->self);
	fake_leave(before);
	check_leftovers(dev, true);
	dev_free(dev);
}

void *fakehost_state(struct fakehost_dev *dev)
{
	return dev->self;
}
