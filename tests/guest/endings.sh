#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# A guest that ends as it is told: it reads words from the console, after "guest.ready=1". It powers off when its power
# button is pressed, unless bp.deaf is on the kernel's command line. Events are those of tests/plugins/events.c in memory.
# Run by bp.script=/endings.sh.
event() { # NUMBER
	devmem 0xd2000004 32 "$1"
}

if ! grep -q bp.deaf /proc/cmdline; then
	(
		head -c 24 /dev/input/event0 >/dev/null
		echo "guest.button=1"
		poweroff -f
	) &
fi
# A raw record begins with <N>, N being 8 * facility + level; levels 0 to 4 are warning and worse.
dmesg -r | awk -F '[<>]' '/^<[0-9]+>/ && $2 % 8 <= 4 { sub(/^<[0-9]+>/, ""); print "guest.dmesg=" $0 }'
echo "guest.cpus=$(nproc)"
echo "guest.ready=1"
while read -r word; do
	case $word in
	poweroff) poweroff -f ;;
	reboot) reboot -f ;;
	panic) echo c >/proc/sysrq-trigger ;;
	tell-panic) event 1 ;;
	tell-crash-loaded) event 2 ;;
	tell-reset) event 3 ;;
	tell-poweroff) event 4 ;;
	mark) event 5 ;;
	esac
done
