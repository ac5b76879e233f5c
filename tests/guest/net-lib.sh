# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# For tests that give a Linux guest network cards. Sourced after tests/lib.sh, boot.sh and disks.sh.
#
# A test has network namespaces of its own, as other hosts: the program runs in "here", and "peer" is what guests reach. Link N
# between the two, with a tap interface for a guest's card:
#
#     guest: ethN --- tap bpN --- bridge brN --- veth hN | pN: 10.9.N.1, fd00:9:N::1
#                             here                       |     peer
#
# BP_NET_VMM=qemu runs the guests in QEMU's microvm, on the same tap interfaces: what fails there, too, is not our device's fault.
# That has none of our counters, and nothing but what Debian 12's QEMU can do.
PATH=$PATH:/usr/sbin:/sbin
net_vmm=${BP_NET_VMM:-backplane}
net_cpus=1
net_pids=$BP_TMP/net.pids
: >"$net_pids"

end_net() {
	local pid
	while read -r pid; do kill "$pid" 2>/dev/null || true; done <"$net_pids"
}
at_exit end_net

# --- Namespaces and links. ---

has_own_network() { # PID
	[[ $(readlink "/proc/$1/ns/net") != $(readlink /proc/self/ns/net) ]] && [[ $(cat "/proc/$1/comm") = sleep ]]
}

# Whoever is not root is root of a user namespace in there.
make_namespace() { # NAME
	local pid first=(unshare --net)
	if [[ $(id -u) != 0 ]]; then
		first=(unshare --user --map-root-user --net)
		[[ ! -s $BP_TMP/net.here ]] || first=(nsenter -U --preserve-credentials -t "$(cat "$BP_TMP/net.here")" unshare --net)
	fi
	"${first[@]}" true 2>/dev/null || skip_case "no network namespaces here"
	"${first[@]}" sleep infinity </dev/null >/dev/null 2>&1 &
	pid=$!
	echo "$pid" >>"$net_pids"
	wait_for 20 has_own_network "$pid"
	echo "$pid" >"$BP_TMP/net.$1"
	inside "$1" ip link set dev lo up
	inside "$1" sh -c 'echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad'
}

inside() { # NAME COMMAND [ARG]...
	local pid options=()
	[[ -s $BP_TMP/net.$1 ]] || skip_case "there is no network"
	pid=$(cat "$BP_TMP/net.$1")
	[[ $(id -u) = 0 ]] || options=(-U --preserve-credentials)
	shift
	nsenter "${options[@]}" --net -t "$pid" -- "$@"
}

# make_link NUMBER PAIRS [MTU]: PAIRS is how many queue pairs the tap interface is for, or 0 for no such interface: join_tap adds the
# one that a guest brings along.
make_link() {
	local n=$1 pairs=$2 mtu=${3:-1500} options=(vnet_hdr)
	inside here ip link add name "br$n" type bridge mcast_snooping 0
	inside here ip link add name "h$n" type veth peer name "p$n" netns "$(cat "$BP_TMP/net.peer")"
	inside here ip link set dev "h$n" mtu "$mtu" master "br$n" up
	inside peer ip link set dev "p$n" mtu "$mtu" up
	inside peer ip addr add "10.9.$n.1/24" dev "p$n"
	inside peer ip -6 addr add "fd00:9:$n::1/64" dev "p$n"
	inside here ip link set dev "br$n" up
	(( pairs )) || return 0
	(( pairs == 1 )) || options+=(multi_queue)
	inside here ip tuntap add dev "bp$n" mode tap "${options[@]}"
	inside here ip link set dev "bp$n" mtu "$mtu"
	join_tap "$n" "bp$n"
}

join_tap() { # NUMBER INTERFACE
	inside here ip link set dev "$2" master "br$1" up
}

# A number of an interface: tx_packets, rx_bytes, ... What a tap interface receives a guest has sent.
interface_statistic() { # NAMESPACE INTERFACE NAME
	inside "$1" ip -s -j link show dev "$2" | tr -d ' \n' |
		sed -n "s/.*\"${3%%_*}\":{[^}]*\"${3#*_}\":\\([0-9]*\\).*/\\1/p"
}

