#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# What the bench's guests do with their disk; run by bp.script=/disk.sh. Around each of fio's jobs there is a line
# "bench.disk NAME begin" and one that says "end", for watch --spans; the disk is at rest when they are said, and some time after.
# The span "none" has nothing in it: what it counts is due to the lines themselves. Then come "bench.result NAME KEY=VALUE..." and
# at last bench.done.
# shellcheck shell=dash
# shellcheck source=disk-jobs.sh
. /disk-jobs.sh

interrupts() {
	awk '/virtio/ { for (i = 2; $i ~ /^[0-9]+$/; i++) sum += $i } END { print sum + 0 }' /proc/interrupts
}

span() { # NAME COMMAND...
	local name=$1 before
	shift
	before=$(interrupts)
	echo "bench.disk $name begin"
	sleep 0.5
	"$@" >/run/result 2>/run/errors
	echo "bench.disk $name end"
	sleep 0.5
	if [ -s /run/result ]; then
		echo "$(cat /run/result) interrupts=$(($(interrupts) - before))"
	else
		cat /run/errors
	fi
}

span none true
for job in rd01 rd32 sq08; do span "$job" disk_job "$job" /tools/fio /dev/vda; done
echo bench.done
