/* SPDX-License-Identifier: BSD-3-Clause */
/* What fuzz targets share whose input says step by step what happens: the bytes, and what must hold after it. */
#ifndef TESTS_FUZZ_INPUT_H
#define TESTS_FUZZ_INPUT_H

#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What has not been taken yet. Numbers are little-endian, and 0 behind the end. */
struct input {
	const uint8_t *data;
	size_t size;
};

static inline uint8_t next(struct input *input)
{
	if (!input->size)
		return 0;
	input->size--;
	return *input->data++;
}

static inline uint16_t next16(struct input *input)
{
	uint16_t low = next(input);

	return (uint16_t)(low | next(input) << 8);
}

/* Up to `count` bytes as they are; how many there were, at *ret. */
static inline size_t next_bytes(struct input *input, size_t count, const uint8_t **ret)
{
	if (count > input->size)
		count = input->size;
	*ret = input->data;
	input->data += count;
	input->size -= count;
	return count;
}

static inline void check(bool holds)
{
	if (!holds)
		abort();
}

/* The lowest number that is free: the same again, if nothing was left open. */
static inline int lowest_fd(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	check(fd >= 0);
	close(fd);
	return fd;
}

#endif
