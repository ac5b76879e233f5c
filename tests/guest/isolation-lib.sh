# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# For tests whose guest runs isolation.sh. Sourced after boot.sh and disks.sh.

make_isolation_initrd() {
	[[ -s $BP_BUILD/guest/tools.img ]] || fail "no tools: run tests/guest/mktools -o $BP_BUILD/guest/tools.img"
	"$BP_SRC/tests/guest/mkinitramfs" -o "$BP_TMP/base.img" --kernel "$("$BP_SRC/tests/guest/fetch-kernel" cloud)" \
		--module virtio_mmio --module virtio_blk --module virtio_rng \
		--file "$BP_SRC/tests/guest/isolation.sh:/isolation.sh" --file "$BP_SRC/tests/guest/report.sh:/report.sh"
	cat "$BP_TMP/base.img" "$BP_BUILD/guest/tools.img" >"$initrd"
}

# The device failed, once, and its driver could let it go. 0x4f: all that a driver says, and DEVICE_NEEDS_RESET.
needs_reset() { # NAME DEVICE ID
	expect "$1" "$2.status" 0x0000004f
	expect "$1" "$2.unbound" 1
	[[ $(grep -c "devices\\.$3: failed: " "$BP_TMP/$1.err") = 1 ]] || fail "$(cat "$BP_TMP/$1.err")"
}

others_work() { # NAME
	expect "$1" disk.bad 0
	expect "$1" disk.runs '[1-9][0-9]*'
	expect "$1" disk.status 0x0000000f
	expect "$1" healthy.bytes 64
	expect "$1" healthy.status 0x0000000f
}

# Neither the kernel nor the program complains, but for the failures.
quiet() { # NAME
	local found
	expect "$1" "done" 1
	found=$(unknown_warnings "$BP_TMP/$1.log")
	[[ -z $found ]] || fail "unexplained kernel messages: $found"
	found=$(complaints "$1" | grep -v ': failed: ' || true)
	[[ -z $found ]] || fail "backplane has complained: $found"
}
