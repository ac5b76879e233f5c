# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# For tests that boot Debian's kernels: boots one with the serial console alone and checks what it says of itself.
# Sourced after tests/lib.sh.

# kernel_image FLAVOUR FORMAT: the file to boot. Formats: bzimage, unpacked (the same, by
# boot.unpack), pvh (ELF with the note), elf64 (ELF without it).
kernel_image() {
	local dir
	dir=$("$BP_SRC/tests/guest/fetch-kernel" "$1")
	case $2 in
	bzimage | unpacked) echo "$dir/vmlinuz" ;;
	pvh) echo "$dir/vmlinux" ;;
	elf64)
		"$BP_BUILD/tests/guest/strip-pvh" "$dir/vmlinux" "$BP_TMP/$1-elf64"
		echo "$BP_TMP/$1-elf64" ;;
	esac
}

guest_value() { # KEY FILE
	sed -n "s/^guest\\.$1=//p" "$2" | tr -d '\r' | head -n 1
}

# Warnings of the guest's kernel that dmesg.known does not explain.
unknown_warnings() { # FILE
	sed -n 's/^guest\.dmesg=\[ *[0-9.]*\] //p' "$1" | tr -d '\r' |
		grep -Evf <(grep -Ev '^(#|$)' "$BP_SRC/tests/guest/dmesg.known") || true
}

# boot_case FLAVOUR FORMAT VCPUS MEMORY: powers off with status 0 after it has seen all CPUs and all memory, with no
# unexplained warning. BOOT_CACHE is the cache for unpacked kernels, if it is set, and BOOT_LOG the log level. The kernel keeps some memory for itself: 12 % and 48 MiB are more than any of ours takes.
boot_case() {
	local flavour=$1 format=$2 vcpus=$3 memory=$4 kernel log mib seen cpus warnings config boot='' status=0
	kernel=$(kernel_image "$flavour" "$format")
	log=$BP_TMP/$flavour-$format-$vcpus-$memory.log
	config=${log%.log}.cfg
	[[ $format != unpacked ]] || boot='unpack = true;'
	cat >"$config" <<-END
		machine = { vcpus = $vcpus; memory = "$memory"; };
		boot = {
			kernel = "$kernel"; $boot
			initrd = "$BP_BUILD/guest/initrd.img";
			cmdline = "console=ttyS0 quiet bp.script=/report.sh";
		};
		devices = ( { plugin = "serial"; id = "console"; } );
	END
	BACKPLANE_CACHE=${BOOT_CACHE:-$BP_TMP/cache} timeout 150 \
		"$BP_BUILD/backplane" run --log-level "${BOOT_LOG:-error}" "$config" </dev/null >"$log" 2>"${log%.log}.err" || status=$?
	cat "$log" "${log%.log}.err"
	[[ $status = 0 ]] || fail "exit status $status"
	[[ $(guest_value "done" "$log") = 1 ]] || fail "the guest's report is not complete"
	cpus=$(guest_value cpus "$log")
	[[ $cpus = "$vcpus" ]] || fail "the guest sees $cpus CPUs, not $vcpus"
	case $memory in *G) mib=$(( ${memory%G} * 1024 )) ;; *M) mib=${memory%M} ;; esac
	seen=$(( $(guest_value memtotal_kib "$log") / 1024 ))
	(( seen <= mib && seen >= mib * 88 / 100 - 48 )) || fail "the guest sees $seen MiB of $mib"
	warnings=$(unknown_warnings "$log")
	[[ -z $warnings ]] || fail "unexplained kernel messages: $warnings"
}

# boot_all FLAVOUR: all combinations, a point each.
boot_all() {
	local flavour=$1 format n memory formats=(pvh bzimage elf64) vcpus=(1 2 4) memories=(128M 512M 3G 5G)
	plan $(( ${#formats[@]} * ${#vcpus[@]} * ${#memories[@]} ))
	for format in "${formats[@]}"; do
		for n in "${vcpus[@]}"; do
			for memory in "${memories[@]}"; do
				run_case "$flavour-$format-$n-$memory" boot_case "$flavour" "$format" "$n" "$memory"
			done
		done
	done
}
