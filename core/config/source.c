/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The text of a configuration; see source.h. Each file is walked token by token, with the tokens of
 * libconfig's scanner, and copied; lines of the copy remember where they came from.
 */
#include "core/config/source.h"

#include "core/base/fd.h"
#include "core/config/input.h"
#include "core/config/path.h"
#include "core/config/report.h"
#include "core/config/token.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SHOWN_MAX 40 /* bytes of an integer in a message */

struct scanner {
	struct tree *tree;
	struct err *err;
	struct source out;
	size_t out_capacity, line_capacity;
	size_t bytes_in; /* of all files */
	size_t files;
	size_t settings;
	/* Across files: an include stands for its text. */
	size_t depth;
	char brackets[SOURCE_DEPTH_MAX]; /* the open ones */
	bool string_fits;                /* a string may be the next token */
	size_t string_bytes;             /* of the strings right before, which libconfig joins */
};

static int scan_file(struct scanner *scanner, const char *name, const struct place *included_at, unsigned int level);

static int fail_here(struct scanner *scanner, const struct input *input, const char *text)
{
	const struct place place = { .file = input->name, .line = input->line };

	return config_fail(scanner->err, &place, "", "%s", text);
}

/* Room for `needed` items; NULL, with the array as it was, if there is none. */
static void *grow(void *array, size_t *capacity, size_t needed, size_t item_bytes)
{
	size_t more = needed + needed / 2 + 256;

	if (needed <= *capacity)
		return array;
	array = reallocarray(array, more, item_bytes);
	if (array)
		*capacity = more;
	return array;
}

static int add_line(struct scanner *scanner, struct place place)
{
	struct source *out = &scanner->out;
	struct place *lines = grow(out->lines, &scanner->line_capacity, out->line_count + 1, sizeof(*lines));

	if (!lines)
		return config_no_memory(scanner->err);
	lines[out->line_count++] = place;
	out->lines = lines;
	return 0;
}

/* Appends to the text. The line that a byte begins is that of the input. */
static int emit(struct scanner *scanner, const struct input *input, const char *bytes, size_t count)
{
	struct place place = { .file = input->name, .line = input->line };
	struct source *out = &scanner->out;
	char *text = grow(out->text, &scanner->out_capacity, out->bytes + count + 1, 1);

	if (!text)
		return config_no_memory(scanner->err);
	out->text = text;
	for (size_t i = 0; i < count; i++) {
		if (!out->bytes || text[out->bytes - 1] == '\n') {
			int r = add_line(scanner, place);

			if (r < 0)
				return r;
		}
		text[out->bytes++] = bytes[i];
		if (bytes[i] == '\n')
			place.line++;
	}
	text[out->bytes] = '\0';
	return 0;
}

/* Moves `count` bytes of the input on to the text. */
static int copy(struct scanner *scanner, struct input *input, size_t count)
{
	int r;

	r = emit(scanner, input, input->text + input->at, count);
	if (r < 0)
		return r;
	for (size_t i = 0; i < count; i++)
		if (input->text[input->at++] == '\n')
			input->line++;
	return 0;
}

/* "0xd0000000", or the beginning of it. */
static int fail_hex(struct scanner *scanner, const struct input *input, size_t bytes)
{
	const struct place place = { .file = input->name, .line = input->line };
	const char *text = input->text + input->at;
	int shown = (int)(bytes < SHOWN_MAX ? bytes : SHOWN_MAX);

	return config_fail(scanner->err, &place, "", "hexadecimal integer %.*s: write it as a string: \"%.*s\"", shown,
			   text, shown, text);
}

/* libconfig takes atoi() of an integer, or atoll() if an L follows. */
static int scan_integer(struct scanner *scanner, struct input *input, size_t bytes)
{
	const struct place place = { .file = input->name, .line = input->line };
	const char *text = input->text + input->at;
	bool is_long = text[bytes] == 'L';
	long long number;
	int r;

	errno = 0;
	number = strtoll(text, NULL, 10);
	if (errno == ERANGE)
		return config_fail(scanner->err, &place, "", "integer %.*s%s does not fit in 64 bits",
				   (int)(bytes < SHOWN_MAX ? bytes : SHOWN_MAX), text, bytes > SHOWN_MAX ? "..." : "");
	if (is_long)
		bytes += text[bytes + 1] == 'L' ? 2 : 1;
	r = copy(scanner, input, bytes);
	if (r < 0)
		return r;
	if (!is_long && (number < INT32_MIN || number > INT32_MAX))
		return emit(scanner, input, "L", 1);
	return 0;
}

static int scan_string(struct scanner *scanner, struct input *input, size_t bytes)
{
	const char *text = input->text + input->at;
	size_t step;

	if (!scanner->string_fits)
		return fail_here(scanner, input, "syntax error");
	for (size_t i = 1; i + 1 < bytes; i += step) {
		step = token_string_step(text + i);
		if (step == 4 && text[i + 2] == '0' && text[i + 3] == '0')
			return fail_here(scanner, input, "a string cannot have \\x00 in it");
		if (++scanner->string_bytes > SOURCE_STRING_MAX)
			return fail_here(scanner, input, "string is longer than 4095 bytes");
	}
	return copy(scanner, input, bytes);
}

