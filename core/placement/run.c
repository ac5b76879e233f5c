/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The life of a VM: start, the wait for its end, restarts in place, and stop. Main thread. What ends a life is in the machine,
 * where the first reason wins; endings.c says what follows.
 *
 * A restart keeps this process, its devices and their files: vCPU threads end, devices are reset, KVM's part of the machine is
 * made anew around the same memory, and the kernel is loaded again from the files that have been open all the time.
 *
 * SIGTERM presses the guest's power button. A press before the guest has a driver for it is lost, so the button is pressed again
 * every second. While there is no guest to ask, in a restart, SIGTERM is the end.
 */
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/terminal.h"
#include "core/placement/instance.h"
#include "core/placement/metrics.h"

#include <backplane/host.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define PRESS_INTERVAL_NS NS_PER_S

struct run {
	struct vm *vm;
	int signal_fd;
	bool asked; /* the guest has been asked to power off */
	bool late;  /* and has not */
	uint64_t deadline_ns;
	uint64_t next_press_ns;
	struct endings_history history;
};

static int start(struct vm *vm, struct err *err)
{
	int r = 0;

	if (vm->opener.terminal_used)
		r = terminal_raw(STDIN_FILENO, err);
	for (size_t i = 0; r == 0 && i < vm->device_count; i++) {
		const struct placed *placed = &vm->devices[i].placed;

		r = placed->ops->start(placed->ctx, err);
		if (r < 0)
			err_prefix(err, "devices.%s: ", placed->id);
	}
	return r < 0 ? r : machine_start(vm->machine, err);
}

static void write_metrics(const struct vm *vm)
{
	struct err err = ERR_NONE;

	if (vm->metrics_path && metrics_write(vm, vm->metrics_path, &err) < 0)
		log_error("%s", err.text);
}

static void resize_terminal(const struct vm *vm)
{
	for (size_t i = 0; i < vm->device_count; i++) {
		const struct placed *placed = &vm->devices[i].placed;

		placed->ops->terminal_resized(placed->ctx);
	}
}

