# SPDX-License-Identifier: BSD-3-Clause
#
# The first of the bench's awk programs: reads tests/bench/figures and what rounds and native-* have measured, checks every word
# of it, and computes. table.awk, json.awk and plot.awk print what is in here; see report for how they are called.
#
# Lines of measurements: note, sample and fail (see rounds), and
#     native ID NAME VALUE UNIT
#     skip ID PROGRAM REASON
# -v only=" ID ID " restricts the figures, the values and the plots to some IDs; "" is all.
#
# What it gives, all lists counted from 1:
#   sets       set_case, set_who, set_metric, set_unit, and set_median, set_min, set_max, set_count
#   set[CASE, WHO, METRIC]   the index of that one in sets; absent if there is none, or if WHO failed in CASE
#   figures    figure_id, figure_kind, figure_case, figure_metric, figure_a, figure_b, figure_op, figure_target,
#              figure_counts; figure_state: met, missed, told, failed or missing; and if it is not one of the last two
#              figure_median, figure_min, figure_max
#   natives    native_id, native_name, native_value, native_unit
#   timed_case[1..timed_cases], and for such a case position_value[CASE, POSITION, 1..position_count[CASE, POSITION]], for
#              positions up to position_last[CASE]: times of that place in a round, by the contestant's median
#   fails, skips, notes, plots
# and malformed: true if something could not be read; then nothing must be printed.

function complain(why) {
	printf "%s:%d: %s: %s\n", FILENAME, FNR, why, $0 >"/dev/stderr"
	malformed = 1
	exit 2
}

function is_number(text) {
	return text ~ /^[0-9]+(\.[0-9]+)?$/
}

function need(fields) {
	if (NF != fields)
		complain("expected " fields " words, found " NF)
}

function rest(from,   i, text) {
	text = $from
	for (i = from + 1; i <= NF; i++)
		text = text " " $i
	return text
}

function is_wanted(id) {
	return only == "" || index(only, " " id " ")
}

# Sorts values[1..count].
function sort(values, count,   i, j, value) {
	for (i = 2; i <= count; i++) {
		value = values[i]
		for (j = i - 1; j >= 1 && values[j] > value; j--)
			values[j + 1] = values[j]
		values[j + 1] = value
	}
}

function median_of(values, count) {
	return count % 2 ? values[(count + 1) / 2] : (values[count / 2] + values[count / 2 + 1]) / 2
}

function check_target(op, target) {
	if (target == "-" ? op != "-" : (op != "<=" && op != ">=") || !is_number(target))
		complain("a target that cannot be read")
}

# The state of a figure with a value.
function judge(i) {
	if (figure_target[i] == "-")
		return "told"
	if (figure_op[i] == "<=")
		return figure_median[i] <= figure_target[i] ? "met" : "missed"
	return figure_median[i] >= figure_target[i] ? "met" : "missed"
}

NF == 0 || /^#/ { next }

# ---- what is to be said ----
$1 == "ratio" || $1 == "limit" {
	pair = $1 == "ratio"
	need(pair ? 9 : 7)
	check_target(pair ? $7 : $6, pair ? $8 : $7)
	if (!is_wanted($2))
		next
	i = ++figures
	figure_kind[i] = $1; figure_id[i] = $2; figure_case[i] = $3; figure_metric[i] = $4; figure_a[i] = $5
	figure_b[i] = pair ? $6 : ""
	figure_op[i] = pair ? $7 : $6
	figure_target[i] = pair ? $8 : $7
	figure_counts[i] = pair && $9 != "-" ? $9 : ""
	next
}
$1 == "native" && FILENAME == figures_file {
	need(5)
	check_target($4, $5)
	target_op[$2, $3] = $4
	target_value[$2, $3] = $5
	next
}
$1 == "plot" {
	if (NF < 5)
		complain("a plot without a title")
	if (!is_wanted($2))
		next
	i = ++plots
	plot_case[i] = $3; plot_metric[i] = $4; plot_title[i] = rest(5)
	next
}

