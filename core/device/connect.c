/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Connections that the place makes for a device (bp_connect). Each has a slot from the call on until the plugin has been told; its
 * token is made of the slot's number and of how often the slot has been used, so that an answer that comes twice, or to what is over, finds
 * nobody.
 *
 *   slot       entered by                    left by
 *   free       -                             bp_connect
 *   asked      bp_connect                    device_connected; a place that refuses; once the device has ended, its answer
 *   answered   device_connected              the plugin is told, on the loop; the device ends, and the descriptor is closed
 *
 * All of it is under connects->lock, which nobody holds while code of the plugin or of the place runs: so device_connected() may be
 * called from within the place's connect, too, with the device's lock held.
 */
#include "core/device/internal.h"

#include "core/base/fd.h"

#include <backplane/network.h>

#include <assert.h>
#include <errno.h>

enum slot_state { SLOT_FREE, SLOT_ASKED, SLOT_ANSWERED };

static_assert(!(DEVICE_CONNECTS_MAX & (DEVICE_CONNECTS_MAX - 1)) && DEVICE_CONNECTS_MAX <= UINT8_MAX,
	      "a slot's number is part of a token, and fits into the queue");

void device_connects_init(struct device_connects *connects)
{
	pthread_mutex_init(&connects->lock, NULL);
	for (uint32_t i = 0; i < DEVICE_CONNECTS_MAX; i++)
		connects->slots[i].token = i;
}

void device_connects_destroy(struct device_connects *connects)
{
	pthread_mutex_destroy(&connects->lock);
}

/* ---- asking ---- */

/* What the plugin wants, if its values allow it. */
static int find(const struct device *device, const char *name, uint32_t index, uint32_t number,
		struct device_connect *ret)
{
	const struct schema *schema = device->values->schema;
	int param = name ? schema_find(schema, name) : -1;
	const struct value *value = param >= 0 ? values_get(device->values, name, index) : NULL;
	bool allowed = false;

	if (!value)
		return -EINVAL;
	if (schema->params[param].type == BP_P_SOCKET)
		allowed = schema->params[param].flags & BP_P_CONNECT;
	else if (schema->params[param].type == BP_P_NETWORK)
		allowed = value->network && (value->network->flags & BP_NETWORK_CONNECTS) && !number;
	if (!allowed)
		return -EINVAL;
	*ret = (struct device_connect){ .param = (uint32_t)param, .index = index, .number = number };
	return 0;
}

/* Takes a slot. -ESHUTDOWN, -ENOSPC. */
static int take_slot(struct device_connects *connects, bp_connect_fn *done, void *arg, uint32_t *ret_token)
{
	struct device_connect_slot *slot = connects->slots;
	int r = 0;

	pthread_mutex_lock(&connects->lock);
	while (slot < connects->slots + DEVICE_CONNECTS_MAX && slot->state != SLOT_FREE)
		slot++;
	if (connects->ended) {
		r = -ESHUTDOWN;
	} else if (slot == connects->slots + DEVICE_CONNECTS_MAX) {
		r = -ENOSPC;
	} else {
		slot->state = SLOT_ASKED;
		slot->token += DEVICE_CONNECTS_MAX;
		slot->done = done;
		slot->arg = arg;
		*ret_token = slot->token;
	}
	pthread_mutex_unlock(&connects->lock);
	return r;
}

/* The slot that waits for an answer with this token, or NULL. Under connects->lock. */
static struct device_connect_slot *find_slot(struct device_connects *connects, uint32_t token)
{
	struct device_connect_slot *slot = &connects->slots[token % DEVICE_CONNECTS_MAX];

	return slot->state == SLOT_ASKED && slot->token == token ? slot : NULL;
}

static void give_slot(struct device_connects *connects, uint32_t token)
{
	struct device_connect_slot *slot;

	pthread_mutex_lock(&connects->lock);
	slot = find_slot(connects, token);
	if (slot)
		slot->state = SLOT_FREE;
	pthread_mutex_unlock(&connects->lock);
}

int host_connect(struct bp_dev *dev, const char *name, uint32_t index, uint32_t number, bp_connect_fn *done, void *arg)
{
	struct device *device = device_of(dev);
	struct device_connect ask;
	int r;

	/* Not before start: until then nothing tells of an answer. */
	if (!device_on_tag(device, true, true, "bp_connect") ||
	    (device->state == DEVICE_NEW && !device_on_tag(device, false, true, "bp_connect")))
		return -EDEADLK;
	r = done ? find(device, name, index, number, &ask) : -EINVAL;
	if (r == 0)
		r = take_slot(&device->connects, done, arg, &ask.token);
	if (r < 0)
		return r;
	r = device->place.connect(device->place.ctx, device, &ask);
	if (r < 0)
		give_slot(&device->connects, ask.token);
	return r;
}

/* ---- answers ---- */

bool device_connected(struct device *device, uint32_t token, int fd)
{
	struct device_connects *connects = &device->connects;
	struct device_connect_slot *slot;
	bool ended;

	pthread_mutex_lock(&connects->lock);
	slot = find_slot(connects, token);
	ended = connects->ended;
	if (slot && ended) {
		slot->state = SLOT_FREE;
	} else if (slot) {
		slot->state = SLOT_ANSWERED;
		slot->fd = fd;
		connects->answered[(connects->first + connects->count++) % DEVICE_CONNECTS_MAX] =
		    (uint8_t)(token % DEVICE_CONNECTS_MAX);
	}
	pthread_mutex_unlock(&connects->lock);
	if (slot && ended)
		fd_close(fd);
	else if (slot)
		fd_event_signal(device->loop.wake_fd);
	return slot;
}

/* The one that was answered first, in *ret. It is free then. */
static bool take_answer(struct device_connects *connects, struct device_connect_slot *ret)
{
	bool found;

	pthread_mutex_lock(&connects->lock);
	found = connects->count;
	if (found) {
		struct device_connect_slot *slot = &connects->slots[connects->answered[connects->first]];

		*ret = *slot;
		slot->state = SLOT_FREE;
		connects->first = (connects->first + 1) % DEVICE_CONNECTS_MAX;
		connects->count--;
	}
	pthread_mutex_unlock(&connects->lock);
	return found;
}

static uint32_t count_answers(struct device_connects *connects)
{
	uint32_t count;

	pthread_mutex_lock(&connects->lock);
	count = connects->count;
	pthread_mutex_unlock(&connects->lock);
	return count;
}

void device_connects_tell(struct device *device)
{
	struct device_connect_slot slot;
	/* Those that come meanwhile wake the loop again: an answer that leads to the next question keeps nobody from their turn. */
	uint32_t left;

	if (device->state != DEVICE_RUNNING)
		return;
	left = count_answers(&device->connects);
	if (left)
		device_lap(device);
	for (; left && take_answer(&device->connects, &slot); left--) {
		device_context.callback = "connect callback";
		slot.done(slot.arg, slot.fd);
		device_lap(device);
	}
}

void device_connects_look_again(struct device *device)
{
	if (count_answers(&device->connects))
		fd_event_signal(device->loop.wake_fd);
}

void device_connects_end(struct device *device)
{
	struct device_connects *connects = &device->connects;
	struct device_connect_slot slot;

	pthread_mutex_lock(&connects->lock);
	connects->ended = true;
	pthread_mutex_unlock(&connects->lock);
	while (take_answer(connects, &slot))
		fd_close(slot.fd);
}
