/* SPDX-License-Identifier: BSD-3-Clause */
/* Opening streams that have a name: what is made in the file system, what is in the way, and what is removed again. */
#include "core/base/fd.h"
#include "core/placement/open.h"
#include "core/placement/streams.h"
#include "tests/unit/support.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>

static const struct bp_param table[] = {
	{ .name = "stream", .type = BP_P_STREAM },
	{ .name = "more", .type = BP_P_STREAM, .flags = BP_P_REPEATED },
};

static char directory[] = "/tmp/test_stream_open.XXXXXX";

struct opened {
	struct schema *schema;
	struct values *values;
	struct opener opener;
	struct err err;
};

/* Opens a stream that stands in line 7 of a file in the test's folder. */
static int open_one(struct opened *opened, const char *text)
{
	struct value value = { .fd = -1, .fd_out = -1 };
	static char file[64];

	memset(opened, 0, sizeof(*opened));
	snprintf(file, sizeof(file), "%s/vm.cfg", directory);
	value.place = (struct place){ .file = file, .line = 7 };
	value.text = strdup(text);
	assert_int_equal(schema_copy(table, sizeof(table[0]), COUNT_OF(table), &opened->schema, &opened->err), 0);
	assert_int_equal(values_new(opened->schema, "devices.console", value.place, &opened->values), 0);
	assert_int_equal(values_add(opened->values, 0, &value), 0);
	return open_values(&opened->opener, opened->values, &opened->err);
}

static struct value *value_of(struct opened *opened)
{
	return values_get(opened->values, "stream", 0);
}

static void end(struct opened *opened)
{
	opener_end(&opened->opener);
	values_free(opened->values);
	schema_free(opened->schema);
}

static const char *in_folder(const char *name)
{
	static char path[4][128];
	static unsigned int turn;

	turn = (turn + 1) % 4;
	snprintf(path[turn], sizeof(path[turn]), "%s/%s", directory, name);
	return path[turn];
}

static void write_text(const char *path, const char *text)
{
	FILE *file = fopen(path, "we");

	assert_non_null(file);
	fputs(text, file);
	assert_int_equal(fclose(file), 0);
}

static void assert_text(const char *path, const char *text)
{
	char found[64] = "";
	FILE *file = fopen(path, "re");

	assert_non_null(file);
	if (!fgets(found, sizeof(found), file))
		found[0] = '\0';
	fclose(file);
	assert_string_equal(found, text);
}

