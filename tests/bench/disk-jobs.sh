# shellcheck shell=dash
# SPDX-License-Identifier: BSD-3-Clause
#
# What fio does with a disk, in the bench's guests (disk.sh) as on the machine that they run on (rounds). Sourced by both; sets nothing.

# disk_job NAME FIO FILE: prints "bench.result NAME ios=N iops=N kibps=N".
#   rd01 rd32   random reads of 4 KiB, 1 and 32 at a time: K1
#   sq08        reads of 128 KiB one after the other, 8 at a time: K2
disk_job() {
	case $1 in
	rd01) set -- "$1" "$2" "$3" randread 4 1 ;;
	rd32) set -- "$1" "$2" "$3" randread 4 32 ;;
	sq08) set -- "$1" "$2" "$3" read 128 8 ;;
	esac
	# Fields 6, 7 and 8 of the third format: KiB, KiB a second, reads a second.
	"$2" --name="$1" --filename="$3" --readonly --rw="$4" --bs="$5k" --iodepth="$6" --size=128m --norandommap --direct=1 \
		--ioengine=libaio --thread --time_based --runtime=3 --output-format=terse --terse-version=3 |
		awk -F ';' -v name="$1" -v kib="$5" '/^3;/ {
			printf "bench.result %s ios=%d iops=%d kibps=%d\n", name, $6 / kib, $8, $7
		}'
}
