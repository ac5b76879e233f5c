/* SPDX-License-Identifier: BSD-3-Clause */
/* Mapping what the core hands over; see memory.h. */
#include "core/placement/child/memory.h"

#include "core/base/checked.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static uint64_t page_bytes(void)
{
	return (uint64_t)sysconf(_SC_PAGESIZE);
}

/* Maps a part of a file that cannot become shorter. */
static int map(int fd, uint64_t offset, uint64_t bytes, void **ret, struct err *err)
{
	int seals = fcntl(fd, F_GET_SEALS);
	struct stat st;
	void *at;

	if (seals < 0 || !(seals & F_SEAL_SHRINK))
		return err_set(err, -EINVAL, "memory that was handed over is not sealed against shrinking");
	if (fstat(fd, &st) < 0)
		return err_sys(err, -errno, "memory that was handed over");
	if (!bytes || (offset | bytes) % page_bytes() || bytes > SIZE_MAX || st.st_size < 0 ||
	    !range_within(offset, bytes, (uint64_t)st.st_size))
		return err_set(err, -EINVAL,
			       "memory that was handed over has no 0x%" PRIx64 " bytes at 0x%" PRIx64
			       ", or these are no whole pages",
			       bytes, offset);
	at = mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, (off_t)offset);
	if (at == MAP_FAILED)
		return err_sys(err, -errno, "memory that was handed over");
	*ret = at;
	return 0;
}

/* Where it belongs in the sorted list; -1 if it overlaps what is there. */
static int find_place(const struct gmem *mem, const struct memory_region *region)
{
	size_t i = 0;

	while (i < mem->count && mem->regions[i].gpa < region->gpa)
		i++;
	if (i && region->gpa - mem->regions[i - 1].gpa < mem->regions[i - 1].bytes)
		return -1;
	if (i < mem->count && mem->regions[i].gpa - region->gpa < region->bytes)
		return -1;
	return (int)i;
}

static int add(struct gmem *mem, const struct memory_region *region, int fd, struct err *err)
{
	uint64_t end;
	int place;
	void *host;
	int r;

	if (__builtin_add_overflow(region->gpa, region->bytes, &end))
		return err_set(err, -EINVAL, "a region of memory wraps");
	place = find_place(mem, region);
	if (place < 0)
		return err_set(err, -EINVAL, "two regions of memory overlap at 0x%" PRIx64, region->gpa);
	r = map(fd, region->offset, region->bytes, &host, err);
	if (r < 0)
		return r;
	memmove(&mem->regions[place + 1], &mem->regions[place], (mem->count - (size_t)place) * sizeof(mem->regions[0]));
	mem->regions[place] = (struct gmem_region){ .gpa = region->gpa, .bytes = region->bytes, .host = host };
	mem->count++;
	return 0;
}

int memory_map(struct gmem *mem, size_t count, const struct memory_region *regions, const int *fds, struct err *err)
{
	int r = 0;

	if (mem->count || count > GMEM_REGIONS_MAX)
		return err_set(err, -EINVAL, "memory was handed over twice, or in more than %d regions",
			       GMEM_REGIONS_MAX);
	for (size_t i = 0; r == 0 && i < count; i++)
		r = add(mem, &regions[i], fds[i], err);
	if (r < 0)
		memory_unmap(mem);
	return r;
}

void memory_unmap(struct gmem *mem)
{
	for (size_t i = 0; i < mem->count; i++)
		munmap(mem->regions[i].host, (size_t)mem->regions[i].bytes);
	*mem = (struct gmem){ .count = 0 };
}

int memory_map_page(int fd, void **ret, struct err *err)
{
	return map(fd, 0, page_bytes(), ret, err);
}

void memory_unmap_page(void *page)
{
	if (page)
		munmap(page, (size_t)page_bytes());
}
