/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Devices that fail where and how they are told to, and one that does not. The payload that works with them is
 * tests/payload/beside.c.
 *
 *   faulty         registers in memory; timers, an fd, a job, an io, state
 *   faulty-virtio  an entropy device
 *   healthy        registers in memory
 */
#include "../payload/beside.h"
#include "faults.h"

#include <backplane/plugin.h>

#include <stdbool.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/uio.h>
#include <unistd.h>

/* Where, in the order of `places`. Validate and create know no instance yet, so they fail at once. */
enum place {
	AT_NONE,
	AT_VALIDATE,
	AT_CREATE,
	AT_START,
	AT_READ,
	AT_WRITE,
	AT_RESET,
	AT_TIMER,
	AT_FD,
	AT_JOB,
	AT_JOB_DONE,
	AT_IO,
	AT_QUIESCE,
	AT_SAVE,
	AT_LOAD,
	AT_RESUME,
	AT_STOP,
	AT_DESTROY,
	AT_ACTIVATE,
	AT_REQUEST,
	AT_CONFIG,
	PLACES
};

static const char *const places[] = {
	"none", "validate", "create",   "start",   "read",    "write", "reset", "timer",
	"fd",   "job",      "job-done", "io",      "quiesce", "save",  "load",  "resume",
	"stop", "destroy",  "activate", "request", "config",  NULL,
};
BP_STATIC_ASSERT(sizeof(places) / sizeof(places[0]) == PLACES + 1, "every place has a name");

#define SECTOR        512u
#define VIRTIO_ID_RNG 4u
#define QUEUE_SIZE    64u
#define CONFIG_BYTES  8u
#define REGISTERS     16u
#define STATE_TAG     1u

struct faulty {
	struct bp_dev *dev;
	enum place where;
	enum fault how;
	uint64_t after; /* so often it works before */
	uint32_t value;
	uint32_t count; /* callbacks of triggers that have come */
	uint32_t timer;
	int event_fd;
	struct bp_io *io; /* or NULL */
	uint8_t sector[SECTOR];
	struct iovec iov;
};

/* Each callback begins with this. True: it fails in a way of its own. */
static bool visit(struct faulty *faulty, enum place place)
{
	if (faulty->where != place || faulty->after) {
		faulty->after -= faulty->where == place;
		return false;
	}
	if (faulty->how == FAULT_FLOOD || faulty->how == FAULT_GARBAGE)
		faulty->where = AT_NONE; /* once is enough */
	fault_make(faulty->how, faulty->dev);
	return faulty->how >= FAULT_TWICE;
}

/* ---- parameters ---- */

#define PARAMS_OF_ALL                                                                                \
	{                                                                                            \
		.name = "where",                                                                     \
		.type = BP_P_CHOICE,                                                                 \
		.def = "none",                                                                       \
		.choices = places,                                                                   \
		.help = "callback that fails",                                                       \
	},                                                                                           \
	    {                                                                                        \
		    .name = "how",                                                                   \
		    .type = BP_P_CHOICE,                                                             \
		    .def = "segv",                                                                   \
		    .choices = faults,                                                               \
		    .help = "what it does then",                                                     \
	    },                                                                                       \
	{                                                                                            \
		.name = "after", .type = BP_P_UINT, .def = "0", .help = "how often it works before", \
	}

static const struct bp_param faulty_params[] = {
	PARAMS_OF_ALL,
	{ .name = "base", .type = BP_P_ADDRESS, .def = "0xd2001000", .help = "guest physical address" },
	{ .name = "file", .type = BP_P_FILE, .help = "what io reads" },
};

static const struct bp_param virtio_params[] = { PARAMS_OF_ALL };

static const struct bp_param healthy_params[] = {
	{ .name = "base", .type = BP_P_ADDRESS, .def = "0xd2000000", .help = "guest physical address" },
};

static const struct bp_range faulty_ranges[] = {
	{ .space = BP_MMIO, .length = REGISTERS, .widths = BP_W32 | BP_W64, .base_param = "base" },
};

/* ---- beginnings and ends ---- */

static int faulty_validate(struct bp_dev *dev, const struct bp_cfg *cfg) /* [main] */
{
	if (bp_cfg_uint(cfg, "where") != AT_VALIDATE)
		return 0;
	fault_make((enum fault)bp_cfg_uint(cfg, "how"), dev);
	return bp_fail(dev, -EINVAL, "as it was told");
}

static void timer_callback(void *arg, uint32_t timer) /* [dev] */
{
	struct faulty *faulty = arg;

	(void)timer;
	visit(faulty, AT_TIMER);
	faulty->count++;
}

static void fd_callback(void *arg, int fd, uint32_t events) /* [dev] */
{
	struct faulty *faulty = arg;
	eventfd_t value;

	(void)events;
	(void)eventfd_read(fd, &value);
	visit(faulty, AT_FD);
	faulty->count++;
}

