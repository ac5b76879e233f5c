#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# Does in the guest what the vsock tests say: each line on the console is "NAME COMMAND", and all are run at a time. What a command
# prints comes as lines "NAME: ...", the last of them "NAME: end STATUS"; the line "poweroff" ends it, with the lines of report.sh.
# Run by bp.script=/vsock.sh.
# shellcheck shell=dash

lines() { # NAME
	while IFS= read -r line; do echo "$1: $line"; done
}

stty -echo -onlcr
echo "guest: ready"
while read -r name command && [ "$name" != poweroff ]; do
	{
		status=0
		sh -c "$command" </dev/null || status=$?
		echo "end $status"
	} 2>&1 | lines "$name" &
done
sh /report.sh
