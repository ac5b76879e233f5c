/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A library for LD_PRELOAD that counts a VMM's allocations: malloc and its like, in all threads, from when it is
 * loaded. BENCH_ALLOCS_FD is a file of 64 bits, which hold the count from then on; without it nothing is counted. Used
 * by tests/bench/watch --preload.
 *
 * Or a part of a program, which sets allocs_page; then its plugins' allocations are counted, too. One with a sanitizer
 * has that one's malloc.
 */
#include "tests/bench/allocs.h"

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

uint64_t *allocs_page;

__attribute__((constructor)) static void begin(void)
{
	const char *fd = getenv("BENCH_ALLOCS_FD");
	void *mapped;

	if (!fd)
		return;
	mapped = mmap(NULL, sizeof(*allocs_page), PROT_READ | PROT_WRITE, MAP_SHARED, (int)strtol(fd, NULL, 10), 0);
	if (mapped != MAP_FAILED)
		allocs_page = mapped;
}

#ifndef BP_SANITIZED
static void count(void)
{
	if (allocs_page)
		__atomic_fetch_add(allocs_page, 1, __ATOMIC_RELAXED);
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
#endif
