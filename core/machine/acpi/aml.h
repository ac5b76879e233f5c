/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Writes AML, the byte code of ACPI's namespace (ACPI 6.4, chapters 20 and 6.4), into a buffer that
 * grows. Private to this folder. An error sticks: the calls after it do nothing, and aml.error is
 * looked at once, in the end. What has a length is opened by a _begin function and closed by
 * aml_end() or aml_template_end() in the opposite order; lengths are filled in then, in their
 * shortest form. Names have up to four characters.
 */
#ifndef MACHINE_ACPI_AML_H
#define MACHINE_ACPI_AML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct aml {
	uint8_t *data;
	size_t bytes;
	size_t capacity;
	int error; /* 0, -ENOMEM, -EINVAL (no such name, text or HID), -EFBIG (more than 256 MiB) */
};

#define AML_EMPTY            \
	{                    \
		.data = NULL \
	}

/* Frees the buffer and what it says about errors; the struct can be used again. */
void aml_reset(struct aml *aml);
#define AML_AUTO __attribute__((cleanup(aml_reset)))

/* Bytes as they are. */
void aml_raw(struct aml *aml, const void *data, size_t bytes);

/* What contains others. Each returns a mark for aml_end(). */
size_t aml_scope_begin(struct aml *aml, const char *name);
size_t aml_device_begin(struct aml *aml, const char *name);
size_t aml_package_begin(struct aml *aml, uint8_t count);
size_t aml_method_begin(struct aml *aml, const char *name, uint8_t arguments); /* serialised */
void aml_end(struct aml *aml, size_t mark);

/* "Name (NAME, value)": the value is what is written next. */
void aml_named(struct aml *aml, const char *name);

/* Values. */
void aml_integer(struct aml *aml, uint64_t value);
void aml_string(struct aml *aml, const char *text);  /* 7-bit, without control characters */
void aml_unicode(struct aml *aml, const char *text); /* the same, as a buffer of UTF-16 */
void aml_buffer(struct aml *aml, const void *data, size_t bytes);
/* A hardware id: an integer for the EISA form "PNP0501", a string for the ACPI form "LNRO0005". */
void aml_hid(struct aml *aml, const char *hid);

/* In a method: tells the drivers of a device, which is found by its name in this scope or one around it. */
void aml_notify(struct aml *aml, const char *device, uint64_t value);

/* A resource template is a buffer of descriptors. */
size_t aml_template_begin(struct aml *aml);
void aml_template_end(struct aml *aml, size_t mark);
/* Neither range is empty, nor ends beyond 2^64; ports end at 0x10000 and are fewer than that. */
void aml_memory(struct aml *aml, uint64_t base, uint64_t length);
void aml_ports(struct aml *aml, uint64_t base, uint64_t length);
/* Edge triggered, active high, shared. */
void aml_interrupt(struct aml *aml, uint32_t gsi);

/* Whether aml_hid() and aml_string() take it. */
bool aml_hid_is_valid(const char *hid);
bool aml_string_is_valid(const char *text);

#endif
