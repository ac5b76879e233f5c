/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A PC's keyboard controller (8042) with nothing attached to it. What it is for is its reset line: the way to restart that most
 * guests know. All else answers as a controller does whose keyboard does not, so that a driver finds that out without waiting.
 *
 * Commands and their answers are those of IBM's PS/2 (Hardware Interface Technical Reference, Keyboard and Auxiliary Device
 * Controller). Each takes no time: the input buffer is always empty, an answer is there in the access that asks for it.
 *
 * Its node is the keyboard's, PNP0303, with both ports and the interrupt: a machine without a 8259 has no interrupt 1 unless a node
 * says so. As there is no node of a mouse, Linux does not look for one, and says that.
 *
 * Everything here runs under the instance's mutex, except create and destroy.
 */
#include <backplane/plugin.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define IRQ_MAX          23
#define RAM_BYTES        32

/* Ranges. */
#define RANGE_DATA       0u
#define RANGE_COMMAND    1u

/* Status. */
#define ST_OUTPUT_FULL   0x01u
#define ST_SYSTEM        0x04u
#define ST_COMMAND       0x08u /* the last write was one of a command */
#define ST_UNLOCKED      0x10u
#define ST_TIMEOUT       0x40u /* the device has not answered */

/* The command byte, which is the first of the RAM. */
#define CB_KBD_INTERRUPT 0x01u
#define CB_SYSTEM        0x04u
#define CB_KBD_DISABLED  0x10u
#define CB_AUX_DISABLED  0x20u
#define CB_TRANSLATE     0x40u
#define CB_RESET         (CB_KBD_INTERRUPT | CB_SYSTEM | CB_AUX_DISABLED | CB_TRANSLATE)

/* Commands. */
#define CMD_READ_RAM     0x20u /* to 0x3f */
#define CMD_WRITE_RAM    0x60u /* to 0x7f */
#define CMD_RAM          0xe0u /* mask of the two */
#define CMD_AUX_DISABLE  0xa7u
#define CMD_AUX_ENABLE   0xa8u
#define CMD_AUX_TEST     0xa9u
#define CMD_SELF_TEST    0xaau
#define CMD_KBD_TEST     0xabu
#define CMD_KBD_DISABLE  0xadu
#define CMD_KBD_ENABLE   0xaeu
#define CMD_READ_INPUT   0xc0u
#define CMD_READ_OUTPUT  0xd0u
#define CMD_WRITE_OUTPUT 0xd1u
#define CMD_LOOP_KBD     0xd2u
#define CMD_LOOP_AUX     0xd3u
#define CMD_WRITE_AUX    0xd4u
#define CMD_READ_TEST    0xe0u
#define CMD_PULSE        0xf0u /* to 0xff: the output lines whose bits are 0 */

#define SELF_TEST_OK     0x55u
#define KBD_TEST_OK      0x00u
#define AUX_TEST_STUCK   0x02u /* its clock line is high: there is no device */
#define INPUT_UNLOCKED   0x80u
#define NO_ANSWER        0xfeu

/* The output port. */
#define OUT_NO_RESET     0x01u
#define OUT_A20          0x02u
#define OUT_RESET        (OUT_NO_RESET | OUT_A20)

/* Fields of a state. */
#define TAG_RAM          1u
#define TAG_STATUS       2u
#define TAG_OUTPUT       3u
#define TAG_PENDING      4u
#define TAG_PORT         5u

struct i8042 {
	struct bp_dev *dev;
	uint8_t ram[RAM_BYTES];
	uint8_t status;  /* ST_OUTPUT_FULL, ST_COMMAND and ST_TIMEOUT */
	uint8_t output;  /* the output buffer */
	uint8_t pending; /* the command that waits for a byte, or 0 */
	uint8_t port;    /* what has been written to the output port */
	uint64_t *resets;
};

static const struct bp_param i8042_params[] = {
	{
	    .name = "data",
	    .type = BP_P_ADDRESS,
	    .def = "0x60",
	    .help = "I/O port of data",
	},
	{
	    .name = "command",
	    .type = BP_P_ADDRESS,
	    .def = "0x64",
	    .help = "I/O port of commands and the status",
	},
	{
	    .name = "irq",
	    .type = BP_P_UINT,
	    .def = "1",
	    .max = IRQ_MAX,
	    .help = "interrupt line",
	},
};

static const struct bp_range i8042_ranges[] = {
	[RANGE_DATA] = { .space = BP_PIO, .length = 1, .widths = BP_W8, .base_param = "data" },
	[RANGE_COMMAND] = { .space = BP_PIO, .length = 1, .widths = BP_W8, .base_param = "command" },
};

