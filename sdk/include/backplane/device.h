/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Device classes: what a plugin declares about a device, and the callbacks that it implements.
 *
 * Threads. Each prototype carries one of these tags:
 *   [main]  start-up or shut-down; the instance is not reachable from the guest yet, or no longer.
 *   [dev]   the instance's own mutex is held: any thread, but never two at once. A device needs no locks. Never block
 *           here: a callback that runs longer than 10 ms is named in the log.
 *   [work]  a thread that the host keeps for jobs, without the mutex: it may block, and touches only its job (bp_job()).
 *   [any]   callable from everywhere, from threads of the plugin's own too.
 * The host checks the tag of each call; a breach is reported with the plugin's name and fails with -EDEADLK.
 *
 * Lifecycle:
 *   state      entered by               what may be called then
 *   declared   loading                  nothing; the class table has been copied
 *   checked    validate == 0 or absent  create
 *   created    create == 0              start, destroy
 *   running    start == 0 or absent     access, reset, fd, timer, stream and job callbacks, virtio callbacks, quiesce, stop
 *   quiet      quiesce or absent        save, load, resume, reset, stop
 *   stopped    stop or absent           destroy
 * A device that is to be restored is loaded after start, in state quiet: start, quiesce, load, resume.
 * destroy is called exactly once if create returned 0, and never otherwise: a create that fails leaves nothing behind.
 */
#ifndef BACKPLANE_DEVICE_H
#define BACKPLANE_DEVICE_H

#include <backplane/config.h>

struct bp_host;
struct bp_reader;
struct bp_virtio_class;
struct bp_writer;

/* One instance, as the host sees it; the plugin passes it back. Its own state is whatever create returned in *ret. */
struct bp_dev {
	const struct bp_host *host;
};

/* Address spaces of a range. */
#define BP_MMIO      1u /* guest physical memory addresses */
#define BP_PIO       2u /* x86 I/O ports; a device that declares one does not run on machines without ports */

/* Access widths that a range accepts, as a mask. Accesses are naturally aligned unless BP_UNALIGNED is set. */
#define BP_W8        (1u << 0)
#define BP_W16       (1u << 1)
#define BP_W32       (1u << 2)
#define BP_W64       (1u << 3)
#define BP_UNALIGNED (1u << 8)

/*
 * One range of addresses that the device answers at. Its base comes from the ADDRESS parameter `base_param`; where that
 * is absent or NULL the host chooses one (MMIO only), aligned to the length rounded up to a power of two and at least to
 * 4096 bytes.
 */
struct bp_range {
	uint32_t space;  /* BP_MMIO or BP_PIO */
	uint32_t flags;  /* 0 */
	uint64_t length; /* bytes, not 0 */
	uint32_t widths; /* BP_W*; an access of another width never reaches the device: reads give all-ones */
	uint32_t reserved;
	const char *base_param;
};

/* One interrupt, edge triggered. Its line comes from the UINT parameter `line_param`; where that is absent or NULL the
 * host chooses one, shared with other devices once the lines run out. */
struct bp_irq {
	uint32_t flags; /* 0 */
	uint32_t reserved;
	const char *line_param;
};

/* One access. The host has checked that it lies in the range as a whole and that the range accepts its width. A string
 * instruction is one access per element. */
struct bp_access {
	uint32_t size;   /* of this struct */
	uint32_t range;  /* index into the class's ranges, or what bp_claim() returned */
	uint64_t offset; /* from the range's base, bytes */
	uint32_t width;  /* 1, 2, 4 or 8 bytes */
	uint32_t write;  /* 1: *val holds what the guest writes, upper bytes zero; 0: the device sets *val */
};

/* Facts that firmware tables state about the machine, true as soon as one device of the class exists. */
#define BP_FACT_I8042 (1u << 0) /* a keyboard controller answers at ports 0x60 and 0x64 */
#define BP_FACT_VGA   (1u << 1) /* VGA ports and memory answer */
#define BP_FACT_RTC   (1u << 2) /* a CMOS clock answers at ports 0x70 and 0x71 */

/*
 * A device class. Everything up to the callbacks is copied by the host when the plugin is loaded; it must be constant.
 *
 * `hid` (ACPI 6.4, 6.1.5) and `compatible` (Devicetree 0.4, 2.3.1) are how a guest finds the device: a class with neither
 * has no firmware node. With `compatible` alone the ACPI node is PRP0001 with that string as a device property.
 */
