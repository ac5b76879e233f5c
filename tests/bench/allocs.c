/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A library for LD_PRELOAD that counts a VMM's allocations: malloc and its like, in all threads, from when it is loaded. BENCH_ALLOCS_FD
 * is a file of 64 bits, which hold the count from then on; without it nothing is counted. Used by tests/bench/watch --preload.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#define EXPORT __attribute__((visibility("default")))

/* The C library's own, under the names that it keeps for those who replace malloc. */
extern void *__libc_malloc(size_t bytes);
extern void *__libc_calloc(size_t count, size_t bytes);
extern void *__libc_realloc(void *old, size_t bytes);
extern void *__libc_memalign(size_t alignment, size_t bytes);

EXPORT void *memalign(size_t alignment, size_t bytes);

static uint64_t *page;

__attribute__((constructor)) static void begin(void)
{
	const char *fd = getenv("BENCH_ALLOCS_FD");
	void *mapped;

	if (!fd)
		return;
	mapped = mmap(NULL, sizeof(*page), PROT_READ | PROT_WRITE, MAP_SHARED, (int)strtol(fd, NULL, 10), 0);
	if (mapped != MAP_FAILED)
		page = mapped;
}

static void count(void)
{
	if (page)
		__atomic_fetch_add(page, 1, __ATOMIC_RELAXED);
}

EXPORT void *malloc(size_t size)
{
	count();
	return __libc_malloc(size);
}

EXPORT void *calloc(size_t nmemb, size_t size)
{
	count();
	return __libc_calloc(nmemb, size);
}

EXPORT void *realloc(void *ptr, size_t size)
{
	count();
	return __libc_realloc(ptr, size);
}

EXPORT void *memalign(size_t alignment, size_t bytes)
{
	count();
	return __libc_memalign(alignment, bytes);
}

EXPORT void *aligned_alloc(size_t alignment, size_t size)
{
	return memalign(alignment, size);
}

EXPORT int posix_memalign(void **memptr, size_t alignment, size_t size)
{
	void *got;

	if (alignment % sizeof(void *) || !alignment || (alignment & (alignment - 1)))
		return EINVAL;
	got = memalign(alignment, size);
	if (!got)
		return ENOMEM;
	*memptr = got;
	return 0;
}
