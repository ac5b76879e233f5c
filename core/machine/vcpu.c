/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vCPU threads: run the guest, carry its accesses to the bus, and tell the machine when it cannot go on; see vcpu.h.
 *
 * Leaving the guest from outside: vcpu_kick() sets immediate_exit, so that a KVM_RUN that has not begun returns at once, and
 * sends a signal, so that one that has begun returns too. Nobody clears immediate_exit: a kicked vCPU is about to end.
 *
 * An instruction of the guest may make several accesses, each an exit of its own, and it takes effect only with the KVM_RUN behind
 * the last one. So a vCPU whose last exit was an access goes on with immediate_exit until KVM has nothing left to finish.
 */
#include "core/machine/vcpu.h"

#include "core/base/fd.h"
#include "core/base/log.h"
#include "core/machine/arch/x86_64/arch.h"
#include "core/machine/machine.h"

#include <backplane/device.h>

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#define KICK_SIGNAL      (SIGRTMIN + 0)
#define FINISH_EXITS_MAX 64

static void kick_handler(int number)
{
	/* Its arrival is all that matters: it makes KVM_RUN return. */
	(void)number;
}

int vcpu_signal_setup(struct err *err)
{
	struct sigaction action = { .sa_handler = kick_handler };

	sigemptyset(&action.sa_mask);
	if (sigaction(KICK_SIGNAL, &action, NULL) < 0)
		return err_sys(err, -errno, "sigaction");
	return 0;
}

int vcpu_init(struct vcpu *vcpu, struct machine *machine, struct kvm *kvm, struct bus *bus, uint32_t index,
	      struct err *err)
{
	void *run;
	int r;

