# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Cases of the vsock tests: what goes over connections, whoever makes them. Sourced after vsock-lib.sh, whose machine is up.
# shellcheck disable=SC2154

round='' # tells the names of cases that are run again from those before

guest_has_cid() {
	guest_does cid "vsock-peer cid"
	says cid 'cid 3$'
}

# Connections at once, both ways at a time.
many() { # COUNT BYTES
	accept=(--count "$1") connect=(--count "$1" --bytes "$2" --order random)
	exchange_begins to-host "many-h$round"
	exchange_begins to-guest "many-g$round"
	exchange_over to-host "many-h$round"
	exchange_over to-guest "many-g$round"
	all_complete "many-h$round" "$1"
	all_complete "many-g$round" "$1"
}

# One after the other, each with some data.
series() { # DIRECTION NAME COUNT
	accept=(--count "$3") connect=(--count "$3" --at-once 1 --bytes 200)
	exchange "$1" "$2"
	all_complete "$2" "$3"
}

# Closed as soon as they are open, some at a time.
closed_at_once() { # DIRECTION NAME COUNT
	accept=(--count "$3") connect=(--count "$3" --at-once 8 --empty)
	exchange "$1" "$2"
	all_are "$2" "$3" empty
}

# One side sends all and says so; then the other one sends. And the other way round.
half_closes() { # DIRECTION NAME
	local order
	for order in first last; do
		accept=(--count 4) connect=(--count 4 --exactly 300000 --order "$order")
		exchange "$1" "$2-$order"
		all_complete "$2-$order" 4
	done
}

# One side closes in the midst of it.
closed_in_the_midst() { # DIRECTION NAME connector|acceptor
	accept=(--count 40) connect=(--count 40 --at-once 10 --bytes 300000 --cut "$3")
	exchange "$1" "$2"
	all_over "$2" 40
}

guest_cuts() {
	closed_in_the_midst to-host "guest-cuts-h$round" connector
	closed_in_the_midst to-guest "guest-cuts-g$round" acceptor
}

host_cuts() {
	closed_in_the_midst to-host "host-cuts-h$round" acceptor
	closed_in_the_midst to-guest "host-cuts-g$round" connector
}

# Nobody listens there.
refused_by_guest() {
	"$peer" connect "$(host_address connect "$(new_port)")" --count 20 --refused >"$BP_TMP/refused"
	cat "$BP_TMP/refused"
	grep -q ' refused=20 ' "$BP_TMP/refused"
}

refused_by_host() {
	guest_does refused "vsock-peer connect vsock:2:$(new_port) --count 20 --refused"
	says refused 'peer: .* refused=20 '
}

# ---- a side that does not read ----

# Whether NAME's side SIDE has said so; what the guest says is on the console.
said() { # NAME SIDE REGEX
	if [[ -e $BP_TMP/$1.$2 ]]; then grep -q "^$3" "$BP_TMP/$1.$2"; else says "$1" "$3"; fi
}

