#!/usr/bin/env bash
# A small base model that can see, from nothing, on a curriculum of screens.   Hardware: one CPU core, 3 GB; no GPU, no hub.
# Takes:     about three hours (measured: assets/tiny-base/README.md). Leaves RUN/<stage>/checkpoint-<steps> and its probe.
# Run:       make install, then bash recipes/tiny_base/pretrain.sh
# Again:     the same command; stages that are done are kept, and one that was killed goes on from its last checkpoint.
# Small:     ROWS=8 PROBE=2 RUN=runs/smoke bash recipes/tiny_base/pretrain.sh --max_steps 2 --save_steps 2
# Ship:      python tools/ship_base.py runs/tiny_base assets/tiny-base      (the best checkpoint by probe)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
export PATH="$PWD/.venv/bin:$PATH"
RUN="${RUN:-runs/tiny_base}"
ROWS="${ROWS:-}"                             # screens of a stage; default: each step shows eight fresh ones
PROBE="${PROBE:-100}"                        # questions of each set that every stage is probed with
export CUDA_VISIBLE_DEVICES= OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
export MAX_PIXELS=50176                      # pages of 224 x 224, forms of 256 x 192
PAGE=224x224

python tools/make_tiny_model.py "$RUN/scratch" --family qwen3_vl --size 2m
MODEL="$RUN/scratch"

args=(
    --model_type qwen3_vl
    --template gelab_qwen3_vl
    --external_plugins swift_plugins/register.py
    --add_version false
    --check_model false
    --tuner_type full
    --freeze_vit false                       # nothing is pretrained
    --freeze_aligner false
    --use_cpu true
    --torch_dtype float32                    # weights; the mathematics in bf16
    --bf16 true
    --fp16 false
    --attn_impl eager                        # on a CPU, quicker than sdpa for sequences this short
    --gradient_checkpointing false
    --per_device_train_batch_size 8          # small batches and many steps
    --gradient_accumulation_steps 1
    --adam_beta2 0.99
    --weight_decay 0.01
    --lr_scheduler_type constant_with_warmup
    --warmup_steps 50
    --num_train_epochs 1
    --dataset_shuffle false                  # rows are drawn at random as they stand
    --train_dataloader_shuffle false
    --split_dataset_ratio 0
    --strict true
    --dataloader_num_workers 0
    --dataset_num_proc 1
    --save_steps 500
    --save_total_limit 1
    --logging_steps 50
    --report_to none
)

stage() {   # stage NAME SCREENS STEPS RATE [FLAGS]: from the last stage's model, STEPS steps at RATE on new rows of SCREENS
    local name="$1" screens="$2" steps="$3" rate="$4" out="$RUN/$1" state
    shift 4
    if [[ ! -f "$out/probe/metrics.json" ]]; then
        python -m data_engine.sight.write "$out/rows" --stage "$screens" --rows "${ROWS:-$((8 * steps))}" \
            --seed "$((++seed))" --page-size "$PAGE"
        state="$(find "$out" -path '*/checkpoint-*/trainer_state.json' | sort -V | tail -n 1)"
        state="${state%/trainer_state.json}"
        ROOT_IMAGE_DIR="$PWD/$out/rows" swift sft "${args[@]}" --model "${state:-$MODEL}" \
            ${state:+--resume_from_checkpoint "$state"} --dataset "$out/rows/rows.jsonl" --output_dir "$out" \
            --learning_rate "$rate" "$@"
    fi
}
