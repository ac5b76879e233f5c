#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# Has fio write to each disk of blk-fio.test and verify what it has written, in the guest. It prints facts as "guest.KEY=VALUE" lines and
# judges nothing; the test does. Run by bp.script=/blk-fio.sh; ends with the lines of report.sh.
# shellcheck shell=dash

# Two jobs, one on each CPU, each in a part of the disk of its own: random writes and reads, then all that was written is read again
# and compared with its checksum.
run() { # DISK DEPTH SIZE BLOCKS
	/tools/fio --name="$1" --filename="/dev/$1" --thread --ioengine=libaio --direct=1 --iodepth="$2" --rw=randrw --rwmixread=40 \
		--size="$3" "$4" --numjobs=2 --offset_increment=8M --cpus_allowed=0-1 --cpus_allowed_policy=split --verify=crc32c \
		--verify_fatal=1 --verify_state_save=0 --randrepeat=0 --eta=never --group_reporting --minimal >/run/fio 2>/run/fio.err
	echo "guest.$1.depth$2.status=$?"
	# Fields of version 3 of the format: 5 the error, 6 and 47 KiB read and written.
	awk -F ';' -v key="guest.$1.depth$2" '/^3;/ { print key ".error=" $5; print key ".kib=" $6 " " $47 }' /run/fio
	sed "s/^/fio: /" /run/fio.err
}

for disk in vda vdb vdc vdd vde vdf; do
	run $disk 1 512K --bs=4k
	run $disk 32 2M --bsrange=512-64k
	echo "guest.$disk.queues=$(find /sys/block/$disk/mq -mindepth 1 -maxdepth 1 | wc -l)"
done
sh /report.sh
