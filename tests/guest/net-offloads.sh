#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# Changes what the cards of net-offloads.test do for their driver, with traffic each time: eth0 has two queue pairs, eth1 an MTU of 9000.
# It prints facts as "guest.KEY=VALUE" lines and judges nothing; the test does. Run by bp.script=/net-offloads.sh; ends with
# the lines of report.sh.
# shellcheck shell=dash
# shellcheck source=net-guest.sh
. /net-guest.sh
ethtool=/tools/ethtool

# Sends 2 MiB and receives 2 MiB; KEY.out.frames and KEY.in.frames are how many frames went in that direction meanwhile.
traffic() { # KEY NUMBER
	local before
	before=$(statistic "$2" tx_packets)
	iperf "$1.out" "10.9.$2.1" 2
	say "$1.out.frames" $(($(statistic "$2" tx_packets) - before))
	before=$(statistic "$2" rx_packets)
	iperf "$1.in" "10.9.$2.1" 2 -R
	say "$1.in.frames" $(($(statistic "$2" rx_packets) - before))
	get "$1.get" "http://10.9.$2.1:8000/random"
}

# Sets features of eth0; what ethtool shows of them afterwards.
features() { # KEY [FEATURE on|off]...
	local key=$1
	shift
	[ $# = 0 ] || $ethtool -K eth0 "$@" >/run/features 2>&1 || say "$key.refused" "$(tr '\n' ' ' </run/features)"
	say "$key.features" "$($ethtool -k eth0 | awk '
		$1 ~ /^(tx-checksum-ip-generic|tx-tcp-segmentation|tx-tcp6-segmentation|rx-gro-hw):$/ { printf "%s%s %s", n++ ? ", " : "", $1, $2 }')"
}

frames_by() { # PAIR
	echo $(($(driver_statistic 0 "rx_queue_$1_packets") + $(driver_statistic 0 "tx_queue_$1_packets")))
}

# Sends 1 MiB by a queue pair, and the answers come by the one that the host has seen last; KEY.0 and KEY.1 are how many frames went by each pair.
by_pair() { # KEY PAIR
	local before0 before1 queue
	for queue in /sys/class/net/eth0/queues/tx-*; do echo 0 >"$queue/xps_cpus"; done
	echo 3 >"/sys/class/net/eth0/queues/tx-$2/xps_cpus"
	before0=$(frames_by 0)
	before1=$(frames_by 1)
	iperf "$1" 10.9.0.1 1
	say "$1.0" $(($(frames_by 0) - before0))
	say "$1.1" $(($(frames_by 1) - before1))
}

card_up 0
card_up 1
say_card 0
say_card 1

# --- Offloads. ---
features all
traffic all 0
features long tso off rx-gro-hw off
traffic long 0
features sums tx off rx-gro-hw on
traffic sums 0
features again tx on tso on
traffic again 0

# --- Queue pairs: both, one, both again, and then to and fro while there is traffic. ---
by_pair pairs2.first 0
by_pair pairs2.second 1
$ethtool -L eth0 combined 1 && say pairs1.set 1
by_pair pairs1.only 0
$ethtool -L eth0 combined 2 && say pairs3.set 1
by_pair pairs3.second 1

iperf changing 10.9.0.1 16 -P 2 >/run/changing &
iperf=$!
start=$(statistic 0 tx_packets)
while [ "$(statistic 0 tx_packets)" -lt $((start + 50)) ]; do usleep 10000; done
changes=0
while kill -0 $iperf 2>/dev/null; do
	$ethtool -L eth0 combined $((1 + changes % 2)) && changes=$((changes + 1))
	usleep 50000
done
wait $iperf
cat /run/changing
say changing.changes $changes
$ethtool -L eth0 combined 2
echoes changed 10.9.0.1 5

# --- Long frames. ---
$ethtool -K eth1 tso off gso off >/dev/null 2>&1
echoes mtu 10.9.1.1 5 -s 8972
say mtu.fragments "$(awk '/^Ip: [0-9]/ { print $17 + $19 }' /proc/net/snmp)"
traffic mtu 1

say_status 0
say_status 1
sh /report.sh