static const struct bp_irq i8042_irqs[] = {
	{ .line_param = "irq" },
};

/* The interrupt of the keyboard stands for a full output buffer. */
static void tell(struct i8042 *i8042)
{
	if ((i8042->status & ST_OUTPUT_FULL) && (i8042->ram[0] & CB_KBD_INTERRUPT))
		bp_irq_raise(i8042->dev, 0);
}

/* The answer of the controller itself raises no interrupt: whoever asks, waits. What has not been fetched is overwritten. */
static void answer(struct i8042 *i8042, uint8_t byte)
{
	i8042->output = byte;
	i8042->status = (uint8_t)((i8042->status & ~ST_TIMEOUT) | ST_OUTPUT_FULL);
}

/* What looks as if it came from a device. */
static void device_says(struct i8042 *i8042, uint8_t byte, uint8_t status)
{
	answer(i8042, byte);
	i8042->status |= status;
	tell(i8042);
}

static void pull_reset(struct i8042 *i8042)
{
	bp_metric_add(i8042->resets, 1);
	bp_event(i8042->dev, BP_EVENT_RESET, 0);
}

static void command_write(struct i8042 *i8042, uint8_t command)
{
	i8042->pending = 0;
	i8042->status |= ST_COMMAND;
	if ((command & CMD_RAM) == CMD_READ_RAM) {
		answer(i8042, i8042->ram[command % RAM_BYTES]);
		return;
	}
	if ((command & CMD_RAM) == CMD_WRITE_RAM) {
		i8042->pending = command;
		return;
	}
	if (command >= CMD_PULSE) {
		if (!(command & OUT_NO_RESET))
			pull_reset(i8042);
		return;
	}
	switch (command) {
	case CMD_AUX_DISABLE:
		i8042->ram[0] |= CB_AUX_DISABLED;
		break;
	case CMD_AUX_ENABLE:
		i8042->ram[0] &= (uint8_t)~CB_AUX_DISABLED;
		break;
	case CMD_AUX_TEST:
		answer(i8042, AUX_TEST_STUCK);
		break;
	case CMD_SELF_TEST:
		i8042->ram[0] |= CB_SYSTEM;
		answer(i8042, SELF_TEST_OK);
		break;
	case CMD_KBD_TEST:
		answer(i8042, KBD_TEST_OK);
		break;
	case CMD_KBD_DISABLE:
		i8042->ram[0] |= CB_KBD_DISABLED;
		break;
	case CMD_KBD_ENABLE:
		i8042->ram[0] &= (uint8_t)~CB_KBD_DISABLED;
		break;
	case CMD_READ_INPUT:
		answer(i8042, INPUT_UNLOCKED);
		break;
	case CMD_READ_OUTPUT:
		answer(i8042, i8042->port);
		break;
	case CMD_READ_TEST:
		answer(i8042, 0);
		break;
	case CMD_WRITE_OUTPUT:
	case CMD_LOOP_KBD:
	case CMD_LOOP_AUX:
	case CMD_WRITE_AUX:
		i8042->pending = command;
		break;
	default: /* nothing that this controller knows */
		break;
	}
}

/* A byte for the command before it; without one, for the keyboard, which does not answer. */
static void data_write(struct i8042 *i8042, uint8_t byte)
{
	uint8_t command = i8042->pending;

	i8042->pending = 0;
	i8042->status &= (uint8_t)~ST_COMMAND;
	switch (command) {
	case 0:
	case CMD_WRITE_AUX:
		device_says(i8042, NO_ANSWER, ST_TIMEOUT);
		break;
	case CMD_WRITE_OUTPUT:
		i8042->port = byte;
		if (!(byte & OUT_NO_RESET))
			pull_reset(i8042);
		break;
	case CMD_LOOP_KBD:
	case CMD_LOOP_AUX: /* not marked as a mouse's: a driver sees that there is no such port */
		device_says(i8042, byte, 0);
		break;
	default:
		i8042->ram[command % RAM_BYTES] = byte;
		/* An interrupt that has just been enabled for what waits already. */
		if (command == CMD_WRITE_RAM)
			tell(i8042);
		break;
	}
}

static uint8_t data_read(struct i8042 *i8042)
{
	i8042->status &= (uint8_t) ~(ST_OUTPUT_FULL | ST_TIMEOUT);
	return i8042->output;
}

static uint8_t status_read(const struct i8042 *i8042)
{
	return i8042->status | (i8042->ram[0] & CB_SYSTEM ? ST_SYSTEM : 0) | ST_UNLOCKED;
}

