/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A tap interface: a descriptor for each queue pair, each frame one read or write, behind the header that the guest has, too.
 *
 * What the kernel may leave undone in frames for the guest (checksums, segmentation) is what its driver can do: nothing until there is a driver,
 * and again after its reset. Pairs that are not in use are detached, so that the kernel sends nothing there, and are not waited for: a
 * detached descriptor is one in error.
 */
#include "net.h"

#include <linux/if.h>
#include <linux/if_tun.h>
#include <string.h>
#include <sys/ioctl.h>

#define ERRORS_MAX 64u /* of reads, without a frame in between */

static const struct {
	uint64_t feature;
	unsigned long flag;
} offload_flags[] = {
	{ F_GUEST_CSUM, TUN_F_CSUM },
	{ F_GUEST_TSO4, TUN_F_TSO4 },
	{ F_GUEST_TSO6, TUN_F_TSO6 },
	{ F_GUEST_ECN, TUN_F_TSO_ECN },
};

/* Of the interface, whichever pair's descriptor it is asked through. */
static int tell_offloads(int fd, uint64_t offloads)
{
	unsigned long flags = 0;

	for (size_t i = 0; i < sizeof(offload_flags) / sizeof(offload_flags[0]); i++)
		if (offloads & offload_flags[i].feature)
			flags |= offload_flags[i].flag;
	return ioctl(fd, TUNSETOFFLOAD, flags) < 0 ? -errno : 0;
}

static int tell_queue(int fd, bool attach)
{
	struct ifreq request;

	memset(&request, 0, sizeof(request));
	request.ifr_flags = attach ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE;
	return ioctl(fd, TUNSETQUEUE, &request) < 0 ? -errno : 0;
}

int tap_set_offloads(struct net *net, uint64_t offloads)
{
	int r;

	if (offloads == net->offloads)
		return 0;
	r = tell_offloads(net->pair[0].fd, offloads);
	if (r == 0)
		net->offloads = offloads;
	return r;
}

/* ---- waiting ---- */

void tap_watch(struct pair *pair)
{
	const struct net *net = pair->net;
	uint32_t events = 0;

	if (!net->started || !pair->attached || net->gone)
		return;
	if (net->active && !net->broken) {
		if (rx_ready(pair))
			events |= BP_FD_IN;
		if (pair->tx.first)
			events |= BP_FD_OUT;
	}
	if (events == pair->events)
		return;
	pair->events = events;
	bp_fd_set(net->dev, pair->fd, events);
}

void tap_gone(struct net *net, int error)
{
	if (net->gone)
		return;
	net->gone = true;
	bp_log(net->dev, BP_LOG_WARN, "the tap interface is gone: %s", strerror(error));
	for (uint32_t i = 0; i < net->pairs; i++) {
		if (net->pair[i].attached)
			bp_fd_del(net->dev, net->pair[i].fd);
		tx_drop(&net->pair[i]);
	}
	net_link(net, false);
}

/* As many as there are, and can be taken. */
static void read_frames(struct pair *pair)
{
	uint32_t bytes = 0;

	for (uint32_t turn = BATCH; turn && bytes < BATCH_BYTES; turn--) {
		int r = rx_read(pair);

		if (r == 0)
			return;
		if (r > 0) {
			pair->errors = 0;
			bytes += (uint32_t)r;
		} else if (r == -EBADFD || ++pair->errors == ERRORS_MAX) {
			tap_gone(pair->net, -r);
			return;
		}
		/* Else the kernel has dropped a frame that it could not give, and may have another one. */
	}
}

static void tap_ready(void *arg, int fd, uint32_t events) /* [dev] */
{
	struct pair *pair = arg;

	(void)fd;
	if (events & BP_FD_OUT)
		tx_flush(pair);
	if (events & BP_FD_IN)
		read_frames(pair);
	/* These are told whatever is waited for, and would be for ever. */
	if (events & (BP_FD_HUP | BP_FD_ERR))
		tap_gone(pair->net, EBADFD);
	tap_watch(pair);
}

/* ---- queue pairs ---- */

static int attach(struct pair *pair)
{
	struct net *net = pair->net;
	int r = tell_queue(pair->fd, true);

	if (r < 0)
		return r;
	pair->events = 0;
	pair->errors = 0;
	if (net->started) {
		r = bp_fd_add(net->dev, pair->fd, 0, tap_ready, pair);
		if (r < 0) {
			(void)tell_queue(pair->fd, false);
			return r;
		}
	}
	pair->attached = true;
	tap_watch(pair);
	return 0;
}

static int detach(struct pair *pair)
{
	struct net *net = pair->net;
	int r = tell_queue(pair->fd, false);

	if (r < 0)
		return r;
	if (net->started)
		bp_fd_del(net->dev, pair->fd);
	pair->attached = false;
	/* 5.1.6.5.6.2: nothing more is received here. */
	if (pair->rx.held) {
		bp_metric_add(net->metrics.rx_drop_room, 1);
		pair->rx.held = 0;
	}
	/* By another way, where that is open. */
	while (pair->tx.first)
		tx_flush(pair);
	return 0;
}

static int move_pairs(struct net *net, uint32_t count)
{
	int r = 0;

	while (r == 0 && net->active_pairs < count) {
		r = attach(&net->pair[net->active_pairs]);
		if (r == 0)
			net->active_pairs++;
	}
	while (r == 0 && net->active_pairs > count) {
		r = detach(&net->pair[net->active_pairs - 1]);
		if (r == 0)
			net->active_pairs--;
	}
	return r;
}

int tap_set_pairs(struct net *net, uint32_t count)
{
	uint32_t before = net->active_pairs;
	int r;

	if (net->gone) {
		/* A driver can give pairs up, and has them no longer after a reset. */
		if (count > before)
			return -EBADFD;
		net->active_pairs = count;
		return 0;
	}
	r = move_pairs(net, count);
	if (r < 0)
		(void)move_pairs(net, before);
	return r;
}

/* ---- life ---- */

int tap_adopt(struct net *net, const struct bp_network *network, bool offload, bool *ret_offloads)
{
	int fd = network->fds[0];

	for (uint32_t i = 0; i < net->pairs; i++) {
		struct pair *pair = &net->pair[i];
		int r = i ? tell_queue(network->fds[i], false) : 0;

		if (r < 0)
			return bp_fail(net->dev, r, "queue pair %u of the tap interface cannot be detached: %s",
				       (unsigned int)i, strerror(-r));
		pair->fd = network->fds[i];
	}
	net->pair[0].attached = true;
	net->active_pairs = 1;
	*ret_offloads = offload && tell_offloads(fd, F_GUEST_OFFLOADS) == 0;
	/* An interface that was there before may have some of another machine's. */
	(void)tell_offloads(fd, 0);
	return 0;
}

int tap_start(struct net *net)
{
	int r = bp_fd_add(net->dev, net->pair[0].fd, 0, tap_ready, &net->pair[0]);

	if (r < 0)
		return bp_fail(net->dev, r, "the tap interface cannot be waited for: %s", strerror(-r));
	return 0;
}

void tap_close(struct net *net)
{
	for (uint32_t i = 0; net->started && i < net->pairs; i++)
		if (net->pair[i].attached)
			bp_fd_del(net->dev, net->pair[i].fd);
}
