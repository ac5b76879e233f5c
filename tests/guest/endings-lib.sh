# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# A Linux guest that ends as it is told (endings.sh), for endings.test and endings-restarts.test. Sourced after tests/lib.sh and boot.sh.
config=$BP_TMP/vm/vm.cfg
log=$BP_TMP/console
err=$BP_TMP/err
mkdir "$BP_TMP/vm"

make_guest() {
	local kernel
	kernel=$("$BP_SRC/tests/guest/fetch-kernel" cloud)
	"$BP_SRC/tests/guest/mkinitramfs" -o "$BP_TMP/vm/initrd.img" --kernel "$kernel" --module button --module evdev \
		--file "$BP_SRC/tests/guest/endings.sh:/endings.sh"
	ln -s "$kernel/vmlinux" "$BP_TMP/vm/vmlinux"
}

# guest_is MACHINE CMDLINE: no time limit for its shutdown, unless MACHINE has another.
guest_is() {
	local machine=$1
	[[ $machine = *shutdown_timeout* ]] || machine+=' shutdown_timeout = "1h";'
	cat >"$config" <<-END
		machine = { memory = "128M"; $machine };
		boot = { kernel = "vmlinux"; initrd = "initrd.img"; cmdline = "console=ttyS0 bp.script=/endings.sh $2"; };
		devices = (
			{ plugin = "serial"; id = "console"; },
			{ plugin = "$BP_BUILD/tests/plugins/.libs/events.so"; class = "events-mmio"; id = "events"; }
		);
	END
}

# One that a failed case has left must not disturb the next.
end_leftover() {
	[[ ! -e $BP_TMP/pid ]] || kill -KILL "$(cat "$BP_TMP/pid")" 2>/dev/null || true
	rm -f "$BP_TMP/pid"
}
at_exit end_leftover

# Starts it; $pid is the program. What is written to descriptor 8 is typed on the console. Standard error goes to $stderr, with
# what $level tells.
stderr=$err level=info
start() {
	end_leftover
	rm -f "$BP_TMP/keys" "$log" "$err"
	mkfifo "$BP_TMP/keys"
	exec 8<>"$BP_TMP/keys"
	env --default-signal "$BP_BUILD/backplane" run --log-level "$level" "$config" <"$BP_TMP/keys" >"$log" 2>"$stderr" 8>&- 9>&- &
	pid=$!
	echo "$pid" >"$BP_TMP/pid"
}

tell() { # WORD
	echo "$1" >&8
}

lives() { # COUNT: so many have come so far
	(( $(grep -c '^guest.ready=1' "$log") >= $1 )) || ! kill -0 "$pid" 2>/dev/null
}

# Waits until the guest listens, in its COUNTth life.
listens() { # COUNT
	wait_for 120 lives "$1"
	(( $(grep -c '^guest.ready=1' "$log") == $1 )) || fail "no life $1: $(tail -n 30 "$log") $(cat "$err")"
}

is_over() {
	! kill -0 "$pid" 2>/dev/null || [[ $(sed 's/.*) //' "/proc/$pid/stat") = Z* ]]
}

# The log, but for what says no more than that this machine is busy.
told() {
	grep -v ' took [0-9]* ms; a callback must not block$' "$err"
}

# It ends with this status and this line as the log's last, in its COUNTth life, and leaves nothing.
over() { # STATUS LINE [COUNT]
	local status=0 seen
	wait_for 120 is_over
	wait "$pid" || status=$?
	rm -f "$BP_TMP/pid"
	exec 8>&-
	[[ $status = "$1" ]] || fail "status $status: $(tail -n 30 "$log") $(cat "$err")"
	[[ $(told | tail -n 1) = "backplane: $2" ]] || fail "the log: $(cat "$err")"
	seen=$(grep -c '^guest.ready=1' "$log") || true
	[[ $seen = "${3:-1}" ]] || fail "$seen lives: $(cat "$err")"
	! pgrep -f -- "$config" || fail "a process is left"
	[[ $(ls -A "$BP_TMP/vm") = $'initrd.img\nvm.cfg\nvmlinux' ]] || fail "left behind: $(ls -A "$BP_TMP/vm")"
}

fds() {
	find "/proc/$pid/fd" -mindepth 1 | wc -l
}

# COUNT restarts in a row: each life is whole, and the last has not a file descriptor more than the first. A restart every 2.5 s is
# as fast as it can be without being taken for a loop.
restarts() { # VCPUS COUNT
	local life first last_restart warnings
	guest_is "vcpus = $1;" "quiet"
	start
	listens 1
	first=$(fds)
	for ((life = 2; life <= $2 + 1; life++)); do
		tell reboot
		last_restart=$(date +%s%N)
		listens "$life"
		while (( $(date +%s%N) - last_restart < 2600000000 )); do sleep 0.1; done
	done
	[[ $(fds) = "$first" ]] || fail "$first descriptors have become $(fds): $(ls -l "/proc/$pid/fd")"
	tell poweroff
	over 0 "info: the guest powered off" $(($2 + 1))
	[[ $(grep -Fxc "backplane: info: guest reset; it is restarted" "$err") = "$2" ]] || fail "$(cat "$err")"
	[[ $(grep -c "^guest.cpus=$1"$'\r'"\$" "$log") = $(($2 + 1)) ]] || fail "$(grep guest.cpus "$log")"
	warnings=$(unknown_warnings "$log")
	[[ -z $warnings ]] || fail "unexplained kernel messages: $warnings"
}
