/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The life of a connection: to passt, which is there from the beginning and does not come back, to a socket that is connected to, or with
 * the clients of one that listens, one at a time. There is a link as long as there is a connection.
 *
 *   state  entered by                                 what ends it
 *   down   start, the end of a connection             a client, bp_connect(); nothing where there is neither
 *   up     a connection                               its end, an error, a length that cannot be
 *
 * Another one is looked for a second after the last has gone or could not be had: the other end may come and go as fast as it likes.
 */
#include "stream.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define AGAIN_NS UINT64_C(1000000000)

/* ---- finding another end ---- */

static void look_later(struct net *net)
{
	bp_timer_set(net->dev, net->stream->timer, bp_clock_ns(net->dev) + AGAIN_NS);
}

static void link_up(struct net *net, int fd, bool own)
{
	struct stream *stream = net->stream;
	int r = bp_fd_add(net->dev, fd, 0, stream_ready, net);

	if (r < 0) {
		bp_log(net->dev, BP_LOG_ERROR, "the network cannot be waited for: %s", strerror(-r));
		if (own) {
			close(fd);
			look_later(net);
		}
		return;
	}
	stream->fd = fd;
	stream->own = own;
	stream->told = false;
	stream->events = 0;
	bp_metric_add(net->metrics.connections, 1);
	net_link(net, true);
	stream_watch(net);
}

static void connected(void *arg, int fd) /* [dev] */
{
	struct net *net = arg;

	if (fd >= 0) {
		link_up(net, fd, true);
		return;
	}
	if (!net->stream->told)
		bp_log(net->dev, BP_LOG_INFO, "there is no network yet: %s; it is tried again each second",
		       strerror(-fd));
	net->stream->told = true;
	look_later(net);
}

static void client(void *arg, int fd, uint32_t events) /* [dev] */
{
	struct net *net = arg;
	int connection = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)events;
	if (connection >= 0) {
		/* The next one waits in the backlog until this one has gone. */
		bp_fd_del(net->dev, fd);
		link_up(net, connection, true);
		return;
	}
	if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED)
		return;
	/* It waits to be accepted, and is told for ever. */
	bp_log(net->dev, BP_LOG_WARN, "a connection cannot be accepted: %s", strerror(errno));
	bp_fd_del(net->dev, fd);
	look_later(net);
}

/* 0, or -errno: it will not be tried again. */
static int look(struct net *net)
{
	struct stream *stream = net->stream;
	int r;

	if (stream->listener >= 0)
		return bp_fd_add(net->dev, stream->listener, BP_FD_IN, client, net);
	if (!stream->connects)
		return 0;
	r = bp_connect(net->dev, "network", 0, 0, connected, net);
	/* Too many at a time. */
	if (r == -ENOSPC) {
		look_later(net);
		return 0;
	}
	return r;
}

static void look_again(void *arg, uint32_t timer) /* [dev] */
{
	struct net *net = arg;
	int r = look(net);

	(void)timer;
	if (r < 0 && r != -ESHUTDOWN)
		bp_log(net->dev, BP_LOG_ERROR, "there is no network: %s", strerror(-r));
}

/* ---- the life of a connection ---- */

static void let_go(struct net *net)
{
	struct stream *stream = net->stream;

	bp_fd_del(net->dev, stream->fd);
	if (stream->own)
		close(stream->fd);
	stream->fd = -1;
	stream->in_at = stream->in_end = 0;
	stream->out_at = stream->out_end = 0;
}

void link_end(struct net *net, const char *why)
{
	struct stream *stream = net->stream;
	bool again = stream->listener >= 0 || stream->connects;

	if (stream->fd < 0)
		return;
	let_go(net);
	net->pair[0].rx.held = 0;
	bp_log(net->dev, again ? BP_LOG_INFO : BP_LOG_WARN, "the network's other end is gone: %s%s", why,
	       again ? "" : "; there will be no other");
	net_link(net, false);
	tx_drop(&net->pair[0]);
	/* Not at once, for one that goes as soon as it has come. */
	if (again)
		look_later(net);
}

/* ---- life ---- */

int link_open(struct net *net, const struct bp_network *network)
{
	struct stream *stream = calloc(1, sizeof(*stream));
	int r;

	if (!stream)
		return bp_fail(net->dev, -ENOMEM, "no memory");
	net->stream = stream;
	stream->given = -1;
	stream->fd = -1;
	stream->listener = -1;
	if (network->kind == BP_NETWORK_LISTENER)
		stream->listener = network->fds[0];
	else if (network->fd_count)
		stream->given = network->fds[0];
	stream->connects = network->flags & BP_NETWORK_CONNECTS;
	r = bp_timer_add(net->dev, look_again, net, &stream->timer);
	return r < 0 ? bp_fail(net->dev, r, "no timer: %s", strerror(-r)) : 0;
}

int link_start(struct net *net)
{
	int r;

	if (net->stream->given >= 0) {
		link_up(net, net->stream->given, false);
		return 0;
	}
	r = look(net);
	return r < 0 ? bp_fail(net->dev, r, "there is no network: %s", strerror(-r)) : 0;
}

void link_free(struct net *net)
{
	if (net->stream->fd >= 0)
		let_go(net);
	if (net->stream->listener >= 0)
		bp_fd_del(net->dev, net->stream->listener);
	free(net->stream);
	net->stream = NULL;
}
