/* SPDX-License-Identifier: BSD-3-Clause */
/* A console device as the files of this plugin share it. Everything runs under the instance's mutex, but for create. */
#ifndef VIRTIO_CONSOLE_CONSOLE_H
#define VIRTIO_CONSOLE_CONSOLE_H

#include <backplane/plugin.h>

#define PORTS_MAX        8u /* as many streams as an instance can have; the first is the console */
#define PORT_NAME_MAX    63u
#define TX_BYTES         1024u
#define TURN_BYTES       262144u /* of a port's output in one go: a chain alone can have 4 GiB */

/* 5.3.3 */
#define F_SIZE           (UINT64_C(1) << 0)
#define F_MULTIPORT      (UINT64_C(1) << 1)
#define F_EMERG_WRITE    (UINT64_C(1) << 2)

/* 5.3.2: queues 0 and 1 are the first port's, 2 and 3 carry control messages, then come two for each further port. */
#define QUEUE_CONTROL_RX 2u
#define QUEUE_CONTROL_TX 3u
#define QUEUE_PORTS      4u
#define QUEUES_MAX       (QUEUE_PORTS + 2 * (PORTS_MAX - 1))

/* Chains that wait, oldest first. */
struct chains {
	struct bp_chain *first;
	struct bp_chain *last;
};

static inline void chains_put(struct chains *chains, struct bp_chain *chain)
{
	chain->next = NULL;
	if (chains->first)
		chains->last->next = chain;
	else
		chains->first = chain;
	chains->last = chain;
}

static inline struct bp_chain *chains_take(struct chains *chains)
{
	struct bp_chain *chain = chains->first;

	if (chain)
		chains->first = chain->next;
	return chain;
}

/*
 * One port: a stream of the host, and the two queues of the guest. Input waits in the stream until the guest has given a buffer for
 * it, output in the guest's buffers until the stream takes it.
 */
struct port {
	struct console *console;
	struct bp_stream *stream;
	char name[PORT_NAME_MAX + 1];
	struct chains rx; /* buffers for input */
	struct chains tx; /* output that waits, the first partly in `held` */
	uint8_t held[TX_BYTES];
	size_t held_at, held_count;
	int open;         /* the guest wants input */
	int resting;      /* more output follows when others have had their turn */
	int dropping;     /* the reader has stopped for too long */
	uint64_t dropped; /* bytes, in this episode */
	uint32_t stall_timer;
	int stalling;
	uint32_t messages; /* MESSAGE_* that are still to be sent */
};

struct console {
	struct bp_dev *dev;
	uint32_t port_count;
	int multiport;       /* as negotiated */
	uint32_t cols, rows; /* of the console's terminal, as far as is known */
	uint64_t stall_ns;
	uint32_t turn_timer;   /* for ports that rest */
	struct chains control; /* buffers for messages */
	struct {
		uint64_t *in_bytes, *out_bytes, *lost_bytes;
	} metrics;
	struct port ports[PORTS_MAX];
};

/* What the device has to tell the guest of a port, in the order of sending: each once, whatever happens meanwhile, so that nothing grows. */
#define MESSAGE_ADD     (1u << 0)
#define MESSAGE_CONSOLE (1u << 1)
#define MESSAGE_NAME    (1u << 2)
#define MESSAGE_OPEN    (1u << 3)
#define MESSAGE_SIZE    (1u << 4)
#define MESSAGES_ALL    0x1fu

/* [dev] port.c: moves what can be moved, in one direction; output at most TURN_BYTES, and no more while the port rests. */
void port_input(struct port *port);
void port_output(struct port *port);
/* [dev] Forgets everything of the guest's. */
void port_reset(struct port *port);
/* [dev] A bp_timer_fn: ports that rest go on. */
void port_turn(void *arg, uint32_t timer);
/* [dev] A bp_timer_fn: the reader of the first port has stopped for too long. */
void port_stalled(void *arg, uint32_t timer);

/* [dev] control.c: sends what is to be sent, as far as there are buffers. */
void control_send(struct console *console);
/* [dev] A message of the guest's; completes the chain. */
void control_receive(struct console *console, struct bp_chain *chain);

#endif
