#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# What this machine looks like from inside, for people: aligned "key: value" lines. The initramfs has it
# as /demo.sh; quickstart runs it by bp.script=/demo.sh when there is no terminal.
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
line uptime "$(cut -d ' ' -f 1 /proc/uptime) s"
