/* SPDX-License-Identifier: BSD-3-Clause */
/* Split virtqueues; see virtqueue.h. Offsets and flags are those of VIRTIO 1.2, 2.7.5 to 2.7.10. */
#include "core/device/virtqueue.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define DESC_BYTES           16u
#define DESC_F_NEXT          1u
#define DESC_F_WRITE         2u
#define DESC_F_INDIRECT      4u

#define AVAIL_F_NO_INTERRUPT 1u
#define USED_F_NO_NOTIFY     1u
#define RING_FLAGS           0u /* offsets in both rings */
#define RING_IDX             2u
#define RING_ENTRIES         4u

#define DESC_ALIGN           16u
#define AVAIL_ALIGN          2u
#define USED_ALIGN           4u

#define CHAIN_BYTES_MAX      (UINT64_C(1) << 32)

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "rings are little endian");

struct desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags;
	uint16_t next;
};
static_assert(sizeof(struct desc) == DESC_BYTES, "as the guest lays it out");

struct used_entry {
	uint32_t id;
	uint32_t len;
};

static const char *const rule_texts[] = {
	[VIRTQUEUE_AVAIL_JUMP] = "the available index has jumped further than the queue is long",
	[VIRTQUEUE_HEAD_RANGE] = "a head is beyond the descriptor table",
	[VIRTQUEUE_HEAD_IN_FLIGHT] = "a head was made available that the device has already",
	[VIRTQUEUE_NEXT_RANGE] = "a descriptor's next one is beyond the table",
	[VIRTQUEUE_CHAIN_LENGTH] = "a chain has more descriptors than the queue, or is a loop",
	[VIRTQUEUE_CHAIN_BYTES] = "a chain has more than 2^32 bytes",
	[VIRTQUEUE_CHAIN_PIECES] = "a chain lies in too many pieces",
	[VIRTQUEUE_ORDER] = "a buffer to read comes after one to write",
	[VIRTQUEUE_BUFFER_RAM] = "a buffer is outside of memory",
	[VIRTQUEUE_INDIRECT_OFF] = "there is an indirect table, which was not negotiated",
	[VIRTQUEUE_INDIRECT_AGAIN] = "there is an indirect table within an indirect table",
	[VIRTQUEUE_INDIRECT_NEXT] = "there is a descriptor after an indirect table",
	[VIRTQUEUE_INDIRECT_BYTES] = "the length of an indirect table is not that of one or more descriptors",
	[VIRTQUEUE_INDIRECT_SIZE] = "an indirect table is longer than the queue",
	[VIRTQUEUE_INDIRECT_RAM] = "an indirect table is outside of memory",
};
static_assert(sizeof(rule_texts) / sizeof(rule_texts[0]) == VIRTQUEUE_RULES, "one text a rule");

const char *virtqueue_rule_text(enum virtqueue_rule rule)
{
	return rule_texts[rule];
}

/* Whether a rule is broken, as `breach` says; the queue is, then. Every check of this file goes through here. */
static bool breaks(struct virtqueue *queue, enum virtqueue_rule rule, bool breach)
{
#ifdef VIRTQUEUE_UNCHECKED
	if (virtqueue_unchecked & (1u << rule))
		return false;
#endif
	if (__builtin_expect(breach, false))
		queue->broken = rule_texts[rule];
	return breach;
}

/* ---- what the guest can change at any time: each of these reads once ---- */

static uint16_t load16(const uint8_t *ring, size_t offset)
{
	return __atomic_load_n((const uint16_t *)(const void *)(ring + offset), __ATOMIC_RELAXED);
}

/* NOLINTNEXTLINE(readability-non-const-parameter): it is written through the cast */
static void store16(uint8_t *ring, size_t offset, uint16_t value)
{
	__atomic_store_n((uint16_t *)(void *)(ring + offset), value, __ATOMIC_RELAXED);
}

/* avail.idx, after which entries and descriptors up to it may be read. */
static uint16_t load_avail_idx(const struct virtqueue *queue)
{
	return __atomic_load_n((const uint16_t *)(const void *)(queue->avail + RING_IDX), __ATOMIC_ACQUIRE);
}

/* An indirect table may lie at any address. The empty statement changes the copy, for all that the compiler knows, so that no field is
 * read from the guest's memory again. */
static struct desc load_desc(const uint8_t *table, uint32_t index)
{
	struct desc desc;

	memcpy(&desc, table + (size_t)index * DESC_BYTES, sizeof(desc));
	__asm__ volatile("" : "+m"(desc));
	return desc;
}

