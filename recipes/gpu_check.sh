#!/usr/bin/env bash
# Ten minutes on a machine with a GPU, before hours are spent on it.   Hardware: one GPU; what does not fit is told.
# NOT RUN ON A GPU YET. The same steps in tiny shapes run on the CPU: tests/test_gpu_check.py.
#
# Run:       bash recipes/gpu_check.sh
# CPU:       DEVICE=cpu bash recipes/gpu_check.sh      (the steps in tiny shapes: do they run? no speed is measured)
# Smaller:   STEPS=9 SHAPES=qwen3_vl-2b bash recipes/gpu_check.sh      (SHAPES: of tools/real_shapes.py; the last in full)
# Slower:    WITHIN=600 bash recipes/gpu_check.sh                      (seconds that a step may take)
# Leaves:    runs/gpu_check/summary.md: a line for each step, two tables; logs/STEP.log. Exit code 1: a step failed.
set -euo pipefail
export GPUS="${GPUS:-1}"
OUTPUT="${OUTPUT:-runs/gpu_check}"
source "$(dirname "${BASH_SOURCE[0]}")/_machine.sh"
cd "$ROOT"
OUTPUT="$(realpath -m "$OUTPUT")"
DEVICE="${DEVICE:-cuda}"
one_of DEVICE cuda cpu
numbers 3 STEPS                              # one before the kill that is kept, one that is lost, one after
numbers 1 WITHIN
need_swift
[[ ! -e "$OUTPUT" ]] || stop "OUTPUT=$OUTPUT: is there already; remove it, or name another"
unset RESUME ADAPTER
export ENGINE=transformers GELAB_DATA="$OUTPUT/data" MAX_PIXELS=200704    # 448 x 448
STEPS="${STEPS:-20}" WITHIN="${WITHIN:-180}" SHAPES="${SHAPES:-qwen3_vl-2b qwen2_5_vl-7b}"
page=448x448 questions=(--tasks 4 --attempts 4 --sample 8) device=() short=(--max_steps 5)
if [[ "$DEVICE" == cpu ]]; then
    export CUDA_VISIBLE_DEVICES='' MAX_PIXELS=56320
    SHAPES=tiny page=160x352 questions=(--tasks 1 --attempts 1 --sample 1)
    device=(--use_cpu true --dataloader_num_workers 0 --dataset_num_proc 1)
    short=(--max_steps 2 --gradient_accumulation_steps 1)
fi
read -ra shapes <<< "$SHAPES"
report() { python tools/gpu_report.py "$@"; }

# 1. The machine. Without torch, or without a GPU, nothing else is worth a minute.
about="$(report machine)"
[[ "$DEVICE" == cpu || "$about" != *'| cores |'* || "$about" == *'| GPU |'* ]] ||
    stop "no GPU; DEVICE=cpu shows the steps in tiny shapes"
mkdir -p "$OUTPUT"/{logs,sft,models,eval}
failed=0 running=''
trap '[[ -z "$running" ]] || kill -9 -- "-$running"' EXIT
say() { printf '%s\n' "$*" | tee -a "$OUTPUT/summary.md"; }
limited() { timeout -k 5 "$WITHIN" "$@"; }

why() {   # why LOG: its last line that names an error, or the last one
    local lines
    lines="$(tr '\r' '\n' < "$1" | tr -d '\000-\011\013-\037' | grep . || echo "nothing in its log")"
    { grep -E '(Error|Exception)\b' <<< "$lines" || echo "$lines"; } | tail -n 1 | cut -c 1-300
}

step() {   # step NAME COMMAND...: a line with the last one that it printed, or with what went wrong
    local name="$1" log="$OUTPUT/logs/$1.log" begun="$SECONDS" code=0
    shift
    "$@" > "$log" 2>&1 || code=$?
    case "$code" in
        0) say "- $name, $((SECONDS - begun)) s: $(tr '\r' '\n' < "$log" | tail -n 1)"; return ;;
        124 | 137) say "- $name FAILED: stopped after $WITHIN s (WITHIN), logs/$name.log" ;;
        *) say "- $name FAILED: $(why "$log")" ;;
    esac
    failed=$((failed + 1))
}
say "$about"
say

