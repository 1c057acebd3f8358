#!/usr/bin/env bash
# check-slurm.sh: proves docs/cluster/submit.sh and prepare.slurm on a real Slurm,
# and training by the ranks of a step of srun.
# Installs slurm-wlm and munge where they are missing, runs munged, slurmctld and
# slurmd as one node on 127.0.0.1 out of a temporary folder (no systemd, no
# cgroups, no database), and prepares a made-up corpus as an array of four tasks
# of which one is killed, one is told to stop and one is preempted in the middle,
# and one killed in the second stage. Slurm queues them again; the files must be
# those of a single run, byte for byte. On that corpus two ranks, which know their
# places from Slurm alone, train a small model to the losses of one process, and stop
# together at a signal. TRAINER is the glmkit with libtorch that trains, by default
# the one that make build makes. Whatever happens, the daemons end and the folder goes.
set -euo pipefail
shopt -s extglob
cd "$(dirname "$0")/.."

fail() {
	echo "check-slurm: $1" >&2
	[ -z "${2:-}" ] || echo "try: $2" >&2
	exit "${3:-1}"
}
say() { echo "check-slurm: $*"; }

[ "$(id -u)" -eq 0 ] || fail 'slurmd and its jobs need root here' 'sudo make check-slurm' 4
trainer=$(realpath "${TRAINER:-glmkit}")
"$trainer" doctor >/dev/null || fail "$trainer cannot train" 'make build, or TRAINER=/path/of/glmkit' 4
missing=()
for package in slurm-wlm munge; do
	dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q '^install ok installed$' || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
	command -v apt-get >/dev/null || fail 'no apt here' "install ${missing[*]} with your system's own tools" 4
	say "installing with apt-get: ${missing[*]}"
	apt-get -q update
	# RUNLEVEL: the packages start no services of their own.
	RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends "${missing[@]}"
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/glmkit-slurm.XXXXXX")
daemons=()
finish() {
	local status=$?
	trap - EXIT
	set +e
	if [ "$status" -ne 0 ]; then
		tail -n 15 "$work"/*.log >&2
		find "$work/logs" -type f -exec tail -n 15 {} + >&2
	fi
	if [ ${#daemons[@]} -gt 0 ]; then
		timeout 10 scancel --quiet --user=root
		for _ in $(seq 50); do
			[ -n "$(timeout 5 squeue --noheader)" ] || break
			sleep 0.2
		done
		kill "${daemons[@]}" 2>/dev/null
		wait "${daemons[@]}" 2>/dev/null
	fi
	rm -rf "$work"
	exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# daemon LOG COMMAND...: runs a daemon in the foreground, behind this script.
daemon() {
	"${@:2}" >"$work/$1.log" 2>&1 &
	daemons+=($!)
}

# until_true SECONDS WHAT COMMAND...: waits for a command to succeed.
until_true() {
	local i what=$2
	for ((i = 0; i < $1 * 10; i++)); do
		! "${@:3}" || return 0
		sleep 0.1
	done
	fail "waited $1 s for $what"
}

listens() { (: <"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
port=26817
while listens $port || listens $((port + 1)); do port=$((port + 2)); done

say "a Slurm of one node in $work"
host=$(hostname -s)
mkdir -p "$work/munge" "$work/state" "$work/spool" "$work/logs"
chmod 700 "$work/munge"
(umask 077 && head -c 1024 /dev/urandom >"$work/munge/key")
cat >"$work/slurm.conf" <<-EOT
	ClusterName=glmkit
	SlurmctldHost=$host(127.0.0.1)
	SlurmctldPort=$port
	SlurmdPort=$((port + 1))
	SlurmUser=root
	AuthType=auth/munge
	# A job that is queued again waits until its credential has expired.
	AuthInfo=socket=$work/munge.socket,cred_expire=5
	StateSaveLocation=$work/state
	SlurmdSpoolDir=$work/spool
	SlurmctldPidFile=$work/slurmctld.pid
	SlurmdPidFile=$work/slurmd.pid
	ProctrackType=proctrack/linuxproc
	TaskPlugin=task/none
	JobAcctGatherType=jobacct_gather/none
	AccountingStorageType=accounting_storage/none
	SelectType=select/cons_tres
	SelectTypeParameters=CR_CPU
	# More cores than there are, so that all tasks run at once.
	SlurmdParameters=config_overrides
	NodeName=$host NodeAddr=127.0.0.1 CPUs=8
	PartitionName=all Nodes=$host Default=YES MaxTime=INFINITE State=UP
	SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1
	MailProg=/bin/true
EOT
export SLURM_CONF=$work/slurm.conf
daemon munged munged --foreground --force --key-file="$work/munge/key" --socket="$work/munge.socket" \
	--pid-file="$work/munge/pid" --seed-file="$work/munge/seed" --log-file="$work/munge/log"
until_true 10 munged test -S "$work/munge.socket"
daemon slurmctld slurmctld -D
daemon slurmd slurmd -D -N "$host"
idle() { [ "$(sinfo --noheader --format=%T 2>/dev/null)" = idle ]; }
until_true 30 'an idle node' idle
[ "$(srun hostname -s)" = "$host" ] || fail 'srun does not run hostname'

say 'a corpus, by a single run'
export GLMKIT=$work/glmkit CPUS=1
env GOWORK=off CGO_ENABLED=0 "${GO:-go}" build -buildvcs=false -o "$work/" ./cmd/glmkit ./bench/text
# Sources of their own, so that there is a piece of work for each, and small
# shards, so that there are several for each task.
corpus=(--tokenizer "$work/vocab.txt" --set data.shard_mb=16 --set clean.dedup=true --set data.valid=0.01)
for n in {1..8}; do
	"$work/text" --seed "$n" --bytes 40000000 >"$work/text-$n.jsonl"
	corpus+=(--source "part$n=$work/text-$n.jsonl")
done
"$GLMKIT" prepare vocab "$work/text-1.jsonl" --size 2000 --out "$work/vocab.txt"
"$GLMKIT" prepare corpus "${corpus[@]}" --out "$work/single"

say 'the same by an array of four tasks'
last=$(cd "$work/logs" && "$OLDPWD/docs/cluster/submit.sh" 4 "$work/array" "${corpus[@]}")
tokenise=$((last - 2)) draw=$((last - 1)) # the jobs before it

# process TASK: the id of the process that a task, ARRAY_INDEX, runs.
process() {
	local job
	job=$(squeue --noheader --array --job="$1" --states=RUNNING --format=%A 2>/dev/null) && [ -n "$job" ] || return 1
	# Columns: PID JOBID STEPID LOCALID GLOBALID; the step is srun's.
	scontrol listpids "$job" "$host" 2>/dev/null | awk '$3 == 0 && $4 == 0 { print $1; found = 1 } END { exit !found }'
}

# busy TASK: whether its process has computed for a fifth of a second: it is in
# the middle of its work then.
busy() {
	local pid
	pid=$(process "$1") && [ "$(awk '{ print $14 + $15 }' "/proc/$pid/stat" 2>/dev/null || echo 0)" -ge 20 ]
}
until_true 60 'a task that tokenises' busy "${tokenise}_1"
kill -KILL "$(process "${tokenise}_1")"
until_true 60 'a task that tokenises' busy "${tokenise}_2"
scancel --signal=TERM "${tokenise}_2" # as before the end of its time
until_true 60 'a task that tokenises' busy "${tokenise}_3"
scontrol requeue "${tokenise}_3" # as for a job of higher priority
until_true 120 'a task that draws' busy "${draw}_2"
kill -KILL "$(process "${draw}_2")"

state() { scontrol show job --oneliner "$last" | grep -o 'JobState=[A-Z_]*'; }
ended() { [[ $(state) != JobState=@(PENDING|RUNNING|COMPLETING) ]]; }
until_true 300 'the merge' ended
[ "$(state)" = JobState=COMPLETED ] || fail "the last job is $(state)"
for task in "${tokenise}_"{1,2,3} "${draw}_2"; do
	grep -q '^attempt 2 ' "$work/logs/slurm-$task.out" || fail "task $task was not queued again"
done

sums() { (cd "$1" && find . -type f | LC_ALL=C sort | xargs sha256sum); }
diff <(sums "$work/single") <(sums "$work/array") >&2 || fail 'the array made other files than the single run'
say "equal: $(sums "$work/array" | wc -l) files of $(du -sh "$work/array" | cut -f1), after two SIGKILLs, a SIGTERM and a preemption"

say 'two ranks of srun train as one process does'
# rank_train OUT STEPS [SRUN...]: trains a small model.
rank_train() {
	"${@:3}" "$trainer" train pretrain --config glm-small --data "$work/single" --out "$1" --device cpu --threads 1 \
		--set model.layers=2 --set model.hidden=32 --set model.heads=2 --set model.max_positions=512 --set "train.steps=$2" --set train.batch_size=8 --set train.micro_batch=2 \
		--set train.log_every=1 --set train.valid_every=0 --set compute.precision=float32 --set compute.peak_tflops=1
}
losses() { sed -E 's/^\{"step":[0-9]+,"loss":([^,]+),.*/\1/' "$1/metrics.jsonl"; }
rank_train "$work/one" 40 2>"$work/one.log" >&2
rank_train "$work/two" 40 srun --ntasks=2 2>"$work/two.log" >&2
grep -q '^2 processes train together' "$work/two.log" || fail 'the two tasks of srun did not find each other'
apart=$(paste <(losses "$work/one") <(losses "$work/two") | awk '{ d = $1 - $2; if (d < 0) d = -d; if (d > most) most = d } END { print most + 0; exit !(NR == 40 && most <= 1e-5) }') ||
	fail "the losses of two ranks are not those of one process: $apart apart"
say "equal: the losses of 40 steps, within $apart"

rank_train "$work/stopped" 100000 srun --ntasks=2 --job-name=stopped 2>"$work/stopped.log" >&2 &
step=$!
trains() { [ -e "$work/stopped/metrics.jsonl" ] && [ "$(wc -l <"$work/stopped/metrics.jsonl")" -ge 5 ]; }
until_true 60 'the ranks to train' trains
scancel --signal=TERM --name=stopped # as before the end of its time
status=0
wait "$step" || status=$?
[ "$status" -eq 130 ] || fail "after SIGTERM the ranks ended with $status, not with 130"
[ -e "$work/stopped/checkpoints/$(cat "$work/stopped/latest")/manifest.json" ] || fail 'after SIGTERM there is no checkpoint'
say "a SIGTERM stops both ranks with 130, at $(cat "$work/stopped/latest")"