/* ---- opening ---- */

int virtqueue_open(struct virtqueue *queue, const struct virtqueue_spec *spec)
{
	uint64_t size = spec->size;
	uint8_t *desc, *avail, *used;

	if (!size || size > spec->block->capacity || (size & (size - 1)) || spec->desc_gpa % DESC_ALIGN ||
	    spec->avail_gpa % AVAIL_ALIGN || spec->used_gpa % USED_ALIGN)
		return -EINVAL;
	desc = gmem_slice(spec->mem, spec->desc_gpa, DESC_BYTES * size);
	/* Both rings have a word behind their entries, for EVENT_IDX. */
	avail = gmem_slice(spec->mem, spec->avail_gpa, RING_ENTRIES + sizeof(uint16_t) * (size + 1));
	used =
	    gmem_slice(spec->mem, spec->used_gpa, RING_ENTRIES + sizeof(struct used_entry) * size + sizeof(uint16_t));
	if (!desc || !avail || !used)
		return -EFAULT;
	*queue = (struct virtqueue){
		.mem = spec->mem,
		.block = spec->block,
		.desc = desc,
		.avail = avail,
		.used = used,
		.size = spec->size,
		.indirect = spec->features & VIRTQUEUE_F_INDIRECT_DESC,
		.event_idx = spec->features & VIRTQUEUE_F_EVENT_IDX,
		.quiet = true, /* whatever the flags are, the first virtqueue_arm() clears them */
	};
	return 0;
}

/* ---- chains ---- */

/* Where the walk along a chain has come. */
struct walk {
	const uint8_t *table;
	uint32_t entries; /* of the table */
	uint32_t count;   /* descriptors that were seen, those of indirect tables aside */
	uint64_t bytes;
	bool indirect; /* the table is one */
	bool writing;  /* a buffer to write has been seen */
};

/* Goes over to an indirect table. False if a rule is broken. */
static bool enter_table(struct virtqueue *queue, struct walk *walk, const struct desc *desc)
{
	const uint8_t *table;

	/* The WRITE flag of this descriptor is to be ignored (2.7.5.3.2). */
	if (breaks(queue, VIRTQUEUE_INDIRECT_OFF, !queue->indirect) ||
	    breaks(queue, VIRTQUEUE_INDIRECT_AGAIN, walk->indirect) ||
	    breaks(queue, VIRTQUEUE_INDIRECT_NEXT, desc->flags & DESC_F_NEXT) ||
	    breaks(queue, VIRTQUEUE_INDIRECT_BYTES, !desc->len || desc->len % DESC_BYTES) ||
	    breaks(queue, VIRTQUEUE_INDIRECT_SIZE, desc->len / DESC_BYTES > queue->size))
		return false;
	table = gmem_slice(queue->mem, desc->addr, desc->len);
	if (breaks(queue, VIRTQUEUE_INDIRECT_RAM, !table))
		return false;
	walk->table = table;
	walk->entries = desc->len / DESC_BYTES;
	walk->indirect = true;
	return true;
}

/* Adds a descriptor's buffer to the chain. False if a rule is broken. */
static bool add_buffer(struct virtqueue *queue, struct walk *walk, const struct desc *desc, struct chain *chain)
{
	bool write = desc->flags & DESC_F_WRITE;
	uint64_t gpa = desc->addr, left = desc->len;

	if (breaks(queue, VIRTQUEUE_CHAIN_LENGTH, ++walk->count > queue->size) ||
	    breaks(queue, VIRTQUEUE_ORDER, walk->writing && !write))
		return false;
	walk->writing |= write;
	walk->bytes += left;
	if (breaks(queue, VIRTQUEUE_CHAIN_BYTES, walk->bytes > CHAIN_BYTES_MAX))
		return false;
	while (left) {
		uint64_t run;
		void *base = gmem_run(queue->mem, gpa, &run);

		if (breaks(queue, VIRTQUEUE_BUFFER_RAM, !base))
			return false;
		if (run > left)
			run = left;
		if (breaks(queue, VIRTQUEUE_CHAIN_PIECES, !chain_add(chain, base, (size_t)run, write)))
			return false;
		gpa += run;
		left -= run;
	}
	return true;
}

