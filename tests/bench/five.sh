# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# The five plugins that a VM has where the bench says "five": two devices of registers, a console, a disk and a source
# of random numbers. Sourced by tests/bench/contestants.sh and native-x1-vm.

# Prints their entries in the list of devices. Where they run is what the configuration says for all. Several VMs may
# have the disk at once.
five_devices() { # DISK
	cat <<-END
		{ plugin = "serial"; id = "console"; },
		{ plugin = "rtc"; id = "clock"; },
		{ plugin = "pvpanic"; id = "panic"; },
		{ plugin = "virtio-blk"; id = "disk"; path = "$1"; readonly = true; },
		{ plugin = "virtio-rng"; id = "random"; }
	END
}
