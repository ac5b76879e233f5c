/* SPDX-License-Identifier: BSD-3-Clause */
/* NETWORK and SOCKET values as text; see network.h. */
#include "core/config/network.h"

#include "core/base/fd.h"
#include "core/config/path.h"
#include "core/config/report.h"

#include <errno.h>
#include <limits.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#define PATH_BYTES 256

/* What stands behind `prefix`, or NULL. */
static const char *behind(const char *text, const char *prefix)
{
	size_t length = strlen(prefix);

	return strncmp(text, prefix, length) ? NULL : text + length;
}

enum network_form network_form(const char *text, const char **ret_rest)
{
	static const struct {
		const char *prefix;
		enum network_form form;
	} forms[] = {
		{ "tap:", NETWORK_TAP },         { "fd:", NETWORK_FDS },        { "passt ", NETWORK_PASST },
		{ "connect:", NETWORK_CONNECT }, { "listen:", NETWORK_LISTEN },
	};

	*ret_rest = NULL;
	if (!strcmp(text, "tap"))
		return NETWORK_TAP;
	if (!strcmp(text, "passt"))
		return NETWORK_PASST;
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		const char *rest = behind(text, forms[i].prefix);

		if (!rest || !rest[0])
			continue;
		*ret_rest = rest;
		return forms[i].form;
	}
	return NETWORK_NONE;
}

/* ---- taps ---- */

/* As the kernel sees it, and a little more narrowly: '%' would make it choose, and bytes above ASCII some tools do not print. */
static int check_interface(const char *name, struct err *complaint)
{
	if (strlen(name) >= IFNAMSIZ)
		return err_set(complaint, -EINVAL,
			       "the name of an interface has at most %d bytes, and \"%.64s\" has %zu", IFNAMSIZ - 1,
			       name, strlen(name));
	for (const char *c = name; *c; c++)
		if (*c <= ' ' || *c > '~' || strchr("/:%", *c))
			return err_set(complaint, -EINVAL,
				       "\"%s\" is no name of an interface: it has a byte other than printable "
				       "ASCII without blanks, '/', ':' and '%%'",
				       name);
	if (!strcmp(name, ".") || !strcmp(name, ".."))
		return err_set(complaint, -EINVAL, "\"%s\" is no name of an interface", name);
	return 0;
}

/* A decimal number without sign or leading zeros; -1: it is none, or too large for a descriptor. */
static int parse_fd(const char *text, const char **ret_end)
{
	int number = 0;

	*ret_end = text;
	for (; **ret_end >= '0' && **ret_end <= '9'; (*ret_end)++) {
		if (number > INT_MAX / 10 - 1)
			return -1;
		number = number * 10 + (**ret_end - '0');
	}
	return *ret_end == text || (text[0] == '0' && *ret_end > text + 1) ? -1 : number;
}

int network_fds(const char *rest, int ret[static BP_NETWORK_FDS_MAX], struct err *complaint)
{
	const char *at = rest;
	uint32_t count = 0;

	for (;; at++) {
		int fd = parse_fd(at, &at);

		if (fd < 0 || (*at && *at != ','))
			return err_set(complaint, -EINVAL,
				       "expected the numbers of descriptors such as \"fd:3\" or \"fd:3,4\", found "
				       "\"fd:%.64s\"",
				       rest);
		if (fd <= STDERR_FILENO)
			return err_set(complaint, -EINVAL,
				       "descriptor %d is standard input, output or error, not a network", fd);
		if (count == BP_NETWORK_FDS_MAX)
			return err_set(complaint, -EINVAL, "a network has at most %u descriptors", BP_NETWORK_FDS_MAX);
		for (uint32_t i = 0; i < count; i++)
			if (ret[i] == fd)
				return err_set(complaint, -EINVAL, "descriptor %d stands twice", fd);
		ret[count++] = fd;
		if (!*at)
			return (int)count;
	}
}

uint32_t network_pairs(const struct values *values, const struct param *param)
{
	return param->pairs_param ? (uint32_t)values_number(values, param->pairs_param, 1) : 1;
}

static int check_count(const struct values *values, const struct param *param, const struct value *value,
		       struct err *err)
{
	uint32_t pairs = network_pairs(values, param);
	struct err ignored = ERR_NONE;
	int fds[BP_NETWORK_FDS_MAX];
	char path[PATH_BYTES];
	const char *rest;
	int count;

