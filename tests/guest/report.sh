#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# What this machine looks like from inside, for tests: "guest.KEY=VALUE" lines, the kernel's warnings and
# worse as "guest.dmesg=" lines, and guest.done=1 at the very end. Run by bp.script=/report.sh.
echo "guest.kernel=$(uname -r)"
echo "guest.cpus=$(nproc)"
echo "guest.memtotal_kib=$(awk '/^MemTotal/ { print $2 }' /proc/meminfo)"
echo "guest.cmdline=$(cat /proc/cmdline)"
echo "guest.clocksource=$(cat /sys/devices/system/clocksource/clocksource0/current_clocksource)"
# A raw record begins with <N>, N being 8 * facility + level; levels 0 to 4 are warning and worse.
dmesg -r | awk -F '[<>]' '/^<[0-9]+>/ && $2 % 8 <= 4 { sub(/^<[0-9]+>/, ""); print "guest.dmesg=" $0 }'
echo "guest.done=1"
