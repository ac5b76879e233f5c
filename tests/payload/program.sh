# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Runs a program of tests/payload; sourced after tests/lib.sh by the tests that do.

# Its TAP goes to standard output; of a case that it skips, the line before says why.
run_program() { # NAME
	local program=$BP_BUILD/tests/payload/$1
	if [[ ! -x $program ]]; then
		plan 1
		skip "$1" "built without cmocka"
		return 0
	fi
	CMOCKA_MESSAGE_OUTPUT=TAP "$program" | awk '
		/^not ok [0-9]+ # SKIP / { print "ok " $3 " - " $6 " # SKIP " reason; next }
		{ print }
		!/^(not )?ok / { reason = $0 }'
}
