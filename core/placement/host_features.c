/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the isolation of plugins, and some devices, could use; see host.h. Each check is called in a child process of its own
 * and does the thing itself, since settings do not tell: a container, a security module or a limit may forbid it all the same.
 */
#include "core/placement/host_check.h"

#include "core/base/fd.h"
#include "core/placement/passt.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/filter.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/io_uring.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <linux/vhost.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define NAMESPACES \
	(CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP)

/* Why a file of the host cannot be opened, and what to do. */
static void cannot_open(struct host_finding *finding, const char *path, const char *module)
{
	switch (errno) {
	case ENOENT:
	case ENODEV:
	case ENXIO:
		host_found(finding, HOST_NO, "no %s: load the kernel's module (modprobe %s)", path, module);
		break;
	case EACCES:
	case EPERM:
		host_found(finding, HOST_NO, "no permission to open %s: give the user its group, or run as one who may",
			   path);
		break;
	default:
		host_found(finding, HOST_NO, "cannot open %s: %s", path, strerror(errno));
		break;
	}
}

/* ---- user namespaces ---- */

static int write_file(const char *path, const char *text)
{
	FD_AUTO int fd = open(path, O_WRONLY | O_CLOEXEC);
	size_t length = strlen(text);

	if (fd < 0)
		return -errno;
	return write(fd, text, length) == (ssize_t)length ? 0 : -errno;
}

/* That one can be made is not enough: where a security module takes the capabilities in it away, nothing can be done in it. */
static void check_user_namespaces(struct host_finding *finding)
{
	uid_t uid = geteuid();
	char map[32];
	int r;

	if (unshare(NAMESPACES) < 0) {
		const char *what = strerror(errno);

		if (errno == ENOSPC || errno == EUSERS)
			what = "the limit is reached: raise the settings user.max_*_namespaces (sysctl)";
		else if (errno == EPERM)
			what =
			    "not permitted: by a container's rules, by kernel.unprivileged_userns_clone, or in a chroot";
		else if (errno == EINVAL || errno == ENOSYS)
			what = "this kernel is built without them (CONFIG_USER_NS)";
		host_found(finding, HOST_NO, "%s", what);
		return;
	}
	snprintf(map, sizeof(map), "0 %u 1", uid);
	r = write_file("/proc/self/uid_map", map);
	if (r < 0) {
		host_found(finding, HOST_NO, "one can be made, but no user be mapped into it: %s", strerror(-r));
		return;
	}
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 || mount("none", "/", "tmpfs", 0, "size=4k") < 0) {
		host_found(finding, HOST_NO,
			   "they can be made, but nothing be mounted in them: %s (a security module may be in the way: "
			   "kernel.apparmor_restrict_unprivileged_userns)",
			   strerror(errno));
		return;
	}
	host_found(finding, HOST_OK, "with pid, mount, net, ipc, uts and cgroup namespaces, and a file system in them");
}

/* ---- seccomp, Landlock ---- */

static void check_seccomp(struct host_finding *finding)
{
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog filter = { .len = 1, .filter = &allow };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
		host_found(finding, HOST_NO, "PR_SET_NO_NEW_PRIVS: %s", strerror(errno));
		return;
	}
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &filter) >= 0) {
		host_found(finding, HOST_OK, "filters, with a listener for what they forbid");
		return;
	}
	if (errno == EBUSY) {
		host_found(finding, HOST_NO,
			   "filters, but a listener is taken already by whoever started this process");
		return;
	}
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter) == 0)
		host_found(finding, HOST_NO, "filters, but no listener: kernels have it from 5.0 on");
	else
		host_found(finding, HOST_NO, "no filter can be installed: %s", strerror(errno));
}

static void check_landlock(struct host_finding *finding)
{
	const struct landlock_ruleset_attr files = { .handled_access_fs = LANDLOCK_ACCESS_FS_EXECUTE };
	long abi = syscall(SYS_landlock_create_ruleset, NULL, (size_t)0, LANDLOCK_CREATE_RULESET_VERSION);
	long fd;

	if (abi < 0) {
		if (errno == EOPNOTSUPP)
			host_found(finding, HOST_NO,
				   "switched off: add landlock to the kernel's command line (lsm=landlock,...)");
		else if (errno == ENOSYS)
			host_found(finding, HOST_NO,
				   "this kernel is built without it (CONFIG_SECURITY_LANDLOCK, from 5.13 on)");
		else
			host_found(finding, HOST_NO, "%s", strerror(errno));
		return;
	}
	fd = syscall(SYS_landlock_create_ruleset, &files, sizeof(files), 0);
	if (fd < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    syscall(SYS_landlock_restrict_self, (int)fd, 0) < 0) {
		host_found(finding, HOST_NO, "version %ld is there, but cannot be used: %s", abi, strerror(errno));
		return;
	}
	host_found(finding, HOST_OK, "version %ld", abi);
}

/* ---- devices ---- */

