/* SPDX-License-Identifier: BSD-3-Clause */
/* Opening pseudo terminals and listening sockets; see streams.h. */
#include "core/placement/streams.h"

#include "core/base/fd.h"
#include "core/base/log.h"
#include "core/config/path.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>

#define PTS_FOLDER "/dev/pts/"
#define PTS_MAX    64
/* How many clients may wait for their turn, about: beyond that connecting waits, or fails. */
#define BACKLOG    4

/* Notes down what has been made; takes `path`. */
static int note_made(struct made **made, char **path, const char *target, const struct stat *st)
{
	struct made *entry = calloc(1, sizeof(*entry));

	if (!entry)
		return -ENOMEM;
	if (target) {
		entry->target = strdup(target);
		if (!entry->target) {
			free(entry);
			return -ENOMEM;
		}
	}
	entry->path = take(path);
	entry->dev = st->st_dev;
	entry->ino = st->st_ino;
	entry->next = *made;
	*made = entry;
	return 0;
}

/* What a link says, or "" if it is none or says more than a pseudo terminal's name. */
static void read_link(const char *path, char ret[static PTS_MAX])
{
	ssize_t count = readlink(path, ret, PTS_MAX);

	ret[count > 0 && count < PTS_MAX ? count : 0] = '\0';
}

static bool still_ours(const struct made *entry)
{
	char target[PTS_MAX];
	struct stat st;

	if (entry->target) {
		read_link(entry->path, target);
		return !strcmp(target, entry->target);
	}
	return lstat(entry->path, &st) == 0 && S_ISSOCK(st.st_mode) && st.st_dev == entry->dev &&
	       st.st_ino == entry->ino;
}

void streams_remove(struct made **made)
{
	while (*made) {
		struct made *entry = *made;

		*made = entry->next;
		if (still_ours(entry))
			unlink(entry->path);
		free(entry->path);
		free(entry->target);
		free(entry);
	}
}

/* ---- pseudo terminals ---- */

/* A master whose slave is raw, this user's alone, and closed. The fd, or -errno. */
static int open_master(char ret_name[static PTS_MAX])
{
	FD_AUTO int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	FD_AUTO int slave = -1;
	struct termios termios;
	int r;

	if (master < 0 || unlockpt(master) < 0)
		return -errno;
	r = ptsname_r(master, ret_name, PTS_MAX);
	if (r)
		return -r;
	slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0 || tcgetattr(slave, &termios) < 0)
		return -errno;
	cfmakeraw(&termios);
	if (tcsetattr(slave, TCSANOW, &termios) < 0)
		return -errno;
	/* devpts usually lets the group "tty" write, which here would be typing. */
	if (fchmod(slave, S_IRUSR | S_IWUSR) < 0 || fcntl(master, F_SETFL, O_RDWR | O_NONBLOCK) < 0)
		return -errno;
	return fd_take(&master);
}

/* Puts a link in the place of another one, in one step. */
static int replace_link(const char *path, const char *target)
{
	FREE_AUTO char *beside = NULL;

	if (asprintf(&beside, "%s.%d", path, (int)getpid()) < 0) {
		beside = NULL;
		return -ENOMEM;
	}
	if (symlink(target, beside) < 0)
		return -errno;
	if (rename(beside, path) < 0) {
		int r = -errno;

		unlink(beside);
		return r;
	}
	return 0;
}

static int make_link(struct made **made, const struct value *value, const char *link, const char *target,
		     struct err *err)
{
	struct stat none = { 0 };
	FREE_AUTO char *path = NULL;
	char before[PTS_MAX];
	int r = config_resolve_path(&value->place, link, &path);

	if (r == 0)
		r = symlink(target, path) < 0 ? -errno : 0;
	if (r == -EEXIST) {
		read_link(path, before);
		if (strncmp(before, PTS_FOLDER, strlen(PTS_FOLDER)) != 0)
			return err_set(err, r, "\"%s\" exists, and is no link to a pseudo terminal", link);
		r = replace_link(path, target);
	}
	if (r < 0)
		return err_sys(err, r, "cannot make the link \"%s\"", link);
	r = note_made(made, &path, target, &none);
	if (r < 0) {
		unlink(path);
		return err_sys(err, r, "cannot make the link \"%s\"", link);
	}
	return 0;
}

