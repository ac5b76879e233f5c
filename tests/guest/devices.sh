#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# Drives a PC's devices from inside the guest for devices.test: the clock and its alarm, two boot timers, the panic devices. It
# prints facts as "guest.KEY=VALUE" lines and judges nothing; the test does. What comes at the end is told by test=WORD on the
# kernel's command line: reboot, panic, console (a word that is read there), or nothing (the lines of report.sh, and power off). Run by
# bp.script=/devices.sh.
# shellcheck shell=dash

rtc=/sys/class/rtc/rtc0
timer=$((0x560))
timer_mmio=0xd0300000

say() { # KEY VALUE
	echo "guest.$1=$2"
}

interrupts() { # of the clock
	awk -v cpus="$(nproc)" '$NF == "rtc0" { for (i = 2; i < 2 + cpus; i++) n += $i } END { print n + 0 }' /proc/interrupts
}

# The time in microseconds since backplane was started: eight bytes, the first of which holds it.
timer_us() {
	dd if=/dev/port bs=1 skip="$timer" count=8 2>/dev/null | hexdump -v -e '8/1 "%u " "\n"' |
		awk '{ for (i = 8; i; i--) us = us * 256 + $i; printf "%.0f\n", us }'
}

mark() { # BYTE
	printf "%b" "\\0$1" | dd of=/dev/port bs=1 seek="$timer" conv=notrunc 2>/dev/null
}

clock() {
	say rtc.name "$(cat $rtc/name)"
	say rtc.line "$(sed -n 's/.* \([0-9]*\)-edge  *rtc0$/\1/p' /proc/interrupts)"
	say rtc.seconds "$(cat $rtc/since_epoch)"
	say rtc.hctosys "$(cat $rtc/hctosys)"
	say system.seconds "$(date +%s)"
	say hwclock "$(hwclock -r -u)"
	say hwclock.epoch "$(cat $rtc/since_epoch)"
	# The alarm, by the file that a program would wait at.
	say alarm.before "$(interrupts)"
	exec 3</dev/rtc0
	now=$(cat $rtc/since_epoch)
	echo +2 >$rtc/wakealarm
	say alarm.pending "$(($(cat $rtc/wakealarm) - now))"
	dd bs=8 count=1 <&3 2>/dev/null | hexdump -v -e '8/1 "%u " "\n"' >/run/alarm
	say alarm.read "$(cat /run/alarm)"
	exec 3<&-
	say alarm.after "$(($(cat $rtc/since_epoch) - now))"
	say alarm.interrupts "$(interrupts)"
	say alarm.left "$(cat $rtc/wakealarm)"
	# Another time.
	date -u -s "2031-05-06 07:08:09" >/dev/null
	hwclock -w -u
	say set.seconds "$(cat $rtc/since_epoch)"
	say set.hwclock "$(hwclock -r -u)"
}

timers() {
	say mark.before "$(timer_us)"
	mark 1
	say mark.between "$(timer_us)"
	mark 2
	say mark.after "$(timer_us)"
	say mmio.us "$(($(devmem $timer_mmio 64)))"
	devmem $timer_mmio 32 3000000000
	say mmio.after "$(timer_us)"
}

panics() {
	for node in /sys/bus/platform/drivers/pvpanic-mmio/QEMU0001:*; do
		name=$(cat "$node/firmware_node/description")
		say "$name.capability" "$(cat "$node/capability")"
	done
}

if [ -e /dev/rtc0 ] && ! grep -q test= /proc/cmdline; then
	clock
	timers
	panics
	say keyboard "$(dmesg | sed -n 's/^\[ *[0-9.]*\] serio: i8042 KBD port at \(.*\)/\1/p')"
	say keyboard.line "$(sed -n 's/.* \([0-9]*\)-edge  *i8042$/\1/p' /proc/interrupts)"
	say mouse "$(dmesg | grep -c 'i8042 AUX port')"
	sh /report.sh
fi

year() {
	say year "$(date -u -d "@$(cat $rtc/since_epoch)" +%Y)"
}

word=$(sed -n 's/.*test=\([a-z]*\).*/\1/p' /proc/cmdline)
if [ "$word" = console ]; then
	year
	date -u -s "2031-05-06 07:08:09" >/dev/null
	hwclock -w -u
	year
	say ready 1
	read -r word
fi
case $word in
reboot) reboot -f ;;
panic) echo c >/proc/sysrq-trigger ;;
esac