	vcpu->machine = machine;
	vcpu->index = index;
	vcpu->run_bytes = kvm->run_bytes;
	vcpu->fd = ioctl(kvm->vm_fd, KVM_CREATE_VCPU, (unsigned long)index);
	if (vcpu->fd < 0)
		return err_sys(err, -errno, "KVM_CREATE_VCPU for vCPU %" PRIu32, index);
	run = mmap(NULL, vcpu->run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
	if (run == MAP_FAILED) {
		r = err_sys(err, -errno, "cannot map the page of vCPU %" PRIu32, index);
		goto fail_fd;
	}
	r = bus_reader_add(bus, &vcpu->reader);
	if (r < 0) {
		r = err_sys(err, r, "vCPU %" PRIu32, index);
		goto fail_run;
	}
	vcpu->run = run;
	return 0;
fail_run:
	munmap(run, vcpu->run_bytes);
fail_fd:
	close(vcpu->fd);
	vcpu->fd = -1;
	return r;
}

void vcpu_destroy(struct vcpu *vcpu)
{
	if (!vcpu->run)
		return;
	bus_reader_remove(&vcpu->reader);
	munmap(vcpu->run, vcpu->run_bytes);
	close(vcpu->fd);
	vcpu->run = NULL;
}

/* One access or, for string instructions, several: each element is an access of its own. */
static void exit_io(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	uint8_t *data = (uint8_t *)run + run->io.data_offset;
	bool write = run->io.direction == KVM_EXIT_IO_OUT;
	uint32_t width = run->io.size;

	for (uint32_t i = 0; i < run->io.count; i++, data += width) {
		uint64_t value = 0;

		if (write)
			memcpy(&value, data, width);
		bus_access(&vcpu->reader, BP_PIO, run->io.port, width, write, &value);
		if (!write)
			memcpy(data, &value, width);
	}
}

static void exit_mmio(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	uint64_t value = 0;

	if (run->mmio.is_write)
		memcpy(&value, run->mmio.data, run->mmio.len);
	bus_access(&vcpu->reader, BP_MMIO, run->mmio.phys_addr, run->mmio.len, run->mmio.is_write, &value);
	if (!run->mmio.is_write)
		memcpy(run->mmio.data, &value, sizeof(run->mmio.data));
}

static void crash(struct vcpu *vcpu, enum machine_end reason, const char *text)
{
	snprintf(vcpu->crash, sizeof(vcpu->crash), "%s", text);
	if (!vcpu->quiet) {
		log_error("%s", text);
		arch_vcpu_dump(vcpu->fd, vcpu->index, machine_mem(vcpu->machine));
	}
	machine_end(vcpu->machine, reason);
}

static void exit_internal_error(struct vcpu *vcpu)
{
	char text[VCPU_CRASH_MAX];

	snprintf(text, sizeof(text),
		 "vCPU %" PRIu32 ": this KVM cannot run the guest's code: it gave up emulating an instruction "
		 "(KVM_EXIT_INTERNAL_ERROR, suberror %" PRIu32 ")",
		 vcpu->index, vcpu->run->internal.suberror);
	crash(vcpu, MACHINE_KVM_ERROR, text);
}

static void exit_fail_entry(struct vcpu *vcpu)
{
	char text[VCPU_CRASH_MAX];

	snprintf(text, sizeof(text),
		 "vCPU %" PRIu32 ": the processor refused to enter the guest (KVM_EXIT_FAIL_ENTRY, reason 0x%" PRIx64
		 ")",
		 vcpu->index, (uint64_t)vcpu->run->fail_entry.hardware_entry_failure_reason);
	crash(vcpu, MACHINE_KVM_ERROR, text);
}

static void exit_system_event(struct vcpu *vcpu)
{
	switch (vcpu->run->system_event.type) {
	case KVM_SYSTEM_EVENT_SHUTDOWN:
		machine_end(vcpu->machine, MACHINE_POWEROFF);
		break;
	case KVM_SYSTEM_EVENT_RESET:
		machine_end(vcpu->machine, MACHINE_RESET);
		break;
	default:
		crash(vcpu, MACHINE_CRASH, "the guest reported a crash (KVM_SYSTEM_EVENT)");
		break;
	}
}

static void handle_exit(struct vcpu *vcpu)
{
	char text[128];

	__atomic_store_n(&vcpu->exits, vcpu->exits + 1, __ATOMIC_RELAXED);
	switch (vcpu->run->exit_reason) {
	case KVM_EXIT_IO:
		exit_io(vcpu);
		break;
	case KVM_EXIT_MMIO:
		exit_mmio(vcpu);
		break;
	case KVM_EXIT_SHUTDOWN:
		snprintf(text, sizeof(text), "vCPU %" PRIu32 ": triple fault in the guest", vcpu->index);
		crash(vcpu, MACHINE_CRASH, text);
		break;
	case KVM_EXIT_INTERNAL_ERROR:
		exit_internal_error(vcpu);
		break;
	case KVM_EXIT_FAIL_ENTRY:
		exit_fail_entry(vcpu);
		break;
	case KVM_EXIT_SYSTEM_EVENT:
		exit_system_event(vcpu);
		break;
	case KVM_EXIT_INTR:
	case KVM_EXIT_IRQ_WINDOW_OPEN:
		break;
	default:
		snprintf(text, sizeof(text),
			 "vCPU %" PRIu32 ": exit for reason %" PRIu32 ", which backplane does not know", vcpu->index,
			 vcpu->run->exit_reason);
		crash(vcpu, MACHINE_KVM_ERROR, text);
		break;
	}
}

/* See the top of the file. What an instruction can be split into is bounded, by KVM; the bound here is for one that is not. */
static void finish_access(struct vcpu *vcpu)
{
	for (int i = 0; i < FINISH_EXITS_MAX; i++) {
		uint32_t reason = vcpu->run->exit_reason;

		if (reason != KVM_EXIT_IO && reason != KVM_EXIT_MMIO)
			return;
		__atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
		if (ioctl(vcpu->fd, KVM_RUN, 0) < 0)
			return;
		handle_exit(vcpu);
	}
}

static void *vcpu_thread(void *arg)
{
	struct vcpu *vcpu = arg;
	bool exited = false;

	while (machine_end_reason(vcpu->machine) == MACHINE_RUNNING) {
		exited = ioctl(vcpu->fd, KVM_RUN, 0) == 0;
		if (exited) {
			handle_exit(vcpu);
		} else if (errno != EINTR && errno != EAGAIN) {
			char text[128];

			snprintf(text, sizeof(text), "vCPU %" PRIu32 ": KVM_RUN: %s", vcpu->index, strerror(errno));
			crash(vcpu, MACHINE_KVM_ERROR, text);
		}
	}
	if (exited)
		finish_access(vcpu);
	return NULL;
}

int vcpu_start(struct vcpu *vcpu, struct err *err)
{
	char name[16];
	sigset_t all, before;
	int r;

	/* The thread takes the kick and what a fault raises, nothing that is meant for the process. */
	sigfillset(&all);
	sigdelset(&all, KICK_SIGNAL);
	sigdelset(&all, SIGSEGV);
	sigdelset(&all, SIGBUS);
	sigdelset(&all, SIGFPE);
	sigdelset(&all, SIGILL);
	sigdelset(&all, SIGABRT);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&vcpu->thread, NULL, vcpu_thread, vcpu);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r)
		return err_sys(err, -r, "cannot start the thread of vCPU %" PRIu32, vcpu->index);
	snprintf(name, sizeof(name), "vcpu%" PRIu32, vcpu->index);
	pthread_setname_np(vcpu->thread, name);
	vcpu->started = true;
	return 0;
}

void vcpu_kick(struct vcpu *vcpu)
{
	__atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	if (vcpu->started)
		pthread_kill(vcpu->thread, KICK_SIGNAL);
}

void vcpu_join(struct vcpu *vcpu)
{
	if (!vcpu->started)
		return;
	pthread_join(vcpu->thread, NULL);
	vcpu->started = false;
}
