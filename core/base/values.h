/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Checked values: what a configuration says for one schema. Made by core/config, completed by core/placement (which opens
 * FILE, STREAM, SOCKET and NETWORK parameters), read by core/device on behalf of the plugin. Main thread.
 */
#ifndef BASE_VALUES_H
#define BASE_VALUES_H

#include "core/base/schema.h"

#include <backplane/network.h>

/* Where something stands in the configuration, for messages. */
struct place {
	const char *file; /* borrowed from the configuration; NULL: given by --set */
	unsigned int line;
};

/* How the far side of an opened STREAM comes and goes, which says what its descriptors are. */
enum stream_kind {
	STREAM_FIXED, /* it is there from the start, and once it has gone it stays away: fd is read, fd_out is written */
	STREAM_PTY,   /* fd and fd_out are a master; on the slave's side programs come and go */
	STREAM_LISTENER, /* fd is a listening socket, whose clients come and go; fd_out is -1 */
};

/* What a NETWORK is once it is opened; as struct bp_network. */
struct network {
	uint32_t kind;  /* BP_NETWORK_TAP ... */
	uint32_t flags; /* BP_NETWORK_CONNECTS */
	uint32_t fd_count;
	int fds[BP_NETWORK_FDS_MAX]; /* owned */
};

struct value {
	/* UINT SIZE DURATION ADDRESS BOOL MAC; CHOICE: its index. INT: as two's complement. */
	uint64_t number;
	char *text;              /* STRING CHOICE FILE STREAM SOCKET NETWORK, else NULL; owned */
	int fd;                  /* FILE, SOCKET that listens: once opened; STREAM: see its kind. -1 otherwise; owned */
	int fd_out;              /* STREAM: likewise; -1 otherwise; owned */
	enum stream_kind stream; /* STREAM: once opened */
	struct network *network; /* NETWORK: once opened, else NULL; owned */
	struct values *group;    /* GROUP; owned */
	struct place place;      /* of a default: its group's */
};

struct value_list {
	uint32_t count; /* 0: absent, no default */
	bool is_default;
	struct value *items;
};

struct values {
	const struct schema *schema; /* borrowed; outlives the values */
	struct value_list *lists;    /* as many as the schema has parameters */
	char *path;                  /* "devices.root", for messages; owned */
	struct place place;
};

/* An empty set. 0 or -ENOMEM. */
int values_new(const struct schema *schema, const char *path, struct place place, struct values **ret);
/* What a value owns; it is not in a list, or never looked at again. */
void value_clear(struct value *value);
/* Closes fds too. NULL is fine. */
void values_free(struct values *values);

/* For values that another process has as well now: closes what is not to outlive its user there, the descriptors of taps and of
 * connections, whose far sides see their end. Listening sockets and files stay. */
void values_let_go(struct values *values);

/* For values whose user has gone: who waits at a listening socket of theirs is disconnected, who comes is refused. */
void values_hang_up(const struct values *values);

/* Appends a value to a parameter; ownership of what it points to passes on success. 0 or -ENOMEM. */
int values_add(struct values *values, size_t param, const struct value *value);

/* The value number `index` of parameter `name`, or NULL if it is absent or not in the schema. */
struct value *values_get(const struct values *values, const char *name, uint32_t index);

/* Shorthands for the core's own sections, where absence has a meaning given by the caller. */
uint64_t values_number(const struct values *values, const char *name, uint64_t otherwise);
const char *values_text(const struct values *values, const char *name, const char *otherwise);

#endif
