# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# A guest that runs net.sh, for net.test and net-long.test. Sourced after net-lib.sh.

network() { # MIB
	make_namespace here
	make_namespace peer
	make_link 0 2
	serve_iperf 5201
	serve_http "$1"
}

boot() { # IPERF HTTP SECONDS
	new_guest
	card net0 tap:bp0 2
	net_config net net.sh "$((192 + 2 * $2))M" "bp.iperf=$1 bp.http=$2"
	run_net net "$3" fetch net
}

is_found() {
	expect net eth0.driver virtio_net
	expect net eth0.mac 52:54:00:09:00:00
	expect net eth0.mtu 1500
	expect net eth0.carrier 1
	expect net eth0.pairs '2 [12]'
	expect net eth0.status 0x0000000f
}

no_errors() {
	local counter
	for counter in rx_errors tx_errors rx_dropped tx_dropped; do expect net "eth0.$counter" 0; done
}

echoed() { # KEY...
	local key
	for key; do expect net "$key.echoes" 5; done
}

both_ways() { # VERSION SUFFIX MIB
	transferred net "out$1$2" "$3"
	transferred net "in$1$2" "$3"
}

by_udp() { # VERSION
	datagrams net "udp.out$1" 100
	datagrams net "udp.in$1" 100
}

gotten() {
	expect net get.sum "$(cat "$BP_TMP/random.sum")"
}

fetched() {
	expect net random.sum '[0-9a-f]{64}'
	[[ $(cat "$BP_TMP/net.fetched") = "$(value net random.sum)" ]] || fail "another checksum: $(cat "$BP_TMP/net.fetched")"
}

# net_cases IPERF HTTP SECONDS: iperf3 moves so many MiB each time, and by HTTP so many go each way.
net_cases() {
	plan 16
	run_case "initramfs" make_net_initrd net.sh
	run_case "network" network "$2"
	run_case "boots" boot "$@"
	run_case "card is found" is_found
	run_case "echoes" echoed echo4 echo6
	run_case "echoes of 65000 bytes" echoed big4 big6
	run_case "TCP both ways, IPv4" both_ways 4 "" "$1"
	run_case "TCP both ways, IPv6" both_ways 6 "" "$1"
	run_case "8 streams both ways, IPv4" both_ways 4 .8 "$1"
	run_case "8 streams both ways, IPv6" both_ways 6 .8 "$1"
	run_case "UDP both ways, IPv4" by_udp 4
	run_case "UDP both ways, IPv6" by_udp 6
	run_case "HTTP to the guest" gotten
	run_case "HTTP from the guest" fetched
	run_case "no errors" no_errors
	run_case "without warnings" no_warnings net
}
