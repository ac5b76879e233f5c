/* SPDX-License-Identifier: BSD-3-Clause */
/* The unpacker's confinement; see confine.h. */
#include "core/unpack/confine.h"

#include "core/unpack/payload.h"

#include <errno.h>
#include <seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

/* The longest that unpacking may take, in processor time: Debian's generic kernel takes a second, or 13 on an emulated
 * processor. */
#define CPU_SECONDS  120
/* The file, what comes out of it, what a decoder asks for, and the program. */
#define MEMORY_BYTES (PAYLOAD_FILE_MAX + PAYLOAD_UNPACKED_MAX + (UINT64_C(768) << 20))

static const struct {
	int resource;
	rlim_t max;
} limits[] = {
	{ RLIMIT_CORE, 0 },          { RLIMIT_NOFILE, 0 }, /* for new ones */
	{ RLIMIT_NPROC, 0 },         { RLIMIT_MEMLOCK, 0 }, { RLIMIT_FSIZE, PAYLOAD_UNPACKED_MAX },
	{ RLIMIT_CPU, CPU_SECONDS },
#ifndef BP_SANITIZED /* ASan reserves terabytes of addresses */
	{ RLIMIT_AS, MEMORY_BYTES },
#endif
};

/* `exact` on the argument, under `mask`. */
struct condition {
	unsigned int argument;
	scmp_datum_t mask;
	scmp_datum_t exact;
};

#define ANY_BITS ((scmp_datum_t)~0u) /* all of an int */

/* All that is allowed; several entries of one call are alternatives. */
static const struct {
	int number;
	size_t condition_count;
	struct condition conditions[2];
} allowed[] = {
	{ SCMP_SYS(pread64), 1, { { 0, ANY_BITS, CONFINE_KERNEL_FD } } },
	{ SCMP_SYS(write), 1, { { 0, ANY_BITS, CONFINE_OUTPUT_FD } } },
	{ SCMP_SYS(read), 1, { { 0, ANY_BITS, CONFINE_REPORT_FD } } },
	{ SCMP_SYS(write), 1, { { 0, ANY_BITS, CONFINE_REPORT_FD } } },
	{ SCMP_SYS(brk), 0, { { 0 } } },
	{ SCMP_SYS(mmap), 2, { { 2, PROT_EXEC, 0 }, { 3, MAP_ANONYMOUS | MAP_PRIVATE, MAP_ANONYMOUS | MAP_PRIVATE } } },
	{ SCMP_SYS(mremap), 0, { { 0 } } },
	{ SCMP_SYS(munmap), 0, { { 0 } } },
	{ SCMP_SYS(exit_group), 0, { { 0 } } },
#ifdef BP_SANITIZED /* what their run time does with memory and when it reports */
	{ SCMP_SYS(madvise), 0, { { 0 } } },
	{ SCMP_SYS(mprotect), 1, { { 2, PROT_EXEC, 0 } } },
	{ SCMP_SYS(getpid), 0, { { 0 } } },
	{ SCMP_SYS(gettid), 0, { { 0 } } },
	{ SCMP_SYS(sigaltstack), 0, { { 0 } } },
	{ SCMP_SYS(futex), 0, { { 0 } } },
	{ SCMP_SYS(sched_yield), 0, { { 0 } } },
#endif
};

static int install_filter(struct err *err)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int r = filter ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < sizeof(allowed) / sizeof(allowed[0]); i++) {
		struct scmp_arg_cmp compare[2];

		for (size_t j = 0; j < allowed[i].condition_count; j++)
			compare[j] = SCMP_CMP(allowed[i].conditions[j].argument, SCMP_CMP_MASKED_EQ,
					      allowed[i].conditions[j].mask, allowed[i].conditions[j].exact);
		r = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, allowed[i].number,
					   (unsigned int)allowed[i].condition_count, compare);
	}
	/* By int 0x80, and with x32's numbers, the same numbers are other calls. */
	if (r == 0)
		r = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	if (r == 0)
		r = seccomp_load(filter);
	if (filter)
		seccomp_release(filter);
	return r < 0 ? err_sys(err, r, "cannot confine the unpacker: seccomp") : 0;
}

int confine(struct err *err)
{
	if (close_range(CONFINE_REPORT_FD + 1, ~0u, 0) < 0)
		return err_sys(err, -errno, "cannot confine the unpacker: close_range");
	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		const struct rlimit limit = { limits[i].max, limits[i].max };
		struct rlimit before;

		/* A lower one that somebody set before is as good, and cannot be raised. */
		if (getrlimit((__rlimit_resource_t)limits[i].resource, &before) == 0 &&
		    before.rlim_max <= limit.rlim_max)
			continue;
		if (setrlimit((__rlimit_resource_t)limits[i].resource, &limit) < 0)
			return err_sys(err, -errno, "cannot confine the unpacker: setrlimit");
	}
	/* If the parent is gone by now, the report's other end is closed, and we end there. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || prctl(PR_SET_DUMPABLE, 0) < 0 ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_sys(err, -errno, "cannot confine the unpacker: prctl");
	return install_filter(err);
}
