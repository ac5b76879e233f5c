# SPDX-License-Identifier: BSD-3-Clause
#
# From what watch --spans has printed and what the guest has said (disk.sh) to lines "NAME VALUE UNIT": what fio reached, and for each
# I/O what was counted during its job, less what the lines around it cost (the span "none"). Used by tests/bench/rounds.
# -v mmio=1: the guest's driver reads and acknowledges the interrupt status, an exit each. What is left of the exits are kick_exits.

function count(name, what) {
	return got[name, what] > got["none", what] ? got[name, what] - got["none", what] : 0
}

{ sub(/\r$/, "") }

/^[a-z0-9]+\.[a-z_]+=[0-9]+$/ {
	split($0, part, /[.=]/)
	got[part[1], part[2]] = part[3]
	next
}

$1 == "bench.result" {
	for (i = 3; i <= NF; i++) {
		split($i, part, "=")
		result[part[1]] = part[2] + 0
	}
	printf "%s_iops %d reads/s\n%s_kibps %d KiB/s\n", $2, result["iops"], $2, result["kibps"]
	if (!("interrupts" in result) || !result["ios"])
		next
	printf "%s_interrupts %.3f per-read\n", $2, result["interrupts"] / result["ios"]
	for (i = split("user_exits syscalls allocations main_switches", what, " "); i; i--)
		if (($2, what[i]) in got)
			printf "%s_%s %.3f per-read\n", $2, what[i], count($2, what[i]) / result["ios"]
	if (mmio && ($2, "user_exits") in got) {
		kicks = count($2, "user_exits") - 2 * result["interrupts"]
		printf "%s_kick_exits %.3f per-read\n", $2, (kicks > 0 ? kicks : 0) / result["ios"]
	}
}
