/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/*
 * Linux driver for the copying engine of tests/plugins/dma.c, for a guest's shell: writing to an attribute of
 * the platform device runs one command, and `result` tells how it went.
 *
 *   copy        "LENGTH SEED DELAY_US"     copies LENGTH bytes of a pattern made from SEED, and verifies them
 *   copy_from   "ADDRESS LENGTH DELAY_US"  the source is ADDRESS, whatever is there; hexadecimal
 *   copy_to     "ADDRESS LENGTH DELAY_US"  the destination is ADDRESS: overwrites it if the device can
 *   result      status, verified (1: the destination has the pattern, or is untouched after a fault, and its
 *               surroundings are untouched), elapsed_us (from the command to its interrupt)
 *   interrupts  how many have announced a command's end
 *   strays      how many have come while there was none
 *
 * A write fails only if the request is malformed (EINVAL), a register does not hold what it was given (EIO)
 * or no interrupt comes (ETIMEDOUT). A fault is a result.
 *
 * A command takes the mutex, so an instance runs one at a time. The interrupt handler and the command share
 * what `lock` protects. Taking the driver away waits for running attributes, so no command is under way then.
 */
#include <linux/completion.h>
#include <linux/dma-mapping.h>
#include <linux/interrupt.h>
#include <linux/io.h>
#include <linux/ktime.h>
#include <linux/mod_devicetable.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/platform_device.h>
#include <linux/prandom.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/sysfs.h>

#define REG_SRC_LO   0x00
#define REG_SRC_HI   0x04
#define REG_DST_LO   0x08
#define REG_DST_HI   0x0c
#define REG_LEN      0x10
#define REG_CMD      0x14
#define REG_STATUS   0x18
#define REG_DELAY    0x1c
#define REG_ACK      0x20
#define REG_END      0x24

#define CMD_COPY     1
#define STATUS_DONE  1

#define COPY_MAX     (1u << 20)
#define GUARD        256 /* bytes before and after the destination that must stay as they are */
#define POISON       0xa5
#define DELAY_MAX_US 10000000
#define PATIENCE_MS  30000 /* beyond the delay; emulated machines are slow */

struct acme_dma {
	struct device *dev;
	void __iomem *regs;
	u8 *src;
	dma_addr_t src_dma;
	u8 *dst; /* GUARD, COPY_MAX, GUARD */
	dma_addr_t dst_dma;

	struct mutex mutex; /* one command at a time; protects the buffers and the result */
	bool has_result;
	u32 status;
	bool verified;
	s64 elapsed_us;

	spinlock_t lock; /* the handler and a command: */
	bool running;
	u32 end_status;
	ktime_t end_time;
	u64 interrupts;
	u64 strays;
	struct completion done;
};

/* What a command copies. The device moves bytes from src to dst; the addresses need not be ours. */
struct request {
	u64 src;
	u64 dst;
	u32 len;
	u32 delay_us;
};

static irqreturn_t acme_dma_interrupt(int irq, void *arg)
{
	struct acme_dma *dma = arg;
	ktime_t now = ktime_get();
	u32 status;

	spin_lock(&dma->lock);
	status = readl(dma->regs + REG_STATUS);
	if (status)
		writel(1, dma->regs + REG_ACK);
	if (!status || !dma->running) {
		dma->strays++;
		spin_unlock(&dma->lock);
		return IRQ_NONE;
	}
	dma->running = false;
	dma->end_status = status;
	dma->end_time = now;
	dma->interrupts++;
	complete(&dma->done);
	spin_unlock(&dma->lock);
	return IRQ_HANDLED;
}

/* Sets a register that can be read back. */
static int set(struct acme_dma *dma, unsigned int reg, u32 value)
{
	u32 found;

	writel(value, dma->regs + reg);
	found = readl(dma->regs + reg);
	if (found == value)
		return 0;
	dev_err(dma->dev, "register 0x%02x has 0x%08x, not 0x%08x\n", reg, found, value);
	return -EIO;
}

static int program(struct acme_dma *dma, const struct request *request)
{
	const struct {
		unsigned int reg;
		u32 value;
	} values[] = {
		{ REG_SRC_LO, lower_32_bits(request->src) },
		{ REG_SRC_HI, upper_32_bits(request->src) },
		{ REG_DST_LO, lower_32_bits(request->dst) },
		{ REG_DST_HI, upper_32_bits(request->dst) },
		{ REG_LEN, request->len },
		{ REG_DELAY, request->delay_us },
	};

	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		int r = set(dma, values[i].reg, values[i].value);

		if (r)
			return r;
	}
	return 0;
}

