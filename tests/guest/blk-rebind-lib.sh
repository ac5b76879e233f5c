# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Linux's driver leaves disks that are in use and comes back, for blk-rebind.test and blk-rebind-long.test. Sourced after
# tests/lib.sh, boot.sh and disks.sh.

boot() { # ROUNDS SECONDS
	local engine devices=''
	for engine in io_uring aio threads; do
		truncate -s 16M "$BP_TMP/$engine.img"
		devices+=$(disk "$engine.img" "id = \"$engine\"; engine = \"$engine\"; queues = 2;")
	done
	write_config rebind blk-rebind.sh "$devices" "bp.rounds=$1"
	boot_disks rebind "$2"
}

interrupted() { # ROUNDS
	expect rebind rounds "$1"
	expect rebind interrupted "$1"
	# 3 at the start and one for each return.
	expect rebind probes $((3 + $1))
}

# What fio meets comes from Linux itself, as the host has failed nothing: EIO, or ENOSPC for a write to a disk that has size 0 already. A
# driver of virtio disks never makes ENOSPC of a device's answer, and fio stays far from the end that the disk had.
only_expected_errors() {
	local found
	expect rebind "done" 1
	grep '^guest.error=' "$BP_TMP/rebind.log" | tr -d '\r' >"$BP_TMP/found" || fail "fio has met no error"
	found=$(grep -Evx 'guest.error=((read|write): Input/output error|write: No space left on device) \([0-9]+\)' "$BP_TMP/found" || true)
	[[ -z $found ]] || fail "$found"
}

# What is left in the log is Linux's own word about the requests that failed.
no_virtio_messages() {
	local found
	expect rebind "done" 1
	found=$(grep '^guest.virtio=' "$BP_TMP/rebind.log" || true)
	[[ -z $found ]] || fail "$found"
	found=$(unknown_warnings "$BP_TMP/rebind.log" | grep -Ev '^(I/O error, dev|Buffer I/O error on dev) vd[abc], ' || true)
	[[ -z $found ]] || fail "unexplained kernel messages: $found"
	[[ ! -s $BP_TMP/rebind.err ]] || fail "backplane has complained: $(cat "$BP_TMP/rebind.err")"
}

no_failed_requests() {
	local engine
	for engine in io_uring aio threads; do
		[[ $(metric rebind errors "$engine") = 0 ]] || fail "$(metric rebind errors "$engine") requests have failed in the host"
	done
}

rebind_cases() { # ROUNDS SECONDS
	plan 7
	run_case "initramfs" make_initrd blk-rebind.sh
	run_case "boots" boot "$1" "$2"
	run_case "unbound-while-in-use" interrupted "$1"
	run_case "only-expected-errors" only_expected_errors
	run_case "verified-after-each-return" expect rebind verified "$1"
	run_case "no-virtio-messages" no_virtio_messages
	run_case "no-failed-requests" no_failed_requests
}
