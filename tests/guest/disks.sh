# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# For tests that give a Linux guest disks: an initramfs with the tools of mktools, and a machine that runs one script.
# Sourced after tests/lib.sh and boot.sh.
initrd=$BP_TMP/initrd.img

# make_initrd SCRIPT...: with these scripts of this folder, and report.sh.
make_initrd() {
	local script files=()
	[[ -s $BP_BUILD/guest/tools.img ]] || fail "no tools: run tests/guest/mktools -o $BP_BUILD/guest/tools.img"
	for script in "$@" report.sh; do files+=(--file "$BP_SRC/tests/guest/$script:/$script"); done
	"$BP_SRC/tests/guest/mkinitramfs" -o "$BP_TMP/base.img" --kernel "$("$BP_SRC/tests/guest/fetch-kernel" cloud)" \
		--module virtio_mmio --module virtio_blk "${files[@]}"
	cat "$BP_TMP/base.img" "$BP_BUILD/guest/tools.img" >"$initrd"
}

# disk PATH [KEY=VALUE;]...: an entry for `devices`.
disk() {
	local path=$1
	shift
	echo ", { plugin = \"virtio-blk\"; path = \"$path\"; $* }"
}

# write_config NAME SCRIPT DEVICES [CMDLINE]: $BP_TMP/NAME.cfg.
write_config() {
	[[ -s $initrd ]] || skip_case "there is no initramfs"
	cat >"$BP_TMP/$1.cfg" <<-END
		machine = { vcpus = 2; memory = "256M"; };
		boot = {
			kernel = "$(kernel_image cloud pvh)";
			initrd = "$initrd";
			cmdline = "console=ttyS0 quiet bp.script=/$2 ${4-}";
		};
		devices = ( { plugin = "serial"; id = "console"; }$3 );
	END
}

# boot_disks NAME SECONDS: boots NAME.cfg; what the guest says is in NAME.log, what the program does in NAME.err, what it counts in NAME.metrics.
boot_disks() {
	local log=$BP_TMP/$1.log err=$BP_TMP/$1.err status=0
	with_timeout "$2" "$BP_BUILD/backplane" run --metrics "$BP_TMP/$1.metrics" "$BP_TMP/$1.cfg" </dev/null >"$log" 2>"$err" || status=$?
	cat "$log" "$err"
	[[ $status = 0 ]] || fail "exit status $status"
	[[ $(guest_value "done" "$log") = 1 ]] || fail "the guest's report is not complete"
}

# expect NAME KEY REGEX: what the guest of NAME says.
expect() {
	local log=$BP_TMP/$1.log found
	[[ -s $log ]] || skip_case "there is no guest to ask"
	found=$(guest_value "${2//./\\.}" "$log")
	[[ $found =~ ^($3)$ ]] || fail "$2 is '$found', expected: $3"
}

# metric NAME METRIC DEVICE: what a disk has counted.
metric() {
	sed -n "s/^backplane_virtio_blk_$2{.*device=\"$3\".*} //p" "$BP_TMP/$1.metrics"
}

# no_warnings NAME: neither of the guest's kernel nor of the program.
no_warnings() {
	local found
	expect "$1" "done" 1
	found=$(unknown_warnings "$BP_TMP/$1.log")
	[[ -z $found ]] || fail "unexplained kernel messages: $found"
	[[ ! -s $BP_TMP/$1.err ]] || fail "backplane has complained: $(cat "$BP_TMP/$1.err")"
}
