# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# For the tests of what a disk is like after a crash. A guest writes records into ext4 on a virtio-blk disk whose image is recorded
# (tests/crash/recorder.c), and crashes are made up from that and judged (tests/crash/judge.c). Sourced after tests/lib.sh and
# tests/guest/boot.sh. Crashes are drawn from a seed, which is printed; CRASH_SEED sets it.
PATH=$PATH:/usr/sbin:/sbin
crash_streams=4
crash_seed=${CRASH_SEED:-$((RANDOM * 32768 + RANDOM))}

crash_prepare() {
	local tool
	for tool in mke2fs e2fsck debugfs; do
		command -v "$tool" >/dev/null || fail "needs $tool (Debian: e2fsprogs)"
	done
	# A small journal, so that it goes round.
	mke2fs -q -t ext4 -b 4096 -J size=4 -O metadata_csum,64bit "$BP_TMP/base.img" 32M
	"$BP_SRC/tests/guest/mkinitramfs" -o "$BP_TMP/crash-initrd.img" --kernel "$("$BP_SRC/tests/guest/fetch-kernel" cloud)" \
		--module virtio_mmio --module virtio_blk \
		--file "$BP_BUILD/tests/crash/appender:/appender" \
		--file "$BP_SRC/tests/guest/crash.sh:/crash.sh" --file "$BP_SRC/tests/guest/report.sh:/report.sh"
}

# crash_record NAME KEYS RECORDS: the recording is $BP_TMP/NAME.log. KEYS are keys of the disk, RECORDS is how many each stream gets.
crash_record() {
	local name=$1 keys=$2 records=$3 status=0 dir=$BP_TMP/$1 warnings acks
	[[ -s $BP_TMP/crash-initrd.img ]] || fail "there is no guest to start"
	mkdir "$dir"
	cp --sparse=always "$BP_TMP/base.img" "$dir/image"
	: >"$dir/disk.img"
	cat >"$dir/vm.cfg" <<-END
		machine = { vcpus = 2; memory = "256M"; };
		boot = {
			kernel = "$(kernel_image cloud pvh)";
			initrd = "$BP_TMP/crash-initrd.img";
			cmdline = "console=ttyS0 quiet bp.script=/crash.sh crash=$crash_streams,$records";
		};
		devices = (
			{ plugin = "serial"; id = "console"; },
			{ plugin = "virtio-blk"; id = "disk"; path = "$dir/disk.img"; $keys }
		);
	END
	with_timeout 200 "$BP_BUILD/tests/crash/recorder" "$dir/image" "$dir/disk.img" "$BP_TMP/$name.log" \
		"$BP_BUILD/backplane" run --log-level warning "$dir/vm.cfg" </dev/null >"$dir/console" 2>"$dir/errors" || status=$?
	grep -v '^crash\.ack' "$dir/console" || true
	cat "$dir/errors"
	[[ $status != 77 ]] || skip_case "cannot mount by FUSE here"
	[[ $status = 0 ]] || fail "exit status $status"
	grep -q '^crash\.done' "$dir/console" || fail "the guest has not come to the end"
	acks=$(grep -c '^crash\.ack' "$dir/console")
	(( acks == crash_streams * records )) || fail "$acks records are safe, not $((crash_streams * records))"
	[[ $(guest_value "done" "$dir/console") = 1 ]] || fail "the guest's report is not complete"
	warnings=$(unknown_warnings "$dir/console")
	[[ -z $warnings ]] || fail "unexplained kernel messages: $warnings"
	# How long something takes on the nest's one CPU is no claim of this test.
	! grep -Ev ' took [0-9]+ ms; a callback must not block$' "$dir/errors" || fail "backplane has complained"
}

# crash_judge NAME COUNT: prints what the judge does, and gives its status. What failed stays with the logs of the tests.
crash_judge() {
	local name=$1 count=$2 status=0 dir=$BP_TMP/$1
	[[ -s $BP_TMP/$name.log ]] || fail "there is no recording"
	mkdir -p "$dir/judge"
	echo "seed $crash_seed"
	"$BP_BUILD/tests/crash/judge" "$BP_TMP/$name.log" "$BP_TMP/base.img" "$dir/judge" "$count" "$crash_seed" \
		>"$dir/verdict" 2>&1 || status=$?
	rm -rf "$dir/judge"
	# Only what has details.
	awk '/^image / { image = $0; next } /^  / && image { print image; image = "" } { print }' "$dir/verdict" | tail -n 30
	return "$status"
}

# All crashes end well. A recording that one of them fails is kept for a closer look.
crash_survives() { # NAME COUNT
	local status=0 keep=$BP_BUILD/tests/logs/guest
	crash_judge "$1" "$2" || status=$?
	if (( status )) && [[ -d $keep && -s $BP_TMP/$1.log ]]; then
		xz -1 -c "$BP_TMP/$1.log" >"$keep/crash-$1.recording.xz"
		xz -1 -c "$BP_TMP/base.img" >"$keep/crash-$1.base.xz"
		echo "kept: $keep/crash-$1.recording.xz and .base.xz"
	fi
	(( status == 0 )) || fail "there are crashes that the disk does not survive"
}

# The other way round: a disk that ignores flushes must be caught, or none of this shows anything.
crash_is_caught() { # NAME COUNT
	local status=0 lost
	crash_judge "$1" "$2" || status=$?
	lost=$(sed -n 's/^judge: .* unclean, \([0-9]*\) lost data$/\1/p' "$BP_TMP/$1/verdict")
	echo "status $status, lost: $lost"
	(( status == 1 && lost > 0 )) || fail "no crash lost data, though flushes were ignored"
}
