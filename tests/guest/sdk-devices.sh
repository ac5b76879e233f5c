#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# Drives the light and the two copying engines of sdk-devices.test from inside the guest: the light by
# /dev/mem, the engines by the attributes of driver/acme_dma.c. It prints facts as "guest.KEY=VALUE" lines
# and judges nothing; the test does. Run by bp.script=/sdk-devices.sh; ends with the lines of report.sh.
# shellcheck shell=dash disable=SC2154 # variables are set by eval, as there are no arrays

drivers=/sys/bus/platform/drivers/acme_dma

say() { # KEY VALUE
	echo "guest.$1=$2"
}

# --- The light: a node without a HID of its own, found by its compatible. ---
led=
for node in /sys/bus/acpi/devices/PRP0001:*; do
	grep -q 'Cacme,led$' "$node/modalias" && led=${node##*/}
done
say led.instance "$(cat "/sys/bus/acpi/devices/$led/description")"
place=$(sed -n "s/^ *\([0-9a-f]*\)-\([0-9a-f]*\) : $led\$/\1 \2/p" /proc/iomem)
light=0x${place% *}
say led.bytes $((0x${place#* } - light + 1))
say led.initial "$(devmem "$light" 32)"
for value in 0xC35A0FF1 0x00000001; do
	devmem "$light" 32 "$value"
	say "led.$value" "$(devmem "$light" 32)"
done
say led.byte "$(devmem "$light" 8)"
say led.half "$(devmem "$light" 16)"
devmem "$light" 8 0xEE
devmem "$light" 16 0xEEEE
say led.kept "$(devmem "$light" 32)"

# --- The copying engines. Each has a variable that counts its commands. ---
insmod /acme_dma.ko
for path in "$drivers"/ACME0002:*; do
	node=${path##*/}
	name=$(cat "/sys/bus/acpi/devices/$node/description")
	case $name in
	dma0 | dma1) eval "$name=\$path count_$name=0" ;;
	*) say unexpected "$name" ;;
	esac
	say "$name.node" "$node"
	say "$name.memory" "$(sed -n "s/^ *\([0-9a-f-]*\) : $node.*/\1/p" /proc/iomem | head -n 1)"
	say "$name.line" "$(sed -n "s/.* \([0-9]*\)-edge  *$node\$/\1/p" /proc/interrupts)"
done

# Runs a command and leaves what came of it in $result.
command() { # NAME ATTRIBUTE REQUEST
	eval "path=\$$1 count_$1=\$((count_$1 + 1))"
	result=failed
	echo "$3" >"$path/$2" && read -r result <"$path/result"
}

# Copies with each length, without a delay. Prints how many were right.
copies() { # NAME COUNT
	good=0 seed=0
	while [ "$seed" -lt "$2" ]; do
		for length in 1 7 64 4096 4097 65536 1048576 513 2 12345; do
			seed=$((seed + 1))
			command "$1" copy "$length $seed 0"
			case $result in
			"status=1 verified=1 "*) good=$((good + 1)) ;;
			*) say "$1.wrong" "$length $seed: $result" ;;
			esac
		done
	done
	say "$1.good" "$good"
}

counters() { # NAME
	eval "path=\$$1 commands=\$count_$1"
	say "$1.commands" "$commands"
	say "$1.interrupts" "$(cat "$path/interrupts")"
	say "$1.strays" "$(cat "$path/strays")"
	say "$1.delivered" "$(awk -v cpus="$(nproc)" -v node="${path##*/}" \
		'$NF == node { for (i = 2; i < 2 + cpus; i++) n += $i } END { print n }' /proc/interrupts)"
}

start=$(cut -d ' ' -f 1 /proc/uptime)
copies dma0 100
copies dma1 100
say copies.seconds "$start to $(cut -d ' ' -f 1 /proc/uptime)"

for delay in 1 100 1000 20000 300000; do
	command dma0 copy "4096 $delay $delay"
	say "delay.$delay" "$result"
done

# While one engine waits the other works; and then both at once.
echo "65536 7 3000000" >"$dma0/copy" &
waiting=$!
for seed in 1 2 3 4 5; do command dma1 copy "65536 $seed 0"; done
say apart.dma1 "$result"
kill -0 "$waiting" && say apart.dma0 "still waiting"
wait "$waiting" && count_dma0=$((count_dma0 + 1))
say apart.dma0.later "$(cat "$dma0/result")"
many() { # NAME: its copies' results, each once
	for seed in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
		command "$1" copy "30000 $seed 2000"
		echo "${result% elapsed_us=*}"
	done | sort | uniq -c | sed 's/^ *//'
}
many dma0 >/run/both.dma0 &
waiting=$!
many dma1 >/run/both.dma1
wait "$waiting"
count_dma0=$((count_dma0 + 20)) count_dma1=$((count_dma1 + 20))
say both.dma0 "$(cat /run/both.dma0)"
say both.dma1 "$(cat /run/both.dma1)"

# Where memory ends (the last range below 4 GiB), and addresses that are not memory.
end=0x$(sed -n 's/^[0-9a-f]*-\([0-9a-f]*\) : System RAM$/\1/p' /proc/iomem | tail -n 1)
end=$((end + 1))
say memory.end $end
fault() { # KEY ATTRIBUTE REQUEST
	command dma1 "$2" "$3"
	say "fault.$1" "$result"
}
fault control copy_from "$(printf %x $((end - 64))) 64 0"
fault across-end copy_from "$(printf %x $((end - 64))) 65 0"
fault at-end copy_from "$(printf %x $end) 1 0"
fault hole copy_from "c0000000 4096 0"
fault to-hole copy_to "c0000000 4096 0"
fault device copy_from "$light 4 0"
fault to-device copy_to "$light 4 0"
fault top copy_from "fffffffffffff000 4096 0"
fault wraps copy_from "fffffffffffffffc 8 0"
fault to-wraps copy_to "fffffffffffffffc 8 0"
fault too-long copy "1048577 1 0"
fault nothing copy "0 1 0"
fault afterwards copy "4096 1 0"
say fault.led "$(devmem "$light" 32)"

sleep 1
counters dma0
counters dma1

# The driver goes and comes again.
node=${dma0##*/}
echo "$node" >"$drivers/unbind"
[ -e "$dma0" ] || say rebind.gone yes
echo "$node" >"$drivers/bind"
command dma0 copy "4096 1 0"
say rebind.result "$result"
say rebind.interrupts "$(cat "$dma0/interrupts")"
rmmod acme_dma && say rebind.removed yes
sh /report.sh
