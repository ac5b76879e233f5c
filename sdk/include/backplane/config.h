/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Parameters: how a device declares its configuration keys, and how it reads their values.
 *
 * The table is the schema. The host checks the configuration file against it before any function of the plugin is called,
 * and makes the help text, the manual page and the sample from it. So a getter cannot fail: asking for a name that the
 * table does not have, or with another type, is an error in the plugin, which is reported by name and yields 0, "", -1 or
 * NULL.
 */
#ifndef BACKPLANE_CONFIG_H
#define BACKPLANE_CONFIG_H

#include <backplane/abi.h>

/* Types of parameters, and how a value is written in the file. */
#define BP_P_BOOL     1u  /* true, false */
#define BP_P_INT      2u  /* a decimal integer, signed */
#define BP_P_UINT     3u  /* a decimal integer, not negative */
#define BP_P_SIZE     4u  /* "512M": bytes; suffixes K M G T are powers of 1024 */
#define BP_P_DURATION 5u  /* "10ms": nanoseconds; suffixes ns us ms s min h, obligatory */
#define BP_P_STRING   6u  /* "text", at most 4095 bytes */
#define BP_P_CHOICE   7u  /* one of `choices` */
#define BP_P_MAC      8u  /* "52:54:00:12:34:56" */
#define BP_P_ADDRESS  9u  /* "0xd0000000": a guest physical address or a port, as a string */
#define BP_P_FILE     10u /* a path, relative to the configuration file; opened by the host */
#define BP_P_STREAM   11u /* "terminal", "pty" and others; opened by the host, see <backplane/stream.h> */
#define BP_P_GROUP    12u /* { key = value; ... }, with a table of its own */
#define BP_P_SOCKET \
	13u /* since 0.3: the path of a Unix stream socket, relative to the configuration file; its flags say what for */
#define BP_P_NETWORK  14u /* since 0.3: "tap:NAME", "passt" and others; opened by the host, see <backplane/network.h> */

/* Flags of parameters. */
#define BP_P_REQUIRED (1u << 0)
#define BP_P_REPEATED (1u << 1) /* a list of values of this type; bp_cfg_count() of them */
#define BP_P_WRITE    (1u << 2) /* FILE: opened for reading and writing instead of reading */
/* Since 0.3. SOCKET has one of these, or both. */
#define BP_P_LISTEN   (1u << 3) /* the host makes a socket there that listens: bp_cfg_fd() */
#define BP_P_CONNECT  (1u << 4) /* the device reaches the sockets at PATH_NUMBER while it runs: bp_connect() */

/*
 * One parameter. Strings must stay valid as long as the plugin is loaded. `def` is written as the value would be in the
 * file; without it (and without BP_P_REQUIRED) the parameter may be absent, which bp_cfg_has() tells. `min` and `max`
 * bound INT, UINT, SIZE (bytes) and DURATION (nanoseconds); both 0: no bound but the type's.
 */
struct bp_param {
	const char *name; /* [a-z][a-z0-9_]*, at most 31 bytes */
	uint32_t type;    /* BP_P_* */
	uint32_t flags;
	const char *def;
	int64_t min;
	int64_t max;
	const char *const *choices;   /* CHOICE: NULL-terminated */
	const struct bp_param *group; /* GROUP: its table */
	uint32_t group_stride;
	uint32_t group_count;
	const char *help; /* one line, no capital, no full stop; units where there are any */
	/* Since 0.2. FILE with BP_P_WRITE: the BOOL parameter of the same table that, where it is true, makes the host open the file
	 * for reading only. Or NULL. */
	const char *readonly_param;
	/* Since 0.3. NETWORK: the UINT parameter of the same table that says how many queue pairs a tap interface is opened with; its range
	 * lies within 1 to BP_NETWORK_FDS_MAX. NULL: one, as where that parameter is absent. */
	const char *pairs_param;
};

/* The values of one device or group; made by the host. Valid in validate and create, and no longer. */
struct bp_cfg {
	const struct bp_host *host;
};

#endif
