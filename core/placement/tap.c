/* SPDX-License-Identifier: BSD-3-Clause */
/* Opening tap interfaces; see tap.h. */
#include "core/placement/tap.h"

#include "core/base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define TUN_PATH   "/dev/net/tun"
#define FIRST_FREE 3 /* descriptors below are standard ones */

static void keep_fd(struct network *network, int *fd)
{
	network->kind = BP_NETWORK_TAP;
	network->fds[network->fd_count++] = fd_take(fd);
}

/* What a device relies on, whatever whoever had it before has set. */
static int prepare(int fd, const char *name, struct err *err)
{
	const int header = BP_NETWORK_HEADER, yes = 1;
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return err_sys(err, -errno, "interface \"%s\"", name);
	if (ioctl(fd, TUNSETVNETHDRSZ, &header) < 0 || ioctl(fd, TUNSETVNETLE, &yes) < 0 ||
	    ioctl(fd, TUNSETOFFLOAD, 0UL) < 0)
		return err_sys(err, -errno, "interface \"%s\" cannot be given headers of %d bytes, little endian", name,
			       header);
	return 0;
}

/* ---- by name ---- */

static int fail_open(int error, struct err *err)
{
	switch (error) {
	case -ENOENT:
	case -ENODEV:
	case -ENXIO:
		return err_set(err, error,
			       "there is no " TUN_PATH
			       ": load the kernel's module (modprobe tun), or use \"passt\", which needs none");
	case -EACCES:
	case -EPERM:
		return err_set(err, error,
			       "no permission to open " TUN_PATH
			       ": give the user its group, or use \"passt\", which needs none");
	default:
		return err_sys(err, error, "cannot open " TUN_PATH);
	}
}

/* Whether there is an interface of that name here, and then whether it is a tap. In this network namespace, which /sys need not
 * be of. */
static bool interface_exists(const char *name, bool *ret_tap)
{
	struct ethtool_drvinfo info = { .cmd = ETHTOOL_GDRVINFO };
	struct ifreq request = { .ifr_data = (void *)&info };
	FD_AUTO int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	memcpy(request.ifr_name, name, strnlen(name, IFNAMSIZ - 1));
	*ret_tap = fd >= 0 && ioctl(fd, SIOCETHTOOL, &request) == 0 && !strcmp(info.driver, "tun") &&
		   !strcmp(info.bus_info, "tap");
	return *ret_tap || if_nametoindex(name) != 0;
}

/* Why the kernel has not given us the interface `name`; NULL: any. */
static int fail_attach(int error, const char *name, uint32_t pairs, struct err *err)
{
	const char *multi = pairs > 1 ? " multi_queue" : "";
	bool tap = false, exists = name && interface_exists(name, &tap);

	if (error == -EPERM && !name)
		return err_set(
		    err, error,
		    "no permission to make an interface: name one (\"tap:NAME\") that an administrator has made "
		    "(ip tuntap add dev NAME mode tap%s user USER), or use \"passt\"",
		    multi);
	if (error == -EPERM && !exists)
		return err_set(
		    err, error,
		    "no permission to make the interface \"%s\": have an administrator make it (ip tuntap add dev "
		    "%s mode tap%s user USER), or use \"passt\"",
		    name, name, multi);
	if (error == -EPERM)
		return err_set(
		    err, error,
		    "no permission to use the interface \"%s\": it was made for another user (ip tuntap add dev "
		    "%s mode tap%s user USER)",
		    name, name, multi);
	if (error == -EBUSY && exists)
		return err_set(err, error, "somebody else uses the interface \"%s\"", name);
	if (error == -EINVAL && exists && !tap)
		return err_set(err, error, "the interface \"%s\" is no tap", name);
	if (error == -EINVAL && exists && pairs > 1)
		return err_set(
		    err, error,
		    "the interface \"%s\" has one queue, and this device %u pairs: it has to be made with several "
		    "(ip tuntap add dev %s mode tap multi_queue user USER)",
		    name, pairs, name);
	if (error == -EINVAL && exists)
		return err_set(
		    err, error,
		    "the interface \"%s\" has several queues, and this device one pair: it has to be made with one "
		    "(ip tuntap add dev %s mode tap user USER)",
		    name, name);
	return err_sys(err, error, name ? "cannot open the interface \"%s\"" : "cannot make an interface%s",
		       name ? name : "");
}

