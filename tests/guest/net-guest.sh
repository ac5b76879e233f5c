#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# For guests with network cards: sourced, as /net-guest.sh, by the scripts that they run. Card N of the guest is ethN, 10.9.N.2 and
# fd00:9:N::2; what it reaches is 10.9.N.1 and fd00:9:N::1 (net-lib.sh). Facts are printed as "guest.KEY=VALUE" lines.
# shellcheck shell=dash

say() { # KEY VALUE
	echo "guest.$1=$2"
}

# Brings a card up, with its addresses. Nobody else has them, so nobody is asked.
card_up() { # NUMBER [MTU]
	echo 0 >"/proc/sys/net/ipv6/conf/eth$1/accept_dad"
	[ -z "${2-}" ] || ip link set dev "eth$1" mtu "$2"
	ip link set dev "eth$1" up
	ip addr add "10.9.$1.2/24" dev "eth$1"
	ip -6 addr add "fd00:9:$1::2/64" dev "eth$1"
}

# What a driver makes of its card.
say_card() { # NUMBER
	local path=/sys/class/net/eth$1
	say "eth$1.driver" "$(basename "$(readlink "$path/device/driver")")"
	say "eth$1.mac" "$(cat "$path/address")"
	say "eth$1.mtu" "$(cat "$path/mtu")"
	say "eth$1.carrier" "$(cat "$path/carrier")"
	say "eth$1.features" "$(cat "$path/device/features")"
	say "eth$1.pairs" "$(/tools/ethtool -l "eth$1" | awk '/^Combined:/ { text = text " " $2 } END { print substr(text, 2) }')"
}

say_status() { # NUMBER
	say "eth$1.status" "$(cat "/sys/class/net/eth$1/device/status")"
}

# Echoes that have come back.
echoes() { # KEY ADDRESS COUNT [OPTION]...
	local key=$1 address=$2 count=$3
	shift 3
	say "$key.echoes" "$(timeout 60 ping -c "$count" -i 0.1 "$@" "$address" | awk '/packets received/ { print $4 }')"
}

# Runs iperf3, whose server is at the address, until so much has been sent. What both sides counted is KEY.sent and KEY.received in
# bytes; for datagrams also KEY.packets and KEY.lost. What is in the buffers of the sender's sockets when it stops is never received.
iperf() { # KEY ADDRESS MIB|- [OPTION]...
	local key=$1 address=$2 mib=$3 status=0
	shift 3
	[ "$mib" = - ] || set -- -n "${mib}M" -w 128K "$@"
	timeout 200 /tools/iperf3 -J -c "$address" "$@" >"/run/iperf.$key" 2>&1 || status=$?
	# With -J it fails by saying so only.
	! grep -q '"error":' "/run/iperf.$key" || status=1
	say "$key.status" "$status"
	awk -v key="$key" '
		/^\t"end":/ { end = 1 }
		/^\t"error":/ { print "iperf3:" $0 }
		!end { next }
		/"sum(_sent|_received)?":/ { split($1, part, "\""); within = part[2] }
		/}/ { within = "" }
		within && match($0, /"(bytes|packets|lost_packets)":/) { value[within, substr($1, 2, length($1) - 3)] = $2 + 0 }
		END {
			for (i in value) {
				split(i, part, SUBSEP)
				if (i ~ /^sum_(sent|received).bytes$/) print "guest." key "." substr(part[1], 5) "=" value[i]
				if (i ~ /^sum.(lost_)?packets$/) print "guest." key "." (part[2] ~ /lost/ ? "lost" : "packets") "=" value[i]
			}
		}' "/run/iperf.$key"
}

# The checksum of what comes by HTTP.
get() { # KEY URL
	say "$1.sum" "$(timeout 300 wget -q -O - "$2" | sha256sum | cut -c 1-64)"
}

# Has a file /random of so many MiB at port 8000 until the URL is there.
serve_random() { # MIB URL
	mkdir /run/www
	dd if=/dev/urandom of=/run/www/random bs=1M count="$1" 2>/dev/null
	say random.sum "$(sha256sum </run/www/random | cut -c 1-64)"
	httpd -p 8000 -h /run/www
	say serves 1
	until wget -q -O - "$2" >/dev/null 2>&1; do usleep 100000; done
}

# A number of a card's: rx_packets, tx_bytes, ...
statistic() { # NUMBER NAME
	cat "/sys/class/net/eth$1/statistics/$2"
}

# A number of the driver's: rx_queue_0_packets, ... 0 for a queue that is off.
driver_statistic() { # NUMBER NAME
	/tools/ethtool -S "eth$1" | awk -v name="$2:" '$1 == name { value = $2 } END { print value + 0 }'
}

# The word behind NAME= on the kernel's command line.
word() { # NAME
	sed -n "s/.*\\b$1=\\([^ ]*\\).*/\\1/p" /proc/cmdline
}