# --- What guests talk to. ---

# serve COMMAND [ARG]...: in the peer, until the test ends.
serve() {
	inside peer "$@" </dev/null >>"$BP_TMP/served" 2>&1 &
	echo $! >>"$net_pids"
}

listens_at() { # NAMESPACE PORT
	inside "$1" ss -Hltn "sport = :$2" | grep -q .
}

serve_iperf() { # PORT...
	local port
	for port; do serve iperf3 -s -p "$port"; done
	for port; do wait_for 30 listens_at peer "$port"; done
}

# Port 8000 has a file /random of so many MiB, whose checksum is in $BP_TMP/random.sum, and says how often it was asked for /cgi-bin/life.
serve_http() { # MIB
	mkdir -p "$BP_TMP/www/cgi-bin"
	cat >"$BP_TMP/www/cgi-bin/life" <<-END
		#!/bin/sh
		echo life >>"$BP_TMP/lives"
		printf 'Content-Type: text/plain\r\n\r\n'
		wc -l <"$BP_TMP/lives"
	END
	chmod +x "$BP_TMP/www/cgi-bin/life"
	head -c "$1M" /dev/urandom >"$BP_TMP/www/random"
	sha256sum "$BP_TMP/www/random" | cut -c 1-64 >"$BP_TMP/random.sum"
	serve busybox httpd -f -p 8000 -h "$BP_TMP/www"
	wait_for 30 listens_at peer 8000
}

has_said() { # NAME LINE
	grep -Eqx "$2"$'\r?' "$BP_TMP/$1.log"
}

# fetch NAME: once the guest serves (serve_random), gets its file, whose checksum is then in $BP_TMP/NAME.fetched, and says so.
fetch() {
	wait_for 390 has_said "$1" guest.serves=1
	inside peer timeout 300 busybox wget -q -O - http://10.9.0.2:8000/random | sha256sum | cut -c 1-64 >"$BP_TMP/$1.fetched"
	: >"$BP_TMP/www/fetched"
}

# --- Guests. ---

# make_net_initrd SCRIPT...: with these scripts of this folder, net-guest.sh and report.sh.
make_net_initrd() {
	local script files=()
	[[ -s $BP_BUILD/guest/net-tools.img ]] || fail "no tools: run tests/guest/mktools -o $BP_BUILD/guest/net-tools.img net"
	for script in "$@" net-guest.sh report.sh; do files+=(--file "$BP_SRC/tests/guest/$script:/$script"); done
	"$BP_SRC/tests/guest/mkinitramfs" -o "$BP_TMP/base.img" --kernel "$("$BP_SRC/tests/guest/fetch-kernel" cloud)" \
		--module virtio_mmio --module virtio_net --module macvlan "${files[@]}"
	# shellcheck disable=SC2154 # disks.sh has it
	cat "$BP_TMP/base.img" "$BP_BUILD/guest/net-tools.img" >"$initrd"
}

# The cards of the next guest; new_guest begins with none.
net_devices='' net_qemu=()
new_guest() {
	net_devices='' net_qemu=()
}

# card ID NETWORK PAIRS [KEY=VALUE;]...: a card with a MAC that goes by its place among the guest's.
card() {
	local id=$1 network=$2 pairs=$3 backend mac
	mac=52:54:00:09:00:0$((${#net_qemu[@]} / 4))
	shift 3
	net_devices+=", { plugin = \"virtio-net\"; id = \"$id\"; network = \"$network\"; queues = $pairs; mac = \"$mac\"; $* }"
	case $network in
	tap:*) backend="tap,id=$id,ifname=${network#tap:},script=no,downscript=no,vhost=off,queues=$pairs" ;;
	listen:*) backend="stream,id=$id,server=on,addr.type=unix,addr.path=$BP_TMP/${network#*:}" ;;
	connect:*) backend="stream,id=$id,server=off,addr.type=unix,addr.path=$BP_TMP/${network#*:}" ;;
	*) backend="none" ;;
	esac
	net_qemu+=(-netdev "$backend" -device
		"virtio-net-device,netdev=$id,mac=$mac,mq=$( ((pairs > 1)) && echo on || echo off)$(sed -n 's/.*\bmtu = \([0-9]*\);.*/,host_mtu=\1/p' <<<"$*")")
}

