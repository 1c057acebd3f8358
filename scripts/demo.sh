#!/usr/bin/env bash
# The main job in small, on a made-up world: prepare, pretrain a GLM and a BERT
# of equal size on the same text for the same number of steps, finetune both on
# eight tasks with three seeds, evaluate, and compare. Everything lands in
# demo/; started again after an interruption it goes on where it stopped.
set -euo pipefail
cd "$(dirname "$0")/.."
glmkit=./glmkit
demo=demo
seeds=1,2,3
mkdir -p "$demo"

# The two models train side by side, each on half of the cores: small products
# gain little from a second thread.
cores=$(getconf _NPROCESSORS_ONLN)
threads=$((cores > 1 ? cores / 2 : 1))
. scripts/side-by-side.sh

pretrain() {
	"$glmkit" train pretrain --config "$1-demo" --data "$demo/corpus" --valid "$demo/valid" --out "$demo/runs/$1" --threads "$threads"
}

finetune() {
	"$glmkit" train finetune --config "$1-demo" --from "$demo/runs/$1" --tasks "$demo/tasks-$1" --seeds "$seeds" --out "$demo/finetuned/$1" --threads "$threads"
}

evaluate() {
	"$glmkit" eval "$demo/finetuned/$1" --tasks "$demo/tasks-$1" --out "$demo/results" --threads "$threads"
}

say '1/7 make up the world'
"$glmkit" prepare microworld --out "$demo/world" | tail -n 1
say '2/7 train a vocabulary'
[ -e "$demo/vocab.txt" ] || "$glmkit" prepare vocab "$demo/world/corpus.jsonl" --size 1024 --out "$demo/vocab.txt"
say '3/7 prepare the corpus and the tasks'
"$glmkit" prepare corpus "$demo/world/corpus.jsonl" --config glm-demo --tokenizer "$demo/vocab.txt" --out "$demo/corpus"
"$glmkit" prepare corpus "$demo/world/valid.jsonl" --config glm-demo --tokenizer "$demo/vocab.txt" --out "$demo/valid"
"$glmkit" prepare task all --data "$demo/world/tasks" --config glm-demo --tokenizer "$demo/vocab.txt" --form cloze --out "$demo/tasks-glm" >"$demo/tasks-glm.txt"
"$glmkit" prepare task all --data "$demo/world/tasks" --config bert-demo --tokenizer "$demo/vocab.txt" --form classification --out "$demo/tasks-bert" >"$demo/tasks-bert.txt"
say '4/7 pretrain GLM and BERT'
both pretrain
say '5/7 finetune both on every task, seeds 1 to 3'
both finetune
say '6/7 evaluate'
both evaluate
say '7/7 compare'
# The published rows are of the real SuperGLUE: they do not belong beside a
# made-up world's.
"$glmkit" report "$demo/results" --published none --out "$demo/report.md"
"$glmkit" report "$demo/results" --published none --format terminal
say "done; the same table is in $demo/report.md"
