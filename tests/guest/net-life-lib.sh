# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# A guest that runs net-life.sh, for net-life.test and net-life-long.test. Sourced after net-lib.sh.

# Where devices are in threads, nobody can kill one.
kills=1
[[ ${BP_TEST_PLACEMENT-} != thread && $net_vmm = backplane ]] || kills=0

network() {
	make_namespace here
	make_namespace peer
	make_link 0 1
	make_link 1 1
	# Two servers, as one of them may still wait for a guest that has gone.
	serve_iperf 5201 5202
	serve_http 1
}

# The plugin's process that has this tap interface.
process_of() { # INTERFACE
	local dir
	for dir in $(grep -lsx "iff:[[:space:]]*$1" /proc/[0-9]*/fdinfo/*); do
		dir=${dir%/fdinfo/*}
		[[ $(readlink "$dir/exe") != */device-host ]] || { echo "${dir#/proc/}"; return; }
	done
	fail "no process has $1"
}

kill_when_ready() {
	(( kills )) || return 0
	wait_for 390 has_said life guest.mortal=1
	kill -KILL "$(process_of bp0)"
}

boot() { # ROUNDS SECONDS
	new_guest
	card net0 tap:bp0 1
	card net1 tap:bp1 1
	net_config life net-life.sh 192M "bp.rounds=$1 bp.kill=$kills"
	run_net life "$2" kill_when_ready
}

unbound_in_use() { # ROUNDS
	local round
	expect life rounds "$1"
	for ((round = 0; round < $1; round++)); do expect life "round$round.unbound" 1; done
}

works() { # KEY
	expect life "$1.echoes" 5
	transferred life "$1" 1
}

works_when_bound() { # ROUNDS
	local round
	expect life rounds "$1"
	for ((round = 0; round < $1; round++)); do works "round$round"; done
	expect life eth0.status 0x0000000f
}

restarted() {
	[[ $(grep -c '^guest.life=' "$BP_TMP/life.log") = 2 ]] || fail "$(grep '^guest.life=' "$BP_TMP/life.log")"
	works second
}

# 0x4f: all that a driver says, and DEVICE_NEEDS_RESET.
failed() {
	expect life failed.status 0x0000004f
	[[ $(grep -c 'devices\.net0: failed: plugin=virtio-net cause=signal signal=SIGKILL .*action=needs_reset$' "$BP_TMP/life.err") = 1 ]] ||
		fail "$(cat "$BP_TMP/life.err")"
}

other_works() {
	works other
	expect life eth1.status 0x0000000f
}

quiet() {
	local found
	[[ $(grep -c '^guest.done=1' "$BP_TMP/life.log") = 2 ]] || fail "not two whole reports"
	found=$(unknown_warnings "$BP_TMP/life.log")
	[[ -z $found ]] || fail "unexplained kernel messages: $found"
	found=$(complaints life | grep -v 'devices\.net0: failed: ' || true)
	[[ -z $found ]] || fail "backplane has complained: $found"
}

# life_cases ROUNDS SECONDS
life_cases() {
	plan $((8 + kills))
	run_case "initramfs" make_net_initrd net-life.sh
	run_case "network" network
	run_case "boots" boot "$1" "$2"
	run_case "unbound while in use" unbound_in_use "$1"
	run_case "works when bound again" works_when_bound "$1"
	run_case "works after a reboot while in use" restarted
	(( ! kills )) || run_case "killed while in use" failed
	run_case "the other card works" other_works
	run_case "without warnings" quiet
}
