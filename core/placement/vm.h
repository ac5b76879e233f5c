/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A VM from its plan: the machine, and the devices joined to it. Main thread.
 *
 *   call        before     after
 *   vm_new      -          KVM, memory, vCPUs and devices exist; nothing runs
 *   vm_run      vm_new     the guest has ended for good, and every thread with it
 *   vm_free     any        nothing is left
 */
#ifndef PLACEMENT_VM_H
#define PLACEMENT_VM_H

#include "core/placement/plan.h"

struct vm;

/* Carries the plan out, the unpacking of its kernel included, up to the point where the guest could start. Takes the devices' values from the plan. -errno with one
 * line; everything that was made is gone then. */
int vm_new(struct plan *plan, struct vm **ret, struct err *err);
void vm_free(struct vm *vm); /* NULL is fine */

/* Has the metrics written to the file `path` (borrowed) when SIGUSR1 comes, and at the end of vm_run(). The caller has blocked SIGUSR1. */
void vm_metrics(struct vm *vm, const char *path);

/* Runs the guest to its end, through its restarts; endings.h says what ends it and what restarts it. A signal can bring its end
 * about, too: SIGINT and SIGHUP at once, SIGTERM by the guest's power button, and at once after the configuration's
 * shutdown_timeout, or when it comes again. The exit status in *ret_status; what has happened is in the log. -errno with a
 * message if it could not be started or restarted. The caller has blocked those signals, SIGCONT and SIGWINCH. */
int vm_run(struct vm *vm, int *ret_status, struct err *err);

#endif
