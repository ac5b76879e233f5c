/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A virtual CPU: its file descriptor, its thread, and what it does with each exit from the guest. Inside of core/machine
 * only. The thread touches nothing but its own struct, the bus and machine_end().
 */
#ifndef MACHINE_VCPU_H
#define MACHINE_VCPU_H

#include "core/machine/bus.h"
#include "core/machine/kvm.h"

#include <linux/kvm.h>
#include <pthread.h>

struct machine;

#define VCPU_CRASH_MAX 256

struct vcpu {
	struct bus_reader reader; /* first: it is aligned to a cache line */
	struct machine *machine;
	struct kvm_run *run;
	size_t run_bytes;
	uint32_t index;
	int fd;
	bool started;
	pthread_t thread;
	uint64_t exits;             /* to user space; written by the thread, atomically */
	char crash[VCPU_CRASH_MAX]; /* why the guest could not go on, written by the thread; or empty */
	bool quiet;                 /* it is not logged */
};

/* Makes vCPU `index` and joins the bus. */
int vcpu_init(struct vcpu *vcpu, struct machine *machine, struct kvm *kvm, struct bus *bus, uint32_t index,
	      struct err *err);
void vcpu_destroy(struct vcpu *vcpu);

int vcpu_start(struct vcpu *vcpu, struct err *err);
/* [main] Makes the thread leave the guest and look whether the machine has ended; not harmful before it has started. */
void vcpu_kick(struct vcpu *vcpu);
void vcpu_join(struct vcpu *vcpu);

/* Once per process, before the first vcpu_start(): the signal that vcpu_kick() sends. */
int vcpu_signal_setup(struct err *err);

#endif
