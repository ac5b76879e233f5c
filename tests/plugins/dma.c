/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A copying engine: guest memory to guest memory, after a delay, with an interrupt at the end.
 *
 *	cc -fPIC -shared -Wl,-z,defs $(pkg-config --cflags backplane-sdk) -o dma.so dma.c
 *
 *   offset  name    access
 *   0x00    SRC_LO  rw      source address; registers are 32 bits wide
 *   0x04    SRC_HI  rw
 *   0x08    DST_LO  rw      destination address
 *   0x0c    DST_HI  rw
 *   0x10    LEN     rw      bytes, at most 1 MiB
 *   0x14    CMD     w       1: copy after DELAY, with the registers as they are then; ignored while one is under way
 *   0x18    STATUS  r       1: done; 2: some byte is not in memory, or LEN is too large, nothing was copied; 0: neither yet
 *   0x1c    DELAY   rw      microseconds
 *   0x20    ACK     w       anything: STATUS becomes 0
 *
 * SRC, DST and LEN are read when the copy is made, so a driver leaves them alone until then.
 */
#include <backplane/plugin.h>

#include <stdbool.h>
#include <stdlib.h>

#define REG_SRC_LO   0x00u
#define REG_SRC_HI   0x04u
#define REG_DST_LO   0x08u
#define REG_DST_HI   0x0cu
#define REG_LEN      0x10u
#define REG_CMD      0x14u
#define REG_STATUS   0x18u
#define REG_DELAY    0x1cu
#define REG_ACK      0x20u
#define REG_END      0x24u

#define CMD_COPY     1u
#define STATUS_DONE  1u
#define STATUS_FAULT 2u
#define COPY_MAX     (1u << 20) /* a callback must not take long */

struct dma {
	struct bp_dev *dev;
	uint32_t timer;
	uint64_t src;
	uint64_t dst;
	uint32_t len;
	uint32_t delay_us;
	uint32_t status;
	bool busy;
};

static const struct bp_param dma_params[] = {
	{
	    .name = "base",
	    .type = BP_P_ADDRESS,
	    .help = "guest physical address; chosen by the host if absent",
	},
	{
	    .name = "irq",
	    .type = BP_P_UINT,
	    .max = 23,
	    .help = "interrupt line; chosen by the host if absent",
	},
};

static const struct bp_range dma_ranges[] = {
	{ .space = BP_MMIO, .length = REG_END, .widths = BP_W32, .base_param = "base" },
};

static const struct bp_irq dma_irqs[] = {
	{ .line_param = "irq" },
};

static void dma_expired(void *arg, uint32_t timer) /* [dev] */
{
	struct dma *dma = arg;
	int r = -EFAULT;

	(void)timer;
	dma->busy = false;
	if (dma->len <= COPY_MAX)
		r = bp_mem_copy(dma->dev, dma->dst, dma->src, dma->len);
	dma->status = r < 0 ? STATUS_FAULT : STATUS_DONE;
	bp_irq_raise(dma->dev, 0);
}

static int dma_create(struct bp_dev *dev, const struct bp_cfg *cfg, void **ret) /* [main] */
{
	struct dma *dma = calloc(1, sizeof(*dma));
	int r;

	(void)cfg;
	if (!dma)
		return bp_fail(dev, -ENOMEM, "no memory for a copying engine");
	dma->dev = dev;
	r = bp_timer_add(dev, dma_expired, dma, &dma->timer);
	if (r < 0) {
		free(dma);
		return bp_fail(dev, r, "cannot have a timer");
	}
	*ret = dma;
	return 0;
}

static void set_low(uint64_t *address, uint32_t value)
{
	*address = (*address & ~(uint64_t)UINT32_MAX) | value;
}

static void set_high(uint64_t *address, uint32_t value)
{
	*address = (*address & UINT32_MAX) | (uint64_t)value << 32;
}

static void dma_command(struct dma *dma, uint32_t command)
{
	if (command != CMD_COPY || dma->busy)
		return;
	dma->busy = true;
	bp_timer_set(dma->dev, dma->timer, bp_clock_ns(dma->dev) + dma->delay_us * UINT64_C(1000));
}

static void dma_write(struct dma *dma, uint64_t offset, uint32_t value)
{
	switch (offset) {
	case REG_SRC_LO:
		set_low(&dma->src, value);
		break;
	case REG_SRC_HI:
		set_high(&dma->src, value);
		break;
	case REG_DST_LO:
		set_low(&dma->dst, value);
		break;
	case REG_DST_HI:
		set_high(&dma->dst, value);
		break;
	case REG_LEN:
		dma->len = value;
		break;
	case REG_CMD:
		dma_command(dma, value);
		break;
	case REG_DELAY:
		dma->delay_us = value;
		break;
	case REG_ACK:
		dma->status = 0;
		break;
	default:
		break;
	}
}

static uint32_t dma_read(const struct dma *dma, uint64_t offset)
{
	switch (offset) {
	case REG_SRC_LO:
		return (uint32_t)dma->src;
	case REG_SRC_HI:
		return (uint32_t)(dma->src >> 32);
	case REG_DST_LO:
		return (uint32_t)dma->dst;
	case REG_DST_HI:
		return (uint32_t)(dma->dst >> 32);
	case REG_LEN:
		return dma->len;
	case REG_STATUS:
		return dma->status;
	case REG_DELAY:
		return dma->delay_us;
	default:
		return 0;
	}
}

static int dma_access(void *self, const struct bp_access *access, uint64_t *val) /* [dev] */
{
	struct dma *dma = self;

	if (access->write)
		dma_write(dma, access->offset, (uint32_t)*val);
	else
		*val = dma_read(dma, access->offset);
	return 0;
}

static void dma_reset(void *self) /* [dev] */
{
	struct dma *dma = self;

	bp_timer_set(dma->dev, dma->timer, 0);
	*dma = (struct dma){ .dev = dma->dev, .timer = dma->timer };
}

static void dma_destroy(void *self) /* [main] */
{
	struct dma *dma = self;

	bp_timer_del(dma->dev, dma->timer);
	free(dma);
}

/* clang-format off */
static const struct bp_device_class dma_class = {
	BP_DEVICE_CLASS_INIT,
	.name = "dma",
	.summary = "copying engine",
	.hid = "ACME0002",
	BP_PARAMS(dma_params),
	BP_RANGES(dma_ranges),
	BP_IRQS(dma_irqs),
	.create = dma_create,
	.access = dma_access,
	.reset = dma_reset,
	.destroy = dma_destroy,
};
/* clang-format on */

BP_PLUGIN("com.acme.dma", "1.0", &dma_class)
