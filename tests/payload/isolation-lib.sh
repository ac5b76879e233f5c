# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# A VM with devices that fail where and how one says, each in a process of its own, and a healthy one beside them; see
# tests/plugins/faulty.c and tests/payload/beside.c. Sourced after tests/lib.sh.
plugin=$BP_BUILD/tests/plugins/.libs/faulty.so
# What has to be waited for in vain; everything else gets longer, so that a busy machine is not taken for a fault. It is
# the deadline of a register read; what a vCPU asks a virtio device for has one of 10 s.
short=2s
long=30s
# The most that an access may take, which is more by what a busy machine may need for anything.
raw_most_us=10000000
virtio_most_us=18000000

# Where the following is: $VM, with a configuration that nothing is wrong with.
new_vm() { # FOLDER
	VM=$1
	config=$VM/vm.cfg
	console=$VM/console.log
	log=$1.log
	mkdir "$VM"
	cat >"$config" <<-END
		machine = { vcpus = 1; memory = "32M"; };
		boot = { kernel = "$BP_BUILD/tests/payload/beside.elf"; cmdline = "do=r"; };
		defaults = { placement = "process"; deadline = "$long"; };
		devices = (
			{ plugin = "serial"; id = "console"; stream = "file:console.log"; },
			{ plugin = "$plugin"; class = "healthy"; id = "healthy"; },
			{ plugin = "$plugin"; class = "faulty"; id = "faulty"; file = "vm.cfg"; },
			{ plugin = "$plugin"; class = "faulty-virtio"; id = "virtio"; }
		);
	END
}

# run_vm STEPS [OPTION]...: $status; what the guest says is in $console, what the program says in $log. Nothing is left.
run_vm() {
	status=0
	rm -f "$console"
	env --default-signal TMPDIR="$VM" "$BP_BUILD/tests/payload/witness" 60 "$BP_BUILD/backplane" run "--set=boot.cmdline=do=$1" "${@:2}" "$config" \
		2>"$log" || status=$?
	[[ $status != 120 && $status != 123 ]] || fail "status $status: $(tail -n 20 "$log")"
	[[ $(ls -A "$VM") = $'console.log\nvm.cfg' || $(ls -A "$VM") = vm.cfg ]] || fail "left behind: $(ls -A "$VM")"
}

# set_fault DEVICE WHERE HOW AFTER: $options that make it fail.
set_fault() {
	local deadline=$long
	case $3 in hang | freeze) deadline=$short ;; esac
	options=(--set "devices.$1.where=$2" --set "devices.$1.how=$3" --set "devices.$1.after=$4" --set "devices.$1.deadline=$deadline")
}

# The guest has carried out all of its steps, these came of it (a regular expression of marks), and the healthy device
# was always right.
guest_did() { # MARKS [MOST]
	local text
	text=$(tr -d '\r' <"$console" 2>/dev/null | tr '\n' ' ')
	[[ $text =~ ^ready\ ($1)\ right=[0-9]+\ wrong=0\ longest=([0-9]+)\ done\ $ ]] || fail "the guest says: $text; expected: $1; $(tail "$log")"
	(( BASH_REMATCH[${#BASH_REMATCH[@]} - 1] < ${2-$raw_most_us} )) || fail "an access took ${BASH_REMATCH[-1]} us"
}

# How a fault is told of.
cause_of() { # HOW
	case $1 in
	segv) echo 'cause=signal signal=SIGSEGV' ;;
	abort) echo 'cause=signal signal=SIGABRT' ;;
	exit0) echo 'cause=exit status=0' ;;
	exit1) echo 'cause=exit status=1' ;;
	hang | freeze) echo 'cause=hang' ;;
	garbage | lie | bomb) echo 'cause=protocol' ;;
	*) echo 'cause=(exit|signal|hang|protocol)( status=[0-9]+)?( signal=[A-Z0-9]+)?' ;;
	esac
}

# Exactly one line tells of a failure: of this device, with this cause.
told_once() { # DEVICE HOW [ACTION [WHILE]]
	local regex
	regex="devices\\.$1: failed: plugin=[^ ]*faulty[^ ]* $(cause_of "$2") while=${4-[a-z_-]+} action=${3-needs_reset}\$"
	[[ $(grep -c ': failed: ' "$log") = 1 ]] || fail "$(grep -c ': failed: ' "$log") lines: $(tail -n 30 "$log")"
	grep -Eq "$regex" "$log" || fail "expected $regex: $(cat "$log")"
}

# fails DEVICE WHERE HOW AFTER STEPS MARKS: the device fails, and nothing else.
fails() {
	local options
	set_fault "$1" "$2" "$3" "$4"
	run_vm "$5" "${options[@]}"
	[[ $status = 0 ]] || fail "status $status: $(tail -n 20 "$log")"
	if [[ $1 = virtio ]]; then guest_did "$6" $virtio_most_us; else guest_did "$6"; fi
	told_once "$1" "$3"
}

# may_fail DEVICE WHERE HOW AFTER STEPS MARKS: whether its process gets over that or not.
may_fail() {
	local options
	set_fault "$1" "$2" "$3" "$4"
	run_vm "$5" "${options[@]}"
	[[ $status = 0 ]] || fail "status $status: $(tail -n 20 "$log")"
	if [[ $1 = virtio ]]; then guest_did "$6" $virtio_most_us; else guest_did "$6"; fi
	! grep -q ': failed: ' "$log" || told_once "$1" "$3"
}

# works DEVICE WHERE HOW AFTER STEPS MARKS: as far as anybody else can tell.
works() {
	local options
	set_fault "$1" "$2" "$3" "$4"
	run_vm "$5" "${options[@]}"
	[[ $status = 0 ]] || fail "status $status: $(tail -n 20 "$log")"
	if [[ $1 = virtio ]]; then guest_did "$6" $virtio_most_us; else guest_did "$6"; fi
	! grep ': failed: ' "$log" || fail "a failure"
}

# refused DEVICE WHERE HOW: there is no VM, and a line says why, with the device or the plugin.
refused() {
	local options text
	set_fault "$1" "$2" "$3" 0
	run_vm r "${options[@]}"
	[[ $status = 1 || $status = 2 ]] || fail "status $status: $(tail -n 20 "$log")"
	[[ ! -e $console ]] || ! grep -q ready "$console" || fail "the guest has run"
	text=$(grep -v ': failed: ' "$log")
	[[ $(wc -l <<<"$text") = 1 && $text =~ faulty|virtio ]] || fail "$text"
	says_why "$3" "$text"
}

# A sentence for people.
says_why() { # HOW TEXT
	local words
	case $1 in
	segv) words='SIGSEGV' ;;
	abort) words='SIGABRT' ;;
	exit0) words='status 0' ;;
	exit1) words='status 1' ;;
	hang | freeze) words='did not answer' ;;
	fail) words='as it was told|no faulty device' ;;
	*) words='.' ;;
	esac
	[[ $2 =~ $words ]] || fail "no cause ($words) in: $2"
}
