/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A vsock device as the files of this plugin share it. Everything runs under the instance's mutex, but for create.
 *
 * Bytes are copied once in each direction, by the kernel: from a packet of the guest into the host's socket, and from there into
 * buffers of the guest, behind the headers that go with them. Only when the host does not take what the guest sends, the rest of it is kept in
 * a buffer, of which the guest knows the size (credit.h).
 *
 * What is to be said to the guest is not queued but derived from the connection (WANT_*) when there is a buffer for it, so that nothing
 * grows while the guest gives none. Only answers to packets of no connection wait in a queue, and when that is full, packets of the
 * guest wait.
 *
 * Nothing is looked for, and nothing is allocated for a packet: connections are found by a hash of their ports, those that have something
 * for the guest are in a list, in which each has its turn, and those that wait for a moment are in a list for each such length of
 * time, which is in order by itself.
 */
#ifndef VIRTIO_VSOCK_VSOCK_H
#define VIRTIO_VSOCK_VSOCK_H

#include "credit.h"
#include "list.h"
#include "packet.h"

#define CONNECTIONS_DEFAULT "1023"
#define CONNECTIONS_MAX     4000                 /* below what a device may wait for (bp_fd_add), with its listener */
#define LINE_MAX_BYTES      32u                  /* "CONNECT <port>\n" */
#define PORT_FIRST          UINT32_C(0x40000000) /* of those that are given to programs of the host */
#define PORT_LAST           UINT32_C(0x7fffffff)
#define ASKS_MAX            64u  /* bp_connect() at a time */
#define RESETS_MAX          256u /* answers to packets of no connection */
#define SPARES_MAX          4u   /* buffers that are kept for the next who needs one */

#define LIMIT_NS            UINT64_C(2000000000) /* for a line, an answer, an end */
#define RETRY_NS            UINT64_C(20000000)   /* between tries to reach a program of the host that is busy */
#define ASK_NS              UINT64_C(1000000000) /* without room, until the guest is asked about it */
#define LISTEN_PAUSE_NS     UINT64_C(100000000)  /* when there are no descriptors left */

/*
 * A connection between a program of the host, at `fd`, and one of the guest. "Gone": it is free again.
 *
 *   state       entered by                                  has              ends by
 *   LINE        a program has come to the socket            fd               a CONNECT line: REQUESTED; a bad one, its end, 2 s: gone
 *   REQUESTED   a CONNECT line                              fd, ports        RESPONSE: OPEN; RST: gone; other packets, 2 s: RESET
 *   CONNECTING  the guest's REQUEST                         ports            connected: OPEN; RST: gone; failure, other packets, 2 s: RESET
 *   OPEN        RESPONSE came, or is to be sent             fd, ports        as below; a breach of the protocol: RESET
 *   CLOSING     SHUTDOWN of both directions, and bytes for  fd, ports        they are taken, 2 s: RESET; RST: DRAINING
 *               the host are left
 *   ENDING      both directions are over for the host       ports            RST: gone; SHUTDOWN of both, 2 s after ours was sent: RESET
 *   RESET       RST is to be sent                           ports, maybe fd  sent: DRAINING if bytes for the host are left, else gone
 *   DRAINING    the guest has done with it, and bytes for   fd               they are taken, or nobody takes them any more: gone
 *               the host are left
 *
 * A direction of one that is OPEN ends when its sender says so and all that was sent before has arrived, or when its receiver says so:
 *   to the guest   the host's end of file (we say SEND), or the guest's RECEIVE
 *   to the host    the guest's SEND, once the buffer is empty, or the host takes no more (we say RECEIVE)
 * With both over it goes to ENDING; where the guest has said both, to CLOSING or RESET. A reset of the device ends all.
 */
enum conn_state {
	CONN_FREE,
	CONN_LINE,
	CONN_REQUESTED,
	CONN_CONNECTING,
	CONN_OPEN,
	CONN_CLOSING,
	CONN_ENDING,
	CONN_RESET,
	CONN_DRAINING,
};

/* What is to be sent to the guest, in the order of sending. */
#define WANT_RST      (1u << 0) /* and nothing else */
#define WANT_REQUEST  (1u << 1)
#define WANT_RESPONSE (1u << 2)
#define WANT_DATA     (1u << 3) /* the socket has something, or its end; only in OPEN */
#define WANT_SHUTDOWN (1u << 4)
#define WANT_ROOM     (1u << 5) /* CREDIT_REQUEST */
#define WANT_ANSWER   (1u << 6) /* CREDIT_UPDATE, since the guest has asked */
#define WANT_CREDIT   (1u << 7) /* the same, or any other packet, since there is room again */

