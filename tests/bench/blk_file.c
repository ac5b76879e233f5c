/* SPDX-License-Identifier: BSD-3-Clause */
/* A file to read from; see blk_file.h. */
#include "tests/bench/blk_file.h"

#include "tests/bench/blk_driver.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHUNK_BLOCKS UINT64_C(256)

static const char *to_remove;

__attribute__((noreturn)) static void give_up(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

static void remove_file(void)
{
	unlink(to_remove);
}

void blk_file_make(const char *name, uint64_t blocks)
{
	static uint8_t chunk[CHUNK_BLOCKS][BLK_DRIVER_BLOCK];
	const char *build = getenv("BP_BUILD");
	int fd;

	if (build && (chdir(build) < 0 || (chdir("bench") < 0 && errno != ENOENT)))
		give_up(build);
	fd = open(name, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
	if (fd < 0)
		give_up(name);
	to_remove = name;
	atexit(remove_file);
	for (uint64_t block = 0; block < blocks; block += CHUNK_BLOCKS) {
		uint64_t count = blocks - block < CHUNK_BLOCKS ? blocks - block : CHUNK_BLOCKS;

		for (uint64_t i = 0; i < count; i++) {
			uint64_t number = block + i;

			memcpy(chunk[i], &number, sizeof(number));
		}
		errno = ENOSPC;
		if (write(fd, chunk, count * BLK_DRIVER_BLOCK) != (ssize_t)(count * BLK_DRIVER_BLOCK))
			give_up(name);
	}
	if (fdatasync(fd) < 0)
		give_up(name);
	close(fd);
}

int blk_file_open(const char *name)
{
	int fd = open(name, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		give_up(name);
	return fd;
}
