#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# Uses the network of net-passt.test: has its address from DHCP, resolves a name, gets a file from there, and serves one. It prints facts as
# "guest.KEY=VALUE" lines and judges nothing; the test does. Run by bp.script=/net-passt.sh; ends with the lines of report.sh.
# shellcheck shell=dash
# shellcheck source=net-guest.sh
. /net-guest.sh

cat >/run/lease <<-'END'
	#!/bin/sh
	[ "$1" = bound ] || exit 0
	echo "guest.dhcp.address=$ip"
	echo "guest.dhcp.router=$router"
	echo "guest.dhcp.dns=$dns"
	ip addr add "$ip/$mask" dev "$interface"
	ip route add default via "$router"
	echo "nameserver ${dns%% *}" >/etc/resolv.conf
END
chmod +x /run/lease

say_card 0
ip link set dev eth0 up
udhcpc -i eth0 -f -q -n -t 30 -T 1 -s /run/lease
say name.address "$(nslookup name.test | awk '/^Name:/ { name = $2 } name == "name.test" && /^Address/ { print $NF }')"
get out http://name.test:8000/random
iperf tcp.out name.test 2
iperf tcp.in name.test 2 -R
serve_random 1 http://name.test:8000/fetched
say_status 0
sh /report.sh