static void begin(struct acme_dma *dma)
{
	unsigned long flags;

	spin_lock_irqsave(&dma->lock, flags);
	reinit_completion(&dma->done);
	dma->running = true;
	spin_unlock_irqrestore(&dma->lock, flags);
}

/* Gives up on the command. The device reads LEN when it copies, so a late copy is a fault and moves nothing. */
static void abandon(struct acme_dma *dma)
{
	unsigned long flags;

	writel(U32_MAX, dma->regs + REG_LEN);
	spin_lock_irqsave(&dma->lock, flags);
	dma->running = false;
	spin_unlock_irqrestore(&dma->lock, flags);
}

/* Runs one command and waits for its end. With the mutex. */
static int run(struct acme_dma *dma, const struct request *request)
{
	unsigned long flags;
	ktime_t start;
	int r;

	dma->has_result = false;
	if (request->delay_us > DELAY_MAX_US)
		return -EINVAL;
	r = program(dma, request);
	if (r)
		return r;
	begin(dma);
	start = ktime_get();
	writel(CMD_COPY, dma->regs + REG_CMD);
	if (!wait_for_completion_timeout(&dma->done, msecs_to_jiffies(request->delay_us / 1000 + PATIENCE_MS))) {
		dev_err(dma->dev, "no interrupt; the status is %u\n", readl(dma->regs + REG_STATUS));
		abandon(dma);
		return -ETIMEDOUT;
	}
	spin_lock_irqsave(&dma->lock, flags);
	dma->status = dma->end_status;
	dma->elapsed_us = ktime_us_delta(dma->end_time, start);
	spin_unlock_irqrestore(&dma->lock, flags);
	dma->has_result = true;
	return 0;
}

static bool untouched(const u8 *bytes, size_t count)
{
	return !memchr_inv(bytes, POISON, count);
}

/* Whether the destination's buffer is as the status says: the source's first `len` bytes, or nothing. */
static bool verify(const struct acme_dma *dma, u32 len)
{
	const u8 *dst = dma->dst + GUARD;

	if (!untouched(dma->dst, GUARD) || !untouched(dst + len, GUARD))
		return false;
	return dma->status == STATUS_DONE ? !memcmp(dst, dma->src, len) : untouched(dst, len);
}

static ssize_t copy_store(struct device *dev, struct device_attribute *attr, const char *text, size_t count)
{
	struct acme_dma *dma = dev_get_drvdata(dev);
	struct request request = { .src = dma->src_dma, .dst = dma->dst_dma + GUARD };
	struct rnd_state state;
	u32 seed, shown;
	int r;

	if (sscanf(text, "%u %u %u", &request.len, &seed, &request.delay_us) != 3)
		return -EINVAL;
	/* A larger one is sent as it is, for the device to refuse; the buffers are what they are. */
	shown = min(request.len, COPY_MAX);
	mutex_lock(&dma->mutex);
	prandom_seed_state(&state, seed);
	prandom_bytes_state(&state, dma->src, shown);
	memset(dma->dst, POISON, shown + 2 * GUARD);
	r = run(dma, &request);
	if (!r)
		dma->verified = verify(dma, shown);
	mutex_unlock(&dma->mutex);
	return r ? r : count;
}
static DEVICE_ATTR_WO(copy);

/* Our end of the copy is a buffer that has the poison; nothing is known of the other end. */
static ssize_t run_with_address(struct acme_dma *dma, const char *text, size_t count, bool from)
{
	struct request request = { .src = dma->src_dma, .dst = dma->dst_dma + GUARD };
	u32 shown;
	int r;

	if (sscanf(text, "%llx %u %u", from ? &request.src : &request.dst, &request.len, &request.delay_us) != 3)
		return -EINVAL;
	shown = min(request.len, COPY_MAX);
	mutex_lock(&dma->mutex);
	memset(dma->src, POISON, shown);
	memset(dma->dst, POISON, shown + 2 * GUARD);
	r = run(dma, &request);
	if (!r)
		dma->verified = untouched(dma->dst, GUARD) && untouched(dma->dst + GUARD + shown, GUARD) &&
				(dma->status == STATUS_DONE || untouched(dma->dst + GUARD, shown));
	mutex_unlock(&dma->mutex);
	return r ? r : count;
}