/* What both classes of devices that fail begin with. */
static int make(struct bp_dev *dev, const struct bp_cfg *cfg, struct faulty **ret)
{
	struct faulty *faulty = calloc(1, sizeof(*faulty));
	int r;

	if (!faulty) {
		bp_fail(dev, -ENOMEM, "no memory for a faulty device");
		return -ENOMEM;
	}
	faulty->dev = dev;
	faulty->where = (enum place)bp_cfg_uint(cfg, "where");
	faulty->how = (enum fault)bp_cfg_uint(cfg, "how");
	faulty->after = bp_cfg_uint(cfg, "after");
	faulty->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	faulty->iov = (struct iovec){ .iov_base = faulty->sector, .iov_len = SECTOR };
	r = faulty->event_fd < 0 ? -errno : bp_timer_add(dev, timer_callback, faulty, &faulty->timer);
	if (r == 0)
		r = bp_fd_add(dev, faulty->event_fd, BP_FD_IN, fd_callback, faulty);
	if (r == 0 && visit(faulty, AT_CREATE))
		r = -EINVAL;
	if (r < 0) {
		close(faulty->event_fd);
		free(faulty);
		bp_fail(dev, r, "no faulty device");
		return r;
	}
	*ret = faulty;
	return 0;
}

static int faulty_create(struct bp_dev *dev, const struct bp_cfg *cfg, void **ret) /* [main] */
{
	struct faulty *faulty;
	int r = make(dev, cfg, &faulty);

	if (r == 0 && bp_cfg_has(cfg, "file")) {
		r = bp_io_open(dev, bp_cfg_fd(cfg, "file"), BP_IO_THREADS, 1, &faulty->io);
		if (r < 0) {
			close(faulty->event_fd);
			free(faulty);
		}
	}
	if (r < 0)
		return r;
	*ret = faulty;
	return 0;
}

static int virtio_create(struct bp_dev *dev, const struct bp_cfg *cfg, void **ret) /* [main] */
{
	struct faulty *faulty;
	int r = make(dev, cfg, &faulty);

	if (r < 0)
		return r;
	*ret = faulty;
	return 0;
}

static int faulty_start(void *self) /* [main] */
{
	struct faulty *faulty = self;

	return visit(faulty, AT_START) ? bp_fail(faulty->dev, -EIO, "as it was told") : 0;
}

static void faulty_stop(void *self) /* [main] */
{
	visit(self, AT_STOP);
}

static void faulty_destroy(void *self) /* [main] */
{
	struct faulty *faulty = self;

	visit(faulty, AT_DESTROY);
	close(faulty->event_fd);
	free(faulty);
}

static void faulty_reset(void *self) /* [dev] */
{
	struct faulty *faulty = self;

	visit(faulty, AT_RESET);
	faulty->value = 0;
}

/* ---- accesses ---- */

static int job(void *arg) /* [work] */
{
	struct faulty *faulty = arg;

	/* Nothing else visits while the payload waits for it. */
	visit(faulty, AT_JOB);
	return 0;
}

static void job_done(void *arg, int result) /* [dev] */
{
	struct faulty *faulty = arg;

	(void)result;
	visit(faulty, AT_JOB_DONE);
	faulty->count++;
}

static void io_done(void *arg, int64_t result) /* [dev] */
{
	struct faulty *faulty = arg;

	(void)result;
	visit(faulty, AT_IO);
	faulty->count++;
}

static int trigger(struct faulty *faulty, uint64_t which)
{
	const struct bp_io_request request = {
		.size = sizeof(request),
		.op = BP_IO_READ,
		.iov_count = 1,
		.bytes = SECTOR,
		.iov = &faulty->iov,
		.done = io_done,
		.arg = faulty,
	};

	switch (which) {
	case BESIDE_TIMER:
		return bp_timer_set(faulty->dev, faulty->timer, 1);
	case BESIDE_FD:
		return eventfd_write(faulty->event_fd, 1);
	case BESIDE_JOB:
		return bp_job(faulty->dev, job, job_done, faulty);
	case BESIDE_IO:
		return faulty->io ? bp_io_submit(faulty->dev, faulty->io, &request) : -ENODEV;
	default:
		return -EINVAL;
	}
}

static int faulty_access(void *self, const struct bp_access *access, uint64_t *val) /* [dev] */
{
	struct faulty *faulty = self;

	switch (access->offset) {
	case BESIDE_FAULTY_VALUE:
		if (visit(faulty, access->write ? AT_WRITE : AT_READ))
			return -EIO;
		if (access->write)
			faulty->value = (uint32_t)*val;
		else
			*val = faulty->value;
		return 0;
	case BESIDE_FAULTY_TRIGGER:
		return access->write ? trigger(faulty, *val) : -EINVAL;
	case BESIDE_FAULTY_COUNT:
		if (!access->write)
			*val = faulty->count;
		return 0;
	default:
		return -EINVAL;
	}
}

/* ---- state ---- */

static void faulty_quiesce(void *self) /* [dev] */
{
	visit(self, AT_QUIESCE);
}

static void faulty_resume(void *self) /* [dev] */
{
	visit(self, AT_RESUME);
}

