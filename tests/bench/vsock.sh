#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# What the bench's guests do over vsock; run by bp.script=/vsock.sh. Around each job there is a line "bench.vsock NAME begin"
# and one that says "end", for watch --spans, as in disk.sh; then comes "bench.result NAME us=N units=N unit=U". bench.done is the last.
# bp.rehearsal on the command line makes all of it short.
# shellcheck shell=dash
mib=64
trips=2000
connects=1000
read -r words </proc/cmdline
case " $words " in *" bp.rehearsal "*) mib=2 trips=20 connects=10 ;; esac

span() { # NAME COMMAND...
	local name=$1
	shift
	echo "bench.vsock $name begin"
	sleep 0.5
	"$@" >/run/result 2>/run/errors
	echo "bench.vsock $name end"
	sleep 0.5
	if [ -s /run/result ]; then
		echo "bench.result $name $(cat /run/result)"
	else
		cat /run/errors
	fi
}

job() { # NAME COUNT
	span "$1" vsock-load "$1" "$2" vsock:2:5000 5001
}

span none true
job to-host "$mib"
job to-guest "$mib"
job trips "$trips"
job connects-to-host "$connects"
job connects-to-guest "$connects"
echo bench.done