/* The interface is made in a network namespace of its own, never in the host's; which one it gets into is decided when the
 * file is opened. */
static void check_tap(struct host_finding *finding)
{
	static const char path[] = "/dev/net/tun";
	struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	FD_AUTO int here = open(path, O_RDWR | O_CLOEXEC);
	FD_AUTO int there = -1;

	if (here < 0) {
		cannot_open(finding, path, "tun");
		return;
	}
	if (unshare(CLONE_NEWNET) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0) {
		host_found(finding, HOST_UNKNOWN, "%s can be opened; no network namespace to try it in: %s", path,
			   strerror(errno));
		return;
	}
	there = open(path, O_RDWR | O_CLOEXEC);
	if (there < 0) {
		cannot_open(finding, path, "tun");
		return;
	}
	snprintf(request.ifr_name, sizeof(request.ifr_name), "bp%%d");
	if (ioctl(there, TUNSETIFF, &request) < 0)
		host_found(finding, HOST_NO, "%s can be opened, but makes no interface: %s", path, strerror(errno));
	else
		host_found(finding, HOST_OK,
			   "interfaces can be made in a network namespace; in the host's own it takes CAP_NET_ADMIN");
}

/* One is started, for nobody. */
static void check_passt(struct host_finding *finding)
{
	struct passts passts = { .first = NULL };
	struct err err = ERR_NONE;
	int fd = -1;

	if (passt_start(&passts, NULL, "doctor", &fd, &err) < 0)
		host_found(finding, HOST_NO, "%s", err.text);
	else
		host_found(finding, HOST_OK, "it serves: a network without privileges");
	fd_close(fd);
	passts_end(&passts);
}

static void check_hugepages(struct host_finding *finding)
{
	FD_AUTO int fd = memfd_create("backplane-doctor", MFD_CLOEXEC | MFD_HUGETLB);
	struct stat info;
	void *page;

	if (fd < 0 || fstat(fd, &info) < 0) {
		host_found(finding, HOST_NO, "this kernel has none: %s", strerror(errno));
		return;
	}
	page = ftruncate(fd, info.st_blksize) < 0
		   ? MAP_FAILED
		   : mmap(NULL, (size_t)info.st_blksize, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (page == MAP_FAILED) {
		if (errno == ENOMEM)
			host_found(finding, HOST_NO, "none is free: reserve some (sysctl vm.nr_hugepages=N)");
		else
			host_found(finding, HOST_NO, "%s", strerror(errno));
		return;
	}
	/* Even a page that is reserved may be denied by a control group: then this ends the process. */
	*(volatile char *)page = 1;
	host_found(finding, HOST_OK, "of %" PRIu64 " KiB", (uint64_t)info.st_blksize / 1024);
}

static void check_io_uring(struct host_finding *finding)
{
	struct io_uring_params params = { 0 };

	if (syscall(SYS_io_uring_setup, 2, &params) >= 0)
		host_found(finding, HOST_OK, "a ring can be made");
	else if (errno == EPERM)
		host_found(finding, HOST_NO, "not permitted: by kernel.io_uring_disabled, or by a container's filter");
	else if (errno == ENOSYS)
		host_found(finding, HOST_NO, "this kernel is built without it, or a container's filter hides it");
	else
		host_found(finding, HOST_NO, "%s", strerror(errno));
}

static void check_vhost(struct host_finding *finding, const char *path, const char *module)
{
	FD_AUTO int fd = open(path, O_RDWR | O_CLOEXEC);
	uint64_t features;

	if (fd < 0)
		cannot_open(finding, path, module);
	else if (ioctl(fd, VHOST_GET_FEATURES, &features) < 0)
		host_found(finding, HOST_NO, "%s is not vhost: %s", path, strerror(errno));
	else
		host_found(finding, HOST_OK, "%s can be opened", path);
}

static void check_vhost_net(struct host_finding *finding)
{
	check_vhost(finding, "/dev/vhost-net", "vhost_net");
}

static void check_vhost_vsock(struct host_finding *finding)
{
	check_vhost(finding, "/dev/vhost-vsock", "vhost_vsock");
}

const struct host_feature host_features[] = {
	{ .name = "user-namespaces", .check = check_user_namespaces },
	{ .name = "seccomp", .check = check_seccomp },
	{ .name = "landlock", .check = check_landlock },
	{ .name = "tap", .check = check_tap },
	{ .name = "passt", .check = check_passt },
	{ .name = "hugepages", .check = check_hugepages },
	{ .name = "io-uring", .check = check_io_uring },
	{ .name = "vhost-net", .check = check_vhost_net },
	{ .name = "vhost-vsock", .check = check_vhost_vsock },
};
const size_t host_feature_count = sizeof(host_features) / sizeof(host_features[0]);
_Static_assert(sizeof(host_features) / sizeof(host_features[0]) + 3 <= HOST_CHECKS_MAX, "room for every check");