static ssize_t copy_from_store(struct device *dev, struct device_attribute *attr, const char *text, size_t count)
{
	return run_with_address(dev_get_drvdata(dev), text, count, true);
}
static DEVICE_ATTR_WO(copy_from);

static ssize_t copy_to_store(struct device *dev, struct device_attribute *attr, const char *text, size_t count)
{
	return run_with_address(dev_get_drvdata(dev), text, count, false);
}
static DEVICE_ATTR_WO(copy_to);

static ssize_t result_show(struct device *dev, struct device_attribute *attr, char *text)
{
	struct acme_dma *dma = dev_get_drvdata(dev);
	ssize_t r = -ENODATA;

	mutex_lock(&dma->mutex);
	if (dma->has_result)
		r = sysfs_emit(text, "status=%u verified=%u elapsed_us=%lld\n", dma->status, dma->verified,
			       dma->elapsed_us);
	mutex_unlock(&dma->mutex);
	return r;
}
static DEVICE_ATTR_RO(result);

static ssize_t show_counter(struct acme_dma *dma, const u64 *counter, char *text)
{
	unsigned long flags;
	u64 value;

	spin_lock_irqsave(&dma->lock, flags);
	value = *counter;
	spin_unlock_irqrestore(&dma->lock, flags);
	return sysfs_emit(text, "%llu\n", value);
}

static ssize_t interrupts_show(struct device *dev, struct device_attribute *attr, char *text)
{
	struct acme_dma *dma = dev_get_drvdata(dev);

	return show_counter(dma, &dma->interrupts, text);
}
static DEVICE_ATTR_RO(interrupts);

static ssize_t strays_show(struct device *dev, struct device_attribute *attr, char *text)
{
	struct acme_dma *dma = dev_get_drvdata(dev);

	return show_counter(dma, &dma->strays, text);
}
static DEVICE_ATTR_RO(strays);

static struct attribute *acme_dma_attrs[] = {
	&dev_attr_copy.attr,
	&dev_attr_copy_from.attr,
	&dev_attr_copy_to.attr,
	&dev_attr_result.attr,
	&dev_attr_interrupts.attr,
	&dev_attr_strays.attr,
	NULL,
};
ATTRIBUTE_GROUPS(acme_dma);

static int acme_dma_probe(struct platform_device *pdev)
{
	struct device *dev = &pdev->dev;
	struct acme_dma *dma;
	struct resource *range;
	int irq, r;

	dma = devm_kzalloc(dev, sizeof(*dma), GFP_KERNEL);
	if (!dma)
		return -ENOMEM;
	dma->dev = dev;
	mutex_init(&dma->mutex);
	spin_lock_init(&dma->lock);
	init_completion(&dma->done);
	platform_set_drvdata(pdev, dma);

	dma->regs = devm_platform_get_and_ioremap_resource(pdev, 0, &range);
	if (IS_ERR(dma->regs))
		return PTR_ERR(dma->regs);
	if (resource_size(range) < REG_END)
		return dev_err_probe(dev, -EINVAL, "%pR is too small\n", range);
	r = dma_set_mask_and_coherent(dev, DMA_BIT_MASK(64));
	if (r)
		return dev_err_probe(dev, r, "no DMA\n");
	dma->src = dmam_alloc_coherent(dev, COPY_MAX, &dma->src_dma, GFP_KERNEL);
	dma->dst = dmam_alloc_coherent(dev, COPY_MAX + 2 * GUARD, &dma->dst_dma, GFP_KERNEL);
	if (!dma->src || !dma->dst)
		return -ENOMEM;

	/* Whoever used the device before may have left a status. */
	writel(1, dma->regs + REG_ACK);
	irq = platform_get_irq(pdev, 0);
	if (irq < 0)
		return irq;
	return devm_request_irq(dev, irq, acme_dma_interrupt, 0, dev_name(dev), dma);
}

static const struct acpi_device_id acme_dma_ids[] = {
	{ "ACME0002", 0 },
	{},
};
MODULE_DEVICE_TABLE(acpi, acme_dma_ids);

static struct platform_driver acme_dma_driver = {
	.probe = acme_dma_probe,
	.driver = {
		.name = "acme_dma",
		.acpi_match_table = acme_dma_ids,
		.dev_groups = acme_dma_groups,
	},
};
module_platform_driver(acme_dma_driver);

MODULE_DESCRIPTION("Copying engine of backplane's tests");
MODULE_LICENSE("Dual BSD/GPL");
