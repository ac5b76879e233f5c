#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# Uses each of the virtio devices of virtio-many.test from inside the guest. It prints facts as "guest.KEY=VALUE" lines and judges nothing;
# the test does. Run by bp.script=/virtio-many.sh; ends with the lines of report.sh.
# shellcheck shell=dash
rng=/sys/class/misc/hw_random

say() { # KEY VALUE
	echo "guest.$1=$2"
}

bound() { # DRIVER
	find "/sys/bus/virtio/drivers/$1/" -name 'virtio*' -type l | wc -l
}

say nodes "$(find /sys/bus/acpi/devices/ -name 'LNRO0005:*' | wc -l)"
say rngs "$(bound virtio_rng)"
say disks "$(bound virtio_blk)"
say consoles "$(bound virtio_console)"

good=0
tr ' ' '\n' <$rng/rng_available | grep . >/run/rngs
while read -r name; do
	echo "$name" >$rng/rng_current
	[ "$(timeout 60 dd if=/dev/hwrng bs=64 count=1 iflag=fullblock 2>/dev/null | wc -c)" = 64 ] && good=$((good + 1))
done </run/rngs
say rngs.good "$good"

# All at once, so that interrupts that are shared come for several.
for disk in /sys/block/vd*; do
	{
		cat "$disk/serial"
		echo
	} | dd of="/dev/${disk##*/}" bs=512 conv=sync,fsync 2>/dev/null &
done
for tty in /sys/class/tty/hvc*; do
	[ -e "$tty/dev" ] && echo "this is ${tty##*/}" >"/dev/${tty##*/}" &
done
wait
good=0
for disk in /sys/block/vd*; do
	[ "$(dd if="/dev/${disk##*/}" bs=512 count=1 iflag=direct 2>/dev/null | head -n 1)" = "$(cat "$disk/serial")" ] && good=$((good + 1))
done
say disks.good "$good"
say lines "$(grep -c 'virtio' /proc/interrupts)"
say lines.shared "$(grep -c 'virtio.*, *virtio' /proc/interrupts)"
say lines.idle "$(awk '/virtio/ && $2 + $3 == 0' /proc/interrupts | wc -l)"
sh /report.sh
