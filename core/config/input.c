/* SPDX-License-Identifier: BSD-3-Clause */
/* One file of a configuration in memory; see input.h. */
#include "core/config/input.h"

#include "core/base/fd.h"
#include "core/config/report.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define CHUNK_BYTES 16384

/* "FILE: TEXT" for the file itself, "FILE:LINE: TEXT" for one that FILE includes. */
static int fail_open(const char *name, const struct place *included_at, const char *text, struct err *err)
{
	const struct place whole = { .file = name };

	if (included_at)
		return config_fail(err, included_at, "", "cannot open \"%s\": %s", name, text);
	return config_fail(err, &whole, "", "cannot open: %s", text);
}

static int open_input(const char *name, const struct place *included_at, int *ret_fd, struct err *err)
{
	FD_AUTO int fd = -1;
	struct stat st;

	/* An include must not block, nor wake a device by being opened. */
	fd = open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY | (included_at ? O_NONBLOCK : 0));
	if (fd < 0)
		return fail_open(name, included_at, strerror(errno), err);
	if (fstat(fd, &st) < 0)
		return fail_open(name, included_at, strerror(errno), err);
	if (S_ISDIR(st.st_mode))
		return fail_open(name, included_at, strerror(EISDIR), err);
	if (included_at && !S_ISREG(st.st_mode))
		return fail_open(name, included_at, "not a regular file", err);
	*ret_fd = fd_take(&fd);
	return 0;
}

/* Reads to the end, or one byte more than allowed. */
static int read_all(int fd, size_t bytes_max, struct input *input)
{
	size_t capacity = 0;

	for (;;) {
		ssize_t n;

		if (input->bytes + 1 >= capacity) {
			char *text = realloc(input->text, capacity + CHUNK_BYTES);

			if (!text)
				return -ENOMEM;
			input->text = text;
			capacity += CHUNK_BYTES;
		}
		n = read(fd, input->text + input->bytes, capacity - input->bytes - 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		input->bytes += (size_t)n;
		input->text[input->bytes] = '\0';
		if (!n || input->bytes > bytes_max)
			return 0;
	}
}

static bool is_control(char c)
{
	return ((unsigned char)c < ' ' && c != '\t' && c != '\n' && c != '\r' && c != '\f') || c == 0x7f;
}

/* The place of the first byte that no text has; false if there is none. */
static bool find_control(const struct input *input, struct place *ret_place)
{
	struct place place = { .file = input->name, .line = 1 };

	for (size_t i = 0; i < input->bytes; i++) {
		if (is_control(input->text[i])) {
			*ret_place = place;
			return true;
		}
		if (input->text[i] == '\n')
			place.line++;
	}
	return false;
}

int input_read(const char *name, const struct place *included_at, size_t bytes_max, struct input *ret, struct err *err)
{
	struct input input = { .name = name, .line = 1 };
	struct place place = { .file = name };
	FD_AUTO int fd = -1;
	int r;

	r = open_input(name, included_at, &fd, err);
	if (r < 0)
		return r;
	r = read_all(fd, bytes_max, &input);
	if (r == -ENOMEM) {
		config_no_memory(err);
		goto fail;
	}
	if (r < 0) {
		r = config_fail(err, &place, "", "cannot read: %s", strerror(-r));
		goto fail;
	}
	if (input.bytes > bytes_max) {
		r = config_fail(err, &place, "", "more than 1 MiB of configuration");
		goto fail;
	}
	if (find_control(&input, &place)) {
		r = config_fail(err, &place, "", "control character: this is not a text file");
		goto fail;
	}
	*ret = input;
	return 0;
fail:
	input_free(&input);
	return r;
}

void input_free(struct input *input)
{
	free(input->text);
	input->text = NULL;
}
