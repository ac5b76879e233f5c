# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# What a VMM takes besides its guest's memory. Sourced by tests/bench/rounds and tests/guest/counts.test.

# Prints "pss_kib N" and "uss_kib N" of smaps of one or several processes, without guest memory: a mapping of that size, or one
# with our name. It fails if there is no guest memory, or as much of it as cannot be: then something else was left out.
sum_smaps() { # MEMORY_MIB FILE
	awk -v memory_kib="$(($1 * 1024))" '
		/^[0-9a-f]+-[0-9a-f]+ / { name = $6; ram = 0; next }
		/^Size:/ {
			ram = name ~ /memfd:backplane-ram/ || $2 == memory_kib
			if (ram) all += $2
			next
		}
		/^Pss:/ && !ram { pss += $2 }
		/^Private_(Clean|Dirty|Hugetlb):/ && !ram { uss += $2 }
		END {
			if (!all || all % memory_kib) {
				print "cannot tell the guest memory: " all + 0 " KiB of " memory_kib >"/dev/stderr"
				exit 1
			}
			print "pss_kib " pss + 0
			print "uss_kib " uss + 0
		}' "$2"
}
