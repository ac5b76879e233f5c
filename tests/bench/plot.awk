# SPDX-License-Identifier: BSD-3-Clause
#
# Draws what stats.awk has computed to the file in -v plot=FILE: a group of horizontal bars for each plot, a bar for each
# contestant's median, a whisker from its least to its most, and a mark where a figure wants it to be.

function text_of(text) {
	gsub(/&/, "\\&amp;", text)
	gsub(/</, "\\&lt;", text)
	gsub(/>/, "\\&gt;", text)
	return text
}

function label(value) {
	return value == int(value) ? sprintf("%d", value) : sprintf(value >= 10 ? "%.1f" : "%.3f", value)
}

# Where the figures of this case and metric want WHO to be: sets marks and mark[1..marks], in the metric's unit.
function find_marks(c, m, who,   f) {
	marks = 0
	for (f = 1; f <= figures; f++) {
		if (figure_kind[f] == "native" || figure_case[f] != c || figure_metric[f] != m || figure_a[f] != who ||
		    figure_target[f] == "-")
			continue
		if (figure_kind[f] == "limit")
			mark[++marks] = figure_target[f] + 0
		else if ((c, figure_b[f], m) in set)
			mark[++marks] = figure_target[f] * set_median[set[c, figure_b[f], m]]
	}
}

END {
	if (malformed)
		exit 2
	left = 110; width = 560; row = 20; y = 10
	body = ""
	for (g = 1; g <= plots; g++) {
		# The scale: everything that is drawn fits.
		most = 0; rows = 0
		for (s = 1; s <= sets; s++) {
			if (set_case[s] != plot_case[g] || set_metric[s] != plot_metric[g])
				continue
			rows++
			if (set_max[s] > most)
				most = set_max[s]
			find_marks(set_case[s], set_metric[s], set_who[s])
			for (i = 1; i <= marks; i++)
				if (mark[i] > most)
					most = mark[i]
		}
		if (!rows || !most)
			continue
		scale = width / most
		y += 20
		body = body sprintf("<text x=\"10\" y=\"%d\" font-weight=\"bold\">%s</text>\n", y, text_of(plot_title[g]))
		y += 8
		for (s = 1; s <= sets; s++) {
			if (set_case[s] != plot_case[g] || set_metric[s] != plot_metric[g])
				continue
			middle = y + row / 2
			body = body sprintf("<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%s</text>\n", left - 8, middle + 4, text_of(set_who[s]))
			body = body sprintf("<rect x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"%d\" fill=\"%s\"/>\n", left, y + 3, \
				set_median[s] * scale, row - 6, set_who[s] ~ /^bp-/ ? "#3b7dd8" : "#b0b0b0")
			body = body sprintf("<path d=\"M%.1f %dH%.1f\" stroke=\"#000\"/>\n", left + set_min[s] * scale, middle, \
				left + set_max[s] * scale)
			body = body sprintf("<text x=\"%.1f\" y=\"%d\">%s</text>\n", left + set_max[s] * scale + 6, middle + 4, \
				label(set_median[s]))
			find_marks(set_case[s], set_metric[s], set_who[s])
			for (i = 1; i <= marks; i++)
				body = body sprintf("<path d=\"M%.1f %dv%d\" stroke=\"#d03030\" stroke-width=\"2\"/>\n", \
					left + mark[i] * scale, y, row)
			y += row
		}
	}
	y += 24
	body = body sprintf("<text x=\"10\" y=\"%d\">bar: median; line: least to most; red: figure to reach</text>\n", y)
	y += 14
	printf "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"760\" height=\"%d\" font-family=\"sans-serif\" font-size=\"12\">\n", y >plot
	printf "<rect width=\"760\" height=\"%d\" fill=\"#fff\"/>\n%s</svg>\n", y, body >plot
	if (close(plot))
		exit 2
}
