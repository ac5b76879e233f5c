# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Who is measured, and in which cases. Sourced by tests/bench/rounds, which has set $base, the folder with everything that
# a contestant needs, as the contestant sees it, $files, the same as seen from here, and $disk, what the guest's disk is made of.

# Plugins are in threads, and in processes of their own for a contestant that is called *-process.

# A case is "NAME KIND DEVICES CONTESTANT...". Kinds (see rounds): start, boot, idle, disk, vsock. DEVICES is what both sides
# get: serial, and what devices_backplane and devices_qemu know besides, with commas. QEMU does not know "five", which comes last.
cases=(
	"start start serial bp-elf bp-bz bp-unpack bp-tiny qemu qemu-tuned qemu-tiny"
	"start5 start five bp-elf bp-elf-process bp-tiny bp-tiny-process"
	"boot boot serial bp-elf bp-bz bp-unpack qemu qemu-tuned qemu-rtc"
	"idle idle serial bp-elf bp-bz qemu qemu-tuned"
	"idle5 idle five bp-elf bp-elf-process"
	"disk disk serial,disk bp-disk qemu-mmio qemu-pci host"
	"places disk serial,disk bp-disk-process bp-disk"
	"vsock vsock serial,vsock bp-vsock bp-vsock-process qemu-mmio qemu-pci"
)
# shellcheck source=five.sh
. "$BP_SRC/tests/bench/five.sh"
memory_mib=256
# QEMU's ways to do a disk's io; rounds tries them all, and sets disk_aio[CONTESTANT] to one of them.
disk_aios=(io_uring native threads)

devices_backplane() { # DEVICE: prints its entry in the list of devices
	case $1 in
	serial) echo '{ plugin = "serial"; id = "console"; },' ;;
	five) five_devices "$base/five" ;;
	disk) echo "{ plugin = \"virtio-blk\"; id = \"disk\"; path = \"$disk\"; direct = true; engine = \"io_uring\"; }," ;;
	vsock) echo "{ plugin = \"virtio-vsock\"; id = \"vsock\"; cid = 3; uds_path = \"$base/v.sock\"; }," ;;
	*) echo "no device $1" >&2; return 1 ;;
	esac
}

devices_qemu() { # DEVICE CONTESTANT: prints its options, one a line
	local bus=device
	[[ $2 != *-pci ]] || bus=pci
	case $1 in
	serial) printf '%s\n' -serial stdio ;;
	disk)
		printf '%s\n' -drive "if=none,id=disk,file=$disk,format=raw,cache=none,aio=${disk_aio[$2]}" \
			-device "virtio-blk-$bus,drive=disk" -global virtio-mmio.force-legacy=false ;;
	# The kernel does the work; there are no keys that would make it faster.
	vsock) printf '%s\n' -device "vhost-vsock-$bus,guest-cid=3" -global virtio-mmio.force-legacy=false ;;
	*) echo "no device $1" >&2; return 1 ;;
	esac
}

kernel_of() { # CONTESTANT
	case $1 in
	*-tiny | *-tiny-process) echo tiny.elf ;;
	bp-elf | bp-elf-process | bp-disk | bp-disk-process | bp-vsock | bp-vsock-process | qemu-tuned | qemu-rtc | qemu-mmio | qemu-pci) echo vmlinux ;;
	bp-bz | bp-unpack | qemu) echo vmlinuz ;;
	*) echo "no contestant $1" >&2; return 1 ;;
	esac
}

# Sets command to the command line of a contestant; the guest gets WORDS besides what all get.
command_of() { # CONTESTANT DEVICES WORDS
	local contestant=$1 devices=() kernel words="console=ttyS0 quiet panic=-1${3:+ $3}"
	local device config boot='' list initrd options place=thread
	kernel=$(kernel_of "$contestant") || return 1
	initrd=initrd.img
	[[ $kernel != tiny.elf ]] || initrd=''
	[[ ,$2, != *,disk,* ]] || initrd=disk.img
	[[ ,$2, != *,vsock,* ]] || initrd=vsock.img
	IFS=, read -ra devices <<<"$2"
	case $contestant in
	bp-*)
		config=$contestant-${2//,/-}${3:+-${3//[^a-z.]/-}}.cfg
		[[ $contestant != bp-unpack ]] || boot='unpack = true; '
		[[ $contestant != *-process ]] || place=process
		list=''
		for device in "${devices[@]}"; do list+="	$(devices_backplane "$device")"$'\n' || return 1; done
		cat >"$files/$config" <<-END
			machine = { vcpus = 1; memory = "${memory_mib}M"; };
			boot = { kernel = "$kernel"; $boot${initrd:+initrd = \"$initrd\"; }cmdline = "$words"; };
			defaults = { placement = "$place"; };
			devices = (
			${list%,$'\n'}
			);
		END
		command=("$base/backplane" run "$base/$config") ;;
	*)
		command=(/usr/bin/qemu-system-x86_64)
		case $contestant in
		# As Debian ships it: its firmware, its timers, its processor.
		qemu) command+=(-M microvm -accel kvm -nodefaults) ;;
		# With everything off that can be. But its tables do not say that there is no clock at port 0x70, so Linux looks for
		# one 20,000 times, two exits each. qemu-rtc has that clock.
		qemu-*)
			options=rtc=on
			[[ $contestant != qemu-t* ]] || options=rtc=off
			[[ $contestant != *-pci ]] || options+=,pcie=on
			command+=(-nodefaults -no-user-config -accel kvm -cpu host
				-M "microvm,x-option-roms=off,pit=off,pic=off,isa-serial=on,$options") ;;
		esac
		command+=(-display none -no-reboot -smp 1 -m "$memory_mib" -kernel "$base/$kernel" -append "$words")
		[[ -z $initrd ]] || command+=(-initrd "$base/$initrd")
		for device in "${devices[@]}"; do
			mapfile -t list < <(devices_qemu "$device" "$contestant")
			(( ${#list[@]} )) || return 1
			command+=("${list[@]}")
		done ;;
	esac
}
