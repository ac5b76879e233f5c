# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Helpers for tests of the command line, sourced after tests/lib.sh: a folder $VM with a configuration that is
# right, and ways to spoil it. Its only device would create $VM/created.
VM=$BP_TMP/vm
CONFIG=$VM/vm.cfg
KERNEL=$BP_BUILD/tests/payload/payload.elf
CONSOLE='{ plugin = "serial"; id = "console"; stream = "file:created"; }'
mkdir "$VM"

# Writes the configuration, one section a line: machine in line 1, boot in line 2, the first device in line 4.
# Each argument is what stands between the brackets.
config() { # MACHINE BOOT DEVICES
	printf '%s\n' "machine = { $1 };" "boot = { $2 };" "devices = (" "$3" ");" >"$CONFIG"
}

machine_is() { # TEXT
	config "$1" "kernel = \"$KERNEL\";" "$CONSOLE"
}

boot_is() { # TEXT
	config 'memory = "32M";' "$1" "$CONSOLE"
}

devices_are() { # TEXT
	config 'memory = "32M";' "kernel = \"$KERNEL\";" "$1"
}

# Neither check nor plan nor run take it: one line, which matches (from its beginning, after the file's name),
# and nothing is created.
refused() { # REGEX [OPTION]...
	local regex=$1 command before
	shift
	before=$(ls -A "$VM")
	for command in check plan run; do
		expect_error 2 "^$CONFIG$regex" bp "$command" "$@" "$CONFIG"
		[[ $(ls -A "$VM") = "$before" ]] || fail "$command created something: $(ls -A "$VM")"
	done
}

# As refused, but of an option: the line begins with the regex itself.
option_refused() { # REGEX OPTION...
	local regex=$1 command before
	shift
	before=$(ls -A "$VM")
	for command in check plan run; do
		expect_error 2 "^$regex" bp "$command" "$@" "$CONFIG"
		[[ $(ls -A "$VM") = "$before" ]] || fail "$command created something: $(ls -A "$VM")"
	done
}

# check says nothing, succeeds, and creates nothing.
accepted_with() { # OPTION... FILE
	local output before
	before=$(ls -A "$VM")
	output=$(bp check "$@" 2>&1) || fail "status $?: $output"
	[[ -z $output ]] || fail "printed: $output"
	[[ $(ls -A "$VM") = "$before" ]] || fail "created something: $(ls -A "$VM")"
}

accepted() {
	accepted_with "$CONFIG"
}

# A copy of the program and its plugins, in $BP_TMP/copy, which every user can run; then runs it as one who is not
# root and has no groups.
plain_user() { # ARG...
	if [[ ! -e $BP_TMP/copy ]]; then
		mkdir -p "$BP_TMP/copy/plugins/.libs" "$BP_TMP/copy/core/placement/"{child,spawn}
		cp "$BP_BUILD/backplane" "$BP_TMP/copy/"
		cp "$BP_BUILD"/plugins/.libs/*.so "$BP_TMP/copy/plugins/.libs/"
		cp "$BP_BUILD/core/placement/child/device-host" "$BP_TMP/copy/core/placement/child/"
		cp "$BP_BUILD/core/placement/spawn/spawner" "$BP_TMP/copy/core/placement/spawn/"
		chmod -R a+rX "$BP_TMP/copy"
		chmod a+x "$BP_TMP"
		chmod a+rx "$VM"
	fi
	if [[ $(id -u) = 0 ]]; then
		setpriv --reuid 65534 --regid 65534 --clear-groups "$BP_TMP/copy/backplane" "$@"
	else
		"$BP_TMP/copy/backplane" "$@"
	fi
}

# Runs a command in a mount namespace where /dev has nothing but null and what DEVICE makes.
in_dev() { # DEVICE COMMAND [ARG]...
	[[ $(id -u) = 0 ]] || skip_case "needs root, for a /dev of its own"
	unshare -m true 2>/dev/null || skip_case "no mount namespaces here"
	# shellcheck disable=SC2016 # for the inner shell
	DEVICE=$1 unshare -m bash -c '
		mount -t tmpfs -o mode=755 none /dev && mknod -m 666 /dev/null c 1 3 && { echo >/dev/null; } 2>/dev/null || exit 99
		eval "$DEVICE" || exit 99
		exec "$@"' - "${@:2}"
}
