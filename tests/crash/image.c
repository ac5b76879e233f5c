/* SPDX-License-Identifier: BSD-3-Clause */
/* Makes disks as they are after a crash; see image.h. */
#include "image.h"

#include "records.h"

#include <assert.h>
#include <stdbool.h>

static const char *const manner_names[] = {
	[CRASH_NOTHING] = "nothing",
	[CRASH_SOME] = "some",
	[CRASH_ONE_LESS] = "one less",
	[CRASH_ONE] = "one",
};
static_assert(sizeof(manner_names) / sizeof(manner_names[0]) == CRASH_MANNERS, "a name for each");

const char *crash_manner_name(enum crash_manner manner)
{
	return manner_names[manner];
}

/* One of [0, count), which is not empty. */
static size_t draw(uint64_t *state, size_t count)
{
	return (size_t)(crash_random(state) % count);
}

static bool changes(const struct crash_entry *entry)
{
	return entry->kind == CRASH_WRITE || entry->kind == CRASH_ZERO;
}

struct crash_cut crash_draw(const struct crash_log *log, size_t first, uint64_t seed)
{
	uint64_t state = seed;
	struct crash_cut cut = { .at = first + draw(&state, log->count - first + 1) };

	if (draw(&state, 2))
		while (cut.at < log->count && cut.at > 0 && log->entries[cut.at - 1].kind != CRASH_NOTE)
			cut.at++;
	cut.manner = (enum crash_manner)draw(&state, CRASH_MANNERS);
	cut.flushed = cut.at;
	while (cut.flushed > 0 && log->entries[cut.flushed - 1].kind != CRASH_FLUSH)
		cut.flushed--;
	cut.seed = state;
	return cut;
}

/* The sectors of an entry that a torn write leaves behind, or all of them. */
static void put(const struct crash_entry *entry, uint8_t *image, bool torn, uint64_t *state)
{
	for (uint64_t at = 0, part; at < entry->length; at += part) {
		/* To the end of the sector, as writes need not begin with one. */
		part = CRASH_SECTOR - (entry->offset + at) % CRASH_SECTOR;
		if (part > entry->length - at)
			part = entry->length - at;
		if (torn && draw(state, 2))
			continue;
		if (entry->kind == CRASH_WRITE)
			memcpy(image + entry->offset + at, entry->data + at, part);
		else
			memset(image + entry->offset + at, 0, part);
	}
}

/* What becomes of an entry that was not flushed; `special` says whether it is the one that was drawn. */
static void put_unflushed(const struct crash_entry *entry, uint8_t *image, enum crash_manner manner, bool special,
			  uint64_t *state)
{
	size_t fate = draw(state, 4);

	switch (manner) {
	case CRASH_SOME:
		if (fate > 0)
			put(entry, image, fate == 1, state);
		break;
	case CRASH_ONE_LESS:
		if (!special || fate > 1)
			put(entry, image, special, state);
		break;
	case CRASH_ONE:
		if (special)
			put(entry, image, fate > 1, state);
		break;
	default:
		break;
	}
}

void crash_apply(const struct crash_log *log, const struct crash_cut *cut, uint8_t *image)
{
	uint64_t state = cut->seed;
	size_t unflushed = 0, special = 0, index = 0;

	for (size_t i = 0; i < cut->flushed; i++)
		if (changes(&log->entries[i]))
			put(&log->entries[i], image, false, &state);
	for (size_t i = cut->flushed; i < cut->at; i++)
		unflushed += changes(&log->entries[i]);
	if (unflushed)
		special = draw(&state, unflushed);
	for (size_t i = cut->flushed; i < cut->at; i++)
		if (changes(&log->entries[i]))
			put_unflushed(&log->entries[i], image, cut->manner, index++ == special, &state);
}
