/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Checked values, opened ones, as bytes and descriptors for the process that a plugin lives in. Both sides have the
 * schema: the reader's copy decides, and what does not fit it is refused (types, numbers of values, groups that are
 * nested deeper). Main thread.
 */
#ifndef BASE_VALUES_PACK_H
#define BASE_VALUES_PACK_H

#include "core/base/pack.h"
#include "core/base/values.h"

#define VALUES_FDS_MAX   256
#define VALUES_TOTAL_MAX 65536u /* values, those of groups included */

/* Descriptors that go with packed values. */
struct values_fds {
	size_t count;
	int fds[VALUES_FDS_MAX];
};

/* Appends `values` to `writer` and its descriptors, borrowed, to *fds. -ENOSPC if there are more than VALUES_FDS_MAX,
 * -E2BIG if there are more than VALUES_TOTAL_MAX values. */
int values_pack(const struct values *values, struct pack_writer *writer, struct values_fds *fds);

/* The counterpart. Descriptors that the values take over are replaced by -1 in *fds (and closed on failure); the others
 * stay the caller's. A descriptor that is named twice is refused. `schema` outlives the values. -EBADMSG or -ENOMEM
 * with one line. What follows in `reader` is the caller's business. */
int values_unpack(struct pack_reader *reader, const struct schema *schema, struct values_fds *fds, struct values **ret,
		  struct err *err);

#endif
