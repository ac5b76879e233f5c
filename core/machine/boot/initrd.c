/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where the initrd goes: as high in low RAM as the kernel can reach, on a page boundary, in a gap
 * between the kernel's segments that is large enough. High, so that a kernel which unpacks or moves
 * itself upwards has room. Called by boot_open() when the segments are known.
 */
#include "core/machine/boot/image.h"

#include "core/machine/layout.h"

#include <errno.h>
#include <inttypes.h>

#define PAGE_BYTES UINT64_C(4096)

/* `limit`, or the start of the segment that lies right below it. */
static uint64_t gap_end(const struct boot_image *image, uint64_t limit)
{
	for (size_t i = 0; i < image->segment_count; i++) {
		const struct boot_segment *segment = &image->segments[i];

		if (segment->gpa < limit && limit <= segment->gpa + segment->mem_bytes)
			return segment->gpa;
	}
	return limit;
}

/* The start of the gap that ends at `end`: the highest end of a segment that lies below. */
static uint64_t gap_start(const struct boot_image *image, uint64_t end)
{
	uint64_t start = LAYOUT_HIGH_START;

	for (size_t i = 0; i < image->segment_count; i++) {
		const struct boot_segment *segment = &image->segments[i];
		uint64_t segment_end = segment->gpa + segment->mem_bytes;

		if (segment_end <= end && segment_end > start)
			start = segment_end;
	}
	return start;
}

int boot_initrd_find_room(struct boot_image *image, struct err *err)
{
	uint64_t limit = image->initrd_end < image->low_ram_bytes ? image->initrd_end : image->low_ram_bytes;
	uint64_t top = limit;
	uint64_t largest = 0;

	/* Each round lowers `top` or is the last one, so the walk ends. */
	while (top > LAYOUT_HIGH_START) {
		uint64_t end = gap_end(image, top);
		uint64_t start;
		uint64_t at;
		uint64_t room;

		if (end != top) {
			top = end;
			continue;
		}
		start = gap_start(image, end);
		/* Neither sum wraps: all of this lies below 4 GiB. */
		at = (start + (PAGE_BYTES - 1)) & ~(PAGE_BYTES - 1);
		room = end > at ? end - at : 0;
		if (image->initrd.bytes <= room) {
			image->initrd_gpa = (end - image->initrd.bytes) & ~(PAGE_BYTES - 1);
			return 0;
		}
		if (room > largest)
			largest = room;
		if (start == LAYOUT_HIGH_START)
			break;
		top = start;
	}
	return err_set(err, -ENOSPC,
		       "\"%s\" does not fit into RAM: it has %" PRIu64 " KiB, and beside \"%s\" there are %" PRIu64
		       " KiB below 0x%" PRIx64,
		       image->initrd.name, image->initrd.bytes / 1024 + (image->initrd.bytes % 1024 != 0),
		       image->kernel.name, largest / 1024, limit);
}
