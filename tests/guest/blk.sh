#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# Uses the disks of blk.test from inside the guest. It prints facts as "guest.KEY=VALUE" lines and judges nothing; the
# test does. Run by bp.script=/blk.sh; ends with the lines of report.sh.
# shellcheck shell=dash
# Busybox has a blkdiscard of its own, which it would take, and which cannot zero.
blkdiscard=/tools/blkdiscard

say() { # KEY VALUE
	echo "guest.$1=$2"
}

attribute() { # DISK PATH
	cat "/sys/block/$1/$2"
}

zero_blocks() { # DISK MIB COUNT: how many of COUNT MiB from there are nothing but zeroes
	local i=0 zero=0
	while [ "$i" -lt "$3" ]; do
		dd if="/dev/$1" bs=1M skip=$(($2 + i)) count=1 iflag=direct 2>/dev/null | cmp -s - /run/zeroes && zero=$((zero + 1))
		i=$((i + 1))
	done
	echo "$zero"
}

dd if=/dev/zero of=/run/zeroes bs=1M count=1 2>/dev/null
dd if=/dev/urandom of=/run/random bs=1M count=4 2>/dev/null

say disks "$(cd /sys/block && echo vd*)"
for disk in vda vdb vdc vdd vde vdf; do
	[ -e /sys/block/$disk ] || continue
	say $disk.sectors "$(attribute $disk size)"
	say $disk.readonly "$(attribute $disk ro)"
	say $disk.serial "$(attribute $disk serial)"
	say $disk.logical "$(attribute $disk queue/logical_block_size)"
	say $disk.physical "$(attribute $disk queue/physical_block_size)"
	say $disk.minimum "$(attribute $disk queue/minimum_io_size)"
	say $disk.discard "$(attribute $disk queue/discard_max_bytes)"
	say $disk.zeroes "$(attribute $disk queue/write_zeroes_max_bytes)"
	say $disk.cache "$(attribute $disk cache_type)"
	say $disk.queues "$(find /sys/block/$disk/mq -mindepth 1 -maxdepth 1 | wc -l)"
done
say features "$(cat /sys/block/vda/device/features)"

# --- Data: there and back, past the guest's page cache, in sizes from a sector to more than one request can hold. ---
say random "$(sha256sum </run/random | cut -c 1-64)"
dd if=/run/random of=/dev/vda bs=4M seek=1 oflag=direct 2>/dev/null && say vda.written 1
say vda.read "$(dd if=/dev/vda bs=512 skip=8192 count=8192 iflag=direct 2>/dev/null | sha256sum | cut -c 1-64)"
dd if=/run/random of=/dev/vdc bs=4096 count=64 oflag=direct 2>/dev/null && say vdc.written 1
say vdc.read "$(dd if=/dev/vdc bs=256K count=1 iflag=direct 2>/dev/null | cmp -n 262144 - /run/random && echo same)"

# --- The one that is for reading. ---
say vdb.read "$(dd if=/dev/vdb bs=64K count=1 iflag=direct 2>/dev/null | sha256sum | cut -c 1-64)"
dd if=/run/random of=/dev/vdb bs=4096 count=1 conv=fsync 2>/dev/null || say vdb.write refused
$blkdiscard /dev/vdb 2>/dev/null || say vdb.discarding refused

# --- Discarding and zeroing: MiB 20 to 27 are written, 22 and 23 discarded, 25 zeroed. ---
dd if=/run/random of=/dev/vda bs=4M seek=5 oflag=direct 2>/dev/null
dd if=/run/random of=/dev/vda bs=4M seek=6 oflag=direct 2>/dev/null
say vda.zero_before "$(zero_blocks vda 20 8)"
$blkdiscard -o 22M -l 2M /dev/vda && say vda.discarded 1
say vda.zero_discarded "$(zero_blocks vda 22 2)"
$blkdiscard -z -o 25M -l 1M /dev/vda && say vda.zeroed 1
say vda.zero_zeroed "$(zero_blocks vda 25 1)"
say vda.zero_after "$(zero_blocks vda 20 8)"

# --- Flushes: so many of each disk. ---
for disk in vdd vde vdf; do
	i=0
	while [ "$i" -lt 5 ]; do
		dd if=/run/random of=/dev/$disk bs=4096 seek=$i count=1 conv=fsync 2>/dev/null && i=$((i + 1))
	done
done
# Not quite the same: what writes back can be told to write through.
echo "write through" >/sys/block/vda/cache_type
say vda.cache_through "$(attribute vda cache_type)"
echo "write back" >/sys/block/vda/cache_type
say vda.cache_back "$(attribute vda cache_type)"

# --- A file system. ---
/tools/mkfs.ext4 -q /dev/vda && say ext4.made 1
mount -t ext4 /dev/vda /mnt && say ext4.mounted 1
cp /run/random /mnt/kept
mkdir /mnt/many
i=0
while [ "$i" -lt 200 ]; do
	echo "file $i" >"/mnt/many/$i"
	i=$((i + 1))
done
for i in 1 2 3; do cp /run/random "/mnt/gone$i"; done
sync
say ext4.used "$(dd if=/dev/vda bs=1M iflag=direct 2>/dev/null | wc -c)"
rm /mnt/gone*
sync
fstrim -v /mnt >/run/fstrim && say ext4.trimmed "$(sed 's/.*: \([0-9]*\).*/\1/' /run/fstrim)"
umount /mnt && say ext4.unmounted 1
mount -t ext4 /dev/vda /mnt
say ext4.kept "$(sha256sum </mnt/kept | cut -c 1-64)"
say ext4.files "$(cat /mnt/many/* | sort -u | wc -l)"
umount /mnt
/tools/e2fsck -fn /dev/vda >/run/fsck 2>&1 && say ext4.clean 1
sed 's/^/fsck: /' /run/fsck

say vda.status "$(cat /sys/block/vda/device/status)"
sh /report.sh
