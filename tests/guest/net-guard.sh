#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# Sends by the cards of net-guard.test with their own MAC, and then with that of a second interface on each: 10.9.N.3. It prints facts as
# "guest.KEY=VALUE" lines and judges nothing; the test does. Run by bp.script=/net-guard.sh; ends with the lines of report.sh.
# shellcheck shell=dash
# shellcheck source=net-guest.sh
. /net-guest.sh

for card in 0 1; do
	card_up $card
	say_card $card
done
# Until the interfaces, which the guest has brought along, are part of the network.
for card in 0 1; do
	until ping -c 1 -W 1 "10.9.$card.1" >/dev/null 2>&1; do :; done
	echoes "own$card" "10.9.$card.1" 5
	ip addr flush dev "eth$card"
	ip link add link "eth$card" name "foreign$card" type macvlan
	ip link set dev "foreign$card" up
	ip addr add "10.9.$card.3/24" dev "foreign$card"
	say "foreign$card.mac" "$(cat "/sys/class/net/foreign$card/address")"
	echoes "foreign$card" "10.9.$card.1" 5
	say "foreign$card.sent" "$(cat "/sys/class/net/foreign$card/statistics/tx_packets")"
	ip link del "foreign$card"
	ip addr add "10.9.$card.2/24" dev "eth$card"
	echoes "again$card" "10.9.$card.1" 5
	say_status $card
done
sh /report.sh
