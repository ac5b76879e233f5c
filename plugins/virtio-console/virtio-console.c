/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Consoles: virtio-console (VIRTIO 1.2, 5.3), one console and more ports, each on a stream of the host.
 *
 * With the console alone the device has two queues and tells the terminal's size in configuration space; with further ports it has
 * control messages for all of that.
 */
#include "console.h"

#include <endian.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define VIRTIO_ID_CONSOLE 3u
#define QUEUE_SIZE        64u
#define STALL_DEFAULT     "1s"
#define STALL_MAX_NS      INT64_C(86400000000000) /* a day */

/* 5.3.4, in little endian. */
struct console_config {
	uint16_t cols;
	uint16_t rows;
	uint32_t max_nr_ports;
	uint32_t emerg_wr;
};
BP_STATIC_ASSERT(sizeof(struct console_config) == 12, "5.3.4");

static const struct bp_param port_params[] = {
	{
	    .name = "name",
	    .type = BP_P_STRING,
	    .flags = BP_P_REQUIRED,
	    .help = "name that the guest sees, in Linux as /dev/virtio-ports/NAME; at most 63 bytes",
	},
	{
	    .name = "stream",
	    .type = BP_P_STREAM,
	    .flags = BP_P_REQUIRED,
	    .help = "what the port is connected to",
	},
};

static const struct bp_param console_params[] = {
	{
	    .name = "stream",
	    .type = BP_P_STREAM,
	    .def = "terminal",
	    .help = "what the console is connected to",
	},
	{
	    .name = "stall",
	    .type = BP_P_DURATION,
	    .def = STALL_DEFAULT,
	    .max = STALL_MAX_NS,
	    .help = "how long a reader that has stopped holds up the console's output before it is dropped",
	},
	{
	    .name = "ports",
	    .type = BP_P_GROUP,
	    .flags = BP_P_REPEATED,
	    BP_GROUP(port_params),
	    .help = "further ports, at most 7",
	},
};

/* ---- virtio ---- */

/* The port of a queue that is not for control; NULL for one beyond the last. */
static struct port *port_of(struct console *console, uint32_t queue)
{
	uint32_t index = queue < QUEUE_CONTROL_RX ? 0 : (queue - QUEUE_PORTS) / 2 + 1;

	return index < console->port_count ? &console->ports[index] : NULL;
}

static void console_request(void *self, struct bp_chain *chain) /* [dev] */
{
	struct console *console = self;
	struct port *port;

	/* 5.3.2: without MULTIPORT there are the first two queues only. */
	if (chain->queue >= QUEUE_CONTROL_RX && !console->multiport) {
		bp_chain_complete(chain);
		return;
	}
	if (chain->queue == QUEUE_CONTROL_RX) {
		chains_put(&console->control, chain);
		control_send(console);
		return;
	}
	if (chain->queue == QUEUE_CONTROL_TX) {
		control_receive(console, chain);
		return;
	}
	port = port_of(console, chain->queue);
	if (!port) {
		bp_chain_complete(chain);
	} else if (chain->queue % 2 == 0) {
		chains_put(&port->rx, chain);
		port_input(port);
	} else {
		chains_put(&port->tx, chain);
		port_output(port);
	}
}

static void console_activate(void *self, uint64_t features, uint32_t queues) /* [dev] */
{
	struct console *console = self;

	(void)queues;
	console->multiport = (features & F_MULTIPORT) != 0;
	/* A driver without ports has no way to say that it wants input. One with them says it of its console, too, and Linux throws
	 * away what came before. */
	console->ports[0].open = !console->multiport;
}

/* Writes all but what an emergency write left: of that nothing is to be told. */
static void show_config(struct console *console)
{
	struct console_config config = { .max_nr_ports = htole32(console->port_count) };

	/* It keeps the last one where there is none any more. */
	bp_stream_size(console->dev, console->ports[0].stream, &console->cols, &console->rows);
	config.cols = htole16((uint16_t)console->cols);
	config.rows = htole16((uint16_t)console->rows);
	bp_virtio_config_write(console->dev, 0, &config, offsetof(struct console_config, emerg_wr));
}

/* 5.3.5: a character of a guest that can do nothing else any more. */
static void console_config_changed(void *self, uint32_t offset, uint32_t bytes) /* [dev] */
{
	struct console *console = self;
	uint8_t character;

	bp_virtio_config_read(console->dev, offsetof(struct console_config, emerg_wr), &character, 1);
	if (offset <= offsetof(struct console_config, emerg_wr) &&
	    offset + bytes > offsetof(struct console_config, emerg_wr))
		bp_stream_write(console->dev, console->ports[0].stream, &character, 1);
	/* Nothing else there is the guest's. */
	show_config(console);
}

static void console_reset(void *self) /* [dev] */
{
	struct console *console = self;

	console->multiport = 0;
	console->control = (struct chains){ NULL, NULL };
	for (uint32_t i = 0; i < console->port_count; i++)
		port_reset(&console->ports[i]);
}

/* ---- streams ---- */

