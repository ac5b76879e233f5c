/* SPDX-License-Identifier: BSD-3-Clause */
/* The bus; see bus.h. */
#include "core/machine/bus.h"

#include "core/base/checked.h"
#include "core/base/log.h"

#include <backplane/device.h>

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PIO_SPACE_END UINT64_C(0x10000)
#define WIDTHS_ALL    (BP_W8 | BP_W16 | BP_W32 | BP_W64)

/* Sorted by space and base. Immutable once published. */
struct bus_table {
	uint64_t generation; /* from 1: an address may be used again, a generation never is */
	size_t pio_count;    /* the ports come first */
	size_t count;
	struct bus_claim claims[];
};

struct bus {
	pthread_mutex_t lock; /* changes, and the list of readers */
	_Atomic(const struct bus_table *) table;
	struct bus_reader *readers[BUS_READERS_MAX];
};

/* The reader whose access this thread is inside of. */
static _Thread_local const struct bus_reader *inside;

const char *bus_range_text(uint64_t base, uint64_t length, char text[BUS_RANGE_TEXT])
{
	snprintf(text, BUS_RANGE_TEXT, "0x%" PRIx64 "-0x%" PRIx64, base, base + (length - 1));
	return text;
}

static struct bus_table *table_alloc(size_t count)
{
	return calloc(1, sizeof(struct bus_table) + count * sizeof(struct bus_claim));
}

int bus_new(struct bus **ret)
{
	struct bus *bus = calloc(1, sizeof(*bus));
	struct bus_table *table = table_alloc(0);

	if (!bus || !table) {
		free(bus);
		free(table);
		return -ENOMEM;
	}
	pthread_mutex_init(&bus->lock, NULL);
	table->generation = 1;
	atomic_init(&bus->table, table);
	*ret = bus;
	return 0;
}

static void table_free(const struct bus_table *table)
{
	free((void *)(uintptr_t)table);
}

void bus_free(struct bus *bus)
{
	if (!bus)
		return;
	table_free(atomic_load(&bus->table));
	pthread_mutex_destroy(&bus->lock);
	free(bus);
}

int bus_reader_add(struct bus *bus, struct bus_reader *reader)
{
	int r = -ENOSPC;

	pthread_mutex_lock(&bus->lock);
	for (size_t i = 0; i < BUS_READERS_MAX; i++)
		if (!bus->readers[i]) {
			bus->readers[i] = reader;
			reader->bus = bus;
			reader->hit_generation = 0; /* a former bus may have had the same */
			r = 0;
			break;
		}
	pthread_mutex_unlock(&bus->lock);
	return r;
}

void bus_reader_remove(struct bus_reader *reader)
{
	struct bus *bus = reader->bus;

	if (!bus)
		return;
	pthread_mutex_lock(&bus->lock);
	for (size_t i = 0; i < BUS_READERS_MAX; i++)
		if (bus->readers[i] == reader)
			bus->readers[i] = NULL;
	pthread_mutex_unlock(&bus->lock);
	reader->bus = NULL;
}

/*
 * Publishes `next` and frees what it replaces once no reader uses that.
 *
 * A reader stores the table's address in its slot and then looks whether that is still the current one; we store the new
 * table and then look at the slots. All four are sequentially consistent, so at least one of us sees the other: either the
 * reader finds the new table and starts again, or we find its slot and wait.
 */
static void table_publish(struct bus *bus, const struct bus_table *next)
{
	const struct bus_table *old = atomic_exchange(&bus->table, next);
	const struct timespec pause = { .tv_nsec = 20000 };

	for (size_t i = 0; i < BUS_READERS_MAX; i++)
		while (bus->readers[i] && atomic_load(&bus->readers[i]->using) == old)
			nanosleep(&pause, NULL);
	table_free(old);
}

static bool widths_usable(uint32_t widths, uint64_t length)
{
	bool usable = false;

	if (widths & ~(uint32_t)(WIDTHS_ALL | BP_UNALIGNED))
		return false;
	for (unsigned int i = 0; i < 4; i++)
		if ((widths & (1u << i)) && (UINT64_C(1) << i) <= length)
			usable = true;
	return usable;
}

