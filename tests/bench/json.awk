# SPDX-License-Identifier: BSD-3-Clause
#
# Writes what stats.awk has computed to the file in -v json=FILE.

function quoted(text,   i, c, out) {
	for (i = 1; i <= length(text); i++) {
		c = substr(text, i, 1)
		if (c == "\\" || c == "\"")
			out = out "\\" c
		else if (c < " " || c == "\177")
			out = out " "
		else
			out = out c
	}
	return "\"" out "\""
}

function number(value) {
	return sprintf("%.10g", value)
}

function key(name, value) {
	return quoted(name) ": " value
}

function statistics(median, low, high) {
	return key("median", number(median)) ", " key("min", number(low)) ", " key("max", number(high))
}

# Opens or goes on with a list: the separator between its elements.
function comma(i) {
	return i == 1 ? "\n    " : ",\n    "
}

END {
	if (malformed)
		exit 2
	printf "{\n  \"notes\": {" >json
	for (i = 1; i <= notes; i++)
		printf "%s%s", comma(i), key(note_key[i], quoted(note_text[i])) >json
	printf "\n  },\n  \"measured\": [" >json
	for (i = 1; i <= sets; i++)
		printf "%s{ %s, %s, %s, %s, %s, %s }", comma(i), key("case", quoted(set_case[i])), \
			key("contestant", quoted(set_who[i])), key("metric", quoted(set_metric[i])), \
			key("unit", quoted(set_unit[i])), statistics(set_median[i], set_min[i], set_max[i]), \
			key("samples", set_count[i]) >json
	printf "\n  ],\n  \"native\": [" >json
	for (i = 1; i <= natives; i++)
		printf "%s{ %s, %s, %s, %s }", comma(i), key("id", quoted(native_id[i])), \
			key("name", quoted(native_name[i])), key("value", number(native_value[i])), \
			key("unit", quoted(native_unit[i])) >json
	printf "\n  ],\n  \"figures\": [" >json
	for (i = 1; i <= figures; i++) {
		printf "%s{ %s, %s, %s", comma(i), key("id", quoted(figure_id[i])), key("kind", quoted(figure_kind[i])), \
			key("metric", quoted(figure_metric[i])) >json
		if (figure_kind[i] != "native")
			printf ", %s, %s", key("case", quoted(figure_case[i])), key("a", quoted(figure_a[i])) >json
		if (figure_b[i] != "")
			printf ", %s", key("b", quoted(figure_b[i])) >json
		printf ", %s", key("state", quoted(figure_state[i])) >json
		if (figure_state[i] != "failed" && figure_state[i] != "missing")
			printf ", %s", statistics(figure_median[i], figure_min[i], figure_max[i]) >json
		if (figure_target[i] != "-")
			printf ", %s, %s", key("op", quoted(figure_op[i])), key("target", number(figure_target[i])) >json
		printf " }" >json
	}
	printf "\n  ],\n  \"skipped\": [" >json
	for (i = 1; i <= skips; i++)
		printf "%s{ %s, %s, %s }", comma(i), key("id", quoted(skip_id[i])), key("program", quoted(skip_who[i])), \
			key("reason", quoted(skip_reason[i])) >json
	printf "\n  ],\n  \"failed\": [" >json
	for (i = 1; i <= fails; i++)
		printf "%s{ %s, %s, %s }", comma(i), key("case", quoted(fail_case[i])), \
			key("contestant", quoted(fail_who[i])), key("reason", quoted(fail_reason[i])) >json
	printf "\n  ]\n}\n" >json
	if (close(json))
		exit 2
}
