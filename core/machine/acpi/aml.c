/* SPDX-License-Identifier: BSD-3-Clause */
/* The AML writer's terms; see aml.h. Resource descriptors are in resource.c. */
#include "core/machine/acpi/aml.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ACPI 6.4, 20.2. */
#define OP_ZERO        0x00
#define OP_ONE         0x01
#define OP_NAME        0x08
#define OP_BYTE        0x0a
#define OP_WORD        0x0b
#define OP_DWORD       0x0c
#define OP_STRING      0x0d
#define OP_QWORD       0x0e
#define OP_SCOPE       0x10
#define OP_BUFFER      0x11
#define OP_PACKAGE     0x12
#define OP_METHOD      0x14
#define OP_EXT         0x5b
#define OP_EXT_DEVICE  0x82
#define OP_NOTIFY      0x86
#define METHOD_SERIAL  0x08 /* of a method's flags, whose lowest three bits count arguments */
#define PKG_LENGTH_MAX ((UINT32_C(1) << 28) - 1)
#define INTEGER_MAX    9 /* bytes of an integer with its opcode */

void aml_reset(struct aml *aml)
{
	free(aml->data);
	*aml = (struct aml)AML_EMPTY;
}

/* Makes room for `bytes` at `offset` and puts them there. */
static void insert(struct aml *aml, size_t offset, const void *data, size_t bytes)
{
	if (aml->error || !bytes)
		return;
	if (bytes > PKG_LENGTH_MAX - aml->bytes) {
		aml->error = -EFBIG;
		return;
	}
	if (bytes > aml->capacity - aml->bytes) {
		size_t capacity = (aml->bytes + bytes) * 2;
		uint8_t *larger = realloc(aml->data, capacity);

		if (!larger) {
			aml->error = -ENOMEM;
			return;
		}
		aml->data = larger;
		aml->capacity = capacity;
	}
	memmove(aml->data + offset + bytes, aml->data + offset, aml->bytes - offset);
	memcpy(aml->data + offset, data, bytes);
	aml->bytes += bytes;
}

void aml_raw(struct aml *aml, const void *data, size_t bytes)
{
	insert(aml, aml->bytes, data, bytes);
}

