#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# Uses the virtio console and the ports of console.test from inside the guest. It prints facts as "guest.KEY=VALUE" lines and judges
# nothing; the test does. Run by bp.script=/console.sh; ends with the lines of report.sh.
# shellcheck shell=dash

say() { # KEY VALUE
	echo "guest.$1=$2"
}

port() { # NAME: its device
	local file
	for file in /sys/class/virtio-ports/*/name; do
		[ "$(cat "$file")" != "$1" ] || basename "$(dirname "$file")"
	done
}

# Ports and console are there when driver and device have agreed on them, which goes on behind the start.
tries=0
while ! { grep -q hvc0 /sys/class/tty/console/active && [ -n "$(port org.backplane.log)" ]; } && [ "$tries" -lt 500 ]; do
	usleep 20000
	tries=$((tries + 1))
done
# First of all: it is printed at once, on the serial port, too, in the middle of whatever still waits there.
echo "<1>bp: the kernel says this" >/dev/kmsg
say active "$(cat /sys/class/tty/console/active)"
say size "$(stty size </dev/hvc0)"
say names "$(cat /sys/class/virtio-ports/*/name | sort | tr '\n' ' ')"

# --- The console: a dialogue, and more than its queue can hold at a time. ---
exec 3<>/dev/hvc0
stty -echo -onlcr <&3
echo "guest: ready" >&3
read -r word <&3
echo "guest: you said $word" >&3
seq 1 20000 >&3

# --- A port, in both directions at a time. ---
dd if=/dev/urandom of=/run/random bs=1M count=1 2>/dev/null
say sent "$(sha256sum </run/random | cut -c 1-64)"
exec 4<>"/dev/$(port org.backplane.data)"
head -c 1048576 <&4 | sha256sum | cut -c 1-64 >/run/received &
cat /run/random >&4
wait
say received "$(cat /run/received)"
exec 4>&-

# --- One that only takes, and that has been left and taken up again. ---
log=$(port org.backplane.log)
echo "first" >"/dev/$log"
echo "second" >"/dev/$log"

# --- The driver goes and comes again: the ports are new, and work. ---
driver=/sys/bus/virtio/drivers/virtio_console
device=$(basename "$(readlink -f "/sys/class/virtio-ports/$log/device")")
exec 3>&-
echo "$device" >$driver/unbind && say gone "$(find /sys/class/virtio-ports/ -name 'vport*' | wc -l)"
echo "$device" >$driver/bind
tries=0
while [ -z "$(port org.backplane.log)" ] && [ "$tries" -lt 500 ]; do
	usleep 20000
	tries=$((tries + 1))
done
say names_again "$(cat /sys/class/virtio-ports/*/name | sort | tr '\n' ' ')"
echo "third" >"/dev/$(port org.backplane.log)"
sh /report.sh