/* Copies the descriptors from `head` on, one after the other. False if a rule is broken. */
static bool walk_chain(struct virtqueue *queue, uint16_t head, struct chain *chain)
{
	struct walk walk = { .table = queue->desc, .entries = queue->size };
	uint32_t index = head;

	for (;;) {
		struct desc desc = load_desc(walk.table, index);

		if (desc.flags & DESC_F_INDIRECT) {
			if (!enter_table(queue, &walk, &desc))
				return false;
			index = 0;
			continue;
		}
		if (!add_buffer(queue, &walk, &desc, chain))
			return false;
		if (!(desc.flags & DESC_F_NEXT))
			return true;
		index = desc.next;
		if (breaks(queue, VIRTQUEUE_NEXT_RANGE, index >= walk.entries))
			return false;
	}
}

/* ---- the rings ---- */

static bool in_flight(const struct virtqueue *queue, uint16_t head)
{
	return queue->in_flight[head / 64] >> (head % 64) & 1;
}

struct chain *virtqueue_pop(struct virtqueue *queue)
{
	struct chain *chain;
	uint16_t head;

	if (queue->broken)
		return NULL;
	if (queue->avail_seen == queue->avail_next) {
		queue->avail_seen = load_avail_idx(queue);
		if (breaks(queue, VIRTQUEUE_AVAIL_JUMP,
			   (uint16_t)(queue->avail_seen - queue->avail_next) > queue->size))
			return NULL;
		if (queue->avail_seen == queue->avail_next)
			return NULL;
	}
	head = load16(queue->avail, RING_ENTRIES + sizeof(uint16_t) * (queue->avail_next & (queue->size - 1u)));
	if (breaks(queue, VIRTQUEUE_HEAD_RANGE, head >= queue->size) ||
	    breaks(queue, VIRTQUEUE_HEAD_IN_FLIGHT, in_flight(queue, head)))
		return NULL;
	chain = chain_get(queue->block);
	chain->index = head;
	if (!walk_chain(queue, head, chain)) {
		chain_put(chain);
		return NULL;
	}
	queue->avail_next++;
	queue->in_flight[head / 64] |= UINT64_C(1) << (head % 64);
	return chain;
}

void virtqueue_push(struct virtqueue *queue, struct chain *chain)
{
	struct used_entry entry = { .id = chain->index, .len = chain_used_bytes(chain) };
	size_t at = RING_ENTRIES + sizeof(entry) * (queue->used_next & (queue->size - 1u));

	memcpy(queue->used + at, &entry, sizeof(entry));
	queue->used_next++;
	queue->in_flight[chain->index / 64] &= ~(UINT64_C(1) << (chain->index % 64));
	chain_put(chain);
}

/*
 * The full fences in the next two functions are one half of a handshake each; the driver has the other half. D, the device, and G,
 * the driver, each write one word and then read the other's: D publishes used.idx and reads used_event, G writes used_event and
 * reads used.idx; D writes avail_event and reads avail.idx, G writes avail.idx and reads avail_event. With the fence in
 * between, at least one of them sees what the other wrote: either D sends the interrupt (looks again) or G sees that it is
 * not needed (sends the notification). Without it both could read the old word, and wait for each other for ever.
 */
bool virtqueue_publish(struct virtqueue *queue)
{
	uint16_t before = queue->used_published, now = queue->used_next;

	/* Entries first (2.7.8.2), then the index that shows them. */
	__atomic_store_n((uint16_t *)(void *)(queue->used + RING_IDX), now, __ATOMIC_RELEASE);
	queue->used_published = now;
	__sync_synchronize();
	if (queue->event_idx) {
		uint16_t event = load16(queue->avail, RING_ENTRIES + sizeof(uint16_t) * queue->size);

		/* Whether the index passed `event`, all modulo 2^16 (2.7.7.2, 2.7.10). */
		return (uint16_t)(now - event - 1) < (uint16_t)(now - before);
	}
	return now != before && !(load16(queue->avail, RING_FLAGS) & AVAIL_F_NO_INTERRUPT);
}

bool virtqueue_arm(struct virtqueue *queue)
{
	if (queue->event_idx) {
		store16(queue->used, RING_ENTRIES + sizeof(struct used_entry) * queue->size, queue->avail_next);
	} else if (queue->quiet) {
		store16(queue->used, RING_FLAGS, 0);
		queue->quiet = false;
	}
	__sync_synchronize();
	return !queue->broken && load_avail_idx(queue) != queue->avail_next;
}

void virtqueue_disarm(struct virtqueue *queue)
{
	if (queue->event_idx || queue->quiet)
		return;
	store16(queue->used, RING_FLAGS, USED_F_NO_NOTIFY);
	queue->quiet = true;
}
