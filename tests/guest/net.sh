#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# Uses the network card of net.test and net-long.test in the guest: echoes, iperf3, HTTP. It prints facts as "guest.KEY=VALUE" lines and
# judges nothing; the test does. bp.iperf=MIB is how much iperf3 moves each time, bp.http=MIB how much goes each way by HTTP. Run by
# bp.script=/net.sh; ends with the lines of report.sh.
# shellcheck shell=dash
# shellcheck source=net-guest.sh
. /net-guest.sh
much=$(word bp.iperf)

card_up 0
say_card 0

echoes echo4 10.9.0.1 5
echoes echo6 fd00:9:0::1 5
echoes big4 10.9.0.1 5 -s 65000
echoes big6 fd00:9:0::1 5 -s 65000

for version in 4 6; do
	address=10.9.0.1
	[ $version = 4 ] || address=fd00:9:0::1
	iperf "out$version" $address "$much"
	iperf "in$version" $address "$much" -R
	iperf "out$version.8" $address "$much" -P 8 -w 16K
	iperf "in$version.8" $address "$much" -P 8 -w 16K -R
	iperf "udp.out$version" $address - -u -b 2M -t 2
	iperf "udp.in$version" $address - -u -b 2M -t 2 -R
done

get get http://10.9.0.1:8000/random
serve_random "$(word bp.http)" http://10.9.0.1:8000/fetched

say_status 0
for counter in rx_errors tx_errors rx_dropped tx_dropped; do say "eth0.$counter" "$(statistic 0 $counter)"; done
sh /report.sh
