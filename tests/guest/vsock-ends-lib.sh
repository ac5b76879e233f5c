# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# For tests in which something ends all connections of virtio-vsock at once. Sourced after vsock-cases.sh.
# shellcheck disable=SC2034

# Four connections that the guest makes and four that the host makes, with data under way in both directions that would take hours.
torn_begin() { # NAME
	accept=(--count 4 --limit 200) connect=(--count 4 --limit 200 --exactly 100000000000 --torn)
	exchange_begins to-host "$1-h"
	exchange_begins to-guest "$1-g"
	vm_waits 60 said "$1-h" accept 'under way'
	vm_waits 60 said "$1-g" connect 'under way'
}

# shellcheck disable=SC2317 # called by wait_for
process_ended() { # PID
	local stat
	read -r stat 2>/dev/null <"/proc/$1/stat" || return 0
	[[ ${stat##*) } = [ZX]* ]]
}

# The host's sides of them have ended, and none got anything else than it was sent.
torn_on_host() { # NAME
	local side
	for side in h.accept g.connect; do
		wait_for 60 process_ended "$(cat "$BP_TMP/$1-${side%.*}.pid")" || fail "$1-$side has not ended"
		cat "$BP_TMP/$1-$side"
		grep -q '^peer: complete=0 cut=4 .* bad=0 ' "$BP_TMP/$1-$side"
	done
}

# And the guest's.
torn_in_guest() { # NAME
	local side
	for side in h g; do
		guest_ends "$1-$side"
		says "$1-$side" 'peer: complete=0 cut=4 .* bad=0 '
	done
}

# Connections can be made as if nothing had happened.
works() { # NAME
	accept=(--count 8) connect=(--count 8 --bytes 50000)
	exchange to-host "$1-h"
	exchange to-guest "$1-g"
	all_complete "$1-h" 8
	all_complete "$1-g" 8
}
