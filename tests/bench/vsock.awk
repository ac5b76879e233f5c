# SPDX-License-Identifier: BSD-3-Clause
#
# From what watch --spans has printed and what the guest has said (vsock.sh) to lines "NAME VALUE UNIT": how many units of each job are
# done in a second, what was counted for each, less what the lines around it cost (the span "none"), and how fast the guest gets
# a stream beside how fast the host does. Used by tests/bench/rounds.

{ sub(/\r$/, "") }

/^[a-z0-9-]+\.[a-z_]+=[0-9]+$/ {
	split($0, part, /[.=]/)
	got[part[1], part[2]] = part[3]
	next
}

$1 == "bench.result" && NF == 5 {
	for (i = 3; i <= NF; i++) {
		split($i, part, "=")
		result[part[1]] = part[2]
	}
	if (result["us"] <= 0 || result["units"] <= 0)
		next
	name = $2
	gsub(/-/, "_", name)
	rate[name] = result["units"] / result["us"] * 1000000
	printf "%s %.1f %s/s\n", name, rate[name], result["unit"]
	for (i = split("user_exits syscalls allocations", what, " "); i; i--)
		if (($2, what[i]) in got) {
			count = got[$2, what[i]] - got["none", what[i]]
			printf "%s_%s %.3f per-%s\n", name, what[i], (count > 0 ? count : 0) / result["units"], result["unit"]
		}
}

END {
	if (rate["to_host"] > 0 && rate["to_guest"] > 0)
		printf "to_guest_by_to_host %.3f ratio\n", rate["to_guest"] / rate["to_host"]
}
