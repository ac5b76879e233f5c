/* SPDX-License-Identifier: BSD-3-Clause */
/* Writing and reading the log of a disk; see log.h. */
#include "log.h"

#include "core/base/checked.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static_assert(sizeof(struct crash_log_header) == 16, "a format");
static_assert(sizeof(struct crash_entry_header) == 24, "a format");

int crash_log_begin(FILE *log, uint64_t image_bytes)
{
	const struct crash_log_header header = { .magic = CRASH_MAGIC, .image_bytes = image_bytes };

	return fwrite(&header, sizeof(header), 1, log) == 1 ? 0 : -EIO;
}

int crash_log_add(FILE *log, enum crash_kind kind, uint64_t offset, uint64_t length, const void *data)
{
	struct crash_entry_header header = { .kind = kind, .offset = offset, .length = length };

	if (data) {
		if (length > CRASH_DATA_MAX)
			return -EINVAL;
		header.bytes = (uint32_t)length;
	}
	if (fwrite(&header, sizeof(header), 1, log) != 1 || (header.bytes && fwrite(data, header.bytes, 1, log) != 1))
		return -EIO;
	return 0;
}

/* The entry at `at`, and where the next one begins. False if it is not whole, or nonsense. */
static bool read_entry(const uint8_t *bytes, size_t size, uint64_t image_bytes, size_t *at, struct crash_entry *entry)
{
	struct crash_entry_header header;
	size_t data = *at + sizeof(header);

	if (!range_within(*at, sizeof(header), size))
		return false;
	memcpy(&header, bytes + *at, sizeof(header));
	if (header.bytes > CRASH_DATA_MAX || !range_within(data, header.bytes, size))
		return false;
	switch (header.kind) {
	case CRASH_WRITE:
		if (header.length != header.bytes || !range_within(header.offset, header.length, image_bytes))
			return false;
		break;
	case CRASH_ZERO:
		if (header.bytes || !range_within(header.offset, header.length, image_bytes))
			return false;
		break;
	case CRASH_FLUSH:
		if (header.bytes)
			return false;
		break;
	case CRASH_NOTE:
		if (header.length != header.bytes)
			return false;
		break;
	default:
		return false;
	}
	*entry = (struct crash_entry){
		.kind = (enum crash_kind)header.kind,
		.offset = header.offset,
		.length = header.length,
		.data = header.bytes ? bytes + data : NULL,
	};
	*at = data + header.bytes;
	return true;
}

int crash_log_read(const void *bytes, size_t size, struct crash_log *ret)
{
	struct crash_log log = { 0 };
	struct crash_log_header header;
	size_t room = 0, at = sizeof(header);

	if (size < sizeof(header))
		return -EBADMSG;
	memcpy(&header, bytes, sizeof(header));
	if (header.magic != CRASH_MAGIC || header.image_bytes > CRASH_IMAGE_MAX)
		return -EBADMSG;
	log.image_bytes = header.image_bytes;
	while (at < size) {
		if (log.count == room) {
			struct crash_entry *more;

			room = room ? 2 * room : 256;
			more = reallocarray(log.entries, room, sizeof(*more));
			if (!more) {
				crash_log_free(&log);
				return -ENOMEM;
			}
			log.entries = more;
		}
		if (!read_entry(bytes, size, log.image_bytes, &at, &log.entries[log.count])) {
			crash_log_free(&log);
			return -EBADMSG;
		}
		log.count++;
	}
	*ret = log;
	return 0;
}

void crash_log_free(struct crash_log *log)
{
	free(log->entries);
	*log = (struct crash_log){ 0 };
}
