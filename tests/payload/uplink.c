/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Runs a command in a network namespace of its own, with a way out as passt wants to see it (uplink.h):
 *
 *   uplink [--taps N] COMMAND [ARGUMENT]...
 *
 * With --taps the command is started with N descriptors more, from number 3 on: queues of a tap called "given".
 * Exit status: the command's; 77 with a line on standard error if there can be no such namespace here.
 */
#include "tests/payload/uplink.h"

#include <stdlib.h>

static int give_taps(int count)
{
	const int flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | (count > 1 ? IFF_MULTI_QUEUE : 0);
	struct ifreq request = { .ifr_name = "given", .ifr_flags = (short)flags };

	for (int i = 0; i < count; i++) {
		int fd = open("/dev/net/tun", O_RDWR);

		if (fd < 0 || dup2(fd, 3 + i) < 0 || ioctl(3 + i, TUNSETIFF, &request) < 0)
			return -1;
		if (fd != 3 + i)
			close(fd);
	}
	return 0;
}

int main(int argc, char **argv)
{
	int taps = argc > 3 && !strcmp(argv[1], "--taps") ? atoi(argv[2]) : 0;
	char **command = taps ? argv + 3 : argv + 1;

	if (!command[0] || taps < 0 || taps > 16) {
		fputs("usage: uplink [--taps N] COMMAND [ARGUMENT]...\n", stderr);
		return 124;
	}
	if (uplink_unshare() < 0 || uplink_make() < 0 || give_taps(taps) < 0) {
		fprintf(stderr, "no network namespace with such interfaces: %s\n", strerror(errno));
		return 77;
	}
	execvp(command[0], command);
	perror(command[0]);
	return 124;
}
