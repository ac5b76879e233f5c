#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# Has fio write to a disk and verify what it has written, again and again, while one entropy device after the other fails: virtio0 is healthy, the
# others, virtio1 and on, are not, the last of them being the disk. It prints facts as "guest.KEY=VALUE" lines and judges
# nothing; the test does. Run by bp.script=/isolation.sh; ends with the lines of report.sh.
# shellcheck shell=dash

rng=/sys/class/misc/hw_random
driver=/sys/bus/virtio/drivers/virtio_rng

say() { # KEY VALUE
	echo "guest.$1=$2"
}

write_and_verify() {
	/tools/fio --name=vda --filename=/dev/vda --thread --ioengine=libaio --direct=1 --iodepth=16 --rw=randrw --rwmixread=40 \
		--size=2M --bsrange=512-64k --numjobs=2 --offset_increment=8M --verify=crc32c --verify_fatal=1 --verify_state_save=0 \
		--randrepeat=0 --eta=never --group_reporting --minimal >/run/fio 2>/run/fio.err
}

disk() {
	runs=0
	bad=0
	: >/run/begun
	while [ ! -e /run/over ]; do
		write_and_verify || { bad=$((bad + 1)); sed "s/^/fio: /" /run/fio.err; }
		runs=$((runs + 1))
	done
	# One that began when all had failed.
	write_and_verify || bad=$((bad + 1))
	say disk.runs "$runs"
	say disk.bad "$bad"
}

needs_reset() { # DEVICE
	[ $(($(cat "/sys/bus/virtio/devices/$1/status") & 64)) != 0 ]
}

# By the name that it has among the generators. A read of one that has failed never ends, and nor would those of others behind it.
use_until_it_fails() { # DEVICE
	reads=0
	for name in $(cat $rng/rng_available); do
		[ "virtio_rng.${1#virtio}" != "$name" ] || echo "$name" >$rng/rng_current
	done
	while ! needs_reset "$1" && [ "$reads" -lt 300 ]; do
		timeout 1 dd if=/dev/hwrng of=/run/random bs=64 count=1 iflag=fullblock 2>/dev/null || true
		reads=$((reads + 1))
	done
	say "$1.reads" "$reads"
	say "$1.status" "$(cat "/sys/bus/virtio/devices/$1/status")"
	echo "$1" >$driver/unbind
	say "$1.unbound" "$([ -e "$driver/$1" ] || echo 1)"
}

disk &
while [ ! -e /run/begun ]; do usleep 10000; done
for path in "$driver"/virtio*; do
	device=${path##*/}
	[ "$device" = virtio0 ] || use_until_it_fails "$device"
done
: >/run/over
wait
echo virtio_rng.0 >$rng/rng_current
timeout 60 dd if=/dev/hwrng of=/run/random bs=64 count=1 iflag=fullblock 2>/dev/null
say healthy.bytes "$(wc -c </run/random)"
say healthy.status "$(cat /sys/bus/virtio/devices/virtio0/status)"
say disk.status "$(cat "$(readlink -f /sys/block/vda/device)/status")"
sh /report.sh