static bool exists(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

/* It is refused, with file and line, and nothing but `kept` (which may be NULL) is in the folder. */
static void refused(const char *text, const char *message, const char *kept)
{
	struct opened opened;
	size_t fds = count_fds();
	char expected[1024];
	struct dirent *entry;
	DIR *dir;

	assert_true(open_one(&opened, text) < 0);
	snprintf(expected, sizeof(expected), "%s/vm.cfg:7: devices.console.stream: %s", directory, message);
	assert_string_equal(opened.err.text, expected);
	end(&opened);
	assert_int_equal(count_fds(), fds);
	dir = opendir(directory);
	assert_non_null(dir);
	while ((entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			assert_true(kept && !strcmp(entry->d_name, kept));
	closedir(dir);
}

/* ---- pseudo terminals ---- */

static void the_name_of_a_pty_is_printed(void **state)
{
	struct opened opened;
	char name[64], expected[128];

	(void)state;
	log_catch(LOG_LEVEL_ERROR);
	assert_int_equal(open_one(&opened, "pty"), 0);
	assert_int_equal(ptsname_r(value_of(&opened)->fd, name, sizeof(name)), 0);
	snprintf(expected, sizeof(expected), "devices.console.stream: %s\n", name);
	assert_string_equal(log_caught(), expected);
	end(&opened);
}

static void a_pty_is_raw_and_ours_alone(void **state)
{
	struct opened opened;
	struct termios termios;
	struct stat st;
	char name[64];
	int slave;

	(void)state;
	log_catch(LOG_LEVEL_ERROR);
	assert_int_equal(open_one(&opened, "pty"), 0);
	assert_int_equal(ptsname_r(value_of(&opened)->fd, name, sizeof(name)), 0);
	slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(slave >= 0);
	assert_int_equal(fstat(slave, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(tcgetattr(slave, &termios), 0);
	assert_int_equal(termios.c_lflag & (ECHO | ICANON | ISIG | IEXTEN), 0);
	assert_int_equal(termios.c_oflag & OPOST, 0);
	assert_int_equal(termios.c_iflag & (ICRNL | IXON), 0);
	close(slave);
	end(&opened);
}

static void assert_link(struct opened *opened, const char *path)
{
	char name[64], target[64] = "";

	assert_int_equal(ptsname_r(value_of(opened)->fd, name, sizeof(name)), 0);
	assert_true(readlink(path, target, sizeof(target) - 1) > 0);
	assert_string_equal(target, name);
}

static void a_link_is_made_and_removed(void **state)
{
	struct opened opened;

	(void)state;
	log_catch(LOG_LEVEL_ERROR);
	/* Relative to the file, which the current folder is not. */
	assert_int_equal(open_one(&opened, "pty:console"), 0);
	assert_link(&opened, in_folder("console"));
	opener_end(&opened.opener);
	assert_false(exists(in_folder("console")));
	end(&opened);
}

static void a_link_that_was_left_is_replaced(void **state)
{
	struct opened opened;

	(void)state;
	log_catch(LOG_LEVEL_ERROR);
	assert_int_equal(symlink("/dev/pts/999999", in_folder("console")), 0);
	assert_int_equal(open_one(&opened, "pty:console"), 0);
	assert_link(&opened, in_folder("console"));
	end(&opened);
	assert_false(exists(in_folder("console")));
}

static void a_link_that_became_anothers_stays(void **state)
{
	struct opened opened;
	char target[64] = "";

	(void)state;
	log_catch(LOG_LEVEL_ERROR);
	assert_int_equal(open_one(&opened, "pty:console"), 0);
	assert_int_equal(unlink(in_folder("console")), 0);
	assert_int_equal(symlink("/dev/pts/999999", in_folder("console")), 0);
	end(&opened);
	assert_true(readlink(in_folder("console"), target, sizeof(target) - 1) > 0);
	assert_string_equal(target, "/dev/pts/999999");
	assert_int_equal(unlink(in_folder("console")), 0);
}

static void what_is_no_link_of_ours_is_in_the_way(void **state)
{
	static const char message[] = "\"console\" exists, and is no link to a pseudo terminal";

	(void)state;
	log_catch(LOG_LEVEL_ERROR);
	write_text(in_folder("console"), "precious");
	refused("pty:console", message, "console");
	assert_text(in_folder("console"), "precious");
	assert_int_equal(unlink(in_folder("console")), 0);
	assert_int_equal(symlink("/etc/passwd", in_folder("console")), 0);
	refused("pty:console", message, "console");
	assert_int_equal(unlink(in_folder("console")), 0);
	assert_int_equal(mkdir(in_folder("console"), 0700), 0);
	refused("pty:console", message, "console");
	assert_int_equal(rmdir(in_folder("console")), 0);
	assert_string_equal(log_caught(), "");
}

static void a_link_into_no_folder(void **state)
{
	(void)state;
	refused("pty:none/console", "cannot make the link \"none/console\": No such file or directory", NULL);
}

/* ---- sockets ---- */

static int connect_to(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		close(fd);
		return -errno;
	}
	return fd;
}

static int bound_socket(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static void a_socket_is_made_and_removed(void **state)
{
	struct opened opened;
	int client;

	(void)state;
	log_catch(LOG_LEVEL_ERROR);
	assert_int_equal(open_one(&opened, "unix:socket"), 0);
	assert_string_equal(log_caught(), "");
	client = connect_to(in_folder("socket"));
	assert_true(client >= 0);
	close(client);
	opener_end(&opened.opener);
	assert_false(exists(in_folder("socket")));
	end(&opened);
}

static void a_socket_is_ours_alone_whatever_the_umask(void **state)
{
	struct opened opened;
	mode_t before = umask(0);
	struct stat st;
	int r = open_one(&opened, "unix:socket");

	(void)state;
	umask(before);
	assert_int_equal(r, 0);
	assert_int_equal(lstat(in_folder("socket"), &st), 0);
	assert_true(S_ISSOCK(st.st_mode));
	assert_int_equal(st.st_mode & 07777, 0600);
	end(&opened);
}

static void a_socket_that_was_left_is_replaced(void **state)
{
	struct opened opened;
	int client;

	(void)state;
	close(bound_socket(in_folder("socket")));
	assert_int_equal(connect_to(in_folder("socket")), -ECONNREFUSED);
	assert_int_equal(open_one(&opened, "unix:socket"), 0);
	client = connect_to(in_folder("socket"));
	assert_true(client >= 0);
	close(client);
	end(&opened);
	assert_false(exists(in_folder("socket")));
}

static void somebody_else_who_listens_stays(void **state)
{
	struct opened first;
	int fds[16], client, count = 0;

	(void)state;
	assert_int_equal(open_one(&first, "unix:socket"), 0);
	refused("unix:socket", "somebody else listens on \"socket\"", "socket");
	/* Also when his queue is full. */
	while (count < (int)COUNT_OF(fds)) {
		struct sockaddr_un address = { .sun_family = AF_UNIX };

		fds[count] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		snprintf(address.sun_path, sizeof(address.sun_path), "%s", in_folder("socket"));
		if (connect(fds[count++], (struct sockaddr *)&address, sizeof(address)) < 0)
			break;
	}
	assert_int_equal(errno, EAGAIN);
	refused("unix:socket", "somebody else listens on \"socket\"", "socket");
	while (count)
		close(fds[--count]);
	client = accept(value_of(&first)->fd, NULL, NULL);
	assert_true(client >= 0);
	close(client);
	end(&first);
}

static void a_socket_that_became_anothers_stays(void **state)
{
	struct opened opened;
	int other;

	(void)state;
	assert_int_equal(open_one(&opened, "unix:socket"), 0);
	assert_int_equal(unlink(in_folder("socket")), 0);
	other = bound_socket(in_folder("socket"));
	end(&opened);
	assert_true(exists(in_folder("socket")));
	close(other);
	assert_int_equal(unlink(in_folder("socket")), 0);
}

static void what_is_no_socket_is_in_the_way(void **state)
{
	static const char message[] = "\"socket\" exists, and is no socket";

	(void)state;
	write_text(in_folder("socket"), "precious");
	refused("unix:socket", message, "socket");
	assert_text(in_folder("socket"), "precious");
	assert_int_equal(unlink(in_folder("socket")), 0);
	assert_int_equal(symlink("/nowhere", in_folder("socket")), 0);
	refused("unix:socket", message, "socket");
	assert_int_equal(unlink(in_folder("socket")), 0);
	assert_int_equal(mkdir(in_folder("socket"), 0700), 0);
	refused("unix:socket", message, "socket");
	assert_int_equal(rmdir(in_folder("socket")), 0);
}

static void a_socket_in_no_folder(void **state)
{
	(void)state;
	refused("unix:none/socket", "cannot listen on \"none/socket\": No such file or directory", NULL);
}

/* core/config has said so before, in most cases: not for a default. */
static void a_socket_with_a_long_path(void **state)
{
	char text[160], message[256];

	(void)state;
	memset(text, 'x', sizeof(text));
	memcpy(text, "unix:", 5);
	text[sizeof(text) - 1] = '\0';
	snprintf(message, sizeof(message), "cannot listen on \"%s\": File name too long", text + 5);
	refused(text, message, NULL);
}

static int folder_setup(void **state)
{
	(void)state;
	return mkdtemp(directory) ? 0 : -1;
}

static int folder_teardown(void **state)
{
	(void)state;
	return rmdir(directory);
}

static int release(void **state)
{
	(void)state;
	log_release();
	return 0;
}

#define TEST(name) cmocka_unit_test_teardown(name, release)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_name_of_a_pty_is_printed),
		TEST(a_pty_is_raw_and_ours_alone),
		TEST(a_link_is_made_and_removed),
		TEST(a_link_that_was_left_is_replaced),
		TEST(a_link_that_became_anothers_stays),
		TEST(what_is_no_link_of_ours_is_in_the_way),
		TEST(a_link_into_no_folder),
		TEST(a_socket_is_made_and_removed),
		TEST(a_socket_is_ours_alone_whatever_the_umask),
		TEST(a_socket_that_was_left_is_replaced),
		TEST(somebody_else_who_listens_stays),
		TEST(a_socket_that_became_anothers_stays),
		TEST(what_is_no_socket_is_in_the_way),
		TEST(a_socket_in_no_folder),
		TEST(a_socket_with_a_long_path),
	};

	return cmocka_run_group_tests(tests, folder_setup, folder_teardown);
}
