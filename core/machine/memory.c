/* SPDX-License-Identifier: BSD-3-Clause */
/* The guest's RAM; see memory.h. */
#include "core/machine/memory.h"

#include "core/base/fd.h"
#include "core/machine/layout.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>

int memory_check(uint64_t bytes, struct err *err)
{
	struct sysinfo info;
	uint64_t host_bytes;

	if (sysinfo(&info) < 0)
		return 0;
	host_bytes = ((uint64_t)info.totalram + info.totalswap) * info.mem_unit;
	if (bytes > host_bytes)
		return err_set(err, -ENOMEM,
			       "%" PRIu64 " MiB is more than this host has (%" PRIu64 " MiB of memory and swap)",
			       bytes / LAYOUT_MIB, host_bytes / LAYOUT_MIB);
	return 0;
}

uint64_t memory_low_bytes(uint64_t bytes)
{
	return bytes < LAYOUT_HOLE ? bytes : LAYOUT_HOLE;
}

static int region_add(struct memory *memory, const char *name, uint64_t gpa, uint64_t bytes, struct err *err)
{
	FD_AUTO int fd = fd_memfd(name, bytes);
	size_t index = memory->map.count;
	void *host;

	if (fd < 0)
		return err_sys(err, fd, "cannot make %" PRIu64 " MiB of guest memory", bytes / LAYOUT_MIB);
	host = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
	if (host == MAP_FAILED)
		return err_sys(err, -errno, "cannot map %" PRIu64 " MiB of guest memory", bytes / LAYOUT_MIB);
	/* Guest memory is not ours to dump, and children have no business in it. Both are refinements: no error. */
	(void)madvise(host, bytes, MADV_DONTDUMP);
	(void)madvise(host, bytes, MADV_DONTFORK);
	memory->map.regions[index] = (struct gmem_region){ .gpa = gpa, .bytes = bytes, .host = host };
	memory->fds[index] = fd_take(&fd);
	memory->map.count++;
	return 0;
}

int memory_create(struct memory *memory, uint64_t bytes, struct err *err)
{
	uint64_t low = memory_low_bytes(bytes);
	int r;

	memset(memory, 0, sizeof(*memory));
	r = region_add(memory, "backplane-ram-low", 0, low, err);
	if (r == 0 && bytes > low)
		r = region_add(memory, "backplane-ram-high", LAYOUT_HIGH_RAM, bytes - low, err);
	if (r < 0)
		memory_destroy(memory);
	return r;
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
