/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Opening those STREAM values that others reach by a name: pseudo terminals and listening sockets. Main thread.
 *
 * What is made in the file system, a link or a socket, is noted down with the opener and removed with it, if it is still what
 * was made.
 */
#ifndef PLACEMENT_STREAMS_H
#define PLACEMENT_STREAMS_H

#include "core/base/values.h"

#include <sys/types.h>

/* Something that was made, to be removed. */
struct made {
	char *path;
	char *target; /* of a link; NULL: it is a socket */
	dev_t dev;    /* of a socket */
	ino_t ino;
	struct made *next;
};

/* A pseudo terminal, raw, of which `value` gets the master twice; its name is printed as "PATH: NAME", where `path` is that of the
 * value. `link`, as it stands in the configuration: a symbolic link to be made; NULL: none. A link to another pseudo terminal is
 * replaced, anything else is in the way. 0, or -errno with the message. */
int stream_open_pty(struct made **made, struct value *value, const char *path, const char *link, struct err *err);

/* A listening socket at `path`, as it stands in the configuration, for this user alone whatever the umask is. A socket that is there
 * already is replaced if nobody listens on it; anything else is in the way. 0, or -errno with the message. */
int stream_open_unix(struct made **made, struct value *value, const char *path, struct err *err);

/* The same for any purpose. The descriptor, which is the caller's, with room for about `backlog` clients that wait; or -errno. */
int stream_listen(struct made **made, const struct place *place, const char *path, int backlog, struct err *err);

/* Removes what was made. The sockets are still open: that is what keeps the number of an inode from being another's. */
void streams_remove(struct made **made);

#endif
