/* SPDX-License-Identifier: BSD-3-Clause */
/* Control messages of a console with several ports (VIRTIO 1.2, 5.3.6.2). */
#include "console.h"

#include <endian.h>
#include <string.h>

#define DEVICE_READY 0u
#define DEVICE_ADD   1u
#define PORT_READY   3u
#define CONSOLE_PORT 4u
#define RESIZE       5u
#define PORT_OPEN    6u
#define PORT_NAME    7u

struct control {
	uint32_t id;
	uint16_t event;
	uint16_t value;
};
BP_STATIC_ASSERT(sizeof(struct control) == 8, "5.3.6.2");

/* 5.3.6.2.2: columns first. */
struct resize {
	uint16_t cols;
	uint16_t rows;
};

static const uint16_t events[] = { DEVICE_ADD, CONSOLE_PORT, PORT_NAME, PORT_OPEN, RESIZE };

/* The size of the terminal of a port, if it has one. */
static int size_of(const struct port *port, struct resize *ret)
{
	uint32_t cols, rows;

	if (bp_stream_size(port->console->dev, port->stream, &cols, &rows) < 0)
		return 0;
	*ret = (struct resize){ htole16((uint16_t)cols), htole16((uint16_t)rows) };
	return 1;
}

/* Sends message number `index` of a port in the next buffer. A size that is none any more is not told. */
static void send(struct port *port, uint32_t index)
{
	struct console *console = port->console;
	struct control head = {
		.id = htole32((uint32_t)(port - console->ports)),
		.event = htole16(events[index]),
		.value = htole16(1),
	};
	struct resize size;
	struct bp_chain *chain;

	if (events[index] == RESIZE && !size_of(port, &size))
		return;
	chain = chains_take(&console->control);
	bp_chain_write(chain, &head, sizeof(head));
	if (events[index] == PORT_NAME)
		bp_chain_write(chain, port->name, strlen(port->name));
	if (events[index] == RESIZE)
		bp_chain_write(chain, &size, sizeof(size));
	bp_chain_complete(chain);
}

void control_send(struct console *console)
{
	for (uint32_t i = 0; i < console->port_count; i++) {
		struct port *port = &console->ports[i];

		while (port->messages && console->control.first) {
			uint32_t index = (uint32_t)__builtin_ctz(port->messages);

			port->messages &= port->messages - 1;
			send(port, index);
		}
	}
}

/* What the guest has to know of a port once its driver is ready for it. */
static uint32_t introduction(const struct port *port)
{
	uint32_t messages = MESSAGE_OPEN;
	struct resize size;

	if (port == port->console->ports)
		messages |= MESSAGE_CONSOLE;
	if (port->name[0])
		messages |= MESSAGE_NAME;
	if (port == port->console->ports && size_of(port, &size))
		messages |= MESSAGE_SIZE;
	return messages;
}

void control_receive(struct console *console, struct bp_chain *chain)
{
	struct control head = { 0 };
	size_t got = bp_chain_read(chain, &head, sizeof(head));
	uint32_t id;
	uint16_t event, value;

	bp_chain_complete(chain);
	if (got != sizeof(head)) {
		bp_broken(console->dev, "a control message of %zu bytes", got);
		return;
	}
	id = le32toh(head.id);
	event = le16toh(head.event);
	value = le16toh(head.value);
	if (event == DEVICE_READY) {
		for (uint32_t i = 0; value && i < console->port_count; i++)
			console->ports[i].messages |= MESSAGE_ADD;
	} else if (id < console->port_count && event == PORT_READY) {
		if (value)
			console->ports[id].messages |= introduction(&console->ports[id]);
	} else if (id < console->port_count && event == PORT_OPEN) {
		console->ports[id].open = value != 0;
		port_input(&console->ports[id]);
	}
	/* Whatever else there may be is none of a device's business (5.3.6.2). */
	control_send(console);
}
