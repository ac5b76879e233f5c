#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# Makes the demo's devices ready for use: a file system on the disk, mounted, an address for the network, a shell on vsock port 23. The
# initramfs has it as /setup.sh; init runs it before all else.
# shellcheck shell=dash

if [ -b /dev/vda ]; then
	# The magic number of ext2.
	[ "$(dd if=/dev/vda bs=1 skip=1080 count=2 2>/dev/null | xxd -p)" = 53ef ] || mke2fs /dev/vda >/dev/null 2>&1
	mount -t ext2 /dev/vda /mnt
fi

cat >/run/lease <<-'END'
	#!/bin/sh
	[ "$1" = bound ] || exit 0
	ip addr add "$ip/$mask" dev "$interface"
	[ -z "$router" ] || ip route add default via "${router%% *}"
	for server in $dns; do echo "nameserver $server"; done >/etc/resolv.conf
END
chmod +x /run/lease
if [ -e /sys/class/net/eth0 ]; then
	ip link set dev lo up
	ip link set dev eth0 up
	[ "$(cat /sys/class/net/eth0/carrier)" = 0 ] || udhcpc -i eth0 -n -q -t 5 -T 1 -s /run/lease >/dev/null 2>&1
fi

[ ! -e /dev/vsock ] || vsock-serve 23 sh -i &