int stream_open_pty(struct made **made, struct value *value, const char *path, const char *link, struct err *err)
{
	char name[PTS_MAX];
	int r;

	value->fd = open_master(name);
	if (value->fd < 0) {
		r = value->fd;
		value->fd = -1;
		return err_sys(err, r, "cannot open a pseudo terminal");
	}
	value->fd_out = fcntl(value->fd, F_DUPFD_CLOEXEC, 3);
	if (value->fd_out < 0) {
		value->fd_out = -1;
		return err_sys(err, -errno, "cannot open a pseudo terminal");
	}
	value->stream = STREAM_PTY;
	if (link) {
		r = make_link(made, value, link, name, err);
		if (r < 0)
			return r;
	}
	log_tell("%s: %s", path, name);
	return 0;
}

/* ---- sockets ---- */

/* The folder of `path`, locked: of several programs that find the same old socket, one at a time looks at it and replaces it. */
static int lock_folder(const char *path)
{
	const char *slash = strrchr(path, '/');
	FREE_AUTO char *folder = slash ? strndup(path, (size_t)(slash + 1 - path)) : strdup(".");
	FD_AUTO int fd = -1;

	if (!folder)
		return -ENOMEM;
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || flock(fd, LOCK_EX) < 0)
		return -errno;
	return fd_take(&fd);
}

/* Whether nobody listens there any more. */
static bool is_deserted(const struct sockaddr_un *address)
{
	FD_AUTO int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	return fd >= 0 && connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 && errno == ECONNREFUSED;
}

/* Removes what is left of one whose program has ended. 0 if the place is free. */
static int make_room(const struct sockaddr_un *address, const char *shown, struct err *err)
{
	struct stat st;

	if (lstat(address->sun_path, &st) < 0)
		return errno == ENOENT ? 0 : err_sys(err, -errno, "cannot listen on \"%s\"", shown);
	if (!S_ISSOCK(st.st_mode))
		return err_set(err, -EEXIST, "\"%s\" exists, and is no socket", shown);
	if (!is_deserted(address))
		return err_set(err, -EADDRINUSE, "somebody else listens on \"%s\"", shown);
	if (unlink(address->sun_path) < 0)
		return err_sys(err, -errno, "cannot replace \"%s\"", shown);
	return 0;
}

int stream_listen(struct made **made, const struct place *place, const char *path, int backlog, struct err *err)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	FREE_AUTO char *resolved = NULL;
	FD_AUTO int lock = -1;
	FD_AUTO int fd = -1;
	struct stat st;
	int r = config_resolve_path(place, path, &resolved);

	if (r == 0 && strlen(resolved) >= sizeof(address.sun_path))
		r = -ENAMETOOLONG;
	if (r == 0)
		lock = lock_folder(resolved);
	if (r == 0 && lock < 0)
		r = lock;
	if (r < 0)
		return err_sys(err, r, "cannot listen on \"%s\"", path);
	memcpy(address.sun_path, resolved, strlen(resolved) + 1);
	r = make_room(&address, path, err);
	if (r < 0)
		return r;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* Before there is a file, so that there is no moment in which it has another mode: bind() makes it with that of the socket,
	 * less the umask. */
	if (fd < 0 || fchmod(fd, S_IRUSR | S_IWUSR) < 0 ||
	    bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return err_sys(err, -errno, "cannot listen on \"%s\"", path);
	if (lstat(resolved, &st) < 0 || listen(fd, backlog) < 0)
		r = -errno;
	if (r == 0)
		r = note_made(made, &resolved, NULL, &st);
	if (r < 0) {
		unlink(address.sun_path);
		return err_sys(err, r, "cannot listen on \"%s\"", path);
	}
	return fd_take(&fd);
}

int stream_open_unix(struct made **made, struct value *value, const char *path, struct err *err)
{
	int fd = stream_listen(made, &value->place, path, BACKLOG, err);

	if (fd < 0)
		return fd;
	value->fd = fd;
	value->stream = STREAM_LISTENER;
	return 0;
}
