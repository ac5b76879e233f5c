# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# For tests of virtio-vsock with a Linux guest that does what it is told (vsock.sh), by vsock-peer on both sides. Sourced after
# tests/lib.sh and boot.sh. With $vmm=qemu the machine is QEMU's, with vhost-vsock, and the host's side is AF_VSOCK as well.
peer=$BP_BUILD/tests/guest/peer/vsock-peer
vm=${vm:-$BP_TMP/vm}
program=$BP_BUILD/backplane
vmm=backplane
place='' # what the device's entry says besides
seed=${BP_SEED:-1}
mkdir -p "$vm"
log=$vm/log err=$vm/err metrics=$vm/metrics

# ---- the machine ----

make_vsock_initrd() { # [SRC:DST]...
	local file files=()
	[[ -x $peer ]] || fail "no $peer: run make check"
	for file in "$@"; do files+=(--file "$file"); done
	"$BP_SRC/tests/guest/mkinitramfs" -o "$vm/initrd.img" --kernel "$("$BP_SRC/tests/guest/fetch-kernel" cloud)" \
		--module virtio_mmio --module vmw_vsock_virtio_transport --file "$peer:/bin/vsock-peer" "${files[@]}" \
		--file "$BP_SRC/tests/guest/vsock.sh:/vsock.sh" --file "$BP_SRC/tests/guest/report.sh:/report.sh"
	cp "$(kernel_image cloud pvh)" "$vm/vmlinux"
}

vsock_config() {
	cat >"$vm/vm.cfg" <<-END
		machine = { vcpus = 2; memory = "256M"; };
		boot = { kernel = "vmlinux"; initrd = "initrd.img"; cmdline = "console=ttyS0 quiet bp.script=/vsock.sh"; };
		devices = (
			{ plugin = "serial"; id = "console"; placement = "thread"; },
			{ plugin = "virtio-vsock"; id = "vsock0"; cid = 3; uds_path = "v.sock"; $place }
		);
	END
}

# Not in a case, so that the machine outlives it: what is written to descriptor 8 is typed on its console. Its status will be
# in $vm/status. $runner is what runs the program, if that is not to be run as it is.
runner=()
start_vm() {
	local command=("$program" run --log-level info --metrics "$metrics" "$vm/vm.cfg")
	vsock_config
	[[ $vmm != qemu ]] || command=(qemu-system-x86_64 -nodefaults -no-user-config -accel kvm -cpu host
		-M microvm,x-option-roms=off,pit=off,pic=off,isa-serial=on,rtc=on -display none -no-reboot -smp 2 -m 256
		-kernel "$vm/vmlinux" -initrd "$vm/initrd.img" -append "console=ttyS0 quiet bp.script=/vsock.sh" -serial stdio
		-global virtio-mmio.force-legacy=false -device vhost-vsock-device,guest-cid=3)
	rm -f "$vm/keys" "$vm/status" "$vm/pid"
	mkfifo "$vm/keys"
	exec 8<>"$vm/keys"
	{
		status=0
		"${runner[@]}" sh -c 'echo $$ >"$0/pid"; exec "$@"' "$vm" "${command[@]}" || status=$?
		echo "$status" >"$vm/status"
	} <"$vm/keys" >"$log" 2>"$err" 8>&- &
}

# shellcheck disable=SC2317 # called by at_exit
end_vm() {
	[[ ! -s $vm/pid || -e $vm/status ]] || kill -KILL "$(cat "$vm/pid")" 2>/dev/null || true
}
at_exit end_vm

vm_log() {
	tail -n 30 "$log" "$err"
}

# waits SECONDS COMMAND [ARG]...: until the command succeeds, or the machine has ended.
vm_waits() {
	local seconds=$1
	shift
	# shellcheck disable=SC2317 # called by wait_for
	either() { "$@" || [[ -e $vm/status ]]; }
	wait_for "$seconds" either "$@" || true
	"$@" || { vm_log; fail "no $*"; }
}