static int scan_open(struct scanner *scanner, struct input *input)
{
	char c = input->text[input->at];

	if (scanner->depth == SOURCE_DEPTH_MAX)
		return fail_here(scanner, input, "nested more than 16 deep");
	scanner->brackets[scanner->depth++] = c;
	scanner->string_fits = c != '{';
	return copy(scanner, input, 1);
}

static int scan_token(struct scanner *scanner, struct input *input)
{
	size_t bytes;
	enum token_kind kind = token_at(input->text + input->at, &bytes);

	if (kind == TOKEN_SPACE || kind == TOKEN_COMMENT)
		return copy(scanner, input, bytes);
	if (kind == TOKEN_STRING)
		return scan_string(scanner, input, bytes);
	scanner->string_bytes = 0;
	scanner->string_fits = false;
	switch (kind) {
	case TOKEN_OPEN_COMMENT:
		return fail_here(scanner, input, "comment is not closed");
	case TOKEN_OPEN_STRING:
		return fail_here(scanner, input, "string is not closed");
	case TOKEN_HEX:
		return fail_hex(scanner, input, bytes);
	case TOKEN_INTEGER:
		return scan_integer(scanner, input, bytes);
	case TOKEN_OPEN:
		return scan_open(scanner, input);
	case TOKEN_CLOSE:
		/* Whether the pair matches is for libconfig to say. */
		if (scanner->depth)
			scanner->depth--;
		break;
	case TOKEN_ASSIGN:
		if (++scanner->settings > SOURCE_SETTINGS_MAX)
			return fail_here(scanner, input, "more than 10000 settings");
		scanner->string_fits = true;
		break;
	case TOKEN_COMMA:
		scanner->string_fits = scanner->depth && scanner->brackets[scanner->depth - 1] != '{';
		break;
	default:
		break;
	}
	return copy(scanner, input, bytes);
}

/* Length of an include's beginning at the beginning of a line; 0: no include. */
static size_t include_length(const struct input *input)
{
	if (input->at && input->text[input->at - 1] != '\n')
		return 0;
	return token_include(input->text + input->at);
}

/* The name between the quotes of an include, without its escapes; moves past the closing quote. */
static int take_include_name(struct scanner *scanner, struct input *input, char **ret)
{
	size_t end = input->at + strcspn(input->text + input->at, "\"\n");
	const char *text = input->text + input->at;
	size_t length = end - input->at;
	char *name;

	if (input->text[end] != '"')
		return fail_here(scanner, input, "name of the include is not closed");
	if (!length)
		return fail_here(scanner, input, "name of the include is empty");
	if (memchr(text, '\\', length))
		return fail_here(scanner, input, "backslash in the name of an include");
	name = strndup(text, length);
	if (!name)
		return config_no_memory(scanner->err);
	input->at = end + 1;
	*ret = name;
	return 0;
}

static int scan_include(struct scanner *scanner, struct input *input, unsigned int level)
{
	const struct place place = { .file = input->name, .line = input->line };
	FREE_AUTO char *name = NULL;
	FREE_AUTO char *path = NULL;
	const char *kept;
	int r;

	r = take_include_name(scanner, input, &name);
	if (r < 0)
		return r;
	if (level == SOURCE_INCLUDES_MAX)
		return fail_here(scanner, input, "files include each other more than 8 deep");
	r = config_resolve_path(&place, name, &path);
	if (r < 0)
		return config_no_memory(scanner->err);
	r = tree_add_name(scanner->tree, path, &kept);
	if (r < 0)
		return config_no_memory(scanner->err);
	return scan_file(scanner, kept, &place, level + 1);
}

static int scan_text(struct scanner *scanner, struct input *input, unsigned int level)
{
	int r;

	while (input->at < input->bytes) {
		size_t include = include_length(input);

		if (include) {
			input->at += include;
			r = scan_include(scanner, input, level);
		} else {
			r = scan_token(scanner, input);
		}
		if (r < 0)
			return r;
	}
	if (input->bytes && scanner->out.bytes && scanner->out.text[scanner->out.bytes - 1] != '\n')
		return emit(scanner, input, "\n", 1);
	return 0;
}

static int scan_file(struct scanner *scanner, const char *name, const struct place *included_at, unsigned int level)
{
	struct input input;
	int r;

	if (++scanner->files > SOURCE_FILES_MAX)
		return config_fail(scanner->err, included_at, "", "more than 64 files are included");
	r = input_read(name, included_at, SOURCE_BYTES_MAX - scanner->bytes_in, &input, scanner->err);
	if (r < 0)
		return r;
	scanner->bytes_in += input.bytes;
	r = scan_text(scanner, &input, level);
	input_free(&input);
	return r;
}

int source_read(struct tree *tree, const char *path, struct source *ret, struct err *err)
{
	struct scanner scanner = { .tree = tree, .err = err };
	int r;

	r = scan_file(&scanner, path, NULL, 0);
	if (r < 0) {
		source_free(&scanner.out);
		return r;
	}
	*ret = scanner.out;
	return 0;
}

void source_free(struct source *source)
{
	free(source->text);
	free(source->lines);
}

struct place source_place(const struct source *source, unsigned int line)
{
	size_t index = line ? line - 1 : 0;

	if (index >= source->line_count)
		index = source->line_count - 1;
	return source->lines[index];
}
