/* SPDX-License-Identifier: BSD-3-Clause */
/* Tokens of a configuration file; see token.h. The patterns are those of libconfig's lib/scanner.l.
 */
#include "core/config/token.h"

#include <stdbool.h>
#include <string.h>

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_hex_digit(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool is_name_start(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '*';
}

static size_t count_digits(const char *text)
{
	size_t n = 0;

	while (is_digit(text[n]))
		n++;
	return n;
}

/* Bytes of an exponent, "e-5", or 0. */
static size_t count_exponent(const char *text)
{
	size_t n = 1;

	if (text[0] != 'e' && text[0] != 'E')
		return 0;
	if (text[1] == '+' || text[1] == '-')
		n++;
	if (!is_digit(text[n]))
		return 0;
	return n + count_digits(text + n);
}

static enum token_kind name_at(const char *text, size_t *ret_bytes)
{
	size_t n = 1;

	while (is_name_start(text[n]) || is_digit(text[n]) || text[n] == '-' || text[n] == '_')
		n++;
	*ret_bytes = n;
	return TOKEN_NAME;
}

/* A sign, a digit or a dot: a number, or a lone sign. A lone dot is a number too. */
static enum token_kind number_at(const char *text, size_t *ret_bytes)
{
	size_t sign = text[0] == '+' || text[0] == '-';
	size_t digits = count_digits(text + sign);
	size_t n = sign + digits;

	if (!sign && text[0] == '0' && (text[1] == 'x' || text[1] == 'X') && is_hex_digit(text[2])) {
		for (n = 3; is_hex_digit(text[n]);)
			n++;
		*ret_bytes = n;
		return TOKEN_HEX;
	}
	if (text[n] == '.') {
		n++;
		n += count_digits(text + n);
		n += count_exponent(text + n);
		*ret_bytes = n;
		return TOKEN_FLOAT;
	}
	if (!digits) {
		*ret_bytes = 1;
		return TOKEN_OTHER;
	}
	*ret_bytes = n + count_exponent(text + n);
	return *ret_bytes > n ? TOKEN_FLOAT : TOKEN_INTEGER;
}

size_t token_string_step(const char *text)
{
	if (text[0] != '\\' || !text[1])
		return 1;
	if (strchr("nrtf\\\"", text[1]))
		return 2;
	if ((text[1] == 'x' || text[1] == 'X') && is_hex_digit(text[2]) && is_hex_digit(text[3]))
		return 4;
	return 1; /* libconfig keeps the backslash */
}

static enum token_kind string_at(const char *text, size_t *ret_bytes)
{
	size_t n = 1;

	while (text[n] && text[n] != '"')
		n += token_string_step(text + n);
	*ret_bytes = n + (text[n] == '"');
	return text[n] ? TOKEN_STRING : TOKEN_OPEN_STRING;
}

static enum token_kind comment_at(const char *text, size_t *ret_bytes)
{
	const char *end;

	if (text[0] == '#' || text[1] == '/') {
		*ret_bytes = strcspn(text, "\n");
		return TOKEN_COMMENT;
	}
	end = strstr(text + 2, "*/");
	*ret_bytes = end ? (size_t)(end + 2 - text) : strlen(text);
	return end ? TOKEN_COMMENT : TOKEN_OPEN_COMMENT;
}

enum token_kind token_at(const char *text, size_t *ret_bytes)
{
	char c = text[0];

	*ret_bytes = 1;
	switch (c) {
	case '\n':
		return TOKEN_SPACE;
	case ' ':
	case '\t':
	case '\r':
	case '\f':
		*ret_bytes = strspn(text, " \t\r\f");
		return TOKEN_SPACE;
	case '{':
	case '[':
	case '(':
		return TOKEN_OPEN;
	case '}':
	case ']':
	case ')':
		return TOKEN_CLOSE;
	case '=':
	case ':':
		return TOKEN_ASSIGN;
	case ',':
		return TOKEN_COMMA;
	case '"':
		return string_at(text, ret_bytes);
	case '#':
		return comment_at(text, ret_bytes);
	case '/':
		if (text[1] == '/' || text[1] == '*')
			return comment_at(text, ret_bytes);
		return TOKEN_OTHER;
	default:
		break;
	}
	if (is_name_start(c))
		return name_at(text, ret_bytes);
	if (is_digit(c) || c == '+' || c == '-' || c == '.')
		return number_at(text, ret_bytes);
	return TOKEN_OTHER;
}

size_t token_include(const char *text)
{
	static const char word[] = "@include";
	size_t n = strspn(text, " \t");
	size_t gap;

	if (strncmp(text + n, word, strlen(word)) != 0)
		return 0;
	n += strlen(word);
	gap = strspn(text + n, " \t");
	if (!gap || text[n + gap] != '"')
		return 0;
	return n + gap + 1;
}
