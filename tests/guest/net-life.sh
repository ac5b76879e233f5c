#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# Takes the driver away from eth0 of net-life.test while it is in use and gives it back, bp.rounds=N times, and reboots while it is in
# use; then, with bp.kill, waits until eth0's device fails while it is in use. The machine's life has a number, which the web server counts. It
# prints facts as "guest.KEY=VALUE" lines and judges nothing; the test does. Run by bp.script=/net-life.sh; ends with the
# lines of report.sh.
# shellcheck shell=dash
# shellcheck source=net-guest.sh
. /net-guest.sh
driver=/sys/bus/virtio/drivers/virtio_net
device=$(basename "$(readlink -f /sys/class/net/eth0/device)")

# Both ways by eth0, for long; returns when there are frames.
busy() {
	local before
	before=$(($(statistic 0 tx_packets) + $(statistic 0 rx_packets)))
	timeout 500 /tools/iperf3 -c 10.9.0.1 -p 5202 -t 400 --bidir >/dev/null 2>&1 &
	traffic=$!
	while [ $(($(statistic 0 tx_packets) + $(statistic 0 rx_packets))) -lt $((before + 200)) ]; do usleep 10000; done
}

# Its connections may be dead, which it would not notice for long.
no_longer_busy() {
	killall -KILL iperf3
	wait $traffic
}

works() { # KEY
	echoes "$1" 10.9.0.1 5
	iperf "$1" 10.9.0.1 1
}

card_up 0
card_up 1
life=$(wget -q -O - http://10.9.1.1:8000/cgi-bin/life)
say life "$life"

if [ "$life" = 1 ]; then
	round=0
	while [ $round -lt "$(word bp.rounds)" ]; do
		busy
		echo "$device" >$driver/unbind
		[ -e /sys/class/net/eth0 ] || say "round$round.unbound" 1
		no_longer_busy
		echo "$device" >$driver/bind
		card_up 0
		works "round$round"
		say_status 0
		round=$((round + 1))
	done
	say rounds $round
	sh /report.sh
	busy
	reboot -f
fi

works second
if [ "$(word bp.kill)" = 1 ]; then
	busy
	say mortal 1
	tries=0
	while [ $(($(cat "/sys/bus/virtio/devices/$device/status") & 64)) = 0 ] && [ $tries -lt 3000 ]; do
		usleep 20000
		tries=$((tries + 1))
	done
	say failed.status "$(cat "/sys/bus/virtio/devices/$device/status")"
	say failed.uptime "$(cut -d . -f 1 /proc/uptime)"
fi
echoes other 10.9.1.1 5
iperf other 10.9.1.1 1
say_status 1
sh /report.sh
