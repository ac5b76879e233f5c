# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# What the memory of processes consists of. Sourced by tests/bench/native-x1-vm and rounds; and by people:
#     . tests/bench/mappings.sh; mappings PID...

# Reads smaps of one or several processes, and prints lines "KIND PSS USS" in KiB, the sums of all of them, without
# guest memory. Kinds:
#   program, plugin, libc, loader, other    code and constants of files, which processes share
#   program-data, plugin-data, ...          what relocation and use have made of them, and zeroed data behind them
#   heap                                    with the arenas of threads
#   stack                                   of the main thread
#   shared                                  pages that processes share and that are not guest memory; io_uring's rings
#   anonymous                               all else: stacks of other threads, thread-local data, what is mapped
sum_mappings() { # FILE
	awk '
		function file_kind(name) {
			if (name ~ /\/ld-linux/)
				return "loader"
			if (name ~ /\/libc\.so/)
				return "libc"
			if (name ~ /\/plugins\/|\/lib\/backplane\//)
				return "plugin"
			return name ~ /\/(backplane|device-host|spawner)$/ ? "program" : "other"
		}
		function add(kind, a, b) {
			if (!(kind in all))
				order[++kinds] = kind
			all[kind] += a
			own[kind] += b
		}
		function finish(  kind) {
			if (name ~ /^\/memfd:backplane-ram/)
				return
			if (name ~ /^\/(memfd:|dev\/zero|SYSV|dev\/shm)|^anon_inode:/)
				add("shared", pss, uss)
			else if (name ~ /^\//) {
				kind = file_kind(name)
				add(kind, pss - copied, uss - copied)
				add(kind "-data", copied, copied)
			} else if (name == "[heap]")
				add("heap", pss, uss)
			else if (name == "[stack]")
				add("stack", pss, uss)
			else if (behind != "" && mode == "rw-p")
				add(file_kind(behind) "-data", pss, uss)
			# glibc maps an arena of 64 MiB at a multiple of that, and lets its beginning be written
			else if (mode == "rw-p" && start ~ /[048c]000000$/)
				add("heap", pss, uss)
			else
				add("anonymous", pss, uss)
		}
		/^[0-9a-f]+-[0-9a-f]+ / {
			if (seen++)
				finish()
			split($1, ends, "-")
			# Zeroed data lies right behind the data that can be written.
			behind = $6 == "" && ends[1] == stop && name ~ /^\// && name !~ /memfd/ && mode == "rw-p" ? name : ""
			start = ends[1]; stop = ends[2]; mode = $2; name = $6
			pss = uss = copied = 0
			next
		}
		/^Pss:/ { pss = $2 }
		/^Private_(Clean|Dirty|Hugetlb):/ { uss += $2 }
		# Dirty is also what a build has just written.
		/^Anonymous:/ { copied = $2 }
		END {
			if (seen)
				finish()
			for (i = 1; i <= kinds; i++)
				print order[i], all[order[i]], own[order[i]]
		}' "$1"
}

mappings() { # PID...
	local pid
	for pid in "$@"; do cat "/proc/$pid/smaps"; done | sum_mappings /dev/stdin
}
