# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Cases of the vsock tests: what goes over connections, whoever makes them. Sourced after vsock-lib.sh, whose machine is up.
# shellcheck disable=SC2154

guest_has_cid() {
	guest_does cid "vsock-peer cid"
	says cid 'cid 3$'
}

# Connections at once, both ways at a time.
many() { # COUNT BYTES
	accept=(--count "$1") connect=(--count "$1" --bytes "$2" --order random)
	exchange_begins to-host many-h
	exchange_begins to-guest many-g
	exchange_over to-host many-h
	exchange_over to-guest many-g
	all_complete many-h "$1"
	all_complete many-g "$1"
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
cut() { # DIRECTION NAME connector|acceptor
	accept=(--count 40) connect=(--count 40 --at-once 10 --bytes 300000 --cut "$3")
	exchange "$1" "$2"
	all_over "$2" 40
}

guest_cuts() {
	cut to-host guest-cuts-h connector
	cut to-guest guest-cuts-g acceptor
}

host_cuts() {
	cut to-host host-cuts-h acceptor
	cut to-guest host-cuts-g connector
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
	(( after - before < 2048 )) || fail "the device keeps what is not read"
	if [[ $go = /run/* ]]; then guest_does "go-$name" "touch $go"; else : >"$go"; fi
	exchange_over "$1" "$name"
	all_complete "$name" 4
	blocked=$(sed -n 's/^blocked sent=//p' "$BP_TMP/$name.$other" | head -n 1)
	(( blocked < 4 * bytes / 2 )) || fail "$blocked bytes were taken before it was blocked"
}
