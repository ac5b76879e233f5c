#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# Runs into the failing disks of blk-errors.test from inside the guest. It prints facts as "guest.KEY=VALUE" lines and
# judges nothing; the test does. Run by bp.script=/blk-errors.sh; ends with the lines of report.sh.
# shellcheck shell=dash

say() { # KEY VALUE
	echo "guest.$1=$2"
}

# One block there and back, past the guest's page cache: "ok", or "error" with what failed.
writes() { # DISK BLOCK
	dd if=/run/random of="/dev/$1" bs=4096 seek="$2" count=1 oflag=direct conv=notrunc 2>/run/dd && echo ok && return
	echo "error: $(sed -n 's/^dd: [^:]*: //p' /run/dd)"
}

reads() { # DISK BLOCK
	dd if="/dev/$1" of=/run/read bs=4096 skip="$2" count=1 iflag=direct 2>/run/dd && echo ok && return
	echo "error: $(sed -n 's/^dd: [^:]*: //p' /run/dd)"
}

reads_same() { # DISK BLOCK
	reads "$1" "$2" >/dev/null
	cmp -s /run/read /run/random && echo ok
}

seconds() {
	cut -d . -f 1 /proc/uptime
}

dd if=/dev/urandom of=/run/random bs=4096 count=1 2>/dev/null
for disk in vdb vdc vdd vde; do say "$disk.before" "$(writes $disk 0) $(writes $disk 1000)"; done
# The test makes the disks fail now.
say ready 1
read -r _

# --- A file system that is full after 1 MiB. ---
block=0
while [ "$block" -lt 1000 ] && [ "$(writes vda $block)" = ok ]; do block=$((block + 1)); done
say full.blocks "$block"
say full.write "$(writes vda "$block")"
say full.read "$(reads_same vda 0) $(reads_same vda $((block - 1)))"
say full.rewrite "$(writes vda 0)"

# --- Bad sectors 4096 to 4103, which are block 512. ---
say bad.read "$(reads vdb 512)"
say bad.write "$(writes vdb 512)"
say bad.others "$(reads vdb 511) $(reads vdb 513) $(writes vdb 511) $(reads_same vdb 0)"
again=0
while [ "$again" -lt 40 ] && [ "$(reads vdb 512)" != ok ]; do again=$((again + 1)); done
say bad.again "$again"

# --- A disk that the host has made read-only. ---
say ro.write "$(writes vdc 1000)"
say ro.read "$(reads_same vdc 0) $(reads_same vdc 1000)"

# --- A file that the host has cut short after 1 MiB. ---
say short.read "$(reads vdd 1000)"
say short.others "$(reads_same vdd 0) $(writes vdd 255) $(reads_same vdd 255)"

# --- A disk that takes 5 s for a block; the others go on meanwhile. ---
start=$(seconds)
writes vde 1000 >/run/slow &
slow=$!
others=0
while [ "$others" -lt 20 ] && [ "$(reads_same vdb 0)" = ok ]; do others=$((others + 1)); done
kill -0 "$slow" && say slow.others "$others"
wait "$slow"
say slow.write "$(cat /run/slow)"
say slow.seconds "$(($(seconds) - start))"
say slow.read "$(reads_same vde 1000)"
sh /report.sh
