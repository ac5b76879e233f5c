/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * All connections that there can be, and how they are found. The table is as long as it will ever be, but memory that no connection has
 * needed yet is not touched.
 */
#include "vsock.h"

#include <stdlib.h>
#include <unistd.h>

int table_init(struct vsock *vsock, uint32_t connections)
{
	vsock->hash_bits = 4;
	while (UINT32_C(1) << vsock->hash_bits < connections)
		vsock->hash_bits++;
	vsock->conns_max = connections;
	vsock->conns = calloc(connections, sizeof(vsock->conns[0]));
	vsock->by_ports = calloc(UINT64_C(1) << vsock->hash_bits, sizeof(struct conn *));
	vsock->by_port = calloc(UINT64_C(1) << vsock->hash_bits, sizeof(struct conn *));
	list_init(&vsock->free_conns);
	vsock->next_port = PORT_FIRST;
	return vsock->conns && vsock->by_ports && vsock->by_port ? 0 : -ENOMEM;
}

void table_free(struct vsock *vsock)
{
	for (uint32_t i = 0; i < vsock->conns_fresh; i++)
		if (vsock->conns[i].state != CONN_FREE)
			conn_free(&vsock->conns[i]);
	free(vsock->conns);
	free(vsock->by_ports);
	free(vsock->by_port);
}

/* ---- by ports ---- */

static uint32_t hash(const struct vsock *vsock, uint32_t host_port, uint32_t guest_port)
{
	uint64_t both = (uint64_t)host_port << 32 | guest_port;

	/* Of a product with an odd number the upper bits depend on all others. */
	return (uint32_t)((both * UINT64_C(0x9e3779b97f4a7c15)) >> (64 - vsock->hash_bits));
}

struct conn *conn_find(const struct vsock *vsock, uint32_t host_port, uint32_t guest_port)
{
	struct conn *conn = vsock->by_ports[hash(vsock, host_port, guest_port)];

	while (conn && (conn->host_port != host_port || conn->guest_port != guest_port))
		conn = conn->next_by_ports;
	return conn;
}

static bool port_used(const struct vsock *vsock, uint32_t host_port)
{
	const struct conn *conn = vsock->by_port[hash(vsock, host_port, 0)];

	while (conn && conn->host_port != host_port)
		conn = conn->next_by_port;
	return conn != NULL;
}

uint32_t conn_choose_port(struct vsock *vsock, uint32_t guest_port)
{
	uint32_t port;

	/* There are many more of them than connections. */
	do {
		port = vsock->next_port;
		vsock->next_port = port == PORT_LAST ? PORT_FIRST : port + 1;
	} while (port_used(vsock, port) || conn_find(vsock, port, guest_port));
	return port;
}

void conn_link(struct conn *conn, uint32_t host_port, uint32_t guest_port)
{
	struct vsock *vsock = conn->vsock;
	struct conn **head = &vsock->by_ports[hash(vsock, host_port, guest_port)];

	conn->host_port = host_port;
	conn->guest_port = guest_port;
	conn->linked = true;
	conn->next_by_ports = *head;
	*head = conn;
	if (!conn->accepted)
		return;
	head = &vsock->by_port[hash(vsock, host_port, 0)];
	conn->next_by_port = *head;
	*head = conn;
}

void conn_unlink(struct conn *conn)
{
	struct vsock *vsock = conn->vsock;
	struct conn **at = &vsock->by_ports[hash(vsock, conn->host_port, conn->guest_port)];

	if (!conn->linked)
		return;
	conn->linked = false;
	while (*at != conn)
		at = &(*at)->next_by_ports;
	*at = conn->next_by_ports;
	if (!conn->accepted)
		return;
	at = &vsock->by_port[hash(vsock, conn->host_port, 0)];
	while (*at != conn)
		at = &(*at)->next_by_port;
	*at = conn->next_by_port;
}

/* ---- making and ending ---- */

struct conn *conn_new(struct vsock *vsock, enum conn_state state)
{
	struct conn *conn;

	if (!list_empty(&vsock->free_conns)) {
		conn = CONN_OF(vsock->free_conns.next, ready);
		list_remove(&conn->ready);
	} else if (vsock->conns_fresh < vsock->conns_max) {
		conn = &vsock->conns[vsock->conns_fresh++];
	} else {
		return NULL;
	}
	*conn = (struct conn){ .vsock = vsock, .state = state, .fd = -1, .gather = 1 };
	list_init(&conn->ready);
	list_init(&conn->limit.node);
	list_init(&conn->pause.node);
	bp_metric_set(vsock->metrics.open, ++vsock->conns_open);
	return conn;
}

void conn_free(struct conn *conn)
{
	struct vsock *vsock = conn->vsock;

	host_forget(conn);
	output_drop(conn);
	conn_unlink(conn);
	conn_close(conn);
	list_remove(&conn->ready);
	list_remove(&conn->limit.node);
	list_remove(&conn->pause.node);
	if (vsock->called == conn)
		vsock->called = NULL;
	conn->state = CONN_FREE;
	list_append(&vsock->free_conns, &conn->ready);
	bp_metric_set(vsock->metrics.open, --vsock->conns_open);
}
