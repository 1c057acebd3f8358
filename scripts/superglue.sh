#!/usr/bin/env bash
# SuperGLUE on real files with what a small machine bears: pretrain a GLM and a
# BERT of equal size on the same text, finetune both on every task with several
# seeds, answer the diagnostics AX-b and AX-g with the models of RTE, and put all
# into one table. Started again after an interruption it goes on where it stopped.
#
#   CORPUS='wiki.jsonl novels.jsonl' VALID=held-out.jsonl DATA=SuperGLUE scripts/superglue.sh
#
# What can be set, with what holds otherwise:
#
#   CORPUS     documents to pretrain on: any files that prepare corpus reads
#   VALID      documents held out for the validation loss
#   DATA       folder of BoolQ, CB, COPA and so on, as SuperGLUE distributes them;
#              where a task has no val.jsonl, FewGLUE's dev32.jsonl is answered
#   OUT        where everything is written (superglue-run)
#   GLMKIT     the program (./glmkit)
#   VOCAB      words of the vocabulary that is trained on CORPUS (12288)
#   STEPS      steps of pretraining (1200)
#   TRAIN      lines of each training file at most (1000); MultiRC's and ReCoRD's
#              lines are passages: a tenth of it
#   ANSWER     lines of each labelled file to answer at most (1000), likewise
#   MAX_STEPS  steps of a finetuning at most (60)
#   SEEDS      seeds of the finetunings (1,2,3)
#   THREADS    threads of each of the two models (1)
#   SETTINGS   settings of both models (4 layers of 160, else as glm-small)
set -euo pipefail

: "${CORPUS:?documents to pretrain on, as in CORPUS='wiki.jsonl novels.jsonl'}"
: "${VALID:?documents held out for the validation loss}"
: "${DATA:?the folder of SuperGLUE}"
glmkit=${GLMKIT:-./glmkit} out=${OUT:-superglue-run} seeds=${SEEDS:-1,2,3} threads=${THREADS:-1}
settings=(--config glm-small)
for setting in ${SETTINGS:-model.layers=4 model.hidden=160 model.heads=4 model.dropout=0 model.attention_dropout=0 train.batch_size=16 finetune.tasks.record.batch_size=8}; do
	settings+=(--set "$setting")
done
forms=(glm:cloze bert:classification)
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

# cut TASK LINES NAME FILE...: the first LINES lines of the first FILE that the
# task's folder has, as its NAME.
cut() {
	local task=$1 lines=$2 name=$3 file
	shift 3
	mkdir -p "$out/data/$task"
	[ -e "$out/data/$task/$name" ] && return
	for file in "$@"; do
		[ -e "$DATA/$task/$file" ] || continue
		head -n "$lines" "$DATA/$task/$file" >"$out/data/$task/.$name"
		mv "$out/data/$task/.$name" "$out/data/$task/$name"
		printf '%s %s: %s lines of %s\n' "$task" "$name" "$(grep -c '' "$out/data/$task/$name")" "$DATA/$task/$file"
		return
	done
	printf '%s: no %s, left out\n' "$task" "$name"
}

pretrain() {
	"$glmkit" train pretrain "${settings[@]}" --set model.architecture="$1" --set train.steps="${STEPS:-1200}" --set train.micro_batch=8 \
		--data "$out/corpus" --valid "$out/valid" --out "$out/runs/$1" --threads "$threads"
}

finetune() {
	"$glmkit" train finetune "${settings[@]}" --set model.architecture="$1" --set finetune.max_steps="${MAX_STEPS:-60}" \
		--from "$out/runs/$1" --tasks "$out/tasks-$1" --seeds "$seeds" --out "$out/finetuned/$1" --threads "$threads"
}

evaluate() {
	"$glmkit" eval "$out/finetuned/$1" --tasks "$out/tasks-$1" --out "$out/results" --threads "$threads"
	for task in AX-b AX-g; do
		[ -e "$out/tasks-$1/$task" ] || continue
		"$glmkit" eval "$out/finetuned/$1" --tasks "$out/tasks-$1" --task "$task" --split test --out "$out/results" --threads "$threads"
	done
}

mkdir -p "$out"
say '1/6 a vocabulary and the corpus'
# shellcheck disable=SC2086 # CORPUS is a list
[ -e "$out/vocab.txt" ] || "$glmkit" prepare vocab $CORPUS --size "${VOCAB:-12288}" --out "$out/vocab.txt"
# shellcheck disable=SC2086
"$glmkit" prepare corpus $CORPUS "${settings[@]}" --tokenizer "$out/vocab.txt" --out "$out/corpus"
"$glmkit" prepare corpus "$VALID" "${settings[@]}" --tokenizer "$out/vocab.txt" --out "$out/valid"

say '2/6 the tasks; examples that do not fit are left out and counted'
for task in BoolQ CB COPA MultiRC ReCoRD RTE WiC WSC; do
	case $task in MultiRC | ReCoRD) share=10 ;; *) share=1 ;; esac
	cut "$task" $((${TRAIN:-1000} / share)) train.jsonl train.jsonl
	cut "$task" $((${ANSWER:-1000} / share)) val.jsonl val.jsonl dev32.jsonl
done
for task in AX-b AX-g; do
	cut "$task" 1000000 "$task.jsonl" "$task.jsonl"
done
for form in "${forms[@]}"; do
	"$glmkit" prepare task all "${settings[@]}" --data "$out/data" --tokenizer "$out/vocab.txt" --form "${form#*:}" --skip-bad --out "$out/tasks-${form%:*}" >"$out/tasks-${form%:*}.tsv"
done

say '3/6 pretrain GLM and BERT'
both pretrain
say '4/6 finetune both on every task'
both finetune
say '5/6 answer'
both evaluate
say '6/6 compare'
"$glmkit" report "$out/results" --out "$out/report.md"
"$glmkit" report "$out/results" --format terminal
say "done; the same table is in $out/report.md"
