/* SPDX-License-Identifier: BSD-3-Clause */
/* Finds promises in a log and looks whether they were kept; see promises.h. */
#include "promises.h"

#include "records.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define NOTE_BYTES 64

/* 1 with the promise in *ret, 0 if the note is none, or -EBADMSG. */
static int read_note(const struct crash_entry *entry, struct crash_promise *ret)
{
	char text[NOTE_BYTES] = { 0 };
	unsigned int stream, number;
	int end = 0;

	if (entry->kind != CRASH_NOTE || !entry->length || entry->length >= sizeof(text))
		return 0;
	memcpy(text, entry->data, entry->length);
	if (sscanf(text, CRASH_ACK " %u %u%n", &stream, &number, &end) != 2 || text[end])
		return 0;
	if (stream >= CRASH_STREAMS_MAX || number >= CRASH_RECORDS_MAX)
		return -EBADMSG;
	ret->stream = stream;
	ret->number = number;
	return 1;
}

int crash_promises_find(const struct crash_log *log, struct crash_promises *ret)
{
	struct crash_promises promises = { 0 };
	size_t room = 0;

	for (size_t i = 0; i < log->count; i++) {
		struct crash_promise promise = { .at = i };
		int r = read_note(&log->entries[i], &promise);

		if (r < 0) {
			free(promises.list);
			return r;
		}
		if (!r)
			continue;
		if (promises.count == room) {
			struct crash_promise *more;

			room = room ? 2 * room : 64;
			more = reallocarray(promises.list, room, sizeof(*more));
			if (!more) {
				free(promises.list);
				return -ENOMEM;
			}
			promises.list = more;
		}
		promises.list[promises.count++] = promise;
	}
	*ret = promises;
	return 0;
}

static bool kept(const struct crash_promise *promise, int folder)
{
	uint8_t record[CRASH_RECORD_MAX], found[CRASH_RECORD_MAX];
	uint32_t bytes = crash_record_make(promise->stream, promise->number, record);
	char name[CRASH_NAME_MAX];
	ssize_t got;
	int fd;

	crash_record_file(promise->stream, promise->number, name);
	fd = openat(folder, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	got = pread(fd, found, bytes, crash_record_at(promise->stream, promise->number));
	close(fd);
	return got == (ssize_t)bytes && !memcmp(found, record, bytes);
}

size_t crash_promises_broken(const struct crash_promises *promises, size_t at, int folder,
			     struct crash_promise *ret_broken)
{
	size_t broken = 0;

	for (size_t i = 0; i < promises->count && promises->list[i].at < at; i++) {
		if (kept(&promises->list[i], folder))
			continue;
		if (!broken++)
			*ret_broken = promises->list[i];
	}
	return broken;
}