has_life() { # COUNT
	(( $(grep -c '^guest: ready' "$log") >= $1 ))
}

# It is up, in its COUNTth life.
vm_is_up() { # [COUNT]
	vm_waits 100 has_life "${1:-1}"
}

has_status() {
	[[ -s $vm/status ]]
}

vm_powers_off() {
	echo poweroff >&8
	wait_for 60 has_status || { vm_log; fail "it does not end"; }
	[[ $(cat "$vm/status") = 0 ]] || { vm_log; fail "exit status $(cat "$vm/status")"; }
	[[ $(guest_value "done" "$log") = 1 ]] || { vm_log; fail "the guest's report is not complete"; }
}

# Neither the guest's kernel nor the program has complained, but for lines that match REGEX.
vsock_quiet() { # [REGEX]
	local found
	[[ $(guest_value "done" "$log") = 1 ]] || skip_case "there is no guest to ask"
	found=$(unknown_warnings "$log")
	[[ -z $found ]] || fail "unexplained kernel messages: $found"
	found=$(grep -Ev "took [0-9]* ms; a callback must not block( \([0-9]+ lines of this device left out before\))?\$|^backplane: (info|debug): ${1:+|$1}" "$err" || true)
	[[ -z $found ]] || fail "backplane has complained: $found"
}

# ---- the guest ----

guest() { # NAME COMMAND
	[[ ! -e $vm/status ]] || skip_case "there is no guest"
	echo "$*" >&8
}

says() { # NAME REGEX
	grep -Eq "^$1: $2" "$log"
}

guest_says() { # NAME REGEX
	vm_waits 100 says "$1" "$2"
}

guest_ends() { # NAME [STATUS]
	guest_says "$1" end
	says "$1" "end ${2:-0}\$" || { grep "^$1: " "$log"; fail "$1 in the guest has not ended with status ${2:-0}"; }
}

guest_does() { # NAME COMMAND
	guest "$@"
	guest_ends "$1"
}

# ---- the host's side ----

# One that nobody has had.
new_port() {
	local port=5000
	while ! mkdir "$BP_TMP/port.$port" 2>/dev/null; do port=$((port + 1)); done
	echo "$port"
}

host_address() { # connect|accept PORT
	case $vmm-$1 in
	backplane-*) echo "unix:$vm/v.sock:$2" ;;
	qemu-connect) echo "vsock:3:$2" ;;
	qemu-accept) echo "vsock:4294967295:$2" ;;
	esac
}

listens() { # FILE
	grep -qs '^listening' "$1"
}

# ---- exchanges ----

# Starts `accept` on one side and `connect` on the other, in background; the output is in $BP_TMP/NAME.connect and NAME.accept once
# exchange_over has returned. DIRECTION is to-host or to-guest: who accepts. accept and connect are options of the two.
accept=() connect=()
exchange_begins() { # DIRECTION NAME
	local port
	port=$(new_port)
	rm -f "$BP_TMP/$2".*
	if [[ $1 = to-host ]]; then
		"$peer" accept "$(host_address accept "$port")" "${accept[@]}" >"$BP_TMP/$2.accept" 8>&- &
		echo $! >"$BP_TMP/$2.pid"
		wait_for 20 listens "$BP_TMP/$2.accept"
		guest "$2" "vsock-peer connect vsock:2:$port --seed $seed ${connect[*]}"
	else
		guest "$2" "vsock-peer accept vsock:4294967295:$port ${accept[*]}"
		guest_says "$2" listening
		"$peer" connect "$(host_address connect "$port")" --seed "$seed" "${connect[@]}" >"$BP_TMP/$2.connect" 8>&- &
		echo $! >"$BP_TMP/$2.pid"
	fi
}

