# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Processes of a VM are killed at random moments, and VMs are started and stopped one after the other: nothing is left.
# Sourced after tests/lib.sh. BP_SEED makes the moments those of an earlier run.
VM=$BP_TMP/vm
config=$VM/vm.cfg
plugin=$BP_BUILD/tests/plugins/.libs/faulty.so

mkdir -p "$VM/tmp"
truncate -s 1M "$VM/disk.img"
# Of a process that is killed Linux ends io_uring a moment after it has gone, and the file is locked until then, so the next round would find it in
# use: not this engine.
cat >"$config" <<-END
	machine = { vcpus = 2; memory = "32M"; };
	boot = { kernel = "$BP_BUILD/tests/payload/beside.elf"; cmdline = "do=rwtfjirVqcvVqzrwtfjirVqcv"; };
	defaults = { placement = "process"; };
	devices = (
		{ plugin = "serial"; id = "console"; stream = "file:console.log"; },
		{ plugin = "$plugin"; class = "healthy"; id = "healthy"; },
		{ plugin = "$plugin"; class = "faulty"; id = "faulty"; file = "vm.cfg"; },
		{ plugin = "$plugin"; class = "faulty-virtio"; id = "virtio"; },
		{ plugin = "virtio-blk"; path = "disk.img"; engine = "threads"; },
		{ plugin = "virtio-rng"; }
	);
END

killed() { # VICTIM KILLS [COMMAND...]: of what the command becomes
	# TMPDIR is below the folder that is looked at.
	TMPDIR=$VM/tmp "$BP_BUILD/tests/payload/kills" "$1" "$2" "${BP_SEED:-0}" "$VM" "$VM/console.log" "${@:3}" "$BP_BUILD/backplane" run "$config" \
		>"$BP_TMP/seed-$1"
}

# The program itself: it kills as often as it should on a machine that had much to do when it began, and has not any more.
slow_at_first() {
	# shellcheck disable=SC2016 # for the inner shell
	killed spawner 10 sh -c '[ -e "$0" ] || { : >"$0"; sleep 5; }; exec "$@"' "$BP_TMP/has-run"
	grep -q '^# spawner: killed 10 times' "$BP_TMP/seed-spawner" || fail "$(cat "$BP_TMP/seed-spawner")"
}

# In one process, which has to be beside what it runs, as backplane is.
lives() { # ROUNDS [OPTION]...
	mkdir -p "$BP_TMP/copy"
	cp "$BP_BUILD/tests/payload/lives" "$BP_TMP/copy/"
	ln -sfn "$BP_BUILD/core" "$BP_TMP/copy/core"
	ln -sfn "$BP_BUILD/plugins" "$BP_TMP/copy/plugins"
	with_timeout 500 "$BP_TMP/copy/lives" "$@" "$config" >"$BP_TMP/seed-lives"
}

# run_kills KILLS STARTS
run_kills() {
	plan 8
	run_case "kills that begin on a slow machine" slow_at_first
	run_case "the core is killed $1 times" killed core "$1"
	run_case "the spawner is killed $1 times" killed spawner "$1"
	run_case "a plugin is killed $1 times" killed plugin "$1"
	run_case "$2 runs" killed nobody "$2"
	run_case "$2 VMs in one process" lives "$2"
	run_case "$2 VMs in one process, with a device that crashes" lives "$2" --set devices.faulty.where=read --set devices.virtio.where=request
	run_case "$2 VMs in one process, their devices in threads" lives "$2" --set defaults.placement=thread
	cat "$BP_TMP"/seed-*
}
