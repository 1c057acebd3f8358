#!/usr/bin/env bash
# Checks glmkit beside PyTorch on this machine's GPU, or reduced on its CPU, and
# writes bench/results/DATE-gpu-check-VERSION.md. docs/devices.md says more.
#
#	bench/gpu/run.sh [OPTION...]       options of check.py: --batch, --steps, --set, ...
#	bench/gpu/run.sh --carry FOLDER    lays out in FOLDER what a machine without Go
#	                                   needs; there: python3 FOLDER/check.py
#
# GLMKIT=/path/glmkit and PYTHON=/path/python3 choose other ones.
set -euo pipefail
cd "$(dirname "$0")/../.."

glmkit=${GLMKIT:-./glmkit}
if [ ! -x "$glmkit" ]; then
	echo "gpu-check: there is no $glmkit; try: make build" >&2
	exit 1
fi
sequences() { CGO_ENABLED=0 GOWORK=off ${GO:-go} build -buildvcs=false -ldflags '-s -w' -o "$1/train" ./bench/train; }

if [ "${1:-}" = --carry ]; then
	folder=${2:?--carry takes a folder}
	mkdir -p "$folder"
	sequences "$folder"
	# Tests of the tensor layer come along, fitted as glmkit is.
	${GO:-go} test -c -ldflags '-s -w' -o "$folder/devices.test" ./runner/internal/torch
	strip -o "$folder/glmkit" "$glmkit" 2>/dev/null || cp "$glmkit" "$folder/glmkit"
	cp bench/gpu/check.py bench/gpu/peer.py bench/glm.py "$folder"
	du -sh "$folder" >&2
	echo "gpu-check: take $folder to the machine, and run there: python3 $(basename "$folder")/check.py" >&2
	exit
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
sequences "$work"
"${PYTHON:-/usr/bin/python3}" bench/gpu/check.py --glmkit "$glmkit" --sequences "$work/train" \
	--results bench/results "$@"