# One side reads nothing for a while: the other one can send a little, and then has to wait; nobody keeps the rest for it, and others
# go on. Then all of it comes.
stalled() { # DIRECTION NAME accept|connect
	local name=$2 bytes=3000000 other=accept go before after blocked
	[[ $3 = connect ]] || other=connect
	go=$BP_TMP/$name.go
	case $1-$3 in to-host-connect | to-guest-accept) go=/run/$name.go ;; esac
	accept=(--count 4) connect=(--count 4 "--to-$3or" "$bytes" "--to-${other}or" 0)
	if [[ $3 = accept ]]; then accept+=(--stall "$go"); else connect+=(--stall "$go"); fi
	before=$(device_memory)
	exchange_begins "$1" "$name"
	vm_waits 60 said "$name" "$other" blocked
	device_is_idle
	accept=(--count 8) connect=(--count 8 --bytes 50000)
	exchange to-host "others-$name-h"
	exchange to-guest "others-$name-g"
	after=$(device_memory)
	echo "memory of the device: $before KiB, and $after KiB"
	(( after - before < 4096 )) || fail "the device keeps what is not read"
	if [[ $go = /run/* ]]; then guest_does "go-$name" "touch $go"; else : >"$go"; fi
	exchange_over "$1" "$name"
	all_complete "$name" 4
	blocked=$(sed -n 's/^blocked sent=//p' "$BP_TMP/$name.$other" | head -n 1)
	(( blocked < 4 * bytes / 2 )) || fail "$blocked bytes were taken before it was blocked"
}

# ---- CONNECT lines ----

# What a program of the host is told that sends TEXT (for printf %b), until the device closes. One that has not read all of it
# makes an error of its end.
told() { # TEXT
	local status=0
	printf '%b' "$1" | with_timeout 20 socat -,ignoreeof "UNIX-CONNECT:$vm/v.sock" 2>"$BP_TMP/socat" || status=$?
	(( status == 0 || status == 1 )) || fail "'$1': not closed; status $status: $(cat "$BP_TMP/socat")"
}

# Closed without a word, and nobody in the guest has noticed.
bad_lines() {
	local text answer long
	long=$(printf '%040d' 0)
	guest bad "vsock-peer accept vsock:4294967295:4999"
	guest_says bad listening
	for text in '\n' 'CONNECT\n' 'CONNECT \n' 'CONNECT 4999' 'CONNECT x\n' 'CONNECT -1\n' 'CONNECT +4999\n' 'CONNECT 4999x\n' \
		'CONNECT 4999 1\n' 'CONNECT 0x1387\n' 'CONNECT 4294967296\n' 'CONNECT 4294972295\n' 'CONNECT 18446744073709556615\n' \
		'CONNECT4999\n' 'CONNEC 4999\n' 'CONNECTS 4999\n' 'GET / HTTP/1.1\n' '\0CONNECT 4999\n' 'CONNECT\0 4999\n' \
		"CONNECT ${long}4999\n" "$long" "$long$long$long\n" '\n\n\nCONNECT 4999\n'; do
		answer=$(told "$text" | tr '\0' '?')
		[[ -z $answer ]] || fail "'$text': the answer is '$answer'"
	done
	"$peer" connect "$(host_address connect 4999)"
	guest_ends bad
	says bad 'peer: complete=1 cut=0 empty=0 '
}

# A word in any case, and a byte at a time. The pauses only make it likely that each is read alone.
odd_lines() {
	local port word line i
	for word in connect Connect cONNECT; do
		port=$(new_port)
		guest "odd-$port" "socat -d -d -u VSOCK-LISTEN:$port -"
		guest_says "odd-$port" '.* listening on '
		line="$word $port"$'\n'
		{
			for ((i = 0; i < ${#line}; i++)); do printf %s "${line:i:1}"; sleep 0.02; done
			echo "behind it"
		} | socat -t 30 - "UNIX-CONNECT:$vm/v.sock" >"$BP_TMP/odd"
		grep -Eqx 'OK [0-9]+' "$BP_TMP/odd" || fail "'$line': the answer is '$(cat "$BP_TMP/odd")'"
		(( $(cut -d ' ' -f 2 "$BP_TMP/odd") >= 1 << 30 )) || fail "the local port is in '$(cat "$BP_TMP/odd")'"
		guest_ends "odd-$port"
		says "odd-$port" 'behind it$'
	done
}

# Bytes that come together with the line, before anybody has said OK.
eager() {
	accept=(--count 16) connect=(--count 16 --bytes 50000 --eager)
	exchange to-guest eager
	all_complete eager 16
}

# Programs that say half a line and no more do not keep others out; they are sent away after a while.
silent() {
	local i pids=()
	for ((i = 0; i < 20; i++)); do
		printf 'CONN' | with_timeout 60 socat -,ignoreeof "UNIX-CONNECT:$vm/v.sock" &
		pids+=($!)
	done
	accept=(--count 8) connect=(--count 8)
	exchange to-guest silent
	all_complete silent 8
	for i in "${pids[@]}"; do wait "$i" || fail "not sent away"; done
}

# ---- what others use ----

# socat and the libraries that it needs, for make_vsock_initrd.
socat_files() {
	local path
	command -v socat >/dev/null || fail "needs socat"
	echo "$(command -v socat):/bin/socat"
	ldd "$(command -v socat)" | grep -o '/[^ ]*' | while read -r path; do echo "$path:$path"; done
}

# A megabyte through socat on both sides, each way.
through_socat() {
	local there back
	there=$(new_port)
	back=$(new_port)
	head -c 1048576 /dev/urandom >"$BP_TMP/bytes"
	guest socat-g "socat -d -d -u VSOCK-LISTEN:$there CREATE:/run/bytes"
	guest_says socat-g '.* listening on '
	{ echo "CONNECT $there"; cat "$BP_TMP/bytes"; } | socat -t 60 - "UNIX-CONNECT:$vm/v.sock"
	guest_ends socat-g
	with_timeout 100 socat -u "UNIX-LISTEN:$vm/v.sock_$back" "CREATE:$BP_TMP/back" &
	wait_for 20 test -S "$vm/v.sock_$back"
	guest_does socat-h "socat -u FILE:/run/bytes VSOCK-CONNECT:2:$back"
	wait $!
	cmp "$BP_TMP/bytes" "$BP_TMP/back"
}

# What backplane connect is given comes back from a program of the guest, and a port without one is an error.
through_connect() {
	local port
	port=$(new_port)
	head -c 300000 /dev/urandom >"$BP_TMP/bytes"
	guest echo "socat -d -d VSOCK-LISTEN:$port EXEC:cat"
	guest_says echo '.* listening on '
	with_timeout 60 "$BP_BUILD/backplane" connect "$vm/v.sock" "$port" <"$BP_TMP/bytes" >"$BP_TMP/echo"
	cmp "$BP_TMP/bytes" "$BP_TMP/echo"
	guest_ends echo
	expect_error 1 '^the guest refuses port [0-9]+: ' with_timeout 20 "$BP_BUILD/backplane" connect "$vm/v.sock" "$port"
}
