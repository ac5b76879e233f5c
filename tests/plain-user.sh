# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Runs backplane as a user who is not root but in the group that /dev/kvm belongs to, as distributions have it. Sourced
# after tests/lib.sh by tests that run VMs. Numbers that no system gives away, so that nothing else is theirs.
PLAIN_UID=54321
PLAIN_GID=54321
PLAIN_KVM_GID=54322
PLAIN=$BP_TMP/plain

# A copy of the program and all that it runs and loads, in $PLAIN, which anybody may read, and a folder $PLAIN/vm of the
# user's own.
make_plain() {
	local file
	mkdir -p "$PLAIN/plugins/.libs" "$PLAIN/vm"
	chmod a+x "$BP_TMP"
	cp "$BP_BUILD/backplane" "$PLAIN/"
	cp "$BP_BUILD"/plugins/.libs/*.so "$BP_BUILD/tests/plugins/.libs/faulty.so" "$PLAIN/plugins/.libs/"
	# Programs of ours that users do not call.
	(cd "$BP_BUILD" && find core -type f -perm -u+x ! -name '*.*') | while read -r file; do
		mkdir -p "$PLAIN/${file%/*}"
		cp "$BP_BUILD/$file" "$PLAIN/$file"
	done
	cp "$BP_BUILD/tests/payload/witness" "$PLAIN/"
	chmod -R a+rX "$PLAIN"
	[[ $(id -u) != 0 ]] || chown "$PLAIN_UID:$PLAIN_GID" "$PLAIN/vm"
}

# Root becomes that user, in a mount namespace where /dev/kvm has that group; any other user is one already. The words of plain_within are
# a command that root runs around it all: another namespace, for one.
plain_within=()
as_plain() { # COMMAND [ARG]...
	if [[ $(id -u) != 0 ]]; then
		"$@"
		return
	fi
	[[ -e $PLAIN/kvm ]] || mknod "$PLAIN/kvm" c 10 232
	chown "root:$PLAIN_KVM_GID" "$PLAIN/kvm"
	chmod 660 "$PLAIN/kvm"
	# shellcheck disable=SC2016 # for the inner shell
	KVM=$PLAIN/kvm "${plain_within[@]}" unshare -m sh -c 'mount --bind "$KVM" /dev/kvm && exec "$@"' - \
		setpriv --reuid "$PLAIN_UID" --regid "$PLAIN_GID" --groups "$PLAIN_KVM_GID" --inh-caps=-all \
		env HOME="$PLAIN/vm" XDG_CACHE_HOME="$PLAIN/vm/cache" "$@"
}

# Whether this machine lets root play that.
can_be_plain() {
	[[ $(id -u) != 0 ]] || unshare -m true 2>/dev/null || skip_case "no mount namespaces here"
	as_plain sh -c '[ -r /dev/kvm ] && [ -w /dev/kvm ] && exec 9<>/dev/kvm' 2>/dev/null || skip_case "no device files of our own here"
}