static int claim_check(const struct bus_claim *claim, struct err *err)
{
	uint64_t last;

	if (claim->space != BP_MMIO && claim->space != BP_PIO)
		return err_set(err, -EINVAL, "%s: there is no address space %" PRIu32, claim->owner, claim->space);
	if (!claim->length)
		return err_set(err, -EINVAL, "%s: a range at 0x%" PRIx64 " has the length 0", claim->owner,
			       claim->base);
	if (__builtin_add_overflow(claim->base, claim->length - 1, &last) ||
	    (claim->space == BP_PIO && last >= PIO_SPACE_END))
		return err_set(err, -EINVAL,
			       "%s: a range of 0x%" PRIx64 " bytes at 0x%" PRIx64 " leaves the address space",
			       claim->owner, claim->length, claim->base);
	if (!widths_usable(claim->widths, claim->length))
		return err_set(err, -EINVAL,
			       "%s: the range at 0x%" PRIx64 " takes no access width that fits (0x%" PRIx32 ")",
			       claim->owner, claim->base, claim->widths);
	return 0;
}

static bool claim_before(const struct bus_claim *a, const struct bus_claim *b)
{
	if (a->space != b->space)
		return a->space == BP_PIO;
	return a->base < b->base;
}

int bus_insert(struct bus *bus, const struct bus_claim *claim, struct err *err)
{
	const struct bus_table *old;
	struct bus_table *next;
	size_t at = 0;
	int r;

	if (inside)
		return err_set(err, -EDEADLK, "%s: a range cannot be claimed from inside an access", claim->owner);
	r = claim_check(claim, err);
	if (r < 0)
		return r;
	pthread_mutex_lock(&bus->lock);
	old = atomic_load_explicit(&bus->table, memory_order_relaxed);
	for (size_t i = 0; i < old->count; i++) {
		const struct bus_claim *other = &old->claims[i];
		char mine[BUS_RANGE_TEXT], theirs[BUS_RANGE_TEXT];

		if (other->space == claim->space &&
		    range_overlap(claim->base, claim->length, other->base, other->length)) {
			pthread_mutex_unlock(&bus->lock);
			return err_set(err, -EEXIST, "%s %s of %s overlaps %s of %s",
				       claim->space == BP_PIO ? "port range" : "memory range",
				       bus_range_text(claim->base, claim->length, mine), claim->owner,
				       bus_range_text(other->base, other->length, theirs), other->owner);
		}
		if (claim_before(other, claim))
			at = i + 1;
	}
	next = table_alloc(old->count + 1);
	if (!next) {
		pthread_mutex_unlock(&bus->lock);
		return err_sys(err, -ENOMEM, "%s: cannot claim a range", claim->owner);
	}
	memcpy(next->claims, old->claims, at * sizeof(*claim));
	next->claims[at] = *claim;
	memcpy(next->claims + at + 1, old->claims + at, (old->count - at) * sizeof(*claim));
	next->generation = old->generation + 1;
	next->count = old->count + 1;
	next->pio_count = old->pio_count + (claim->space == BP_PIO);
	table_publish(bus, next);
	pthread_mutex_unlock(&bus->lock);
	return 0;
}

int bus_remove(struct bus *bus, uint32_t space, uint64_t base)
{
	const struct bus_table *old;
	struct bus_table *next;
	size_t at;

	if (inside)
		return -EDEADLK;
	pthread_mutex_lock(&bus->lock);
	old = atomic_load_explicit(&bus->table, memory_order_relaxed);
	for (at = 0; at < old->count; at++)
		if (old->claims[at].space == space && old->claims[at].base == base)
			break;
	if (at == old->count) {
		pthread_mutex_unlock(&bus->lock);
		return -ENOENT;
	}
	next = table_alloc(old->count - 1);
	if (!next) {
		pthread_mutex_unlock(&bus->lock);
		return -ENOMEM;
	}
	memcpy(next->claims, old->claims, at * sizeof(next->claims[0]));
	memcpy(next->claims + at, old->claims + at + 1, (old->count - at - 1) * sizeof(next->claims[0]));
	next->generation = old->generation + 1;
	next->count = old->count - 1;
	next->pio_count = old->pio_count - (space == BP_PIO);
	table_publish(bus, next);
	pthread_mutex_unlock(&bus->lock);
	return 0;
}

int bus_find_free(struct bus *bus, uint32_t space, uint64_t low, uint64_t high, uint64_t length, uint64_t align,
		  uint64_t *ret_base)
{
	const struct bus_table *table;
	uint64_t base, end;
	bool found;

	if (!length || !align_up(low, align, &base))
		return -ENOSPC;
	pthread_mutex_lock(&bus->lock);
	table = atomic_load_explicit(&bus->table, memory_order_relaxed);
	for (size_t i = 0; i < table->count; i++) {
		const struct bus_claim *claim = &table->claims[i];

		/* Claims come by address, so what has been passed stays passed. */
		if (claim->space == space && range_overlap(base, length, claim->base, claim->length) &&
		    (__builtin_add_overflow(claim->base, claim->length, &base) || !align_up(base, align, &base))) {
			base = high;
			break;
		}
		if (base >= high)
			break;
	}
	found = !__builtin_add_overflow(base, length, &end) && end <= high;
	pthread_mutex_unlock(&bus->lock);
	if (!found)
		return -ENOSPC;
	*ret_base = base;
	return 0;
}

