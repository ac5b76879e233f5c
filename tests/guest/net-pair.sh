#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# One of two guests of net-pair.test whose cards are joined by a socket: bp.side=1 or 2 is the end of its address. It meets bp.meets=N others, one
# after the other. Side 1 serves; side 2 uses that and says when it has had enough. It prints facts as "guest.KEY=VALUE" lines and judges
# nothing; the test does. Run by bp.script=/net-pair.sh; ends with the lines of report.sh.
# shellcheck shell=dash
# shellcheck source=net-guest.sh
. /net-guest.sh
side=$(word bp.side)
meets=$(word bp.meets)

# Waits until there is a connection, or none any more.
until_carrier() { # 0|1
	local tries=0
	while [ "$(cat /sys/class/net/eth0/carrier)" != "$1" ] && [ $tries -lt 6000 ]; do
		usleep 20000
		tries=$((tries + 1))
	done
	say "met$met.carrier$1" "$(cat /sys/class/net/eth0/carrier)"
}

serve() {
	mkdir -p /run/www/cgi-bin
	dd if=/dev/urandom of=/run/www/random bs=1M count=2 2>/dev/null
	say random.sum "$(sha256sum </run/www/random | cut -c 1-64)"
	printf '%s\n' '#!/bin/sh' 'echo over >>/run/over' 'printf "\r\n\r\n"' >/run/www/cgi-bin/over
	chmod +x /run/www/cgi-bin/over
	httpd -p 8000 -h /run/www
	/tools/iperf3 -s -D
}

use() {
	until ping -c 1 -W 1 10.9.0.1 >/dev/null 2>&1; do :; done
	echoes "met$met" 10.9.0.1 5
	echoes "met$met.big" 10.9.0.1 5 -s 65000
	iperf "met$met.out" 10.9.0.1 2
	iperf "met$met.in" 10.9.0.1 2 -R
	get "met$met" http://10.9.0.1:8000/random
	wget -q -O - http://10.9.0.1:8000/cgi-bin/over >/dev/null
}

echo 0 >/proc/sys/net/ipv6/conf/eth0/accept_dad
ip link set dev eth0 up
ip addr add "10.9.0.$side/24" dev eth0
say_card 0
: >/run/over
[ "$side" = 2 ] || serve
say ready 1
met=1
while [ $met -le "$meets" ]; do
	until_carrier 1
	if [ "$side" = 2 ]; then
		use
	else
		while [ "$(wc -l </run/over)" -lt $met ]; do usleep 50000; done
	fi
	[ $met = "$meets" ] || until_carrier 0
	met=$((met + 1))
done
say_status 0
sh /report.sh