# net_config NAME SCRIPT [MEMORY [CMDLINE]]: $BP_TMP/NAME.cfg, or a command for QEMU.
net_config() {
	local words="console=ttyS0 quiet bp.script=/$2 ${4-}"
	[[ -s $initrd ]] || skip_case "there is no initramfs"
	cat >"$BP_TMP/$1.cfg" <<-END
		machine = { vcpus = $net_cpus; memory = "${3:-256M}"; };
		boot = { kernel = "$(kernel_image cloud pvh)"; initrd = "$initrd"; cmdline = "$words"; };
		devices = ( { plugin = "serial"; id = "console"; }$net_devices );
	END
	net_command=("$BP_BUILD/backplane" run --metrics "$BP_TMP/$1.metrics" "$BP_TMP/$1.cfg")
	[[ $net_vmm != qemu ]] || net_command=(qemu-system-x86_64 -nodefaults -no-user-config -accel kvm -cpu host -display none
		-M "microvm,x-option-roms=off,pit=off,pic=off,isa-serial=on,rtc=on" -smp "$net_cpus" -m "${3:-256M}" -serial stdio
		-kernel "$(kernel_image cloud pvh)" -initrd "$initrd" -append "panic=-1 $words"
		-global virtio-mmio.force-legacy=false "${net_qemu[@]}")
}

# run_net NAME SECONDS [COMMAND [ARG]...]: runs what net_config has made, in "here", and the command at the same time; what the guest
# says is in NAME.log, what the program does in NAME.err.
run_net() {
	local name=$1 seconds=$2 status=0 helper=''
	shift 2
	: >"$BP_TMP/$name.log"
	if (( $# )); then
		"$@" >"$BP_TMP/$name.helper" 2>&1 &
		helper=$!
	fi
	inside here timeout -k 5 "$seconds" "${net_command[@]}" </dev/null >"$BP_TMP/$name.log" 2>"$BP_TMP/$name.err" || status=$?
	[[ $net_vmm != qemu ]] || sed -i '/warning: Number of .* exceeds the recommended cpus/d' "$BP_TMP/$name.err"
	cat "$BP_TMP/$name.log" "$BP_TMP/$name.err"
	[[ -z $helper ]] || wait "$helper" || fail "$(cat "$BP_TMP/$name.helper")"
	[[ $status = 0 ]] || fail "exit status $status"
	[[ $(guest_value "done" "$BP_TMP/$name.log") = 1 ]] || fail "the guest's report is not complete"
}

# --- What the guest and the device have said. ---

value() { # NAME KEY
	guest_value "${2//./\\.}" "$BP_TMP/$1.log"
}

# at_least NAME KEY LEAST: a number that the guest of NAME has said.
at_least() {
	expect "$1" "$2" '[0-9]+'
	(( $(value "$1" "$2") >= $3 )) || fail "$2 is $(value "$1" "$2"), expected: at least $3"
}

# transferred NAME KEY MIB: iperf3 has sent so much, and most of it had come when the last was sent.
transferred() {
	expect "$1" "$2.status" 0
	at_least "$1" "$2.sent" $(($3 << 20))
	at_least "$1" "$2.received" $(($3 << 19))
}

# datagrams NAME KEY COUNT: iperf3 has sent so many, and most have come: nobody promises that of all, on a machine that is busy.
datagrams() {
	expect "$1" "$2.status" 0
	at_least "$1" "$2.packets" "$3"
	expect "$1" "$2.lost" '[0-9]+'
	(( $(value "$1" "$2.lost") * 4 <= $(value "$1" "$2.packets") )) ||
		fail "$(value "$1" "$2.lost") of $(value "$1" "$2.packets") were lost"
}

# net_metric NAME METRIC ID: what a card has counted.
net_metric() {
	sed -n "s/^backplane_virtio_net_$2{.*device=\"$3\".*} //p" "$BP_TMP/$1.metrics"
}
