# What the scripts share that bring up a GLM and a BERT together; sourced by them.
began=$(date +%s)

# say STEP: a heading with the time since the start.
say() { printf '\n== %s (%s since the start)\n' "$1" "$(date -u -d "@$(($(date +%s) - began))" +%T)"; }

# both COMMAND: runs COMMAND glm and COMMAND bert side by side, their lines
# marked, and fails if either does.
both() {
	("$1" glm 2>&1 | sed -u 's/^/[GLM]  /') &
	local glm=$!
	("$1" bert 2>&1 | sed -u 's/^/[BERT] /') &
	local bert=$! failed=0
	wait "$glm" || failed=$?
	wait "$bert" || failed=$?
	return "$failed"
}
