#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# Two serial ports beside the console, driven by Linux's own driver: bp.bytes=COUNT bytes each way through both at once. It
# prints what was sent and what has come as SHA-256; the test compares. Run by bp.script=/serial.sh.
# shellcheck shell=dash

say() { # KEY VALUE
	echo "guest.$1=$2"
}

sum() { # FILE
	sha256sum "$1" | cut -d ' ' -f 1
}

read -r words </proc/cmdline
for word in $words; do
	case $word in
	bp.bytes=*) bytes=${word#bp.bytes=} ;;
	esac
done

# The numbers of the ports are the driver's affair; their places are ours. io_type: 0 is ports, 2 is memory.
com2='' mmio=''
for port in /sys/class/tty/ttyS*; do
	[ "$(cat "$port/type")" != 0 ] || continue
	case $(cat "$port/io_type") in
	0) [ "$(cat "$port/port")" = 0x2F8 ] && com2=${port##*/} ;;
	2) mmio=${port##*/} ;;
	esac
done
say com2.node "$com2"
say mmio.node "$mmio"

# Open until the end, as closing a port drops what has come in.
exec 3<>"/dev/$com2" 4<>"/dev/$mmio"
stty raw -echo <&3
stty raw -echo <&4
for name in com2 mmio; do
	head -c "$bytes" /dev/urandom >"/run/$name.out"
	say $name.sent "$(sum /run/$name.out)"
done
say ports open

head -c "$bytes" <&3 >/run/com2.in &
readers=$!
head -c "$bytes" <&4 >/run/mmio.in &
readers="$readers $!"
cat /run/com2.out >&3 &
writers=$!
cat /run/mmio.out >&4 &
writers="$writers $!"
# shellcheck disable=SC2086 # several
wait $readers $writers
for name in com2 mmio; do
	say $name.bytes "$(wc -c </run/$name.in)"
	say $name.got "$(sum /run/$name.in)"
done
# What the driver has counted: overruns (oe), and what it has sent and received.
sed -n 's/^\([0-9]*\): uart:16550A .* \(tx:.*\)/guest.driver.\1=\2/p' /proc/tty/driver/serial
sh /report.sh
