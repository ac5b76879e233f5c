/* SPDX-License-Identifier: BSD-3-Clause */
/* Bytes that look like chance; see data.h. */
#include "data.h"

#include <string.h>

#define WORD sizeof(uint64_t)

/* splitmix64 */
static uint64_t mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

static uint64_t word_at(uint64_t seed, uint64_t index)
{
	return mix(seed + (index + 1) * UINT64_C(0x9e3779b97f4a7c15));
}

uint64_t data_next(uint64_t *state)
{
	return mix(*state += UINT64_C(0x9e3779b97f4a7c15));
}

uint64_t data_size(uint64_t *state, uint64_t most)
{
	unsigned int bits = 0;

	while (bits < 63 && most >> bits)
		bits++;
	most >>= bits ? data_next(state) % bits : 0;
	return data_next(state) % (most + 1);
}

void data_fill(uint64_t seed, uint64_t at, uint8_t *bytes, size_t count)
{
	while (count) {
		uint64_t word = word_at(seed, at / WORD);
		size_t skip = at % WORD, step = WORD - skip;

		if (step == WORD && count >= WORD) {
			memcpy(bytes, &word, WORD);
		} else {
			step = step < count ? step : count;
			memcpy(bytes, (const uint8_t *)&word + skip, step);
		}
		bytes += step;
		at += step;
		count -= step;
	}
}

size_t data_check(uint64_t seed, uint64_t at, const uint8_t *bytes, size_t count)
{
	size_t done = 0;

	while (done < count) {
		uint64_t word = word_at(seed, (at + done) / WORD);
		size_t skip = (at + done) % WORD, step = WORD - skip;

		if (step == WORD && count - done >= WORD && !memcmp(bytes + done, &word, WORD)) {
			done += WORD;
			continue;
		}
		for (size_t i = 0; i < step && done < count; i++, done++)
			if (bytes[done] != ((const uint8_t *)&word)[skip + i])
				return done;
	}
	return count;
}