static void i8042_reset(void *self) /* [dev] */
{
	struct i8042 *i8042 = self;

	memset(i8042->ram, 0, sizeof(i8042->ram));
	i8042->ram[0] = CB_RESET;
	i8042->status = 0;
	i8042->output = 0;
	i8042->pending = 0;
	i8042->port = OUT_RESET;
}

static int i8042_create(struct bp_dev *dev, const struct bp_cfg *cfg, void **ret) /* [main] */
{
	struct i8042 *i8042 = calloc(1, sizeof(*i8042));

	(void)cfg;
	if (!i8042)
		return bp_fail(dev, -ENOMEM, "no memory for a keyboard controller");
	i8042->dev = dev;
	bp_metric(dev, BP_METRIC_COUNTER, "resets", "pulls of the reset line", &i8042->resets);
	i8042_reset(i8042);
	*ret = i8042;
	return 0;
}

static int i8042_access(void *self, const struct bp_access *access, uint64_t *val) /* [dev] */
{
	struct i8042 *i8042 = self;
	bool data = access->range == RANGE_DATA;

	if (!access->write)
		*val = data ? data_read(i8042) : status_read(i8042);
	else if (data)
		data_write(i8042, (uint8_t)*val);
	else
		command_write(i8042, (uint8_t)*val);
	return 0;
}

static int i8042_save(void *self, struct bp_writer *writer) /* [dev] */
{
	const struct i8042 *i8042 = self;

	bp_put_bytes(writer, TAG_RAM, i8042->ram, sizeof(i8042->ram));
	bp_put_uint(writer, TAG_STATUS, i8042->status);
	bp_put_uint(writer, TAG_OUTPUT, i8042->output);
	bp_put_uint(writer, TAG_PENDING, i8042->pending);
	bp_put_uint(writer, TAG_PORT, i8042->port);
	return 0;
}

static bool can_wait(uint64_t command)
{
	return !command || (command & CMD_RAM) == CMD_WRITE_RAM || command == CMD_WRITE_OUTPUT ||
	       command == CMD_LOOP_KBD || command == CMD_LOOP_AUX || command == CMD_WRITE_AUX;
}

static int i8042_load(void *self, struct bp_reader *reader, uint32_t version) /* [dev] */
{
	struct i8042 *i8042 = self;
	uint64_t status = 0, output = 0, pending = 0, port = 0;
	uint8_t ram[RAM_BYTES];
	int r = bp_get_bytes(reader, TAG_RAM, ram, sizeof(ram));

	(void)version;
	if (r >= 0 && r != sizeof(ram))
		r = -EINVAL;
	if (r >= 0)
		r = bp_get_uint_max(reader, TAG_STATUS, UINT8_MAX, &status);
	if (r >= 0)
		r = bp_get_uint_max(reader, TAG_OUTPUT, UINT8_MAX, &output);
	if (r >= 0)
		r = bp_get_uint_max(reader, TAG_PENDING, UINT8_MAX, &pending);
	if (r >= 0)
		r = bp_get_uint_max(reader, TAG_PORT, UINT8_MAX, &port);
	if (r >= 0 && ((status & ~(uint64_t)(ST_OUTPUT_FULL | ST_COMMAND | ST_TIMEOUT)) || !can_wait(pending)))
		r = -ERANGE;
	if (r < 0)
		return bp_fail(i8042->dev, r, "the state is not that of a keyboard controller");
	memcpy(i8042->ram, ram, sizeof(ram));
	i8042->status = (uint8_t)status;
	i8042->output = (uint8_t)output;
	i8042->pending = (uint8_t)pending;
	i8042->port = (uint8_t)port;
	return 0;
}

/* Whether the last edge has been seen before the state was saved is not known; one more does no harm. */
static void i8042_resume(void *self) /* [dev] */
{
	tell(self);
}

/* clang-format off */
static const struct bp_device_class i8042_class = {
	BP_DEVICE_CLASS_INIT,
	.name = "i8042",
	.summary = "keyboard controller with a reset line and no keyboard",
	.hid = "PNP0303",
	.facts = BP_FACT_I8042,
	BP_PARAMS(i8042_params),
	BP_RANGES(i8042_ranges),
	BP_IRQS(i8042_irqs),
	.create = i8042_create,
	.access = i8042_access,
	.reset = i8042_reset,
	.destroy = free,
	.state_version = 1,
	.save = i8042_save,
	.load = i8042_load,
	.resume = i8042_resume,
};
/* clang-format on */

BP_PLUGIN("org.backplane.i8042", "0.1", &i8042_class)
