#!/usr/bin/env bash
# What more than one objective is worth: three GLMs of one size, on the same text
# for as many steps, one pretrained on short spans alone, one on these and whole
# sentences, one on these and one long span. They are put side by side on cloze
# tasks, on missing words and on perplexity. Everything lands in objectives/ and is
# of the demo's made-up world; started again after an interruption it goes on.
#
#	scripts/objectives.sh
#	STEPS=200 TASKS="CB RTE" SEEDS=1 scripts/objectives.sh     a small one
#	STEPS=2 FINETUNE_STEPS=2 INFILL_STEPS=2 ...               shows that it works, no more
set -euo pipefail
cd "$(dirname "$0")/.."
glmkit=${GLMKIT:-./glmkit}
out=${OUT:-objectives}
steps=${STEPS:-1800}
tasks=${TASKS:-BoolQ CB COPA RTE WiC}
seeds=${SEEDS:-1,2,3}
finetune_steps=${FINETUNE_STEPS:-0} # 0: the recipes' epochs
infill_steps=${INFILL_STEPS:-300}
threads=${THREADS:-0}
mkdir -p "$out"

[ -e "$out/world" ] || "$glmkit" prepare microworld --out "$out/world" | tail -n 1
[ -e "$out/vocab.txt" ] || "$glmkit" prepare vocab "$out/world/corpus.jsonl" --size 1024 --out "$out/vocab.txt"
cat >"$out/words.yaml" <<'YAML'
task: Words
recipe: Yahoo
files: {train: corpus.jsonl, val: valid.jsonl}
fields: {text: text}
infill: [0.15]
metrics: [bleu]
YAML

# each NAME TOKEN SENTENCE DOCUMENT
each() {
	local name=$1 dir="$out/$1"
	shift
	local objective=(--config glm-demo --set "objective.token=$1" --set "objective.sentence=$2" --set "objective.document=$3" --set objective.task_mask=true)
	printf '\n== %s: short spans %s, sentences %s, long spans %s\n' "$name" "$@"
	"$glmkit" prepare corpus "$out/world/corpus.jsonl" "${objective[@]}" --tokenizer "$out/vocab.txt" --out "$dir/corpus"
	"$glmkit" train pretrain "${objective[@]}" --set "train.steps=$steps" --data "$dir/corpus" --out "$dir/run" --threads "$threads"
	# shellcheck disable=SC2086 # tasks are words
	"$glmkit" prepare task $tasks "${objective[@]}" --data "$out/world/tasks" --tokenizer "$out/vocab.txt" --out "$dir/tasks" >"$dir/tasks.txt"
	"$glmkit" prepare task --task-file "$out/words.yaml" --data "$out/world" "${objective[@]}" --tokenizer "$out/vocab.txt" --max-length 100 --out "$dir/tasks" >>"$dir/tasks.txt"
	"$glmkit" train finetune "${objective[@]}" --set "finetune.max_steps=$finetune_steps" --set "finetune.tasks.yahoo.max_steps=$infill_steps" --set finetune.tasks.yahoo.target_length=60 \
		--from "$dir/run" --tasks "$dir/tasks" --seeds "$seeds" --out "$dir/finetuned" --threads "$threads"
	"$glmkit" eval "$dir/finetuned" --tasks "$dir/tasks" --name "$name" --out "$out/results" --threads "$threads"
	"$glmkit" eval perplexity "$dir/run" --text "$out/world/valid.jsonl" --format jsonl --length 64 --threads "$threads" | tee "$dir/perplexity.txt"
}

each token 1 0 0
each sentence 0.5 0.5 0
each document 0.5 0 0.5

printf '\n== side by side\n'
"$glmkit" report "$out/results" --baseline token --published none --format terminal
for name in token sentence document; do tail -n +2 "$out/$name/perplexity.txt" | sed "s/^/$name\t/"; done