# 2. The small base model through the three stages. 3. SFT is killed half way, and goes on.
base="$OUTPUT/models/base"
make_data() {
    limited python -m data_engine.gelab.build "$OUTPUT/world" --tree 5 2 1 --seed 0 --page-size "$page" &&
        limited python -m data_engine.gelab.write "$OUTPUT/world" "$OUTPUT/data" --seed 0 --clicks center &&
        limited python tools/make_tiny_model.py "$base" --from-base
}
tiny=(
    --freeze_vit false --freeze_aligner false --gradient_checkpointing false --gradient_accumulation_steps 1
    --weight_decay 0.01 --report_to none --max_steps "$STEPS" "${device[@]}"
)
sft=(
    "${tiny[@]}" --optimizer gui_muon --learning_rate 1e-3 --per_device_train_batch_size 4
    --dataset gelab/sft gelab/sft_chat --save_steps "$(((STEPS + 2) / 3))" --save_total_limit 9
)
rl=(
    "${tiny[@]}" --learning_rate 1e-4 --max_completion_length 48 --per_device_train_batch_size 8
    --save_steps "$STEPS"
)
recipe() {   # recipe STAGE MODEL FOLDER FLAGS...
    local stage="$1" model="$2" folder="$3"
    shift 3
    MODEL="$model" OUTPUT="$folder" limited bash "recipes/gelab/$stage.sh" "$@"
}
losses() { grep -c '"loss"' "$OUTPUT/sft/logging.jsonl" || true; }
end_sft() {
    kill -9 -- "-$running"
    wait "$running" 2> /dev/null || true     # or bash tells of the kill by itself
    running=''
}
kill_sft() {   # a session of its own dies as a whole
    local folder="$OUTPUT/sft" end=$((SECONDS + WITHIN))
    MODEL="$base" OUTPUT="$folder" setsid bash recipes/gelab/sft.sh "${sft[@]}" &
    running=$!
    until [[ -n "$(newest "$OUTPUT/sft")" ]] && (($(losses) > (STEPS + 2) / 3)); do
        kill -0 "$running" || { running='' && return 1; }
        ((SECONDS < end)) || return 124
        sleep 0.1
    done
    end_sft
    printf '\nkilled after %s steps of %s\n' "$(losses)" "$STEPS"
}
resume_sft() {
    local from
    from="$(checkpoints "$OUTPUT/sft" | head -n 1)"
    [[ -n "$from" ]] || { echo "there is no checkpoint to go on from" && return 1; }
    RESUME="$from" recipe sft "$base" "$OUTPUT/sft" "${sft[@]}" && report curve "$OUTPUT/sft"
}
stage() {   # stage NAME MODEL FLAGS...: a checkpoint of the last step must be there
    local name="$1" model="$2"
    shift 2
    recipe "$name" "$model" "$OUTPUT/$name" "${rl[@]}" "$@" && [[ "$(newest "$OUTPUT/$name")" == */checkpoint-"$STEPS" ]] &&
        echo "checkpoint-$STEPS"
}
export TEMPLATE=gelab_qwen3_vl
step data make_data
step sft kill_sft
[[ -z "$running" ]] || end_sft
step resume resume_sft
step st_rl stage st_rl "$OUTPUT/sft/checkpoint-$STEPS"
step mt_rl stage mt_rl "$OUTPUT/st_rl/checkpoint-$STEPS" --max_turns 3

# 4. Real shapes with random weights, by the recipes' own batch and flags.
timed=(--callbacks gui_timer --include_num_input_tokens_seen true --save_strategy no --report_to none)
make_model() { limited python tools/real_shapes.py "$OUTPUT/models/$1" --shape "$1" --device "$DEVICE"; }
train() {   # train full|lora SHAPE
    local folder="$OUTPUT/$1-$2" page=sft_lora
    [[ "$1" == lora ]] || page=sft
    recipe "$page" "$OUTPUT/models/$2" "$folder" "${timed[@]}" "${short[@]}" "${device[@]}" && report speed "$folder"
}
for shape in "${shapes[@]}"; do
    TEMPLATE="gelab_${shape%%-*}"
    [[ "$shape" != tiny ]] || TEMPLATE=gelab_qwen3_vl
    step "model-$shape" make_model "$shape"
    step "lora-$shape" train lora "$shape"
done
if room="$(report room "$OUTPUT/models/$shape" 2>&1)"; then
    step "full-$shape" train full "$shape"
else
    say "- full-$shape not run: $room"
fi

# 5. Evaluation, answers a second.
model="$OUTPUT/models/${shapes[0]}"
bench() {   # exit code 1 is for its goal, a ratio, which a short run need not reach
    mkdir "$OUTPUT/eval/transformers"
    limited python tools/bench_eval.py --model "$model" --data "$OUTPUT/data" "${questions[@]}" --repeat 1 --json \
        > "$OUTPUT/eval/transformers/bench.json" || (($? == 1)) || return
    report answers "$OUTPUT/eval/transformers"
}
vllm() {
    local folder="$OUTPUT/eval/vllm" begun="$SECONDS"
    limited python eval/gelab_interactive.py --engine vllm --model "$model" --world "$OUTPUT/data/world" --limit 16 \
        --tasks "$OUTPUT/data/tasks_ood.jsonl" --max-new-tokens 40 --out "$folder" &&
        echo "{\"seconds\": $((SECONDS - begun))}" > "$folder/seconds.json" && report answers "$folder"
}
step eval-transformers bench
if [[ "$about" == *'| vllm | - |'* ]]; then say "- eval-vllm not run: vllm is not installed"; else step eval-vllm vllm; fi

# 6. What fits.
say
fits="$(report fits "$OUTPUT" 2>&1)" || failed=$((failed + 1))
say "$fits"
say
say "$failed failed"
((failed == 0)) || exit 1
