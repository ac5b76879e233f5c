/* SPDX-License-Identifier: BSD-3-Clause */
/* What the two halves of host.h share: host.c runs the checks, host_features.c has those that no guest needs. */
#ifndef PLACEMENT_HOST_CHECK_H
#define PLACEMENT_HOST_CHECK_H

#include "core/placement/host.h"

/* What a check has found, as a child process hands it over. */
struct host_finding {
	enum host_state state;
	enum probe_stage stage;
	char text[HOST_TEXT_MAX];
};

/* Sets state and text. */
void host_found(struct host_finding *finding, enum host_state state, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* A check without which guests still run. [child] The process is its own to change. */
struct host_feature {
	const char *name;
	void (*check)(struct host_finding *finding);
};

extern const struct host_feature host_features[];
extern const size_t host_feature_count;

#endif