	if (network_form(value->text, &rest) != NETWORK_FDS)
		return 0;
	count = network_fds(rest, fds, &ignored);
	if (count < 0 || (uint32_t)count == pairs)
		return 0;
	snprintf(path, sizeof(path), "%s.%s", values->path, param->name);
	if (!param->pairs_param)
		return config_fail(err, &value->place, path, "expected one descriptor, found %d", count);
	return config_fail(err, &value->place, path, "\"%s\" asks for %u descriptors, and this names %d",
			   param->pairs_param, pairs, count);
}

int network_check_pairs(const struct values *values, struct err *err)
{
	for (size_t i = 0; i < values->schema->count; i++) {
		const struct param *param = &values->schema->params[i];

		for (uint32_t j = 0; param->type == BP_P_NETWORK && j < values->lists[i].count; j++) {
			int r = check_count(values, param, &values->lists[i].items[j], err);

			if (r < 0)
				return r;
		}
	}
	return 0;
}

/* ---- sockets ---- */

int network_check_path(const struct place *place, const char *path, size_t extra, struct err *complaint)
{
	const size_t cap = sizeof(((struct sockaddr_un *)NULL)->sun_path) - extra;
	FREE_AUTO char *resolved = NULL;
	int r = config_resolve_path(place, path, &resolved);

	if (r < 0)
		return config_no_memory(complaint);
	if (strlen(resolved) >= cap)
		return err_set(complaint, -EINVAL, "the path of a socket has at most %zu bytes%s, and this one has %zu",
			       cap - 1, extra ? " where a number follows it" : "", strlen(resolved));
	return 0;
}

/* ---- passt ---- */

/* Options that the program gives itself, or that make passt end at once. passt takes any beginning of a long one for it. */
static const struct {
	char letter;
	const char *word;
} ours[] = {
	{ 'F', "fd" },      { 's', "socket" }, { 'P', "pid" },   { 'f', "foreground" },
	{ '1', "one-off" }, { 'h', "help" },   { 0, "version" },
};

/* Those letters behind which a value stands, in the word or as the next one. */
#define PASST_VALUED "lsFpPmanMgioDStu"

bool network_word(const char **at, const char **ret_word, size_t *ret_length)
{
	static const char blanks[] = " \t\n\v\f\r";

	*ret_word = *at + strspn(*at, blanks);
	*ret_length = strcspn(*ret_word, blanks);
	*at = *ret_word + *ret_length;
	return *ret_length > 0;
}

static bool is_ours_long(const char *name, size_t length)
{
	const char *equals = memchr(name, '=', length);

	if (equals)
		length = (size_t)(equals - name);
	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		if (length && !strncmp(name, ours[i].word, length))
			return true;
	return false;
}

static bool is_ours(const char *word, size_t length)
{
	if (word[0] != '-' || length < 2)
		return false;
	if (word[1] == '-')
		return is_ours_long(word + 2, length - 2);
	for (const char *letter = word + 1; letter < word + length; letter++) {
		for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
			if (*letter == ours[i].letter)
				return true;
		if (strchr(PASST_VALUED, *letter))
			return false;
	}
	return false;
}

static int check_passt(const char *options, struct err *complaint)
{
	const char *word;
	size_t length;

	while (network_word(&options, &word, &length))
		if (is_ours(word, length))
			return err_set(complaint, -EINVAL,
				       "passt cannot be given \"%.*s\": how it is started, reached and ended is the "
				       "program's business",
				       (int)length, word);
	return 0;
}

int network_check(const struct place *place, const char *text, struct err *complaint)
{
	int fds[BP_NETWORK_FDS_MAX];
	const char *rest;

	switch (network_form(text, &rest)) {
	case NETWORK_TAP:
		return rest ? check_interface(rest, complaint) : 0;
	case NETWORK_FDS:
		return network_fds(rest, fds, complaint) < 0 ? -EINVAL : 0;
	case NETWORK_PASST:
		return rest ? check_passt(rest, complaint) : 0;
	case NETWORK_CONNECT:
	case NETWORK_LISTEN:
		return network_check_path(place, rest, 0, complaint);
	default:
		return -EINVAL;
	}
}
