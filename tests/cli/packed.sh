# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# bzImages made by hand, for tests of boot.unpack. Sourced after tests/lib.sh. Offsets are those of the Linux x86 boot protocol.

put() { # FILE OFFSET BYTES VALUE: a little-endian number
	local i octets=''
	for ((i = 0; i < $3; i++)); do octets+=$(printf '\\x%02x' $(( $4 >> 8 * i & 255 ))); done
	printf '%b' "$octets" | dd of="$1" bs=1 seek=$(($2)) conv=notrunc status=none
}

# Packs an ELF file: the payload begins at byte 1600, after a setup sector and 576 bytes of code.
pack() { # lz4|xz|zstd|gzip ELF OUT
	local bytes size
	bytes=$(stat -L -c %s "$2")
	truncate -s 0 "$3"
	truncate -s 1600 "$3"
	case $1 in
	lz4) lz4 -l -1 -c -q "$2" ;;
	xz) xz --check=crc32 -1 -c "$2" ;;
	zstd) zstd -1 -c -q "$2" ;;
	gzip) gzip -1 -n -c "$2" ;;
	esac >>"$3"
	size=$(( $(stat -c %s "$3") - 1600 ))
	if [[ $1 != gzip ]]; then
		put "$3" $((1600 + size)) 4 "$bytes"
		size=$((size + 4))
	fi
	truncate -s %16 "$3"
	put "$3" 0x1f1 1 1
	put "$3" 0x1f4 4 $(( ($(stat -c %s "$3") - 1024) / 16 ))
	put "$3" 0x1fe 2 0xaa55
	put "$3" 0x200 2 0x6aeb
	put "$3" 0x202 4 0x53726448
	put "$3" 0x206 2 0x020f
	put "$3" 0x211 1 1
	put "$3" 0x22c 4 0x7fffffff
	put "$3" 0x230 4 0x200000
	put "$3" 0x234 1 1
	put "$3" 0x236 2 1
	put "$3" 0x238 4 2047
	put "$3" 0x248 4 576
	put "$3" 0x24c 4 "$size"
	put "$3" 0x258 4 0x200000
	put "$3" 0x260 4 $((bytes + 65536))
}
