/* SPDX-License-Identifier: BSD-3-Clause */
/* Errors that a person will read; see err.h. */
#include "core/base/err.h"

#include <stdio.h>
#include <string.h>

int err_set(struct err *err, int error, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(err->text, sizeof(err->text), format, ap);
	va_end(ap);
	return error;
}

int err_sys(struct err *err, int error, const char *format, ...)
{
	va_list ap;
	size_t used;

	va_start(ap, format);
	vsnprintf(err->text, sizeof(err->text), format, ap);
	va_end(ap);
	used = strlen(err->text);
	snprintf(err->text + used, sizeof(err->text) - used, ": %s", strerror(-error));
	return error;
}

void err_prefix(struct err *err, const char *format, ...)
{
	char old[ERR_TEXT_MAX];
	va_list ap;
	size_t used;

	memcpy(old, err->text, sizeof(old));
	va_start(ap, format);
	vsnprintf(err->text, sizeof(err->text), format, ap);
	va_end(ap);
	used = strlen(err->text);
	snprintf(err->text + used, sizeof(err->text) - used, "%s", old);
}
