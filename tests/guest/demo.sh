#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# What this machine looks like from inside, for people: aligned "key: value" lines, and that its disk, its network and its entropy work.
# The initramfs has it as /demo.sh; bp.script=/demo.sh runs it. With bp.visit it then serves a page and waits for the visitor from outside
# (demo-script), who leaves /run/visited.
line() {
	printf '%-10s %s\n' "$1:" "$2"
}

line kernel "$(uname -sr)"
line cpus "$(nproc) online"
line memory "$(awk '/^MemTotal/ { printf "%d MiB", $2 / 1024 }' /proc/meminfo)"
line clock "$(cat /sys/devices/system/clocksource/clocksource0/current_clocksource)"
for device in /sys/bus/acpi/devices/*; do
	[ -r "$device/hid" ] || continue
	read -r hid <"$device/hid"
	case $hid in
	LNXSYSTM | LNXSYBUS | LNXCPU | ACPI0007) continue ;;
	esac
	node=
	[ ! -e "$device/physical_node" ] || node=" as $(basename "$(readlink "$device/physical_node")")"
	line acpi "$hid (${device##*/})$node"
done
grep -v 'uart:unknown' /proc/tty/driver/serial 2>/dev/null | grep '^[0-9]' | while read -r port facts; do
	line serial "ttyS${port%:} $facts"
done
for device in /sys/bus/virtio/devices/*; do
	[ -r "$device/device" ] || continue
	driver=none
	[ ! -e "$device/driver" ] || driver=$(basename "$(readlink "$device/driver")")
	read -r id <"$device/device"
	line virtio "${device##*/} type $((id)), driver $driver"
done
if grep -q '^/dev/vda /mnt ' /proc/mounts; then
	dd if=/dev/urandom of=/run/random bs=64k count=16 2>/dev/null
	cp /run/random /mnt/random && umount /mnt && mount -t ext2 /dev/vda /mnt && cmp /run/random /mnt/random &&
		line disk "vda, $(($(cat /sys/block/vda/size) / 2048)) MiB: 1 MiB was written and read back"
fi
if [ -e /sys/class/net/eth0 ]; then
	address=$(ip -4 addr show dev eth0 | awk '$1 == "inet" { print $2 }')
	line network "eth0 $(cat /sys/class/net/eth0/address), ${address:-no address}$(ip route | awk '$1 == "default" { print ", router " $3 }')"
fi
if [ -c /dev/hwrng ]; then
	line entropy "$(dd if=/dev/hwrng bs=16 count=1 2>/dev/null | xxd -p) from $(cat /sys/class/misc/hw_random/rng_current)"
fi
case " $(cat /proc/cmdline) " in
*" bp.visit "*)
	mkdir /run/www
	echo "a page of Linux $(uname -r)" >/run/www/index.html
	httpd -p 80 -h /run/www
	line visitor "is waited for"
	tries=0
	while [ ! -e /run/visited ] && [ $tries -lt 600 ]; do
		usleep 50000
		tries=$((tries + 1))
	done ;;
esac
line uptime "$(cut -d ' ' -f 1 /proc/uptime) s"
