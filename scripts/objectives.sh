#!/usr/bin/env bash
# What more than one objective is worth: three GLMs of one size, on the same text
# for as many steps, one pretrained on short spans alone, one on these and whole
# sentences, one on these and one long span. They are put side by side on cloze
# tasks, on missing words and on perplexity. Everything lands in objectives/; started
# again after an interruption it goes on.
#
#	scripts/objectives.sh                                      on the demo's made-up world
#	STEPS=200 TASKS="CB RTE" SEEDS=1 scripts/objectives.sh     a small one
#	STEPS=2 FINETUNE_STEPS=2 INFILL_STEPS=2 ...               shows that it works, no more
#	CORPUS=wiki.jsonl VALID=held-out.jsonl DATA=SuperGLUE scripts/objectives.sh
#
# What can be set, with what holds otherwise:
#
#	CORPUS, VALID    documents to pretrain on, and held out: {"text": …} a line, whose
#	                 lines of 20 to 60 words are what missing words are sought in
#	                 (the made-up world's); they need jq
#	DATA             folder of the cloze tasks (the made-up world's)
#	TASKS            the cloze tasks (BoolQ CB COPA RTE WiC)
#	WIKITEXT         a file of WikiText to measure as well (none)
#	LAMBADA          a file of LAMBADA to measure as well (none)
#	VOCAB, SETTINGS  words of the vocabulary (1024), settings beyond glm-demo (none)
#	LENGTH           tokens of a window for perplexity (64)
#	STEPS            steps of pretraining (1800)
#	FINETUNE_STEPS   steps of a finetuning at most (0: the recipes' epochs)
#	INFILL_STEPS     the same for missing words (300)
#	SEEDS, THREADS   seeds of the finetunings (1,2,3), threads (0: all)
#	OUT, GLMKIT      where everything is written (objectives), the program (./glmkit)
set -euo pipefail
out=${OUT:-objectives} glmkit=${GLMKIT:-./glmkit} threads=${THREADS:-0}
mkdir -p "$out"

if [ -n "${CORPUS:-}" ]; then
	corpus=$CORPUS valid=${VALID:?documents held out} data=${DATA:?folder of the cloze tasks}
	for part in train val; do
		[ -e "$out/$part.txt" ] && continue
		jq -r .text "$([ $part = train ] && echo "$corpus" || echo "$valid")" | awk 'NF >= 20 && NF <= 60' >"$out/.$part.txt"
		mv "$out/.$part.txt" "$out/$part.txt"
	done
	files='{train: train.txt, val: val.txt}' texts=$out
else
	[ -e "$out/world" ] || "$glmkit" prepare microworld --out "$out/world" | tail -n 1
	corpus=$out/world/corpus.jsonl valid=$out/world/valid.jsonl data=$out/world/tasks
	files='{train: corpus.jsonl, val: valid.jsonl}' texts=$out/world
fi
[ -e "$out/vocab.txt" ] || "$glmkit" prepare vocab "$corpus" --size "${VOCAB:-1024}" --out "$out/vocab.txt"
cat >"$out/words.yaml" <<YAML
task: Words
recipe: Yahoo
files: $files
fields: {text: text}
infill: [0.15]
metrics: [bleu]
YAML

# each NAME TOKEN SENTENCE DOCUMENT
each() {
	local name=$1 dir="$out/$1" setting
	shift
	local model=(--config glm-demo)
	for setting in ${SETTINGS:-} "objective.token=$1" "objective.sentence=$2" "objective.document=$3" objective.task_mask=true; do
		model+=(--set "$setting")
	done
	printf '\n== %s: short spans %s, sentences %s, long spans %s\n' "$name" "$@"
	"$glmkit" prepare corpus "$corpus" "${model[@]}" --tokenizer "$out/vocab.txt" --out "$dir/corpus"
	"$glmkit" train pretrain "${model[@]}" --set "train.steps=${STEPS:-1800}" --data "$dir/corpus" --out "$dir/run" --threads "$threads"
	# shellcheck disable=SC2086 # tasks are words
	"$glmkit" prepare task ${TASKS:-BoolQ CB COPA RTE WiC} "${model[@]}" --data "$data" --tokenizer "$out/vocab.txt" --skip-bad --out "$dir/tasks" >"$dir/tasks.txt"
	"$glmkit" prepare task --task-file "$out/words.yaml" --data "$texts" "${model[@]}" --tokenizer "$out/vocab.txt" --max-length 100 --out "$dir/tasks" >>"$dir/tasks.txt"
	"$glmkit" train finetune "${model[@]}" --set "finetune.max_steps=${FINETUNE_STEPS:-0}" --set "finetune.tasks.yahoo.max_steps=${INFILL_STEPS:-300}" --set finetune.tasks.yahoo.target_length=60 \
		--from "$dir/run" --tasks "$dir/tasks" --seeds "${SEEDS:-1,2,3}" --out "$dir/finetuned" --threads "$threads"
	"$glmkit" eval "$dir/finetuned" --tasks "$dir/tasks" --name "$name" --out "$out/results" --threads "$threads"
}

each token 1 0 0
each sentence 0.5 0.5 0
each document 0.5 0 0.5

printf '\n== side by side\n'
"$glmkit" report "$out/results" --baseline token --published none --format terminal
runs=("$out/token/run" "$out/sentence/run" "$out/document/run")
"$glmkit" eval perplexity "${runs[@]}" --text "$valid" --format jsonl --length "${LENGTH:-64}" --threads "$threads"
[ -z "${WIKITEXT:-}" ] || "$glmkit" eval perplexity "${runs[@]}" --text "$WIKITEXT" --format wikitext --length "${LENGTH:-64}" --threads "$threads"
[ -z "${LAMBADA:-}" ] || "$glmkit" eval lambada "${runs[@]}" --data "$LAMBADA" --threads "$threads"
