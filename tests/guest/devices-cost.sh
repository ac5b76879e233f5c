#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# A guest that does nothing but wait until its drivers have looked at what is there, for devices-cost.test. With initcall_debug
# on the kernel's command line it prints how long they took. Run by bp.script=/devices-cost.sh.
sleep 2
dmesg | sed -n 's/^.* initcall \([a-z0-9_]*\)+.* after \([0-9]*\) usecs$/guest.initcall.\1=\2/p' | grep -E 'i8042_init|cmos_init|rtc_hctosys'
echo "guest.done=1"