# ---- what was measured ----
$1 == "note" {
	if (NF < 3)
		complain("a note without a text")
	i = ++notes
	note_key[i] = $2; note_text[i] = rest(3)
	next
}
$1 == "fail" || $1 == "skip" {
	if (NF < 4)
		complain("no reason is given")
	if ($1 == "fail") {
		i = ++fails
		fail_case[i] = $2; fail_who[i] = $3; fail_reason[i] = rest(4)
		failed[$2, $3] = 1
	} else if (is_wanted($2)) {
		i = ++skips
		skip_id[i] = $2; skip_who[i] = $3; skip_reason[i] = rest(4)
	}
	next
}
$1 == "native" {
	need(5)
	if (!is_number($4))
		complain("a value that is no number")
	if (($2, $3) in native_known)
		complain("a value that is there twice")
	native_known[$2, $3] = 1
	if (!is_wanted($2))
		next
	i = ++natives
	native_id[i] = $2; native_name[i] = $3; native_value[i] = $4 + 0; native_unit[i] = $5
	next
}
$1 == "sample" {
	need(8)
	if ($4 !~ /^[0-9]+$/ || $5 !~ /^[0-9]+$/)
		complain("a round or a position that is no number")
	if (!is_number($7))
		complain("a value that is no number")
	if (($2, $3, $4, $5, $6) in sampled)
		complain("a sample that is there twice")
	sampled[$2, $3, $4, $5, $6] = 1
	if (!(($2, $3, $6) in samples)) {
		if (($2, $6) in unit_of && unit_of[$2, $6] != $8)
			complain("a unit that is not that of the others, " unit_of[$2, $6])
		unit_of[$2, $6] = $8
		i = ++lists
		list_case[i] = $2; list_who[i] = $3; list_metric[i] = $6
		samples[$2, $3, $6] = 0
	} else if (unit_of[$2, $6] != $8)
		complain("a unit that is not that of the others, " unit_of[$2, $6])
	if ($4 == 0)
		next # the first round
	samples[$2, $3, $6]++
	sample_value[$2, $3, $6, samples[$2, $3, $6]] = $7 + 0
	sample_position[$2, $3, $6, samples[$2, $3, $6]] = $5 + 0
	if ($4 + 0 > last_round)
		last_round = $4 + 0
	round_sum[$2, $3, $6, $4 + 0] += $7
	round_count[$2, $3, $6, $4 + 0]++
	next
}
{ complain("an unknown line") }

END {
	if (malformed)
		exit 2
	for (l = 1; l <= lists; l++) {
		c = list_case[l]; w = list_who[l]; m = list_metric[l]
		n = samples[c, w, m]
		if (!n || (c, w) in failed)
			continue
		for (i = 1; i <= n; i++)
			values[i] = sample_value[c, w, m, i]
		sort(values, n)
		s = ++sets
		set[c, w, m] = s
		set_case[s] = c; set_who[s] = w; set_metric[s] = m; set_unit[s] = unit_of[c, m]
		set_median[s] = median_of(values, n)
		set_min[s] = values[1]; set_max[s] = values[n]; set_count[s] = n
		# How far a place in the round moves a time, for the whole case.
		if (m == "time" && set_median[s] > 0) {
			if (!(c in position_last)) {
				position_last[c] = 0
				timed_case[++timed_cases] = c
			}
			for (i = 1; i <= n; i++) {
				p = sample_position[c, w, m, i]
				position_count[c, p]++
				position_value[c, p, position_count[c, p]] = sample_value[c, w, m, i] / set_median[s]
				if (p > position_last[c])
					position_last[c] = p
			}
		}
	}
	for (i = 1; i <= natives; i++) {
		if ((native_id[i], native_name[i]) in target_op) {
			f = ++figures
			figure_kind[f] = "native"; figure_id[f] = native_id[i]; figure_metric[f] = native_name[i]
			figure_op[f] = target_op[native_id[i], native_name[i]]
			figure_target[f] = target_value[native_id[i], native_name[i]]
			figure_median[f] = figure_min[f] = figure_max[f] = native_value[i]
			figure_state[f] = judge(f)
		}
	}
	for (f = 1; f <= figures; f++) {
		if (figure_kind[f] == "native")
			continue
		c = figure_case[f]; a = figure_a[f]; b = figure_b[f]; m = figure_metric[f]
		if ((c, a) in failed || (b != "" && (c, b) in failed)) {
			figure_state[f] = "failed"
			continue
		}
		n = 0
		if (figure_kind[f] == "limit") {
			if ((c, a, m) in set) {
				n = 1
				s = set[c, a, m]
				figure_median[f] = set_median[s]; figure_min[f] = set_min[s]; figure_max[f] = set_max[s]
			}
		} else {
			for (r = 1; r <= last_round; r++) {
				if (!((c, a, m, r) in round_sum) || !((c, b, m, r) in round_sum))
					continue
				base = round_sum[c, b, m, r] / round_count[c, b, m, r]
				if (base > 0)
					values[++n] = round_sum[c, a, m, r] / round_count[c, a, m, r] / base
			}
			if (n) {
				sort(values, n)
				figure_median[f] = median_of(values, n)
				figure_min[f] = values[1]; figure_max[f] = values[n]
			}
		}
		figure_state[f] = n ? judge(f) : "missing"
	}
}