/* A moment that is waited for. */
struct deadline {
	struct node node;
	uint64_t at_ns;
};

struct vsock;

struct conn {
	struct vsock *vsock;
	enum conn_state state;
	int fd;             /* -1: none */
	bool watched;       /* the fd is waited for */
	bool accepted;      /* the program of the host came to us */
	bool linked;        /* by its ports */
	uint32_t events;    /* that it is waited for: BP_FD_* */
	uint32_t host_port; /* ours, as the guest sees it */
	uint32_t guest_port;
	uint32_t want;       /* WANT_* */
	uint32_t guest_shut; /* what the guest has said: SHUT_* */
	uint32_t host_shut;  /* what we have said, or are about to */
	uint32_t gather;     /* how many buffers of the guest the next read may fill */
	struct credit credit;
	struct conn *next_by_ports, *next_by_port;
	struct node ready;     /* while there is something that can be sent; CONN_FREE: among the free ones */
	struct deadline limit; /* of the state */
	struct deadline pause; /* CONNECTING: the next try, or the turn; OPEN: the guest is asked for room */
	struct ask *ask;       /* CONNECTING: or NULL */
	uint8_t *buffer;       /* for the host: BUFFER_BYTES, or NULL while there is nothing in it */
	uint32_t buffer_at, buffered;
	uint32_t line_bytes;
	char line[LINE_MAX_BYTES];
};

#define CONN_OF(node_, member) ((struct conn *)(void *)((char *)(node_)-offsetof(struct conn, member)))

/* One that bp_connect() works on: for a connection, or for nobody any more. */
struct ask {
	struct vsock *vsock;
	struct conn *conn;
	struct ask *next; /* free ones */
};

/* Connections that wait for the same length of time. */
struct timeline {
	struct node list;
	uint64_t period_ns;
};

/* RST for a packet of no connection. */
struct reset {
	uint64_t src_cid; /* these as we send them */
	uint32_t src_port, dst_port;
	uint16_t type;
};

/* Chains that wait, oldest first. */
struct chains {
	struct bp_chain *first, *last;
	uint32_t count;
};

static inline void chains_put(struct chains *chains, struct bp_chain *chain)
{
	chain->next = NULL;
	if (chains->first)
		chains->last->next = chain;
	else
		chains->first = chain;
	chains->last = chain;
	chains->count++;
}

static inline struct bp_chain *chains_take(struct chains *chains)
{
	struct bp_chain *chain = chains->first;

	if (chain) {
		chains->first = chain->next;
		chains->count--;
	}
	return chain;
}

struct vsock {
	struct bp_dev *dev;
	uint64_t cid;
	int listen_fd;
	uint64_t listen_at_ns; /* no program is let in until then; 0: it is */
	uint32_t deadline_timer, turn_timer;
	uint64_t deadline_ns; /* what the first of them is set to; 0: nothing */
	bool turn_due;        /* the second is set */
	bool transport_reset; /* the guest is to be told that its connections are over */
	struct chains rx, tx, event;
	struct node ready; /* connections that have something to send, each until its turn */
	struct timeline limits, retries, asks;
	struct node waiting; /* for one of these */
	struct ask *free_asks;
	struct ask all_asks[ASKS_MAX];
	struct reset resets[RESETS_MAX];
	uint32_t resets_at, reset_count;
	uint8_t *spares[SPARES_MAX];
	uint32_t spare_count;
	struct conn *called;                         /* whose socket's callback this is, unless it is gone meanwhile */
	struct conn *conns;                          /* all there can be */
	uint32_t conns_max, conns_fresh, conns_open; /* from conns_fresh on none has ever been used */
	struct node free_conns;
	struct conn **by_ports, **by_port; /* by both ports; by the host's, of those that are accepted */
	uint32_t hash_bits;
	uint32_t next_port;
	struct iovec *iov; /* BP_CHAIN_IOV_MAX, for the call that is under way */
	struct {
		uint64_t *open, *made, *refused, *in_bytes, *out_bytes, *in_packets, *out_packets, *dropped;
	} metrics;
};

/* ---- virtio-vsock.c ---- */

/* [dev] What a callback ends with: sends what can be sent, and takes packets of the guest that have waited for that. */
void vsock_work(struct vsock *vsock);

/* ---- table.c: [main], or [dev] once the device runs ---- */

/* 0 or -ENOMEM. Free in every case. */
int table_init(struct vsock *vsock, uint32_t connections);
void table_free(struct vsock *vsock);

/* A connection that has nothing yet; NULL if there are too many. */
struct conn *conn_new(struct vsock *vsock, enum conn_state state);
/* It is gone, and all that it had. */
void conn_free(struct conn *conn);

