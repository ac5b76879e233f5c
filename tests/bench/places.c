/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Disks in threads and in processes; see places.h. Programs and plugins are found from where this program lies in the
 * build tree: in the folder "hosted" beside it are a copy of the spawner and the device-host that counts its calls.
 */
#include "tests/bench/places.h"

#include "core/base/clock.h"
#include "core/base/fd.h"
#include "core/placement/process.h"
#include "tests/bench/blk_file.h"
#include "tests/bench/blk_values.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define READ_NS    (3 * NS_PER_S)
#define REQUEST_NS (10 * NS_PER_S)

struct places {
	struct processes *set;
	struct plugin *plugin; /* for threads */
	char plugin_path[PATH_MAX];
};

struct place_disk {
	struct placed placed;
	struct virtio_backend backend;
	struct virtio_isr isr; /* of the thread */
	struct blk_driver *driver;
};

static const struct calls *host_calls;

__attribute__((noreturn)) static void give_up(const char *what, const char *why)
{
	fprintf(stderr, "%s: %s\n", what, why);
	exit(1);
}

/* ---- where things are ---- */

static void beside_us(const char *name, char path[static PATH_MAX])
{
	char own[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", own, sizeof(own) - 1);
	const char *slash = length > 0 ? memrchr(own, '/', (size_t)length) : NULL;

	if (!slash || snprintf(path, PATH_MAX, "%.*s/%s", (int)(slash - own), own, name) >= PATH_MAX)
		give_up(name, "nobody knows where it is");
}

/* In place of the product's own, for the core's part: the spawner is asked for. */
void spawner_find_program(const char *build_path, const char *name, char path[static 4096])
{
	(void)build_path, (void)name;
	beside_us("hosted/spawn/spawner", path);
}

static void share_calls(void)
{
	char path[PATH_MAX];
	void *page;
	int fd;

	beside_us("hosted/child/calls", path);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, sizeof(struct calls)) < 0)
		give_up(path, strerror(errno));
	page = mmap(NULL, sizeof(struct calls), PROT_READ, MAP_SHARED, fd, 0);
	if (page == MAP_FAILED)
		give_up(path, strerror(errno));
	close(fd);
	host_calls = page;
}

struct calls places_host_calls(void)
{
	return (struct calls){
		.syscalls = __atomic_load_n(&host_calls->syscalls, __ATOMIC_RELAXED),
		.allocations = __atomic_load_n(&host_calls->allocations, __ATOMIC_RELAXED),
	};
}

/* ---- the set ---- */

struct places *places_new(void)
{
	struct places *places = calloc(1, sizeof(*places));
	struct err err = ERR_NONE;

	if (!places)
		give_up("placement", "no memory");
	share_calls();
	beside_us("../../plugins/.libs/virtio-blk.so", places->plugin_path);
	if (processes_new(&places->set, &err) < 0 || plugin_load(places->plugin_path, &places->plugin, &err) < 0)
		give_up("placement", err.text);
	return places;
}

void places_free(struct places *places)
{
	processes_free(places->set);
	plugin_free(places->plugin);
	free(places);
}

int places_fd(const struct places *places)
{
	return processes_fd(places->set);
}

void places_mind(struct places *places)
{
	struct err err = ERR_NONE;

	if (processes_mind(places->set, &err) < 0)
		give_up("placement", err.text);
}

/* ---- what a disk asks of its VM: nothing ---- */

static int home_claim(void *ctx, const char *id, const struct class_range *range, uint64_t base, bus_access_fn *access,
		      void *access_ctx, uint32_t cookie, uint64_t *ret_base, struct err *err)
{
	(void)ctx, (void)id, (void)range, (void)base, (void)access, (void)access_ctx, (void)cookie, (void)ret_base;
	return err_set(err, -ENOSPC, "no claims");
}

static int home_release(void *ctx, uint32_t space, uint64_t base)
{
	(void)ctx, (void)space, (void)base;
	return -ENOENT;
}

static void home_quit(void *ctx)
{
	(void)ctx;
}

static int home_event(void *ctx, const char *id, uint32_t event, uint64_t value)
{
	(void)ctx, (void)id, (void)event, (void)value;
	return -EINVAL;
}

static void home_failed(void *ctx, const char *id)
{
	(void)ctx;
	give_up(id, "it has failed");
}

static const struct placed_home home = {
	.claim = home_claim,
	.release = home_release,
	.quit = home_quit,
	.event = home_event,
	.failed = home_failed,
};

/* [any] Its interrupts stay away, too, and the main thread may know more. */
static void notice_needs_reset(void *ctx)
{
	(void)ctx;
	fprintf(stderr, "disk: it needs a reset\n");
}

static void notice_config_changed(void *ctx)
{
	(void)ctx;
}

static const struct placed_notices notices = {
	.needs_reset = notice_needs_reset,
	.config_changed = notice_config_changed,
};

/* ---- a disk ---- */