static void port_event(void *arg, uint32_t events) /* [dev] */
{
	struct port *port = arg;

	if (events & BP_STREAM_IN)
		port_input(port);
	if (events & BP_STREAM_OUT)
		port_output(port);
	if (!(events & BP_STREAM_SIZE) || port != port->console->ports)
		return;
	show_config(port->console);
	if (port->console->multiport) {
		port->messages |= MESSAGE_SIZE;
		control_send(port->console);
	}
}

/* ---- life ---- */

static int console_validate(struct bp_dev *dev, const struct bp_cfg *cfg) /* [main] */
{
	uint32_t count = bp_cfg_count(cfg, "ports");

	if (count > PORTS_MAX - 1)
		return bp_fail(dev, -EINVAL, "there are %" PRIu32 " ports, and at most %u can be", count,
			       PORTS_MAX - 1);
	for (uint32_t i = 0; i < count; i++) {
		const char *name = bp_cfg_string(bp_cfg_group_at(cfg, "ports", i), "name");

		if (!name[0] || strlen(name) > PORT_NAME_MAX || strchr(name, '/'))
			return bp_fail(dev, -EINVAL,
				       "\"%s\" cannot be the name of a port: it needs 1 to %u bytes, without a slash",
				       name, PORT_NAME_MAX);
		for (uint32_t j = 0; j < i; j++)
			if (!strcmp(name, bp_cfg_string(bp_cfg_group_at(cfg, "ports", j), "name")))
				return bp_fail(dev, -EINVAL, "there are two ports \"%s\"", name);
	}
	return 0;
}

static int add_port(struct console *console, const struct bp_cfg *cfg, const char *name)
{
	struct port *port = &console->ports[console->port_count++];

	port->console = console;
	snprintf(port->name, sizeof(port->name), "%s", name);
	port->stream = bp_cfg_stream(cfg, "stream");
	if (!port->stream)
		return bp_fail(console->dev, -ENOMEM, "no stream");
	return bp_stream_listen(console->dev, port->stream, port_event, port);
}

static int make_ports(struct console *console, const struct bp_cfg *cfg)
{
	int r = add_port(console, cfg, "");

	for (uint32_t i = 0; r == 0 && i < bp_cfg_count(cfg, "ports"); i++) {
		const struct bp_cfg *group = bp_cfg_group_at(cfg, "ports", i);

		r = add_port(console, group, bp_cfg_string(group, "name"));
	}
	if (r == 0)
		r = bp_timer_add(console->dev, port_stalled, console, &console->ports[0].stall_timer);
	return r == 0 ? bp_timer_add(console->dev, port_turn, console, &console->turn_timer) : r;
}

static int console_create(struct bp_dev *dev, const struct bp_cfg *cfg, void **ret) /* [main] */
{
	struct console *console = calloc(1, sizeof(*console));
	uint32_t cols, rows;
	uint64_t features;
	int r;

	if (!console)
		return bp_fail(dev, -ENOMEM, "no memory");
	console->dev = dev;
	console->stall_ns = bp_cfg_uint(cfg, "stall");
	r = make_ports(console, cfg);
	if (r < 0)
		goto fail;
	features = F_EMERG_WRITE;
	if (console->port_count > 1)
		features |= F_MULTIPORT;
	if (bp_stream_size(dev, console->ports[0].stream, &cols, &rows) == 0)
		features |= F_SIZE;
	r = bp_virtio_offer(dev, features, console->port_count > 1 ? QUEUE_PORTS + 2 * (console->port_count - 1) : 2);
	if (r < 0)
		goto fail;
	bp_metric(dev, BP_METRIC_COUNTER, "in_bytes", "bytes to the guest", &console->metrics.in_bytes);
	bp_metric(dev, BP_METRIC_COUNTER, "out_bytes", "bytes from the guest", &console->metrics.out_bytes);
	bp_metric(dev, BP_METRIC_COUNTER, "lost_bytes", "output that no reader took", &console->metrics.lost_bytes);
	show_config(console);
	console_reset(console);
	*ret = console;
	return 0;
fail:
	free(console);
	return r;
}

static const struct bp_virtio_class console_virtio = {
	BP_VIRTIO_CLASS_INIT,
	.id = VIRTIO_ID_CONSOLE,
	.queue_count = QUEUES_MAX,
	.queue_size = QUEUE_SIZE,
	.config_bytes = sizeof(struct console_config),
	.features = F_SIZE | F_MULTIPORT | F_EMERG_WRITE,
	.activate = console_activate,
	.request = console_request,
	.config_changed = console_config_changed,
};

static const struct bp_device_class console_class = {
	BP_DEVICE_CLASS_INIT,
	.name = "virtio-console",
	.summary = "a console, and ports beside it",
	BP_PARAMS(console_params),
	.validate = console_validate,
	.create = console_create,
	.reset = console_reset,
	.destroy = free,
	.virtio = &console_virtio,
};
BP_PLUGIN("org.backplane.virtio-console", "1.0", &console_class)
