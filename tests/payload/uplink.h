/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A network namespace for this process, in which there is the way out that passt wants to see: an interface with an address and a
 * default route, that leads nowhere. Single-threaded programs.
 */
#ifndef TESTS_PAYLOAD_UPLINK_H
#define TESTS_PAYLOAD_UPLINK_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/route.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define UPLINK_NAME    "uplink"
#define UPLINK_ADDRESS "10.1.2.3"
#define UPLINK_GATEWAY "10.1.2.1"

static inline int uplink_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t put = fd < 0 ? -1 : write(fd, text, strlen(text));

	if (fd >= 0)
		close(fd);
	return put == (ssize_t)strlen(text) ? 0 : -1;
}

/* Another namespace; for who is not root also one of users, in which nobody else is, and this user is who he was. 0 or -1, errno. */
static inline int uplink_unshare(void)
{
	char map[64];
	uid_t uid = geteuid();
	gid_t gid = getegid();

	if (unshare(CLONE_NEWNET) == 0)
		return 0;
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
		return -1;
	snprintf(map, sizeof(map), "%u %u 1", uid, uid);
	if (uplink_write("/proc/self/uid_map", map) < 0 || uplink_write("/proc/self/setgroups", "deny") < 0)
		return -1;
	snprintf(map, sizeof(map), "%u %u 1", gid, gid);
	return uplink_write("/proc/self/gid_map", map);
}

static inline struct sockaddr uplink_address(const char *text)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	struct sockaddr ret;

	inet_pton(AF_INET, text, &address.sin_addr);
	memcpy(&ret, &address, sizeof(ret));
	return ret;
}

static inline int uplink_up(int fd, const char *name)
{
	struct ifreq request = { .ifr_flags = IFF_UP | IFF_RUNNING };

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	return ioctl(fd, SIOCSIFFLAGS, &request);
}

/* A tap that stays. */
static inline int uplink_tap(void)
{
	struct ifreq request = { .ifr_name = UPLINK_NAME, .ifr_flags = IFF_TAP | IFF_NO_PI };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC), r = -1;

	if (fd >= 0 && ioctl(fd, TUNSETIFF, &request) == 0)
		r = ioctl(fd, TUNSETPERSIST, 1UL);
	if (fd >= 0)
		close(fd);
	return r;
}

/* One end of a pair, which needs no device file. */
static inline int uplink_veth(void)
{
	struct {
		struct nlmsghdr head;
		struct ifinfomsg link;
		struct rtattr name_head;
		char name[8];
		struct rtattr info_head, kind_head;
		char kind[8];
	} request = {
		.head = { .nlmsg_len = sizeof(request),
			  .nlmsg_type = RTM_NEWLINK,
			  .nlmsg_flags = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK },
		.name_head = { .rta_len = sizeof(struct rtattr) + 8, .rta_type = IFLA_IFNAME },
		.name = UPLINK_NAME,
		.info_head = { .rta_len = 2 * sizeof(struct rtattr) + 8, .rta_type = IFLA_LINKINFO },
		.kind_head = { .rta_len = sizeof(struct rtattr) + sizeof("veth"), .rta_type = IFLA_INFO_KIND },
		.kind = "veth",
	};
	struct {
		struct nlmsghdr head;
		struct nlmsgerr error;
		char more[256];
	} answer;
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE), r = -1;

	if (fd >= 0 && send(fd, &request, sizeof(request), 0) == (ssize_t)sizeof(request) &&
	    recv(fd, &answer, sizeof(answer), 0) > 0 && answer.head.nlmsg_type == NLMSG_ERROR) {
		errno = -answer.error.error;
		r = answer.error.error ? -1 : 0;
	}
	if (fd >= 0)
		close(fd);
	return r;
}

/* Nobody is behind it. 0 or -1, errno. */
static inline int uplink_make(void)
{
	struct ifreq request = { .ifr_name = UPLINK_NAME };
	struct rtentry route = { .rt_flags = RTF_UP | RTF_GATEWAY };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), r = -1;

	if (fd < 0 || (uplink_veth() < 0 && uplink_tap() < 0))
		goto out;
	request.ifr_addr = uplink_address(UPLINK_ADDRESS);
	if (ioctl(fd, SIOCSIFADDR, &request) < 0)
		goto out;
	request.ifr_netmask = uplink_address("255.255.255.0");
	if (ioctl(fd, SIOCSIFNETMASK, &request) < 0 || uplink_up(fd, UPLINK_NAME) < 0 || uplink_up(fd, "lo") < 0)
		goto out;
	route.rt_gateway = uplink_address(UPLINK_GATEWAY);
	route.rt_dst = uplink_address("0.0.0.0");
	route.rt_genmask = uplink_address("0.0.0.0");
	r = ioctl(fd, SIOCADDRT, &route);
out:
	if (fd >= 0)
		close(fd);
	return r;
}

#endif
