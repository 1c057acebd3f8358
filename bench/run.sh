#!/usr/bin/env bash
# Measures glmkit beside its peers and writes bench/results/DATE-COMMIT.md.
# docs/bench.md says what each figure means.
#
#	bench/run.sh [ROW...]        rows: wordpiece bpe prepare large read spans train score write start (all)
#	FAST=1 bench/run.sh          tiny sizes: shows that everything works, no more
#	ROUNDS=9 bench/run.sh        more rounds than five
#
# Nothing is installed except the npm package of bench/tokenizers, where node is
# there. GLMKIT=/path/glmkit, GLMKIT_DATA=/path and PYTHON=/path/python3 choose
# other ones.
set -euo pipefail
cd "$(dirname "$0")/.."

glmkit=${GLMKIT:-./glmkit}
if [ ! -x "$glmkit" ]; then
	echo "bench: there is no $glmkit; try: make build" >&2
	exit 1
fi
if command -v npm >/dev/null && [ ! -d bench/tokenizers/node_modules/tokenizers ]; then
	echo 'bench: npm ci in bench/tokenizers' >&2
	npm ci --prefix bench/tokenizers --no-audit --no-fund >&2 || echo 'bench: npm ci failed; its rows will be missing' >&2
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
${GO:-go} build -buildvcs=false -o "$work/" ./bench ./bench/tokenizers ./bench/text ./bench/read ./bench/spans ./bench/train ./bench/score
"$work/bench" --work "$work" --glmkit "$glmkit" --data "${GLMKIT_DATA:-../shared/data}" \
	--python "${PYTHON:-/usr/bin/python3}" ${FAST:+--fast} ${ROUNDS:+--rounds "$ROUNDS"} "$@"
