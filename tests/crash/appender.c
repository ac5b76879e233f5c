/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The workload of the crash tests, in the guest:
 *
 *   appender FOLDER STREAMS RECORDS
 *
 * appends records (records.h) to the files of so many streams at the same time, with fsync after each one, and says on standard
 * output which ones are safe. In between, files come, move and go that nobody has asked to be safe, so that flushes have other
 * writes around them. Ends with "crash.done"; with status 1 if anything fails. Linked statically, as the guest has no libraries.
 */
#include "records.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

struct stream {
	pthread_t thread;
	int folder;
	uint32_t number, records;
};

static void must(int good, const char *what)
{
	if (good)
		return;
	printf("crash.failed %s: %s\n", what, strerror(errno));
	fflush(stdout);
	_exit(1);
}

static void write_all(int fd, const void *data, size_t bytes)
{
	ssize_t wrote = write(fd, data, bytes);

	must(wrote == (ssize_t)bytes, "write");
}

/* Something that is not asked to be safe. */
static void stir(const struct stream *stream, uint32_t round)
{
	static const uint8_t filler[16384] = "not asked to be safe";
	char name[CRASH_NAME_MAX], other[CRASH_NAME_MAX];
	int fd;

	snprintf(name, sizeof(name), "t%u.%u", stream->number, round % 3);
	snprintf(other, sizeof(other), "t%u.moved", stream->number);
	fd = openat(stream->folder, name, O_WRONLY | O_CREAT | O_APPEND, 0600);
	must(fd >= 0, name);
	write_all(fd, filler, 1 + round * 997 % sizeof(filler));
	close(fd);
	if (round % 3 == 1)
		must(renameat(stream->folder, name, stream->folder, other) == 0, "rename");
	if (round % 3 == 2)
		must(unlinkat(stream->folder, name, 0) == 0, "unlink");
}

static void *append(void *arg)
{
	const struct stream *stream = arg;
	uint8_t record[CRASH_RECORD_MAX];
	char text[64];
	int fd = -1;

	for (uint32_t i = 0; i < stream->records; i++) {
		stir(stream, i);
		if (i % CRASH_PER_FILE == 0) {
			if (fd >= 0)
				close(fd);
			crash_record_file(stream->number, i, text);
			fd = openat(stream->folder, text, O_WRONLY | O_CREAT | O_EXCL | O_APPEND, 0600);
			must(fd >= 0, text);
		}
		write_all(fd, record, crash_record_make(stream->number, i, record));
		must(fsync(fd) == 0, "fsync");
		/* One write, so that lines stay whole. */
		snprintf(text, sizeof(text), CRASH_ACK " %u %u\n", stream->number, i);
		write_all(STDOUT_FILENO, text, strlen(text));
	}
	close(fd);
	return NULL;
}

static uint32_t number(const char *text, uint32_t max)
{
	unsigned long value = strtoul(text, NULL, 10);

	must(value > 0 && value <= max, text);
	return (uint32_t)value;
}

int main(int argc, char **argv)
{
	struct stream streams[CRASH_STREAMS_MAX];
	uint32_t count, records;
	int folder;

	must(argc == 4, "usage: appender FOLDER STREAMS RECORDS");
	count = number(argv[2], CRASH_STREAMS_MAX);
	records = number(argv[3], CRASH_RECORDS_MAX);
	folder = open(argv[1], O_RDONLY | O_DIRECTORY);
	must(folder >= 0, argv[1]);
	for (uint32_t i = 0; i < count; i++) {
		streams[i] = (struct stream){ .folder = folder, .number = i, .records = records };
		errno = pthread_create(&streams[i].thread, NULL, append, &streams[i]);
		must(!errno, "thread");
	}
	for (uint32_t i = 0; i < count; i++)
		pthread_join(streams[i].thread, NULL);
	puts("crash.done");
	return 0;
}
