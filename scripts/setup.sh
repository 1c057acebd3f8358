#!/usr/bin/env bash
# Installs those of the given apt packages that are missing, and says which
# before it does. Says nothing when there is nothing to do.
# FIND is a command that succeeds where some libtorch is there already; GO is
# the go command.
set -euo pipefail

if ! command -v "$GO" >/dev/null; then
	echo "setup: Go 1.23 or newer is needed, and '$GO' is not in PATH" >&2
	echo "try: https://go.dev/dl, then export PATH=\$PATH:/usr/local/go/bin" >&2
	exit 4
fi

if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
	if { command -v "${CXX:-g++}" && command -v git; } >/dev/null && $FIND >/dev/null 2>&1; then
		exit 0
	fi
	cat >&2 <<-EOT
		setup: no apt here; please install with your system's own tools:
		  git, make, and a compiler for C++17 (g++ or clang++, with CXX=clang++)
		  libtorch with its headers: a package of your system, Python's torch,
		  or an unpacked zip from pytorch.org named by LIBTORCH=/path
	EOT
	exit 4
fi

installed() { dpkg-query -W -f='${Status}' "$1" 2>/dev/null | grep -q '^install ok installed$'; }

needed=()
for package; do
	installed "$package" && continue
	case $package in
	libtorch-dev) # any other libtorch will do
		[ -n "${LIBTORCH:-}" ] && continue
		echo 'setup: looking for a libtorch'
		$FIND >/dev/null 2>&1 && continue ;;
	libopenblas* | libgloo-dev) # only Debian's libtorch takes BLAS and Gloo from the system
		installed libtorch-dev || [[ " ${needed[*]} " == *' libtorch-dev '* ]] || continue ;;
	esac
	needed+=("$package")
done
[ ${#needed[@]} -eq 0 ] && exit 0

sudo=()
if [ "$(id -u)" -ne 0 ]; then
	if ! command -v sudo >/dev/null; then
		echo "setup: these packages are missing, and there is no sudo: ${needed[*]}" >&2
		echo "try: as root, apt-get install ${needed[*]}" >&2
		exit 4
	fi
	sudo=(sudo)
fi
echo "setup: installing with ${sudo[*]:+sudo }apt-get: ${needed[*]}"
"${sudo[@]}" apt-get -q update
"${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends "${needed[@]}"
