/* SPDX-License-Identifier: BSD-3-Clause */
/* Children that other processes have left; see orphans.h. */
#include "core/placement/orphans.h"

#include "core/base/fd.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

/* Whether a process is a child of this one, and called so (NULL: however). */
static bool is_child(int proc_fd, const char *pid, const char *name)
{
	const size_t length = name ? strlen(name) : 0;
	char path[64], text[256];
	FD_AUTO int fd = -1;
	const char *begin, *end;
	ssize_t got;

	snprintf(path, sizeof(path), "%.32s/stat", pid);
	fd = openat(proc_fd, path, O_RDONLY | O_CLOEXEC);
	got = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (got <= 0)
		return false;
	text[got] = '\0';
	/* "PID (NAME) STATE PARENT ...", and a name may have anything in it. */
	begin = strchr(text, '(');
	end = strrchr(text, ')');
	if (!begin || !end || strlen(end) < strlen(") S 1") || strtol(end + strlen(") S "), NULL, 10) != getpid())
		return false;
	return (size_t)(end - begin - 1) >= length && !strncmp(begin + 1, name ? name : "", length);
}

static size_t find(const char *name, pid_t *ret, size_t max)
{
	DIR *dir = opendir("/proc");
	const struct dirent *entry;
	size_t count = 0;

	while (dir && count < max && (entry = readdir(dir)))
		if (isdigit((unsigned char)entry->d_name[0]) && is_child(dirfd(dir), entry->d_name, name))
			ret[count++] = (pid_t)strtol(entry->d_name, NULL, 10);
	if (dir)
		closedir(dir);
	return count;
}

void orphans_begin(struct orphans *orphans)
{
	orphans->was_reaper = 0;
	prctl(PR_GET_CHILD_SUBREAPER, &orphans->was_reaper);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	orphans->count = find(NULL, orphans->before, ORPHANS_MAX);
}

size_t orphans_end(const struct orphans *orphans, const char *name, pid_t *ret, size_t max)
{
	pid_t now[ORPHANS_MAX];
	size_t count = find(name, now, ORPHANS_MAX), found = 0;

	prctl(PR_SET_CHILD_SUBREAPER, orphans->was_reaper);
	for (size_t i = 0; i < count && found < max; i++) {
		size_t j = 0;

		while (j < orphans->count && orphans->before[j] != now[i])
			j++;
		if (j == orphans->count)
			ret[found++] = now[i];
	}
	return found;
}
