# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# What a VMM takes besides its guest's memory. Sourced by tests/bench/rounds, native-x1-vm and tests/guest/counts.test.

# Prints smaps of a process and of all that its main thread has started, before each a line "process NAME".
list_smaps() { # PID
	local child
	echo "process $(cat "/proc/$1/comm")"
	cat "/proc/$1/smaps"
	tr ' ' '\n' <"/proc/$1/task/$1/children" | while read -r child; do list_smaps "$child"; done
}

# Prints "pss_kib N" and "uss_kib N" of smaps of one or several processes, without guest memory: a mapping of that size,
# or one with our name. It fails if there is no guest memory, or as much of it as cannot be: then something else was
# left out. With plugins in processes, from list_smaps, there are also the means of those, host_pss_kib and
# host_uss_kib, the largest, host_pss_most_kib, how many they are, hosts, and spawner_pss_kib.
sum_smaps() { # MEMORY_MIB FILE
	awk -v memory_kib="$(($1 * 1024))" '
		function put(what) {
			if (process == "device-host")
				host[what] += $2
			if (process == "device-host" && what == "pss")
				each[hosts] += $2
			if (process == "spawner" && what == "pss")
				spawner += $2
			sum[what] += $2
		}
		/^process / {
			process = $2
			hosts += process == "device-host"
			next
		}
		/^[0-9a-f]+-[0-9a-f]+ / { name = $6; ram = 0; next }
		/^Size:/ {
			ram = name ~ /memfd:backplane-ram/ || $2 == memory_kib
			if (ram) all += $2
			next
		}
		/^Pss:/ && !ram { put("pss") }
		/^Private_(Clean|Dirty|Hugetlb):/ && !ram { put("uss") }
		END {
			if (!all || all % memory_kib) {
				print "cannot tell the guest memory: " all + 0 " KiB of " memory_kib >"/dev/stderr"
				exit 1
			}
			print "pss_kib " sum["pss"] + 0
			print "uss_kib " sum["uss"] + 0
			if (!hosts)
				exit
			for (i in each)
				if (each[i] > most)
					most = each[i]
			printf "hosts %d\nhost_pss_kib %.1f\nhost_uss_kib %.1f\n", hosts, host["pss"] / hosts, host["uss"] / hosts
			print "host_pss_most_kib " most + 0
			print "spawner_pss_kib " spawner + 0
		}' "$2"
}
