#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# Uses every virtio entropy device of virtio-rng.test from inside the guest. It prints facts as "guest.KEY=VALUE"
# lines and judges nothing; the test does. Run by bp.script=/virtio-rng.sh; ends with the lines of report.sh.
# shellcheck shell=dash

rng=/sys/class/misc/hw_random
driver=/sys/bus/virtio/drivers/virtio_rng

say() { # KEY VALUE
	echo "guest.$1=$2"
}

# As a hash; the bytes themselves are in /run/random.
random() { # BYTES
	timeout 60 dd if=/dev/hwrng of=/run/random bs="$1" count=1 iflag=fullblock 2>/dev/null
	md5sum </run/random | cut -c 1-32
}

# Whether the device gives as many bytes as one asks for.
gives() { # BYTES
	random "$1" >/dev/null
	[ "$(wc -c </run/random)" = "$1" ]
}

# One of several lives: says that the device works, and does what it is told.
if grep -q 'bp\.lives' /proc/cmdline; then
	gives 64 && echo "guest.life=1"
	read -r word
	[ "$word" != reboot ] || reboot -f
	exit
fi

say nodes "$(find /sys/bus/acpi/devices/ -name 'LNRO0005:*' | wc -l)"
say devices "$(find $driver/ -name 'virtio*' -type l | wc -l)"
say current "$(cat $rng/rng_current)"
say features "$(cat /sys/bus/virtio/devices/virtio0/features)"
say lines "$(grep -c 'virtio' /proc/interrupts)"
say first "$(random 64)"
say second "$(random 64)"
gives 100000 && say large 100000

# Each device gives something, by name.
good=0
# shellcheck disable=SC2013 # words are what is meant
for name in $(cat $rng/rng_available); do
	echo "$name" >$rng/rng_current
	[ "$(cat $rng/rng_current)" = "$name" ] || continue
	gives 64 && good=$((good + 1))
done
say good "$good"

# The driver goes and comes again, with a request of the kernel's own under way or not.
rounds=0
while [ "$rounds" -lt 20 ]; do
	echo virtio0 >$driver/unbind || break
	echo virtio0 >$driver/bind || break
	gives 64 || break
	rounds=$((rounds + 1))
done
say rebinds "$rounds"
say status "$(cat /sys/bus/virtio/devices/virtio0/status)"
sh /report.sh
