#!/usr/bin/env bash
# One stage of pretraining the small base model: all weights.   Hardware: CPU, two cores, 3 GB; no GPU, no hub.
#
# Needs:     python -m data_engine.sight.write "$SIGHT_DATA" --stage start --rows 12000
# Run:       MODEL=CKPT SIGHT_DATA=DIR OUTPUT=DIR bash recipes/tiny_base/stage.sh --learning_rate 5e-4
# Resume:    RESUME=DIR/checkpoint-500 MODEL=CKPT SIGHT_DATA=DIR OUTPUT=DIR bash recipes/tiny_base/stage.sh
# All:       recipes/tiny_base/pretrain.sh calls this once a stage
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../_machine.sh"
MODEL="${MODEL:-$ROOT/runs/tiny_base/scratch}"
export SIGHT_DATA="${SIGHT_DATA:-$ROOT/runs/tiny_base/rows}"
export MAX_PIXELS="${MAX_PIXELS:-56320}"         # pages of 160 x 352; the dataset plugin refuses another value
TEMPLATE="${TEMPLATE:-gelab_qwen3_vl}"

resume=()
if [[ -n "${RESUME:-}" ]]; then
    MODEL="$RESUME"                              # or training restarts from the first weights, with no more than a warning
    resume=(--resume_from_checkpoint "$RESUME")
fi

args=(
    --model "$MODEL"
    --model_type qwen3_vl
    --external_plugins "$PLUGINS"
    --template "$TEMPLATE"
    --dataset sight/rows
    --output_dir "$OUTPUT"
    --add_version false
    --check_model false

    --tuner_type full
    --freeze_vit false                  # nothing is pretrained
    --freeze_aligner false
    --freeze_llm false
    --optimizer gui_muon                # matrices by Muon at twice the rate; AdamW alone stands still for hours
    --learning_rate 1e-3
    --lr_scheduler_type constant_with_warmup
    --warmup_steps 50
    --adam_beta2 0.99
    --weight_decay 0.01
    --num_train_epochs 1                # each screen is shown once
    --per_device_train_batch_size 8     # small batches and many steps
    --gradient_accumulation_steps 1

    --dataset_shuffle false             # rows are random as they stand
    --train_dataloader_shuffle false
    --split_dataset_ratio 0
    --strict true
    --seed 42

    --use_cpu true
    --torch_dtype float32               # the weights; products are computed in bf16
    --bf16 true
    --fp16 false
    --attn_impl eager                   # on a CPU, quicker than sdpa for sequences this short
    --gradient_checkpointing false
    --dataloader_num_workers 1          # encoding a screen takes a third of a step
    --dataloader_prefetch_factor 4
    --dataset_num_proc 1

    --save_strategy steps
    --save_steps 500
    --save_total_limit 2
    --logging_steps 50
    --report_to none
)
swift sft "${args[@]}" "${resume[@]}" "$@"
