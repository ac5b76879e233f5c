/* SPDX-License-Identifier: BSD-3-Clause */
/* Guest memory; see gmem.h. */
#include "core/base/gmem.h"

#include "core/base/checked.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define HUGE_BYTES UINT64_C(0x200000)
/* Linux 6.1; the C library may be older. It does not ask whether files in memory have huge pages by default. */
#define COLLAPSE   25

void *gmem_slice(const struct gmem *mem, uint64_t gpa, uint64_t bytes)
{
	if (!bytes)
		return NULL;
	for (size_t i = 0; i < mem->count; i++) {
		const struct gmem_region *region = &mem->regions[i];

		/* An address below the region wraps to a huge offset, which range_within() refuses. */
		if (range_within(gpa - region->gpa, bytes, region->bytes))
			return region->host + (gpa - region->gpa);
	}
	return NULL;
}

void *gmem_run(const struct gmem *mem, uint64_t gpa, uint64_t *ret_bytes)
{
	for (size_t i = 0; i < mem->count; i++) {
		const struct gmem_region *region = &mem->regions[i];
		/* An address below the region wraps to a huge offset. */
		uint64_t offset = gpa - region->gpa;

		if (offset < region->bytes) {
			*ret_bytes = region->bytes - offset;
			return region->host + offset;
		}
	}
	return NULL;
}

int gmem_read(const struct gmem *mem, uint64_t gpa, void *buf, size_t bytes)
{
	const void *src = gmem_slice(mem, gpa, bytes);

	if (!src)
		return bytes ? -EFAULT : 0;
	memcpy(buf, src, bytes);
	return 0;
}

int gmem_write(const struct gmem *mem, uint64_t gpa, const void *buf, size_t bytes)
{
	void *dst = gmem_slice(mem, gpa, bytes);

	if (!dst)
		return bytes ? -EFAULT : 0;
	memcpy(dst, buf, bytes);
	return 0;
}

int gmem_copy(const struct gmem *mem, uint64_t dst_gpa, uint64_t src_gpa, uint64_t bytes)
{
	void *dst = gmem_slice(mem, dst_gpa, bytes);
	const void *src = gmem_slice(mem, src_gpa, bytes);

	if (!dst || !src)
		return bytes ? -EFAULT : 0;
	memmove(dst, src, bytes);
	return 0;
}

int gmem_zero(const struct gmem *mem, uint64_t gpa, uint64_t bytes)
{
	void *dst = gmem_slice(mem, gpa, bytes);

	if (!dst)
		return bytes ? -EFAULT : 0;
	memset(dst, 0, bytes);
	return 0;
}

void gmem_expect(const struct gmem *mem, uint64_t gpa, uint64_t bytes)
{
	uint8_t *host = gmem_slice(mem, gpa, bytes);
	uint64_t before = host ? (HUGE_BYTES - (uintptr_t)host % HUGE_BYTES) % HUGE_BYTES : 0;
	uint64_t huge_bytes = host && bytes > before ? (bytes - before) / HUGE_BYTES * HUGE_BYTES : 0;

	/* Only pages that will be filled as a whole: no memory is taken for nothing. One that is not there at all is not made huge. */
	for (uint64_t i = 0; i < huge_bytes; i += HUGE_BYTES)
		__atomic_fetch_or(host + before + i, 0, __ATOMIC_RELAXED);
	if (huge_bytes)
		(void)madvise(host + before, huge_bytes, COLLAPSE);
}

uint64_t gmem_total(const struct gmem *mem)
{
	uint64_t total = 0;

	for (size_t i = 0; i < mem->count; i++)
		total += mem->regions[i].bytes;
	return total;
}
