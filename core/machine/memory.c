/* SPDX-License-Identifier: BSD-3-Clause */
/* The guest's RAM; see memory.h. */
#include "core/machine/memory.h"

#include "core/base/fd.h"
#include "core/base/progress.h"
#include "core/machine/layout.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>

#define HUGE_FOLDER "/sys/kernel/mm/hugepages/hugepages-2048kB/"
#define PAGE_BYTES  4096u
/* Between two looks at the clock and at signals: a tenth of a second on a slow host. */
#define STEP_BYTES  (16 * LAYOUT_MIB)

/* ---- what the host has ---- */

int memory_check(const struct memory_spec *spec, struct err *err)
{
	struct sysinfo info;
	uint64_t host_bytes;

	if (spec->hugepages && spec->bytes % MEMORY_HUGE_BYTES)
		return err_set(err, -EINVAL, "it is not a multiple of 2M, the size of a huge page");
	if (sysinfo(&info) < 0)
		return 0;
	host_bytes = ((uint64_t)info.totalram + info.totalswap) * info.mem_unit;
	if (spec->bytes > host_bytes)
		return err_set(err, -ENOMEM,
			       "%" PRIu64 " MiB is more than this host has (%" PRIu64 " MiB of memory and swap)",
			       spec->bytes / LAYOUT_MIB, host_bytes / LAYOUT_MIB);
	return 0;
}

/* A number out of the kernel's folder about huge pages. */
static int read_count(const char *path, uint64_t *ret)
{
	FILE *file = fopen(path, "re");
	char text[32], *end;
	unsigned long long count;
	bool got;

	if (!file)
		return -errno;
	got = fgets(text, sizeof(text), file);
	fclose(file);
	if (!got)
		return -EIO;
	errno = 0;
	count = strtoull(text, &end, 10);
	if (errno || end == text)
		return -EIO;
	*ret = count;
	return 0;
}

int memory_check_hugepages(const struct memory_spec *spec, struct err *err)
{
	uint64_t wanted = spec->bytes / MEMORY_HUGE_BYTES;
	uint64_t all = 0, idle = 0, promised = 0, more = 0, borrowed = 0;
	int r;

	if (!spec->hugepages)
		return 0;
	r = read_count(HUGE_FOLDER "nr_hugepages", &all);
	if (r == 0)
		r = read_count(HUGE_FOLDER "free_hugepages", &idle);
	if (r == 0)
		r = read_count(HUGE_FOLDER "resv_hugepages", &promised);
	if (r == 0)
		r = read_count(HUGE_FOLDER "nr_overcommit_hugepages", &more);
	if (r == 0)
		r = read_count(HUGE_FOLDER "surplus_hugepages", &borrowed);
	if (r < 0)
		return err_set(err, -ENODEV, "this host's kernel has no huge pages of 2 MiB");
	/* What others have reserved is still counted as free; what the kernel may make on demand is not. The numbers are read one
	 * after the other, so they need not fit together. */
	idle = idle > promised ? idle - promised : 0;
	idle += more > borrowed ? more - borrowed : 0;
	if (wanted <= idle)
		return 0;
	return err_set(err, -ENOMEM,
		       "%" PRIu64 " huge pages of 2 MiB are missing: %" PRIu64 " are needed, %" PRIu64
		       " are free; as root: echo %" PRIu64 " >" HUGE_FOLDER "nr_hugepages",
		       wanted - idle, wanted, idle, all + wanted - idle);
}

uint64_t memory_low_bytes(uint64_t bytes)
{
	return bytes < LAYOUT_HOLE ? bytes : LAYOUT_HOLE;
}

/* ---- making it ---- */

/* Where to map `bytes`, so that a huge page of the guest is one of ours: an address that is a multiple of MEMORY_HUGE_BYTES, in a
 * place that is kept free. NULL, any address, where there is none. */