static int faulty_save(void *self, struct bp_writer *writer) /* [dev] */
{
	struct faulty *faulty = self;

	if (visit(faulty, AT_SAVE))
		return bp_fail(faulty->dev, -EIO, "as it was told");
	return bp_put_uint(writer, STATE_TAG, faulty->value);
}

static int faulty_load(void *self, struct bp_reader *reader, uint32_t version) /* [dev] */
{
	struct faulty *faulty = self;
	uint64_t value;
	int r;

	(void)version;
	if (visit(faulty, AT_LOAD))
		return bp_fail(faulty->dev, -EIO, "as it was told");
	r = bp_get_uint(reader, STATE_TAG, &value);
	if (r == 0)
		faulty->value = (uint32_t)value;
	return r;
}

/* ---- virtio ---- */

static void virtio_activate(void *self, uint64_t features, uint32_t queues) /* [dev] */
{
	(void)features;
	(void)queues;
	visit(self, AT_ACTIVATE);
}

static void virtio_request(void *self, struct bp_chain *chain) /* [dev] */
{
	struct faulty *faulty = self;
	uint8_t bytes[64];
	ssize_t got = getrandom(bytes, sizeof(bytes), GRND_NONBLOCK);

	if (visit(faulty, AT_REQUEST)) {
		if (faulty->how == FAULT_TWICE) {
			bp_chain_complete(chain);
			bp_chain_complete(chain);
		}
		return;
	}
	if (got > 0)
		(void)bp_chain_write(chain, bytes, (size_t)got);
	bp_chain_complete(chain);
}

static void virtio_config_changed(void *self, uint32_t offset, uint32_t bytes) /* [dev] */
{
	(void)offset;
	(void)bytes;
	visit(self, AT_CONFIG);
}

/* ---- the one that works ---- */

struct healthy {
	struct bp_dev *dev;
	uint32_t value;
	uint32_t lives;
};

static int healthy_create(struct bp_dev *dev, const struct bp_cfg *cfg, void **ret) /* [main] */
{
	struct healthy *healthy = calloc(1, sizeof(*healthy));

	(void)cfg;
	if (!healthy)
		return bp_fail(dev, -ENOMEM, "no memory for a healthy device");
	healthy->dev = dev;
	*ret = healthy;
	return 0;
}

static int healthy_access(void *self, const struct bp_access *access, uint64_t *val) /* [dev] */
{
	struct healthy *healthy = self;

	if (access->write) {
		if (access->offset == BESIDE_HEALTHY_VALUE)
			healthy->value = (uint32_t)*val;
		return 0;
	}
	switch (access->offset) {
	case BESIDE_HEALTHY_VALUE:
		*val = healthy->value;
		return 0;
	case BESIDE_HEALTHY_LIVES:
		*val = healthy->lives;
		return 0;
	case BESIDE_HEALTHY_CLOCK:
		*val = bp_clock_ns(healthy->dev);
		return 0;
	default:
		return -EINVAL;
	}
}

static void healthy_reset(void *self) /* [dev] */
{
	struct healthy *healthy = self;

	healthy->value = 0;
	healthy->lives++;
}

/* ---- classes ---- */

/* clang-format off */
static const struct bp_device_class faulty_class = {
	BP_DEVICE_CLASS_INIT,
	.name = "faulty",
	.summary = "fails where and how it is told",
	BP_PARAMS(faulty_params),
	BP_RANGES(faulty_ranges),
	.validate = faulty_validate,
	.create = faulty_create,
	.start = faulty_start,
	.access = faulty_access,
	.reset = faulty_reset,
	.stop = faulty_stop,
	.destroy = faulty_destroy,
	.state_version = 1,
	.quiesce = faulty_quiesce,
	.save = faulty_save,
	.load = faulty_load,
	.resume = faulty_resume,
};

static const struct bp_virtio_class virtio_class = {
	BP_VIRTIO_CLASS_INIT,
	.id = VIRTIO_ID_RNG,
	.queue_count = 1,
	.queue_size = QUEUE_SIZE,
	.config_bytes = CONFIG_BYTES,
	.activate = virtio_activate,
	.request = virtio_request,
	.config_changed = virtio_config_changed,
};

static const struct bp_device_class faulty_virtio_class = {
	BP_DEVICE_CLASS_INIT,
	.name = "faulty-virtio",
	.summary = "fails where and how it is told, on virtio",
	BP_PARAMS(virtio_params),
	.validate = faulty_validate,
	.create = virtio_create,
	.start = faulty_start,
	.reset = faulty_reset,
	.stop = faulty_stop,
	.destroy = faulty_destroy,
	.virtio = &virtio_class,
	.quiesce = faulty_quiesce,
	.resume = faulty_resume,
};

static const struct bp_device_class healthy_class = {
	BP_DEVICE_CLASS_INIT,
	.name = "healthy",
	.summary = "works",
	BP_PARAMS(healthy_params),
	BP_RANGES(faulty_ranges),
	.create = healthy_create,
	.access = healthy_access,
	.reset = healthy_reset,
	.destroy = free,
};
/* clang-format on */

BP_PLUGIN("org.backplane.test.faulty", "1.0", &faulty_class, &faulty_virtio_class, &healthy_class)
