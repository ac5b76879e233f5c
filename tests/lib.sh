# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Helpers for shell tests (tests/*/*.test), which begin with
#     . "${BP_SRC:?}/tests/lib.sh"
# and print their results in TAP. A test says how many points it has with plan, then gives each one by
# run_case (or by ok, not_ok, skip). Header comments that tests/run reads: "# timeout: SECONDS", "# long".
#
# A test that runs VMs whose devices may be in either placement says so by "# placements: both" or, for check-long only,
# "# placements: long"; tests/run then runs it once more with BP_TEST_PLACEMENT=thread, as NAME@thread. With that
# variable $BP_BUILD/backplane puts devices there that do not say themselves where they want to be.
#
# What is there: $BP_SRC and $BP_BUILD (the source and the build tree), bp (runs the built backplane),
# $BP_TMP (a folder of this test, removed at the end), at_exit COMMAND (runs at the end, last one first).
set -euo pipefail
BP_SRC=${BP_SRC:-$(readlink -f -- "$(dirname -- "${BASH_SOURCE[0]}")/..")}
BP_BUILD=${BP_BUILD:-$BP_SRC/build}
BP_TMP=$(mktemp -d "${TMPDIR:-/tmp}/bp-test-XXXXXX")
bp_points=0
bp_at_exit=()

bp_finish() {
	local status=$? i
	trap - EXIT INT TERM HUP
	set +e
	for ((i = ${#bp_at_exit[@]} - 1; i >= 0; i--)); do
		eval "${bp_at_exit[i]}"
	done
	rm -rf -- "$BP_TMP"
	exit "$status"
}
trap bp_finish EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

at_exit() {
	bp_at_exit+=("$1")
}

bp() {
	"$BP_BUILD/backplane" "$@"
}

# Everything of the build tree, and a program that has another default.
if [[ -n ${BP_TEST_PLACEMENT-} ]]; then
	mkdir "$BP_TMP/build"
	ln -s "$BP_BUILD"/* "$BP_TMP/build/"
	rm "$BP_TMP/build/backplane"
	cat >"$BP_TMP/build/backplane" <<-END
		#!/bin/sh
		command=\$1
		shift
		case \$command in
		run | check | plan) exec "$BP_BUILD/backplane" "\$command" --set defaults.placement=$BP_TEST_PLACEMENT "\$@" ;;
		*) exec "$BP_BUILD/backplane" "\$command" "\$@" ;;
		esac
	END
	chmod +x "$BP_TMP/build/backplane"
	BP_BUILD=$BP_TMP/build
fi

# Ends the test if the build tree lacks a program of it, which "make check" builds: without one end of a connection the other
# may wait until the test's time is over.
needs_built() { # PATH-IN-THE-BUILD-TREE...
	local path
	for path in "$@"; do
		[[ -x $BP_BUILD/$path ]] || { echo "Bail out! $path is not built: make check does that"; exit 1; }
	done
}

plan() { # COUNT
	echo "1..$1"
}

ok() { # NAME
	bp_points=$((bp_points + 1))
	echo "ok $bp_points - $1"
}

not_ok() { # NAME [DETAIL]
	bp_points=$((bp_points + 1))
	echo "not ok $bp_points - $1"
	[[ -z ${2-} ]] || printf '# %s\n' "${2//$'\n'/$'\n'# }"
}

skip() { # NAME REASON
	bp_points=$((bp_points + 1))
	echo "ok $bp_points - $1 # SKIP $2"
}

# run_case NAME FUNCTION [ARG]...: one point. The function runs in a subshell where any command that fails
# ends it; its output becomes the details of a failure. Call run_case as a plain command, never behind
# if, && or ||: bash would then let failures inside pass.
run_case() {
	local name=$1 status=0 output=$BP_TMP/.case
	shift
	set +e
	(
		trap - EXIT INT TERM HUP
		set -euo pipefail
		"$@"
	) >"$output" 2>&1 </dev/null
	status=$?
	set -e
	case $status in
	0) ok "$name" ;;
	77) skip "$name" "$(tail -n 1 "$output")" ;;
	*) not_ok "$name" "$(tail -n 40 "$output"; echo "status $status")" ;;
	esac
}

# Inside a case: this cannot run here.
skip_case() { # REASON
	echo "$1"
	exit 77
}

# Inside a case: says why and fails.
fail() { # MESSAGE
	echo "$1" >&2
	exit 1
}

# Runs a program with a limit; 124 if it was reached.
with_timeout() { # SECONDS PROGRAM [ARG]...
	timeout -k 5 "$@"
}

# Waits until a command succeeds; fails after the limit.
wait_for() { # SECONDS COMMAND [ARG]...
	local end=$((SECONDS + $1))
	shift
	until "$@"; do
		(( SECONDS < end )) || { echo "waited in vain for: $*" >&2; return 1; }
		sleep 0.05
	done
}

# The command must end with STATUS, print nothing on standard output and exactly one line on standard
# error, which matches REGEX (extended).
expect_error() { # STATUS REGEX COMMAND [ARG]...
	local want=$1 regex=$2 status=0 lines
	shift 2
	"$@" >"$BP_TMP/.stdout" 2>"$BP_TMP/.stderr" </dev/null || status=$?
	lines=$(wc -l <"$BP_TMP/.stderr")
	if [[ $status = "$want" && $lines = 1 && ! -s $BP_TMP/.stdout ]] && grep -Eq -- "$regex" "$BP_TMP/.stderr"; then
		return 0
	fi
	{
		echo "command: $*"
		echo "status: $status, expected: $want"
		echo "standard error ($lines lines), expected one line that matches: $regex"
		cat "$BP_TMP/.stderr"
		[[ ! -s $BP_TMP/.stdout ]] || { echo "standard output, expected: nothing"; cat "$BP_TMP/.stdout"; }
	} >&2
	return 1
}
