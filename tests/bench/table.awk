# SPDX-License-Identifier: BSD-3-Clause
#
# Prints what stats.awk has computed, for people. Comes last: ends with 1 if something failed or is missing.

function short(value) {
	if (value == int(value) && value < 1e9)
		return sprintf("%d", value)
	return value >= 100 ? sprintf("%.1f", value) : value >= 1 ? sprintf("%.2f", value) : sprintf("%.3f", value)
}

function spread(median, low, high) {
	return short(median) (low == high ? "" : " (" short(low) " - " short(high) ")")
}

# The counts of both sides: " user_exits 310 : 5204".
function counts_of(f,   list, count, i, text, a, b) {
	count = split(figure_counts[f], list, ",")
	for (i = 1; i <= count; i++) {
		a = (figure_case[f], figure_a[f], list[i]) in set ? \
			short(set_median[set[figure_case[f], figure_a[f], list[i]]]) : "?"
		b = (figure_case[f], figure_b[f], list[i]) in set ? \
			short(set_median[set[figure_case[f], figure_b[f], list[i]]]) : "?"
		text = text "  " list[i] " " a " : " b
	}
	return text
}

END {
	if (malformed)
		exit 2
	for (i = 1; i <= notes; i++)
		printf "%-14s %s\n", note_key[i], note_text[i]
	last = ""
	for (s = 1; s <= sets; s++) {
		if (set_case[s] != last)
			printf "\n%s: median (least - most)\n", set_case[s]
		last = set_case[s]
		printf "  %-16s %-28s %-32s %s\n", set_who[s], set_metric[s], \
			spread(set_median[s], set_min[s], set_max[s]), set_unit[s]
	}
	for (k = 1; k <= timed_cases; k++) {
		c = timed_case[k]
		printf "\n%s: time by place in a round, by the contestant's median:", c
		for (p = 0; p <= position_last[c]; p++) {
			n = position_count[c, p]
			for (i = 1; i <= n; i++)
				values[i] = position_value[c, p, i]
			sort(values, n)
			printf " %s", n ? sprintf("%.2f", median_of(values, n)) : "-"
		}
		print ""
	}
	if (natives)
		print "\nby programs of their own:"
	for (i = 1; i <= natives; i++)
		printf "  %-4s %-32s %s %s\n", native_id[i], native_name[i], short(native_value[i]), native_unit[i]
	if (figures)
		print "\nfigures: median (least - most)"
	for (f = 1; f <= figures; f++) {
		what = figure_a[f] (figure_b[f] != "" ? " / " figure_b[f] : "") (figure_a[f] != "" ? " " : "") figure_metric[f]
		if (figure_state[f] == "failed" || figure_state[f] == "missing") {
			printf "  %-3s %-46s %s\n", figure_id[f], what, \
				figure_state[f] == "failed" ? "no figure: a run failed" : "not measured"
			incomplete = 1
			continue
		}
		target = figure_target[f] == "-" ? "" : "to reach " figure_op[f] " " figure_target[f] ": " figure_state[f]
		printf "  %-3s %-46s %-24s %-26s%s\n", figure_id[f], what, \
			spread(figure_median[f], figure_min[f], figure_max[f]), target, counts_of(f)
	}
	for (i = 1; i <= skips; i++)
		printf "  %-3s %s: not measured: %s\n", skip_id[i], skip_who[i], skip_reason[i]
	for (i = 1; i <= fails; i++)
		printf "FAILED  %s: %s: %s\n", fail_case[i], fail_who[i], fail_reason[i]
	exit fails || incomplete ? 1 : 0
}