/* Another queue of the interface in *request, in which its name is from then on. */
static int attach(struct ifreq *request, const char *name, uint32_t pairs, struct network *network, struct err *err)
{
	FD_AUTO int fd = open(TUN_PATH, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	int r;

	if (fd < 0)
		return fail_open(-errno, err);
	if (ioctl(fd, TUNSETIFF, request) < 0)
		return fail_attach(-errno, name, pairs, err);
	r = prepare(fd, request->ifr_name, err);
	if (r == 0)
		keep_fd(network, &fd);
	return r;
}

int tap_open(const char *name, uint32_t pairs, struct network *ret, char ret_name[static IFNAMSIZ], struct err *err)
{
	const int flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | (pairs > 1 ? IFF_MULTI_QUEUE : 0);
	struct ifreq request = { .ifr_flags = (short)flags };

	/* core/config has seen to its length. A pattern makes the kernel choose. */
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name ? name : "tap%d");
	for (uint32_t i = 0; i < pairs; i++) {
		int r = attach(&request, name, pairs, ret, err);

		if (r < 0)
			return r;
	}
	memcpy(ret_name, request.ifr_name, IFNAMSIZ);
	return 0;
}

/* ---- by descriptor ---- */

/* Of all descriptors only those that this program was started with are not closed at exec. Any other was opened by ourselves since: its
 * number would be there by chance. */
static int check_given(int fd, struct err *err)
{
	int flags = fcntl(fd, F_GETFD);

	if (flags < 0 || (flags & FD_CLOEXEC))
		return err_set(err, -EBADF,
			       "descriptor %d is not one that the program was started with, or another device has it",
			       fd);
	return 0;
}

static int check_tap(int fd, struct ifreq *ret, struct err *err)
{
	unsigned int flags;

	memset(ret, 0, sizeof(*ret));
	if (ioctl(fd, TUNGETIFF, ret) < 0)
		return err_set(err, -EINVAL, "descriptor %d is no tap interface", fd);
	ret->ifr_name[IFNAMSIZ - 1] = '\0';
	flags = (unsigned short)ret->ifr_flags;
	if (!(flags & IFF_TAP))
		return err_set(err, -EINVAL, "descriptor %d, interface \"%s\", is no tap, but a tun", fd,
			       ret->ifr_name);
	if (!(flags & IFF_VNET_HDR) || !(flags & IFF_NO_PI))
		return err_set(err, -EINVAL,
			       "descriptor %d, interface \"%s\", was opened without IFF_VNET_HDR or without IFF_NO_PI",
			       fd, ret->ifr_name);
	return 0;
}

static int check_all(const int *fds, uint32_t count, char ret_name[static IFNAMSIZ], struct err *err)
{
	struct ifreq first = { .ifr_flags = 0 }, request;

	for (uint32_t i = 0; i < count; i++) {
		int r = check_given(fds[i], err);

		if (r == 0)
			r = check_tap(fds[i], &request, err);
		if (r < 0)
			return r;
		if (i == 0)
			first = request;
		if (strcmp(request.ifr_name, first.ifr_name) != 0)
			return err_set(err, -EINVAL, "descriptors %d and %d are of two interfaces, \"%s\" and \"%s\"",
				       fds[0], fds[i], first.ifr_name, request.ifr_name);
	}
	memcpy(ret_name, first.ifr_name, IFNAMSIZ);
	return 0;
}

int tap_take(const int *fds, uint32_t count, struct network *ret, struct err *err)
{
	char name[IFNAMSIZ];
	int r = check_all(fds, count, name, err);

	for (uint32_t i = 0; r == 0 && i < count; i++) {
		FD_AUTO int fd = fcntl(fds[i], F_DUPFD_CLOEXEC, FIRST_FREE);

		if (fd < 0)
			return err_sys(err, -errno, "descriptor %d", fds[i]);
		/* The interface is to go with the device, and no other device is to find it. */
		close(fds[i]);
		r = prepare(fd, name, err);
		if (r == 0)
			keep_fd(ret, &fd);
	}
	return r;
}
