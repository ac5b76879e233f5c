/* SPDX-License-Identifier: BSD-3-Clause */
/* For tests of networks and sockets as they are opened: a table with one of each, and values of it that stand in a file of the test's folder. */
#ifndef TESTS_UNIT_OPEN_FIXTURE_H
#define TESTS_UNIT_OPEN_FIXTURE_H

#include "core/base/fd.h"
#include "core/placement/open.h"
#include "tests/unit/support.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

enum { NETWORK, PAIRS, BOTH, IN, OUT };

static const struct bp_param net_table[] = {
	[NETWORK] = { .name = "network", .type = BP_P_NETWORK, .pairs_param = "pairs" },
	[PAIRS] = { .name = "pairs", .type = BP_P_UINT, .min = 1, .max = BP_NETWORK_FDS_MAX },
	[BOTH] = { .name = "both", .type = BP_P_SOCKET, .flags = BP_P_LISTEN | BP_P_CONNECT | BP_P_REPEATED },
	[IN] = { .name = "in", .type = BP_P_SOCKET, .flags = BP_P_LISTEN },
	[OUT] = { .name = "out", .type = BP_P_SOCKET, .flags = BP_P_CONNECT },
};

/* What tests make has to be made somewhere; "vm.cfg" of it is not there. */
static char net_folder[] = "/tmp/bp-test-open.XXXXXX";
static char net_file[64];

struct opened {
	struct schema *schema;
	struct values *values;
	struct opener opener;
	struct err err;
	size_t fds_before;
};

static inline int net_folder_setup(void **state)
{
	(void)state;
	if (!mkdtemp(net_folder))
		return -1;
	snprintf(net_file, sizeof(net_file), "%s/vm.cfg", net_folder);
	return 0;
}

/* Nothing may be left in it. */
static inline int net_folder_teardown(void **state)
{
	(void)state;
	return rmdir(net_folder);
}

static inline const char *in_folder(const char *name)
{
	static char paths[4][128];
	static unsigned int turn;

	turn = (turn + 1) % 4;
	snprintf(paths[turn], sizeof(paths[turn]), "%s/%s", net_folder, name);
	return paths[turn];
}

static inline void opened_begin(struct opened *opened)
{
	const struct place place = { .file = net_file, .line = 3 };

	memset(opened, 0, sizeof(*opened));
	opened->fds_before = count_fds();
	assert_int_equal(schema_copy(net_table, sizeof(net_table[0]), COUNT_OF(net_table), &opened->schema,
				     &opened->err),
			 0);
	assert_int_equal(values_new(opened->schema, "devices.net0", place, &opened->values), 0);
}

/* A value that stands in line 7. */
static inline void opened_add(struct opened *opened, size_t param, const char *text)
{
	struct value value = { .fd = -1, .fd_out = -1, .place = { .file = net_file, .line = 7 } };

	value.text = strdup(text);
	assert_int_equal(values_add(opened->values, param, &value), 0);
}

static inline void opened_pairs(struct opened *opened, uint64_t pairs)
{
	const struct value value = { .number = pairs, .fd = -1, .fd_out = -1 };

	assert_int_equal(values_add(opened->values, PAIRS, &value), 0);
}

static inline void opened_end(struct opened *opened)
{
	opener_end(&opened->opener);
	values_free(opened->values);
	opener_wait(&opened->opener);
	schema_free(opened->schema);
	assert_int_equal(count_fds(), opened->fds_before);
}

/* A network for so many queue pairs; 0: one, as the table says. */
static inline int try_network(struct opened *opened, const char *text, uint64_t pairs)
{
	opened_begin(opened);
	opened_add(opened, NETWORK, text);
	if (pairs)
		opened_pairs(opened, pairs);
	return open_values(&opened->opener, opened->values, &opened->err);
}

static inline const struct network *network_of(struct opened *opened)
{
	return opened->values->lists[NETWORK].items[0].network;
}

static inline const struct network *open_network(struct opened *opened, const char *text, uint64_t pairs)
{
	if (try_network(opened, text, pairs) < 0)
		fail_msg("%s", opened->err.text);
	return network_of(opened);
}

/* It is refused, with file and line, and leaves nothing. */
static inline void refuse_network(const char *text, uint64_t pairs, const char *message)
{
	struct opened opened;
	char expected[1024];
	int r = try_network(&opened, text, pairs);

	snprintf(expected, sizeof(expected), "%s:7: devices.net0.network: %s", net_file, message);
	assert_true(r < 0);
	assert_string_equal(opened.err.text, expected);
	opened_end(&opened);
}

static inline void assert_own_fd(int fd)
{
	assert_true(fd > STDERR_FILENO);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
}

/* ---- far sides ---- */

static inline int reach(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	close(fd);
	return -errno;
}

static inline int serve(const char *path, int type, int backlog)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	if (backlog >= 0)
		assert_int_equal(listen(fd, backlog), 0);
	return fd;
}

static inline bool exists(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

/* Whether the other side has closed its end, or will soon. */
static inline bool hangs_up(int fd)
{
	struct pollfd ends = { .fd = fd, .events = POLLRDHUP };

	return poll(&ends, 1, PATIENCE_S * 1000) == 1 && (ends.revents & (POLLRDHUP | POLLHUP));
}

#endif