# Both sides have ended as they should.
exchange_over() { # DIRECTION NAME
	local guest_side=accept status=0
	[[ $1 = to-guest ]] || guest_side=connect
	wait "$(cat "$BP_TMP/$2.pid")" || status=$?
	guest_says "$2" end
	grep "^$2: " "$log" | sed 's/^[^ ]* //' >"$BP_TMP/$2.$guest_side"
	tail -n 15 "$BP_TMP/$2.connect" "$BP_TMP/$2.accept"
	(( status == 0 )) || fail "$2 on the host has ended with status $status"
	guest_ends "$2"
}

exchange() { # DIRECTION NAME
	exchange_begins "$@"
	exchange_over "$@"
}

# What one side has counted.
counted() { # NAME SIDE WHAT
	sed -n "s/^peer: .*\\b$3=\\([0-9]*\\).*/\\1/p" "$BP_TMP/$1.$2"
}

all_are() { # NAME COUNT WHAT
	local side
	for side in connect accept; do
		[[ $(counted "$1" $side "$3") = "$2" ]] || fail "$1: $side has not $3 $2"
	done
}

# All went their whole way, with nothing lost and nothing doubled.
all_complete() { # NAME COUNT
	all_are "$1" "$2" complete
	[[ $(counted "$1" connect sent) = "$(counted "$1" accept received)" ]] || fail "$1: not all that was sent has come"
	[[ $(counted "$1" accept sent) = "$(counted "$1" connect received)" ]] || fail "$1: not all that was answered has come"
}

# Some were closed in the midst of it, and none did anything else that is wrong.
all_over() { # NAME COUNT
	local side
	for side in connect accept; do
		(( $(counted "$1" $side complete) + $(counted "$1" $side cut) + $(counted "$1" $side empty) == $2 )) ||
			fail "$1: not all of $side are over"
		(( $(counted "$1" $side cut) > 0 )) || fail "$1: none of $side was cut"
	done
	(( $(counted "$1" accept received) <= $(counted "$1" connect sent) )) || fail "$1: more has come than was sent"
	(( $(counted "$1" connect received) <= $(counted "$1" accept sent) )) || fail "$1: more has come than was answered"
}

# ---- what the device costs ----

# Whether a process is the machine's program or has come from it.
is_of_vm() { # PID
	local pid=$1 name value main
	main=$(cat "$vm/pid")
	while [[ $pid != "$main" ]]; do
		while read -r name value; do [[ $name != PPid: ]] || break; done 2>/dev/null <"/proc/$pid/status" || return 1
		[[ $name = PPid: && $value != [01] ]] || return 1
		pid=$value
	done
}

# The folder of the device's thread, in whatever process: it has the device's name.
device_task() {
	local path pid name
	for path in /proc/[0-9]*/task/[0-9]*/comm; do
		read -r name 2>/dev/null <"$path" || continue
		pid=${path#/proc/}
		if [[ $name = vsock0 ]] && is_of_vm "${pid%%/*}"; then
			echo "${path%/comm}"
			return
		fi
	done
	fail "no thread of the device"
}

# Memory of its own, of the process that has the device. In KiB.
device_memory() {
	[[ $vmm = backplane ]] || { echo 0; return; }
	awk '/^RssAnon:/ { print $2 }' "$(device_task)/status"
}

# How often the device's thread has left the processor, and its time there in hundredths of a second.
device_work() {
	local task
	task=$(device_task)
	awk '/ctxt_switches:/ { sum += $2 } END { printf "%d ", sum }' "$task/status"
	sed 's/.*) //' "$task/stat" | awk '{ print $12 + $13 }'
}

# Looks at it for three seconds, in which nothing happens: a loop that is busy would have switched thousands of times, or have had
# most of that time. What others ask the device meanwhile are a few switches.
device_is_idle() {
	[[ $vmm = backplane ]] || return 0
	local switches ticks switches_then ticks_then
	read -r switches ticks < <(device_work)
	sleep 3
	read -r switches_then ticks_then < <(device_work)
	echo "$((switches_then - switches)) switches, $((ticks_then - ticks)) hundredths of a second"
	(( switches_then - switches < 60 && ticks_then - ticks < 30 )) || fail "the device is busy"
}
