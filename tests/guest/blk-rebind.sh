#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# Takes the driver away from a disk while fio uses it, and gives it back, bp.rounds=N times, in the guest. It prints facts as "guest.KEY=VALUE" lines
# and judges nothing; the test does. Run by bp.script=/blk-rebind.sh; ends with the lines of report.sh.
# shellcheck shell=dash
driver=/sys/bus/virtio/drivers/virtio_blk

# fio as it is called here. Its messages go to /run/fio.err.
run_fio() { # DISK [OPTION]...
	local disk=$1
	shift
	/tools/fio --name=rebind --filename="/dev/$disk" --thread --ioengine=libaio --direct=1 --bsrange=512-32k --iodepth=16 --rw=randrw \
		--verify_state_save=0 --eta=never --minimal "$@" 2>/run/fio.err
}

# Requests that a disk has completed, and those that are on their way.
completed() { # DISK
	awk '{ print $1 + $5 }' "/sys/block/$1/stat"
}

in_flight() { # DISK
	awk '{ print $1 + $2 }' "/sys/block/$1/inflight"
}

rounds=$(sed 's/.*bp\.rounds=\([0-9]*\).*/\1/' /proc/cmdline)
round=0
interrupted=0
verified=0
while [ "$round" -lt "$rounds" ]; do
	disk=vda
	case $((round % 3)) in 1) disk=vdb ;; 2) disk=vdc ;; esac
	device=$(basename "$(readlink -f /sys/block/$disk/device)")

	# --- Unbound while requests are on their way. ---
	start=$(completed $disk)
	run_fio $disk --size=4M --numjobs=2 --time_based --runtime=600 --verify=crc32c --do_verify=0 >/run/fio &
	fio=$!
	while [ "$(completed $disk)" -lt $((start + 100)) ] && kill -0 $fio 2>/dev/null; do usleep 20000; done
	while [ "$(in_flight $disk)" = 0 ] && kill -0 $fio 2>/dev/null; do :; done
	kill -0 $fio 2>/dev/null && echo "$device" >$driver/unbind && interrupted=$((interrupted + 1))
	wait $fio
	# One line for each kind of error that fio has met.
	sed -n 's/^fio: .*io_u error on file [^:]*: \([^:]*\): \(read\|write\).*/guest.error=\2: \1/p' /run/fio.err >>/run/errors

	# --- Bound again: a disk that works. ---
	echo "$device" >$driver/bind
	run_fio $disk --size=256K --verify=crc32c --verify_fatal=1 >/run/fio && [ "$(awk -F ';' '/^3;/ { print $5 }' /run/fio)" = 0 ] &&
		verified=$((verified + 1))
	round=$((round + 1))
done
sort /run/errors | uniq -c | sed 's/^ *\([0-9]*\) \(.*\)/\2 (\1)/'
echo "guest.rounds=$round"
echo "guest.interrupted=$interrupted"
echo "guest.verified=$verified"
# But for the two lines that the driver has for each disk that it finds.
dmesg | sed 's/^\[ *[0-9.]*\] //' | grep -i virtio |
	grep -Ev '^virtio_blk virtio[0-9]+: (\[vd[a-c]\] [0-9]+ 512-byte logical blocks|2/0/0 default/read/poll queues)' | sed 's/^/guest.virtio=/'
dmesg | grep -c 'logical blocks' | sed 's/^/guest.probes=/'
sh /report.sh
