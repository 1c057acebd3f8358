#!/usr/bin/env bash
# debian-root.sh SUITE COMMAND
# Runs COMMAND in a fresh clone of this repository's HEAD inside an empty Debian
# SUITE (bookworm, trixie) that has only git, make, certificates and Go. The
# root file system is made with debootstrap and kept below .build, pristine;
# each run works on a copy. What is mounted there goes when the run ends.
#
# From this machine come: the Go toolchain, the module cache (as a proxy, so
# that no network is needed for modules), apt's package cache and mirror, and
# the reference vectors and data where they are.
set -euo pipefail
suite=$1 command=$2
top=$(git -C "$(dirname "$0")" rev-parse --show-toplevel)
cd "$top"

fail() {
	echo "debian-root: $1" >&2
	echo "try: $2" >&2
	exit 4
}
[ "$(id -u)" -eq 0 ] || fail 'a root file system can only be made by root' "sudo $(command -v make) ..."
command -v debootstrap >/dev/null || fail 'debootstrap is not installed' 'apt-get install debootstrap'
unshare --mount true 2>/dev/null || fail 'this machine allows no mounts (a container without privileges?)' 'a machine or virtual machine of your own'

if [ -z "${MIRROR:-}" ]; then
	MIRROR=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null |
		grep -oE '^(URIs:|deb .*)? *https?://[^ ]+/debian/? ?' | grep -oE 'https?://[^ ]+' | head -1 || true)
	MIRROR=${MIRROR:-http://deb.debian.org/debian}
fi

base=$top/.build/$suite.base root=$top/.build/$suite
if [ ! -f "$base/.complete" ]; then
	echo "debian-root: making an empty $suite from $MIRROR"
	rm -rf "$base"
	mkdir -p "$base"
	debootstrap --variant=minbase --include=git,make,ca-certificates "$suite" "$base" "$MIRROR" >"$top/.build/$suite.log" 2>&1 ||
		{ tail -5 "$top/.build/$suite.log" >&2; fail "debootstrap failed, see .build/$suite.log" 'another mirror: MIRROR=http://...'; }
	touch "$base/.complete"
fi
rm -rf "$root"
cp -a "$base" "$root"
mkdir -p "$root/usr/local/go" "$root/goproxy" "$root/src" "$top/.build/$suite.apt"
git clone -q "$top" "$root/src/glmkit"
# What the clone is a clone of is not there inside.
git -C "$root/src/glmkit" remote remove origin

folder() { (cd "${!1:-$2}" 2>/dev/null && pwd) || true; }
export suite command root
export goroot="$(go env GOROOT)" proxy="$(go env GOMODCACHE)/cache/download" apt="$top/.build/$suite.apt"
export oracle="$(folder GLMKIT_ORACLE ../shared/oracle)" data="$(folder GLMKIT_DATA ../shared/data)"
start=$SECONDS
# shellcheck disable=SC2016
unshare --mount --propagation private bash -euo pipefail -c '
	bind() { mkdir -p "$root/$2"; mount --bind "$1" "$root/$2"; mount -o "remount,bind,ro" "$root/$2"; }
	mount -t proc proc "$root/proc"
	mount --rbind /sys "$root/sys"
	mount --rbind /dev "$root/dev"
	mount --bind "$apt" "$root/var/cache/apt/archives"
	bind "$goroot" usr/local/go
	bind "$proxy" goproxy
	[ -z "$oracle" ] || bind "$oracle" src/shared/oracle
	[ -z "$data" ] || bind "$data" src/shared/data
	cp /etc/resolv.conf "$root/etc/resolv.conf"
	exec chroot "$root" /usr/bin/env -i HOME=/root LANG=C TERM=dumb CI="${CI:-}" LIBTORCH= \
		PATH=/usr/local/go/bin:/usr/sbin:/usr/bin:/sbin:/bin \
		GOPROXY=file:///goproxy,https://proxy.golang.org,direct GOTOOLCHAIN=local \
		bash -euo pipefail -c "cd /src/glmkit; $command" </dev/null
'
echo "debian-root: $suite: '$command' passed in $((SECONDS - start)) s"
