/* SPDX-License-Identifier: BSD-3-Clause */
/* Register accesses of the guest, which come through the core: writes are done, reads are answered. Main thread. */
#include "core/placement/child/host.h"

#include "core/base/checked.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* Writes that are done one after the other before something else has its turn. */
#define TURN_ACCESSES 32
/* More than a socket holds: while the guest stands still, all of what lies in it is done in as many. */
#define ALL_ACCESSES  65536

static bool is_allowed(const struct host *host, const struct wire_access *access)
{
	const struct host_range *range;

	if (access->range >= CLASS_RANGES_MAX || (access->op != WIRE_ACCESS_READ && access->op != WIRE_ACCESS_WRITE))
		return false;
	range = &host->ranges[access->range];
	return range->claimed && range_within(access->offset, access->width, range->length) &&
	       (access->width == 1 || access->width == 2 || access->width == 4 || access->width == 8);
}

static void answer(struct wire_access *access)
{
	access->op = WIRE_ACCESS_VALUE;
	/* There is room: nobody asks for a second value before this one. */
	if (msg_send(WIRE_FD_ACCESS, access, sizeof(*access), NULL, 0) < 0)
		host_die("the core does not take the value of a register");
}

enum served { SERVED_NONE, SERVED_WRITE, SERVED_READ };

/* Takes one access. */
static enum served serve(struct host *host)
{
	struct wire_access access;
	ssize_t bytes = msg_recv(WIRE_FD_ACCESS, &access, sizeof(access), NULL);
	bool write;
	int r;

	if (bytes == -EAGAIN)
		return SERVED_NONE;
	if (bytes == 0)
		host_die("the core has closed its end");
	if (bytes != (ssize_t)sizeof(access) || !is_allowed(host, &access))
		host_die("an access that cannot be");
	write = access.op == WIRE_ACCESS_WRITE;
	if (!write)
		access.value = UINT64_MAX;
	r = device_access(host->device, access.range, access.offset, access.width, write, &access.value);
	if (write)
		return SERVED_WRITE;
	/* Whatever a plugin returns that is no error is none. */
	access.result = r < 0 ? r : 0;
	if (r < 0)
		access.value = UINT64_MAX;
	answer(&access);
	return SERVED_READ;
}

void host_accesses(struct host *host, bool all)
{
	uint32_t turns = all ? ALL_ACCESSES : TURN_ACCESSES;
	enum served served;

	/* Whoever has a value seldom has another question there already. */
	do
		served = serve(host);
	while (--turns && served != SERVED_NONE && (all || served == SERVED_WRITE));
}