struct bp_device_class {
	uint32_t size; /* BP_DEVICE_CLASS_INIT sets these two */
	uint32_t kind;
	const char *name;    /* [a-z][a-z0-9-]*, at most 31 bytes; the first class of a plugin is its default */
	const char *summary; /* one line */
	const char *hid;     /* "PNP0501", "ACME0001" or NULL */
	const char *compatible;
	uint32_t facts; /* BP_FACT_* */
	uint32_t reserved;
	uint32_t param_stride; /* BP_PARAMS sets these three */
	uint32_t param_count;
	const struct bp_param *params;
	uint32_t range_stride; /* BP_RANGES, at most 16 */
	uint32_t range_count;
	const struct bp_range *ranges;
	uint32_t irq_stride; /* BP_IRQS, at most 16 */
	uint32_t irq_count;
	const struct bp_irq *irqs;

	/* [main] Checks that involve more than one parameter; no side effects. Optional. 0, or -errno through bp_fail(). */
	int (*validate)(struct bp_dev *dev, const struct bp_cfg *cfg);

	/* [main] Makes an instance. 0 with its state in *ret (not NULL), or -errno through bp_fail(). */
	int (*create)(struct bp_dev *dev, const struct bp_cfg *cfg, void **ret);

	/* [main] The last step before the guest runs; file descriptors and timers work from here on. Optional. */
	int (*start)(void *self);

	/* [dev] One access of the guest. 0, or -errno: a read then gives all-ones. Needed if there are ranges. */
	int (*access)(void *self, const struct bp_access *access, uint64_t *val);

	/* [dev] Back to the state after create, as if power had been lost; host resources stay open. From create to stop, also
	 * while the device is broken, which this ends. */
	void (*reset)(void *self);

	/* [main] The guest has ended: flush what must not be lost. No callback follows but destroy. Optional. */
	void (*stop)(void *self);

	/* [main] Releases the instance. free() will do where the state is one allocation: what is left of fds, timers and
	 * streams in the host is removed by it, after this and after a create that failed. */
	void (*destroy)(void *self);

	/* ---- since 0.2 ---- */

	/* A virtio device (<backplane/virtio.h>), or NULL. Its registers, interrupt and firmware node are the host's business: such a
	 * class has no ranges, irqs, hid, compatible or access. */
	const struct bp_virtio_class *virtio;

	/* What save writes is of this version; from 1 on if there is a save, else 0. load is told the version of what it reads,
	 * which may be an older one but never a newer. */
	uint32_t state_version;
	uint32_t reserved2;

	/* [dev] Comes to rest: no fd, timer or stream callback and no access follows until resume. Jobs and io that are under way are
	 * waited for by the host after this, and told; what else is under way has to be in the saved state. Optional. */
	void (*quiesce)(void *self);

	/* [dev] Writes the state, in quiet only, by bp_put_*() (<backplane/state.h>); changes nothing: saving twice gives the same
	 * bytes. Optional: a device without it cannot be saved. 0, or -errno through bp_fail(). */
	int (*save)(void *self, struct bp_writer *writer);

	/* [dev] Takes the state over, in quiet and directly after a reset, by bp_get_*(). What is read is hostile: check it. 0, or
	 * -errno through bp_fail(): the device is reset then. Needed if there is a save. */
	int (*load)(void *self, struct bp_reader *reader, uint32_t version);

	/* [dev] Goes on after quiesce. Timers that the state implies are armed, interrupts that it implies raised. Optional. */
	void (*resume)(void *self);
};

#define BP_DEVICE_CLASS_INIT   .size = sizeof(struct bp_device_class), .kind = BP_CLASS_DEVICE

#define BP_TABLE_STRIDE(table) ((uint32_t)sizeof((table)[0]))
#define BP_TABLE_COUNT(table)  ((uint32_t)(sizeof(table) / sizeof((table)[0])))

/* Initialisers for the tables of a class, in the order of its fields: params, ranges, irqs. */
#define BP_PARAMS(table)       .param_stride = BP_TABLE_STRIDE(table), .param_count = BP_TABLE_COUNT(table), .params = (table)
#define BP_RANGES(table)       .range_stride = BP_TABLE_STRIDE(table), .range_count = BP_TABLE_COUNT(table), .ranges = (table)
#define BP_IRQS(table)         .irq_stride = BP_TABLE_STRIDE(table), .irq_count = BP_TABLE_COUNT(table), .irqs = (table)

/* The same for a parameter of type GROUP. */
#define BP_GROUP(table)        .group = (table), .group_stride = BP_TABLE_STRIDE(table), .group_count = BP_TABLE_COUNT(table)

#endif