static int make_process(struct place_disk *disk, struct process *process, struct values *values, struct err *err)
{
	const struct blk_driver_side *side = blk_driver_side(disk->driver);
	const struct process_memory memory = {
		.count = 1,
		.regions = { { .gpa = side->mem->regions[0].gpa,
			       .bytes = side->mem->regions[0].bytes,
			       .fd = side->memory_fd } },
	};
	const struct process_device spec = {
		.class = plugin_find_class(process_plugin(process), NULL),
		.values = values,
		.memory = &memory,
		.vcpus = 1,
	};

	return process_create(process, &spec, &home, &disk->placed, err);
}

static int open_process(struct places *places, struct place_disk *disk, const char *path, bool direct, struct err *err)
{
	const struct process_spec spec = {
		.id = "disk",
		.plugin_path = places->plugin_path,
		.read_ns = READ_NS,
		.request_ns = REQUEST_NS,
	};
	const struct plugin_class *class;
	struct process *process;
	struct values *values;
	uint64_t blocks;
	int r = process_new(places->set, &spec, &process, err);

	if (r < 0)
		return r;
	class = plugin_find_class(process_plugin(process), NULL);
	r = blk_values_new(class->decl.schema, path, blk_file_open(path), direct, &values, &blocks);
	if (r < 0) {
		process_free(process);
		return err_sys(err, r, "%s", path);
	}
	disk->driver = blk_driver_new(blocks);
	r = make_process(disk, process, values, err);
	if (r < 0) {
		values_free(values);
		process_free(process);
	}
	return r;
}

static int open_thread(struct places *places, struct place_disk *disk, const char *path, bool direct, struct err *err)
{
	struct device_spec spec = { .id = "disk", .class = plugin_find_class(places->plugin, NULL), .vcpus = 1 };
	struct values *values;
	uint64_t blocks;
	int r = blk_values_new(spec.class->decl.schema, path, blk_file_open(path), direct, &values, &blocks);

	if (r < 0)
		return err_sys(err, r, "%s", path);
	disk->driver = blk_driver_new(blocks);
	spec.values = values;
	spec.mem = blk_driver_side(disk->driver)->mem;
	r = placed_thread_new(&spec, &home, &disk->placed, err);
	if (r < 0)
		values_free(values);
	return r;
}

/* What a transport does at DRIVER_OK. */
static int activate(struct place_disk *disk, struct err *err)
{
	const struct blk_driver_side *side = blk_driver_side(disk->driver);
	struct virtio_queue_setup queues[VIRTIO_QUEUES_MAX];
	struct virtio_activation activation = { .features = side->features, .queues = queues };

	disk->placed.ops->backend(disk->placed.ctx, &disk->backend);
	disk->placed.ops->attach(disk->placed.ctx, &notices);
	activation.isr = disk->placed.isr ? disk->placed.isr : &disk->isr;
	activation.queue_count = disk->backend.queue_count;
	for (uint32_t i = 0; i < disk->backend.queue_count; i++)
		queues[i] = (struct virtio_queue_setup){ .kick_fd = side->kick_fd, .call_fd = side->call_fd };
	queues[0].ready = true;
	queues[0].size = side->ring_size;
	queues[0].desc_gpa = side->desc_gpa;
	queues[0].driver_gpa = side->avail_gpa;
	queues[0].device_gpa = side->used_gpa;
	return disk->backend.ops->activate(disk->backend.ctx, &activation, err);
}

int place_disk_open(struct places *places, enum where where, const char *path, bool direct, struct place_disk **ret,
		    struct err *err)
{
	struct place_disk *disk = calloc(1, sizeof(*disk));
	int r;

	if (!disk)
		give_up(path, "no memory");
	r = where == WHERE_PROCESS ? open_process(places, disk, path, direct, err)
				   : open_thread(places, disk, path, direct, err);
	if (r < 0) {
		blk_driver_free(disk->driver);
		free(disk);
		return r;
	}
	assert(disk->placed.ops);
	r = disk->placed.ops->start(disk->placed.ctx, err);
	if (r == 0)
		r = activate(disk, err);
	if (r < 0)
		give_up(path, err->text);
	*ret = disk;
	return 0;
}

void place_disk_close(struct place_disk *disk)
{
	if (!disk)
		return;
	disk->backend.ops->reset(disk->backend.ctx);
	disk->placed.ops->attach(disk->placed.ctx, NULL);
	disk->placed.ops->stop(disk->placed.ctx);
	disk->placed.ops->free(disk->placed.ctx);
	blk_driver_free(disk->driver);
	free(disk);
}

struct blk_run place_disk_run(struct place_disk *disk, uint32_t depth, uint64_t window_ns, uint64_t requests)
{
	struct virtio_isr *isr = disk->placed.isr ? disk->placed.isr : &disk->isr;

	return blk_driver_run(disk->driver, isr, depth, window_ns, requests);
}
