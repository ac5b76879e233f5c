/* SPDX-License-Identifier: BSD-3-Clause */
/* Where the program that runs is, and so where what belongs to it is. The VMM and the spawner both have it. */
#ifndef PLACEMENT_OWN_PLACE_H
#define PLACEMENT_OWN_PLACE_H

#include <stdbool.h>

struct own_place {
	char folder[4096]; /* without a slash at its end */
	/* "/tmp/root" where it is "/tmp/root/usr/bin" and was built to be installed into "/usr/bin", as with DESTDIR; "" in "/usr/bin" itself. */
	char root[4096];
	bool installed; /* it has a root */
};

/* False: that cannot be known. */
bool own_place_find(struct own_place *ret);

#endif
