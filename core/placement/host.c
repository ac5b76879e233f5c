/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What this host can do; see host.h. Each check but the ones that only ask KVM runs in a child process, as it changes the
 * process for good (namespaces, filters), or as it may hang or be killed for trying (a broken KVM, a container's filter).
 */
#include "core/placement/host.h"

#include "core/base/clock.h"
#include "core/base/fd.h"
#include "core/machine/kvm.h"
#include "core/placement/host_check.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define FEATURE_LIMIT_MS     5000
/* More than the probe's own limit: this one is for a KVM that does not let go of it. */
#define PROBE_CHILD_LIMIT_MS (PROBE_LIMIT_MS + 5000)
/* A process that cannot be killed stays behind, rather than that we wait for it. */
#define REAP_LIMIT_MS        1000

void host_found(struct host_finding *finding, enum host_state state, const char *format, ...)
{
	va_list ap;

	finding->state = state;
	va_start(ap, format);
	vsnprintf(finding->text, sizeof(finding->text), format, ap);
	va_end(ap);
}

/* ---- child processes ---- */

static void run_child(int fd, void (*check)(struct host_finding *finding))
{
	const struct rlimit none = { 0 };
	struct host_finding finding = { .state = HOST_UNKNOWN };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* One that is killed for trying is no reason for a core dump. */
	setrlimit(RLIMIT_CORE, &none);
	check(&finding);
	_exit(write(fd, &finding, sizeof(finding)) != (ssize_t)sizeof(finding));
}

/* The finding, whole or not at all: it is smaller than what a pipe takes in one piece. */
_Static_assert(sizeof(struct host_finding) <= 4096, "PIPE_BUF");
static bool receive(int fd, int limit_ms, struct host_finding *ret, bool *ret_late)
{
	uint64_t deadline_ns = clock_now_ns() + (uint64_t)limit_ms * NS_PER_MS;
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	struct host_finding finding;
	int r = 0;

	for (uint64_t now = clock_now_ns(); now < deadline_ns; now = clock_now_ns()) {
		r = poll(&poll_fd, 1, (int)((deadline_ns - now) / NS_PER_MS) + 1);
		if (r >= 0 || errno != EINTR)
			break;
	}
	*ret_late = r == 0;
	if (r <= 0 || read(fd, &finding, sizeof(finding)) != (ssize_t)sizeof(finding))
		return false;
	*ret = finding;
	return true;
}

/* The signal that ended the child, or 0. */
static int reap(pid_t pid)
{
	const struct timespec pause = { .tv_nsec = 10 * (long)NS_PER_MS };
	int status = 0;

	for (int waited_ms = 0; waited_ms < REAP_LIMIT_MS; waited_ms += 10) {
		pid_t r = waitpid(pid, &status, WNOHANG);

		if (r == pid)
			return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
		if (r < 0 && errno != EINTR)
			break;
		nanosleep(&pause, NULL);
	}
	return 0;
}

static void in_child(void (*check)(struct host_finding *finding), int limit_ms, struct host_finding *ret)
{
	int fds[2], signal_number;
	bool late;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0) {
		host_found(ret, HOST_UNKNOWN, "not tried: no pipe: %s", strerror(errno));
		return;
	}
	pid = fork();
	if (pid == 0) {
		close(fds[0]);
		run_child(fds[1], check);
	}
	close(fds[1]);
	if (pid < 0) {
		host_found(ret, HOST_UNKNOWN, "not tried: no process: %s", strerror(errno));
	} else if (receive(fds[0], limit_ms, ret, &late)) {
		reap(pid);
	} else {
		if (late)
			kill(pid, SIGKILL);
		signal_number = reap(pid);
		if (late)
			host_found(ret, HOST_NO, "it hangs: no answer within %d s", limit_ms / 1000);
		else if (signal_number == SIGSYS)
			host_found(ret, HOST_NO, "a seccomp filter around this process kills whoever tries");
		else
			host_found(ret, HOST_UNKNOWN, "the process that tried it was ended by signal %d",
				   signal_number);
	}
	close(fds[0]);
}

/* ---- what guests need ---- */

static void add(struct host_report *report, const char *name, bool needed, const struct host_finding *finding)
{
	struct host_check *check = &report->checks[report->check_count++];

	check->name = name;
	check->needed = needed;
	check->state = finding->state;
	memcpy(check->text, finding->text, sizeof(check->text));
}

static void add_capability(const char *name, int value, void *arg)
{
	struct host_report *report = arg;

	if (report->capability_count < HOST_CAPABILITIES_MAX)
		report->capabilities[report->capability_count++] =
		    (struct host_capability){ .name = name, .value = value };
}

static void judge_capabilities(const struct host_report *report, struct host_finding *finding)
{
	char names[HOST_TEXT_MAX / 2] = "";
	size_t used = 0, missing = 0;

	for (size_t i = 0; i < report->capability_count; i++) {
		if (report->capabilities[i].value)
			continue;
		if (used < sizeof(names))
			used +=
			    (size_t)snprintf(names + used, sizeof(names) - used, " %s", report->capabilities[i].name);
		missing++;
	}
	if (missing)
		host_found(finding, HOST_NO, "this KVM lacks%s: a newer kernel has it", names);
	else
		host_found(finding, HOST_OK, "all %zu that a machine needs", report->capability_count);
}

/* Whether it makes sense to go on with the probe. */
static bool examine_kvm(struct host_report *report)
{
	struct host_finding device = { 0 }, capabilities = { 0 };
	struct kvm kvm = KVM_CLOSED;
	struct err err = ERR_NONE;

	if (kvm_open_any(&kvm, &err) < 0) {
		host_found(&device, HOST_NO, "%s", err.text);
		host_found(&capabilities, HOST_UNKNOWN, "KVM cannot be asked");
	} else {
		host_found(&device, HOST_OK, "/dev/kvm can be opened, and is KVM");
		kvm_each_needed(&kvm, add_capability, report);
		judge_capabilities(report, &capabilities);
		kvm_close(&kvm);
	}
	add(report, "kvm", true, &device);
	add(report, "kvm-capabilities", true, &capabilities);
	return capabilities.state == HOST_OK;
}

static void probe(struct host_finding *finding)
{
	struct err err = ERR_NONE;
	int r = machine_probe(&finding->stage, &err);

	if (r == 0)
		host_found(finding, HOST_OK, "a guest has done what every kernel does, in %d stages, and powered off",
			   PROBE_END);
	else if (finding->stage == PROBE_START)
		host_found(finding, HOST_NO, "%s", err.text);
	else
		host_found(
		    finding, HOST_NO,
		    "%s; so no stock kernel runs here: that takes hardware virtualization (in a VM: nested, to be switched on outside)",
		    err.text);
}

void host_examine(bool only_probe, struct host_report *ret)
{
	struct host_finding finding = { 0 };

	memset(ret, 0, sizeof(*ret));
	if (only_probe || examine_kvm(ret))
		in_child(probe, PROBE_CHILD_LIMIT_MS, &finding);
	else
		host_found(&finding, HOST_UNKNOWN, "not tried without KVM");
	ret->stage = finding.stage;
	add(ret, "probe-guest", true, &finding);
	if (only_probe)
		return;
	for (size_t i = 0; i < host_feature_count; i++) {
		in_child(host_features[i].check, FEATURE_LIMIT_MS, &finding);
		add(ret, host_features[i].name, false, &finding);
	}
}

bool host_can_run(const struct host_report *report)
{
	for (size_t i = 0; i < report->check_count; i++)
		if (report->checks[i].needed && report->checks[i].state != HOST_OK)
			return false;
	return true;
}
