#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# The guest's side of the crash tests: mounts the first disk (with discards), and lets appender write to it. STREAMS and RECORDS come by
# crash=STREAMS,RECORDS on the kernel's command line. Run by bp.script=/crash.sh; ends with the lines of report.sh.
# shellcheck shell=dash
work=$(sed -n 's/.*crash=\([0-9]*\),\([0-9]*\).*/\1 \2/p' /proc/cmdline)
mount -t ext4 -o discard /dev/vda /mnt || exit 1
# shellcheck disable=SC2086 # two words
/appender /mnt $work
umount /mnt
sh /report.sh