struct conn *conn_find(const struct vsock *vsock, uint32_t host_port, uint32_t guest_port);
/* From now on it is found by its ports; no other is. */
void conn_link(struct conn *conn, uint32_t host_port, uint32_t guest_port);
void conn_unlink(struct conn *conn);
/* A port for a program that wants to reach `guest_port`, of no other connection. */
uint32_t conn_choose_port(struct vsock *vsock, uint32_t guest_port);

/* ---- deadline.c: [dev] ---- */

/* [main] */
int deadline_init(struct vsock *vsock);
/* The moment comes after the timeline's period, in place of the one that was waited for. */
void deadline_start(struct vsock *vsock, struct timeline *timeline, struct deadline *deadline);
/* Sets the timer for the next moment, if there is one. */
void deadline_arm(struct vsock *vsock);

/* ---- connection.c: [dev] ---- */

/* Something more is to be sent. */
void conn_want(struct conn *conn, uint32_t want);
/* Puts it into the list of those that are ready, or takes it out: call it when WANT_* or the guest's credit has changed. */
void conn_ready(struct conn *conn);
/* Waits for what its state needs of the socket, and for nothing else. */
void conn_watch(struct conn *conn);
/* The socket is no longer waited for: it would say the same again and again. */
void conn_unwatch(struct conn *conn);
/* Closes the socket, if there is one. */
void conn_close(struct conn *conn);
/* Another state, in which nothing is waited for yet. */
void conn_enter(struct conn *conn, enum conn_state state);

/* The guest is told RST, the host nothing. `why` goes into the log, unless NULL. */
void conn_abort(struct conn *conn, const char *why);
/* The guest has done with it: RST has come, or was sent. It may be gone after this. */
void conn_over(struct conn *conn);
/* The socket is the connection's from now on, and the connection open. */
void conn_opened(struct conn *conn);
/* Its time is up. It may be gone after this. */
void conn_expired(struct conn *conn);
/* A packet of it, whose data is in the chain. It may be gone after this. */
void conn_packet(struct conn *conn, const struct packet *packet, struct bp_chain *chain);
/* The host has nothing more to send. */
void conn_host_ended(struct conn *conn);
/* The host takes nothing more. It may be gone after this. */
void conn_host_deaf(struct conn *conn);
/* Nothing is left in the buffer. It may be gone after this. */
void conn_flushed(struct conn *conn);
/* A bp_fd_fn. */
void conn_socket(void *arg, int fd, uint32_t events);

/* ---- output.c: [dev] ---- */

/* [main] The first buffer, which takes no memory until it is used. 0 or -ENOMEM. */
int output_init(struct vsock *vsock);
/* Gives `bytes` of the chain, which are there, to the host; those that it does not take into the buffer, which has room. 0; -EPIPE if
 * nobody will take them; -ENOMEM. */
int output_chain(struct conn *conn, struct bp_chain *chain, uint32_t bytes);
/* Gives the host what it takes of the buffer. 0, or -EPIPE. */
int output_flush(struct conn *conn);
/* Bytes have been dealt with, one way or another. */
void output_forwarded(struct conn *conn, uint32_t bytes);
/* Forgets what is in the buffer. */
void output_drop(struct conn *conn);
/* [main] Frees the buffers that are kept. */
void output_free(struct vsock *vsock);

/* ---- host.c: [dev] ---- */

/* [main] 0, or what bp_fd_add() says. */
int host_init(struct vsock *vsock);
/* A bp_fd_fn: programs of the host have come. */
void host_listen(void *arg, int fd, uint32_t events);
/* Programs that were kept waiting may come in. */
void host_listen_again(struct vsock *vsock);
/* Reads on in the line of one that is in LINE. It may be gone after this. */
void host_line(struct conn *conn);
/* Tries to reach the program of the host that the guest wants, of one that is in CONNECTING. */
void host_ask(struct conn *conn);
/* It does not want it any more. */
void host_forget(struct conn *conn);

/* ---- tx.c: [dev] ---- */

/* A packet of the guest. */
void tx_request(struct vsock *vsock, struct bp_chain *chain);
/* Takes packets that have waited. Whether there were any. */
bool tx_resume(struct vsock *vsock);

/* ---- rx.c: [dev] ---- */

/* A buffer of the guest. */
void rx_request(struct vsock *vsock, struct bp_chain *chain);
/* Sends what can be sent, for one callback. */
void rx_pump(struct vsock *vsock, uint64_t *budget_bytes);
/* Goes on when this callback has ended, and others have had their turn. */
void rx_turn_later(struct vsock *vsock);
/* A bp_timer_fn: it is our turn again. */
void rx_turn(void *arg, uint32_t timer);

#endif