void bus_each(struct bus *bus, void (*fn)(const struct bus_claim *claim, void *arg), void *arg)
{
	const struct bus_table *table;

	pthread_mutex_lock(&bus->lock);
	table = atomic_load_explicit(&bus->table, memory_order_relaxed);
	for (size_t i = 0; i < table->count; i++)
		fn(&table->claims[i], arg);
	pthread_mutex_unlock(&bus->lock);
}

static inline const struct bus_table *reader_enter(struct bus_reader *reader)
{
	const struct bus *bus = reader->bus;
	const struct bus_table *table = atomic_load_explicit(&bus->table, memory_order_acquire), *named;

	/* A writer either sees the name, or has published its table before we look again. */
	do {
		named = table;
		atomic_store(&reader->using, named);
		table = atomic_load(&bus->table);
	} while (table != named);
	return table;
}

static void reader_leave(struct bus_reader *reader)
{
	atomic_store_explicit(&reader->using, NULL, memory_order_release);
}

/* The claim that holds `address`, which becomes the reader's last hit, or NULL. */
static const struct bus_claim *table_search(struct bus_reader *reader, const struct bus_table *table, uint32_t space,
					    uint64_t address)
{
	size_t low = space == BP_PIO ? 0 : table->pio_count;
	size_t high = space == BP_PIO ? table->pio_count : table->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct bus_claim *claim = &table->claims[middle];

		if (address < claim->base) {
			high = middle;
		} else if (address - claim->base >= claim->length) {
			low = middle + 1;
		} else {
			reader->hit_generation = table->generation;
			reader->hit = claim;
			return claim;
		}
	}
	return NULL;
}

static inline const struct bus_claim *table_find(struct bus_reader *reader, const struct bus_table *table,
						 uint32_t space, uint64_t address)
{
	if (reader->hit_generation == table->generation && reader->hit->space == space &&
	    address - reader->hit->base < reader->hit->length)
		return reader->hit;
	return table_search(reader, table, space, address);
}

/* `offset` lies inside of the claim. */
static inline bool claim_takes(const struct bus_claim *claim, uint64_t offset, uint32_t width)
{
	uint32_t below = width - 1;

	if (!(claim->widths & width & WIDTHS_ALL) || width > claim->length - offset)
		return false;
	/* A width that is a power of two is its own bit in the mask; a guest that crosses a page makes others too. */
	return !((width | offset) & below) || (!(width & below) && (claim->widths & BP_UNALIGNED));
}

/* Out of the way of accesses that are answered. */
static __attribute__((cold, noinline)) void access_unclaimed(struct bus_reader *reader, const struct bus_claim *claim,
							     uint32_t space, uint64_t address, uint32_t width,
							     bool write, uint64_t *value)
{
	__atomic_store_n(&reader->unclaimed, reader->unclaimed + 1, __ATOMIC_RELAXED);
	log_limited(LOG_LEVEL_DEBUG, "%s of %" PRIu32 " bytes at %s 0x%" PRIx64 ": %s%s", write ? "write" : "read",
		    width, space == BP_PIO ? "port" : "address", address,
		    claim ? "not a width or alignment of " : "nobody answers", claim ? claim->owner : "");
	if (!write)
		*value = width >= 8 ? UINT64_MAX : (UINT64_C(1) << (width * 8)) - 1;
}

void bus_access(struct bus_reader *reader, uint32_t space, uint64_t address, uint32_t width, bool write,
		uint64_t *value)
{
	const struct bus_table *table = reader_enter(reader);
	const struct bus_claim *claim = table_find(reader, table, space, address);

	if (claim && claim_takes(claim, address - claim->base, width)) {
		uint64_t mask = UINT64_MAX >> (64 - 8 * width);
		int r;

		if (write)
			*value &= mask;
		inside = reader;
		r = claim->access(claim->ctx, claim->cookie, address - claim->base, width, write, value);
		inside = NULL;
		if (!write)
			*value = (r < 0 ? UINT64_MAX : *value) & mask;
	} else {
		access_unclaimed(reader, claim, space, address, width, write, value);
	}
	reader_leave(reader);
}
