/* SPDX-License-Identifier: BSD-3-Clause */
/* Guest memory; see gmem.h. */
#include "core/base/gmem.h"

#include "core/base/checked.h"

#include <errno.h>
#include <string.h>

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

uint64_t gmem_total(const struct gmem *mem)
{
	uint64_t total = 0;

	for (size_t i = 0; i < mem->count; i++)
		total += mem->regions[i].bytes;
	return total;
}