/* The next signal that has arrived and asks for the end; 0 if there is none. Others are seen to. */
static int next_signal(const struct run *run)
{
	struct signalfd_siginfo info;

	while (read(run->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
		switch ((int)info.ssi_signo) {
		case SIGCONT:
			terminal_resume();
			break;
		case SIGWINCH:
			resize_terminal(run->vm);
			break;
		case SIGUSR1:
			write_metrics(run->vm);
			break;
		default:
			return (int)info.ssi_signo;
		}
	return 0;
}

static void press_button(struct run *run, uint64_t now_ns)
{
	machine_press_button(run->vm->machine);
	run->next_press_ns = now_ns + PRESS_INTERVAL_NS;
}

static void ask(struct run *run)
{
	uint64_t now_ns = clock_now_ns();

	log_info("asking the guest to power off");
	run->asked = true;
	run->deadline_ns = now_ns + run->vm->plan->shutdown_timeout_ns;
	press_button(run, now_ns);
}

static void take_signal(struct run *run, int number)
{
	if (number == SIGTERM && !run->asked && run->vm->plan->shutdown_timeout_ns) {
		ask(run);
		return;
	}
	log_info("ending the VM: %s", strsignal(number));
	machine_end(run->vm->machine, MACHINE_REQUESTED);
}

/* While a guest is asked: presses again, or gives up. The time until there is something to do, for poll(). */
static int mind_time(struct run *run)
{
	uint64_t now_ns, next_ns;

	if (!run->asked)
		return -1;
	now_ns = clock_now_ns();
	if (now_ns >= run->deadline_ns) {
		run->late = true;
		machine_end(run->vm->machine, MACHINE_REQUESTED);
		return 0;
	}
	if (now_ns >= run->next_press_ns)
		press_button(run, now_ns);
	next_ns = run->next_press_ns < run->deadline_ns ? run->next_press_ns : run->deadline_ns;
	return (int)((next_ns - now_ns) / NS_PER_MS) + 1;
}

/* Sees to what the devices' processes have told. */
static void mind_processes(struct vm *vm)
{
	struct err err = ERR_NONE;

	if (!vm->plan->processes || vm->spawner_gone || processes_mind(vm->plan->processes, &err) == 0)
		return;
	log_error("%s", err.text);
	vm->spawner_gone = true;
	machine_end(vm->machine, MACHINE_BROKEN);
}

/* Waits until this life of the guest has ended. */
static int wait_end(struct run *run, struct err *err)
{
	const struct machine *machine = run->vm->machine;
	const struct processes *processes = run->vm->plan->processes;
	struct passts *passts = &run->vm->opener.passts;
	struct pollfd fds[] = {
		{ .fd = machine_end_fd(machine), .events = POLLIN },
		{ .fd = run->signal_fd, .events = POLLIN },
		{ .fd = processes ? processes_fd(processes) : -1, .events = POLLIN },
		{ .fd = passts_fd(passts), .events = POLLIN },
	};

	while (machine_end_reason(machine) == MACHINE_RUNNING) {
		int number;

		if (poll(fds, sizeof(fds) / sizeof(fds[0]), mind_time(run)) < 0 && errno != EINTR)
			return err_sys(err, -errno, "poll");
		mind_processes(run->vm);
		passts_mind(passts);
		number = next_signal(run);
		if (number)
			take_signal(run, number);
	}
	return 0;
}

/*
 * Why the guest has ended. What a device in a process tells may come after what followed it: V, a vCPU, writes to a
 * device that its guest has panicked, which is posted, and then to the machine's reset register, which ends the guest
 * at once; the device's word arrives later, in settle(). In a thread it would have been first, and it counts as such: a
 * guest that has ended does not write any more.
 */
static enum machine_end reason_of(const struct vm *vm)
{
	enum machine_end reason = machine_end_reason(vm->machine);
	uint32_t told = atomic_load(&vm->told);

	if (reason != MACHINE_POWEROFF && reason != MACHINE_RESET && reason != MACHINE_CRASH)
		return reason;
	if (told & 1u << BP_EVENT_PANIC)
		return MACHINE_PANIC;
	if (told & 1u << BP_EVENT_RESET && told & 1u << BP_EVENT_POWEROFF)
		return reason == MACHINE_CRASH ? MACHINE_RESET : reason;
	if (told & 1u << BP_EVENT_RESET)
		return MACHINE_RESET;
	return told & 1u << BP_EVENT_POWEROFF ? MACHINE_POWEROFF : reason;
}

static enum ending_cause cause_of(const struct run *run)
{
	/* A guest whose devices have gone may well end by itself, before anybody has looked why they have. */
	if (run->vm->spawner_gone)
		return ENDING_SPAWNER;
	if (run->vm->device_gone)
		return ENDING_DEVICE;
	switch (reason_of(run->vm)) {
	case MACHINE_POWEROFF:
		return ENDING_POWEROFF;
	case MACHINE_RESET:
		return atomic_load(&run->vm->crash_loaded) ? ENDING_CRASH_RESET : ENDING_RESET;
	case MACHINE_PANIC:
		return ENDING_PANIC;
	case MACHINE_CRASH:
		return ENDING_CRASH;
	case MACHINE_KVM_ERROR:
		return ENDING_KVM_ERROR;
	case MACHINE_BROKEN:
		return ENDING_DEVICE;
	default:
		return run->late ? ENDING_LATE : ENDING_ASKED;
	}
}

/* Whether the end has been asked for, or has become unavoidable, while there was no guest to be asked; then why. */
static bool is_over(const struct run *run, enum ending_cause *ret_cause)
{
	struct vm *vm = run->vm;
	int number = next_signal(run);

	mind_processes(vm);
	if (number)
		log_info("ending the VM: %s", strsignal(number));
	if (vm->spawner_gone || vm->device_gone)
		*ret_cause = vm->spawner_gone ? ENDING_SPAWNER : ENDING_DEVICE;
	else if (number || atomic_load(&vm->quit))
		*ret_cause = ENDING_ASKED;
	else
		return false;
	return true;
}

/* Gives virtio devices their seats in the machine that was made anew. */
static int take_seats(struct vm *vm, struct err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < vm->device_count; i++) {
		if (!vm->devices[i].seat)
			continue;
		r = virtio_seat_attach(vm->devices[i].seat, err);
		if (r < 0)
			err_prefix(err, "devices.%s: ", vm->devices[i].placed.id);
	}
	return r;
}

/* Puts everything where it was before start(), but for the devices, which run on. No vCPU runs. */
static int reset(struct vm *vm, struct err *err)
{
	int r;

	/* The machine still counts as ended, so whatever a device tells of the old guest now changes nothing. */
	for (size_t i = 0; i < vm->device_count; i++) {
		const struct vm_device *device = &vm->devices[i];

		if (device->seat)
			virtio_seat_detach(device->seat);
		device->placed.ops->reset(device->placed.ctx);
	}
	vm->restarts++;
	atomic_store(&vm->crash_loaded, false);
	atomic_store(&vm->marks, 0);
	atomic_store(&vm->told, 0);
	r = machine_restart(vm->machine, err);
	if (r == 0)
		r = take_seats(vm, err);
	return r < 0 ? r : machine_boot(vm->machine, vm->plan->image, &vm->plan->firmware, err);
}

/* 1 if another life has begun, 0 if the end is due instead. */
static int restart(struct run *run, enum ending_cause *ret_cause, struct err *err)
{
	int r;

	if (is_over(run, ret_cause))
		return 0;
	r = reset(run->vm, err);
	/* A signal ends prefaulting, too. */
	if (is_over(run, ret_cause))
		return 0;
	if (r == 0)
		r = machine_start(run->vm->machine, err);
	if (r < 0) {
		err_prefix(err, "cannot restart the guest: ");
		return r;
	}
	return 1;
}

/* Waits for what the guest has told its devices, and they us. */
static void settle(const struct vm *vm)
{
	for (size_t i = 0; i < vm->device_count; i++)
		vm->devices[i].placed.ops->settle(vm->devices[i].placed.ctx);
}

/* One life after the other. */
static int live(struct run *run, int *ret_status, struct err *err)
{
	struct vm *vm = run->vm;

	for (;;) {
		struct ending ending;
		enum ending_cause cause;
		int r = wait_end(run, err);

		if (r < 0)
			return r;
		machine_stop(vm->machine);
		settle(vm);
		mind_processes(vm);
		cause = cause_of(run);
		ending = endings_decide(cause, &vm->plan->endings, run->asked);
		if (ending.restart && endings_is_loop(&run->history, clock_now_ns()))
			ending = endings_decide(ENDING_LOOP, &vm->plan->endings, run->asked);
		log_line(ending.level, "%s%s", ending.text, ending.restart ? "; it is restarted" : "");
		if (ending.restart) {
			r = restart(run, &cause, err);
			if (r < 0)
				return r;
			if (r > 0)
				continue;
			ending = endings_decide(cause, &vm->plan->endings, true);
			log_line(ending.level, "%s", ending.text);
		}
		*ret_status = ending.status;
		return 0;
	}
}

int vm_run(struct vm *vm, int *ret_status, struct err *err)
{
	struct run run = { .vm = vm };
	sigset_t signals;
	int r;

	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGHUP);
	sigaddset(&signals, SIGCONT);
	sigaddset(&signals, SIGWINCH);
	if (vm->metrics_path)
		sigaddset(&signals, SIGUSR1);
	run.signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	if (run.signal_fd < 0)
		return err_sys(err, -errno, "signalfd");
	r = start(vm, err);
	if (r == 0)
		r = live(&run, ret_status, err);
	machine_stop(vm->machine);
	for (size_t i = 0; i < vm->device_count; i++)
		vm->devices[i].placed.ops->stop(vm->devices[i].placed.ctx);
	write_metrics(vm);
	terminal_restore();
	close(run.signal_fd);
	return r;
}