static void put_byte(struct aml *aml, uint8_t byte)
{
	aml_raw(aml, &byte, 1);
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_upper(char c)
{
	return c >= 'A' && c <= 'Z';
}

/* A NameString of one segment. */
static void put_name(struct aml *aml, const char *name)
{
	char segment[4] = { '_', '_', '_', '_' };
	size_t length = strlen(name);

	if (!length || length > sizeof(segment) || is_digit(name[0])) {
		aml->error = aml->error ? aml->error : -EINVAL;
		return;
	}
	for (size_t i = 0; i < length; i++) {
		if (!is_upper(name[i]) && !is_digit(name[i]) && name[i] != '_')
			aml->error = aml->error ? aml->error : -EINVAL;
		segment[i] = name[i];
	}
	aml_raw(aml, segment, sizeof(segment));
}

/*
 * PkgLength (20.2.4) counts its own bytes. One byte has six bits of length; otherwise the first one
 * has the number of further bytes and the lowest four bits.
 */
void aml_end(struct aml *aml, size_t mark)
{
	uint8_t length[4];
	size_t bytes = 1;
	size_t total;

	if (aml->error)
		return;
	total = aml->bytes - mark + 1;
	if (total > 0x3f) {
		bytes = 2;
		total++;
		if (total > 0xfff) {
			bytes = 3;
			total++;
		}
		if (total > 0xfffff) {
			bytes = 4;
			total++;
		}
		if (total > PKG_LENGTH_MAX) {
			aml->error = -EFBIG;
			return;
		}
	}
	length[0] = bytes == 1 ? (uint8_t)total : (uint8_t)((bytes - 1) << 6 | (total & 0xf));
	for (size_t i = 1; i < bytes; i++)
		length[i] = (uint8_t)(total >> (4 + 8 * (i - 1)));
	insert(aml, mark, length, bytes);
}

size_t aml_scope_begin(struct aml *aml, const char *name)
{
	size_t mark;

	put_byte(aml, OP_SCOPE);
	mark = aml->bytes;
	put_name(aml, name);
	return mark;
}

size_t aml_device_begin(struct aml *aml, const char *name)
{
	size_t mark;

	put_byte(aml, OP_EXT);
	put_byte(aml, OP_EXT_DEVICE);
	mark = aml->bytes;
	put_name(aml, name);
	return mark;
}

size_t aml_package_begin(struct aml *aml, uint8_t count)
{
	size_t mark;

	put_byte(aml, OP_PACKAGE);
	mark = aml->bytes;
	put_byte(aml, count);
	return mark;
}

size_t aml_method_begin(struct aml *aml, const char *name, uint8_t arguments)
{
	size_t mark;

	put_byte(aml, OP_METHOD);
	mark = aml->bytes;
	put_name(aml, name);
	put_byte(aml, (uint8_t)((arguments & 7) | METHOD_SERIAL));
	return mark;
}

void aml_notify(struct aml *aml, const char *device, uint64_t value)
{
	put_byte(aml, OP_NOTIFY);
	put_name(aml, device);
	aml_integer(aml, value);
}

void aml_named(struct aml *aml, const char *name)
{
	put_byte(aml, OP_NAME);
	put_name(aml, name);
}

/* The shortest form of an integer; returns its bytes. */
static size_t encode_integer(uint64_t value, uint8_t encoded[INTEGER_MAX])
{
	size_t bytes;

	if (value <= 1) {
		encoded[0] = value ? OP_ONE : OP_ZERO;
		return 1;
	}
	if (value <= UINT8_MAX) {
		encoded[0] = OP_BYTE;
		bytes = 1;
	} else if (value <= UINT16_MAX) {
		encoded[0] = OP_WORD;
		bytes = 2;
	} else if (value <= UINT32_MAX) {
		encoded[0] = OP_DWORD;
		bytes = 4;
	} else {
		encoded[0] = OP_QWORD;
		bytes = 8;
	}
	for (size_t i = 0; i < bytes; i++)
		encoded[1 + i] = (uint8_t)(value >> (8 * i));
	return 1 + bytes;
}

void aml_integer(struct aml *aml, uint64_t value)
{
	uint8_t encoded[INTEGER_MAX];
	size_t bytes = encode_integer(value, encoded);

	aml_raw(aml, encoded, bytes);
}

bool aml_string_is_valid(const char *text)
{
	for (; *text; text++) {
		if (*text < 0x20 || *text > 0x7e)
			return false;
	}
	return true;
}

void aml_string(struct aml *aml, const char *text)
{
	if (!aml_string_is_valid(text)) {
		aml->error = aml->error ? aml->error : -EINVAL;
		return;
	}
	put_byte(aml, OP_STRING);
	aml_raw(aml, text, strlen(text) + 1);
}

/* A buffer is opened as its bytes alone; how many they are goes before them when it is closed. */
static size_t buffer_begin(struct aml *aml)
{
	put_byte(aml, OP_BUFFER);
	return aml->bytes;
}

static void buffer_end(struct aml *aml, size_t mark)
{
	uint8_t encoded[INTEGER_MAX];
	size_t bytes;

	if (aml->error)
		return;
	bytes = encode_integer(aml->bytes - mark, encoded);
	insert(aml, mark, encoded, bytes);
	aml_end(aml, mark);
}

void aml_buffer(struct aml *aml, const void *data, size_t bytes)
{
	size_t mark = buffer_begin(aml);

	aml_raw(aml, data, bytes);
	buffer_end(aml, mark);
}

void aml_unicode(struct aml *aml, const char *text)
{
	size_t mark;

	if (!aml_string_is_valid(text)) {
		aml->error = aml->error ? aml->error : -EINVAL;
		return;
	}
	mark = buffer_begin(aml);
	/* The NUL is part of it. */
	for (size_t i = 0; i <= strlen(text); i++) {
		put_byte(aml, (uint8_t)text[i]);
		put_byte(aml, 0);
	}
	buffer_end(aml, mark);
}

/*
 * The checksum of the end tag is 0, which says that there is none (6.4.2.9): the table has one, and
 * compilers write the same.
 */
size_t aml_template_begin(struct aml *aml)
{
	return buffer_begin(aml);
}

void aml_template_end(struct aml *aml, size_t mark)
{
	static const uint8_t end_tag[] = { 0x79, 0 };

	aml_raw(aml, end_tag, sizeof(end_tag));
	buffer_end(aml, mark);
}

/* The digits of an id are upper case (6.1.5); the value, or -1. */
static int hex_digit(char c)
{
	if (is_digit(c))
		return c - '0';
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* How many characters precede the four digits: 3 for EISA's form, 4 for ACPI's, 0 for neither. */
static size_t hid_prefix(const char *hid)
{
	size_t length = strlen(hid);
	size_t prefix = length - 4;

	if (length != 7 && length != 8)
		return 0;
	for (size_t i = 0; i < prefix; i++) {
		if (!is_upper(hid[i]) && (length == 7 || !is_digit(hid[i])))
			return 0;
	}
	for (size_t i = prefix; i < length; i++) {
		if (hex_digit(hid[i]) < 0)
			return 0;
	}
	return prefix;
}

bool aml_hid_is_valid(const char *hid)
{
	return hid_prefix(hid) != 0;
}

void aml_hid(struct aml *aml, const char *hid)
{
	uint32_t id = 0;

	switch (hid_prefix(hid)) {
	case 3:
		break;
	case 4:
		aml_string(aml, hid);
		return;
	default:
		aml->error = aml->error ? aml->error : -EINVAL;
		return;
	}
	/* EISAID (19.3.4): five bits a letter, four a digit, and the bytes swapped. */
	for (size_t i = 0; i < 3; i++)
		id = id << 5 | (uint32_t)(hid[i] - '@');
	for (size_t i = 3; i < 7; i++)
		id = id << 4 | (uint32_t)hex_digit(hid[i]);
	aml_integer(aml, __builtin_bswap32(id));
}