static void *aligned_place(uint64_t bytes)
{
	uint64_t all = bytes + MEMORY_HUGE_BYTES, before;
	uint8_t *place = mmap(NULL, all, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (place == MAP_FAILED)
		return NULL;
	before = (MEMORY_HUGE_BYTES - (uintptr_t)place % MEMORY_HUGE_BYTES) % MEMORY_HUGE_BYTES;
	if (before)
		munmap(place, before);
	munmap(place + before + bytes, all - before - bytes);
	return place + before;
}

/* Maps a region's file. */
static int region_map(const struct memory *memory, int fd, uint64_t bytes, void **ret, struct err *err)
{
	bool huge = memory->spec.hugepages;
	const struct memory_spec missing = { .bytes = bytes, .hugepages = huge };
	/* Huge pages are reserved here, so that none is missing later, when nothing could be done but kill us. */
	void *place = huge ? NULL : aligned_place(bytes);
	int flags = MAP_SHARED | (huge ? 0 : MAP_NORESERVE) | (place ? MAP_FIXED : 0);
	void *host = mmap(place, bytes, PROT_READ | PROT_WRITE, flags, fd, 0);

	if (host == MAP_FAILED && place)
		munmap(place, bytes);
	if (host == MAP_FAILED && errno == ENOMEM && memory_check_hugepages(&missing, err) < 0)
		return -ENOMEM;
	if (host == MAP_FAILED)
		return err_sys(err, -errno, "cannot map %" PRIu64 " MiB of guest memory%s", bytes / LAYOUT_MIB,
			       huge ? " in huge pages" : "");
	/* Guest memory is not ours to dump, and children have no business in it. Both are refinements: no error. */
	(void)madvise(host, bytes, MADV_DONTDUMP);
	(void)madvise(host, bytes, MADV_DONTFORK);
	*ret = host;
	return 0;
}

static int region_add(struct memory *memory, const char *name, uint64_t gpa, uint64_t bytes, struct err *err)
{
	bool huge = memory->spec.hugepages;
	FD_AUTO int fd = huge ? fd_memfd_huge(name, bytes) : fd_memfd(name, bytes);
	size_t index = memory->map.count;
	void *host;
	int r;

	if (fd < 0)
		return err_sys(err, fd, "cannot make %" PRIu64 " MiB of guest memory%s", bytes / LAYOUT_MIB,
			       huge ? " in huge pages" : "");
	r = region_map(memory, fd, bytes, &host, err);
	if (r < 0)
		return r;
	memory->map.regions[index] = (struct gmem_region){ .gpa = gpa, .bytes = bytes, .host = host };
	memory->fds[index] = fd_take(&fd);
	memory->map.count++;
	return 0;
}

/* ---- prefaulting ---- */

/* The signals that end a VM are blocked until it runs, so that they only wait. */
static bool is_asked_to_end(void)
{
	sigset_t waiting;

	return sigpending(&waiting) == 0 && (sigismember(&waiting, SIGINT) == 1 ||
					     sigismember(&waiting, SIGTERM) == 1 || sigismember(&waiting, SIGHUP) == 1);
}

/* Takes pages from the host; what is in them stays. Before Linux 5.14 each is touched, which may end in SIGBUS where there is no
 * memory. */
static int populate(uint8_t *host, uint64_t bytes)
{
	if (madvise(host, bytes, MADV_POPULATE_WRITE) == 0)
		return 0;
	if (errno != EINVAL)
		return -errno;
	for (uint64_t i = 0; i < bytes; i += PAGE_BYTES)
		__atomic_fetch_or(host + i, 0, __ATOMIC_RELAXED);
	return 0;
}

static int prefault(const struct memory *memory, struct err *err)
{
	uint64_t total = gmem_total(&memory->map), done = 0;
	struct progress progress;
	char what[64];
	int r = 0;

	snprintf(what, sizeof(what), "taking %" PRIu64 " MiB of memory", total / LAYOUT_MIB);
	progress_begin(&progress, what, total);
	for (size_t i = 0; r == 0 && i < memory->map.count; i++) {
		const struct gmem_region *region = &memory->map.regions[i];

		for (uint64_t at = 0; r == 0 && at < region->bytes; at += STEP_BYTES) {
			uint64_t bytes = region->bytes - at < STEP_BYTES ? region->bytes - at : STEP_BYTES;

			progress_update(&progress, done);
			r = is_asked_to_end() ? -EINTR : populate(region->host + at, bytes);
			if (r == 0)
				done += bytes;
		}
	}
	progress_end(&progress);
	if (r < 0)
		return err_sys(err, r, "cannot take all of the guest's memory, only %" PRIu64 " of %" PRIu64 " MiB",
			       done / LAYOUT_MIB, total / LAYOUT_MIB);
	return 0;
}

int memory_create(struct memory *memory, const struct memory_spec *spec, struct err *err)
{
	uint64_t low = memory_low_bytes(spec->bytes);
	int r;

	memset(memory, 0, sizeof(*memory));
	memory->spec = *spec;
	r = region_add(memory, "backplane-ram-low", 0, low, err);
	if (r == 0 && spec->bytes > low)
		r = region_add(memory, "backplane-ram-high", LAYOUT_HIGH_RAM, spec->bytes - low, err);
	if (r == 0 && spec->prefault)
		r = prefault(memory, err);
	if (r < 0)
		memory_destroy(memory);
	return r;
}

int memory_clear(struct memory *memory, struct err *err)
{
	for (size_t i = 0; i < memory->map.count; i++) {
		uint64_t bytes = memory->map.regions[i].bytes;
		void *again = NULL;
		int r;

		if (fallocate(memory->fds[i], FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)bytes) < 0)
			return err_sys(err, -errno, "cannot clear %" PRIu64 " MiB of guest memory", bytes / LAYOUT_MIB);
		if (!memory->spec.hugepages)
			continue;
		/* A huge page that is given back is no longer set aside for us. Any mapping sets aside, for the file, what is
		 * missing, and that outlives the mapping. */
		r = region_map(memory, memory->fds[i], bytes, &again, err);
		if (r < 0)
			return r;
		munmap(again, bytes);
	}
	return memory->spec.prefault ? prefault(memory, err) : 0;
}

int memory_attach(const struct memory *memory, struct kvm *kvm, struct err *err)
{
	for (size_t i = 0; i < memory->map.count; i++) {
		const struct gmem_region *region = &memory->map.regions[i];
		int r = kvm_set_memory(kvm, (uint32_t)i, region->gpa, region->bytes, region->host, err);

		if (r < 0)
			return r;
	}
	return 0;
}

void memory_destroy(struct memory *memory)
{
	for (size_t i = 0; i < memory->map.count; i++) {
		munmap(memory->map.regions[i].host, memory->map.regions[i].bytes);
		close(memory->fds[i]);
	}
	memory->map.count = 0;
}
