#!/usr/bin/env bash
# GE-Lab SFT, all weights but the vision tower.   Hardware: 3 x 80 GB GPUs, about 60 GB each (an estimate).
# NOT RUN ON GPUs YET. A tiny model runs it on CPUs: tests/test_sft_resume.py; with ZeRO-3 on 2 and 3 processes:
# tests/test_deepspeed.py.
#
# Needs:     python -m data_engine.gelab.write WORLD "$GELAB_DATA"
# Run:       NPROC_PER_NODE=3 MODEL=Qwen/Qwen2.5-VL-7B-Instruct bash recipes/gelab/sft.sh
# Hard:      PROTOCOL=hard EXPLAIN=way, rows written so (data_engine/README.md, Protocols)
# Override:  bash recipes/gelab/sft.sh --learning_rate 5e-6      (the last flag wins)
# Resume:    RESUME=runs/gelab/sft/checkpoint-500 bash recipes/gelab/sft.sh
# Track:     WANDB_MODE=offline bash recipes/gelab/sft.sh --report_to wandb
#
# Sources: [T7] the paper's Table 7; [authors] their published sft script; ours otherwise.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../_machine.sh"
MODEL="${MODEL:-Qwen/Qwen2.5-VL-7B-Instruct}"    # [T7]

export MAX_PIXELS="${MAX_PIXELS:-200704}"        # contract [T7]: 448 x 448; the dataset plugin refuses another value
TEMPLATE="${TEMPLATE:-gelab_qwen2_5_vl}"         # contract: holds the system prompt; gelab_qwen3_vl for Qwen3-VL

resume=()
if [[ -n "${RESUME:-}" ]]; then
    MODEL="$RESUME"                              # or training restarts from the base weights, with no more than a warning
    resume=(--resume_from_checkpoint "$RESUME")
fi

args=(
    --model "$MODEL"
    --model_type "${TEMPLATE#gelab_}"   # the family, which the architecture of Qwen3-VL alone does not tell
    --external_plugins "$PLUGINS"
    --template "$TEMPLATE"
    --dataset gelab/sft
    --output_dir "$OUTPUT"
    --add_version false                 # [authors] checkpoints lie in $OUTPUT itself
    --check_model false                 # no question to a model hub, which stalls where there is none

    --tuner_type full                   # [T7]
    --freeze_vit true                   # [authors]
    --freeze_aligner true               # ms-swift's default, which the authors leave
    --freeze_llm false
    --learning_rate 1e-5                # [T7]
    --lr_scheduler_type cosine          # [T7]
    --warmup_ratio 0.05                 # [T7]
    --num_train_epochs 1                # [T7] fewer epochs leave more for RL to find (paper)
    --per_device_train_batch_size 2     # [T7]
    --gradient_accumulation_steps 2     # [T7] for 16 GPUs: 64 samples a step. 3 GPUs make 12; 11 here would make 66
    --max_length 10240                  # [authors] in tokens; a row has fewer than 1,000

    --packing false                     # the authors pack. The paper's 60,864 samples are 951 steps of 64, which fits
                                        # unpacked steps only; packed, a step holds as many samples as happen to fit
    --split_dataset_ratio 0             # every row trains; eval_id and eval_ood are the test sets
    --strict true                       # a bad or too long row stops the run instead of being replaced by another
    --seed 42

    --torch_dtype bfloat16              # [authors]
    --attn_impl flash_attn              # [authors]
    --deepspeed zero3                   # [authors] about 120 GB of weights, gradients and Adam states over all GPUs
    --gradient_checkpointing true
    --dataloader_num_workers 4          # [authors]
    --dataset_num_proc 4

    --save_strategy steps
    --save_steps 500                    # 60,952 rows on 3 GPUs are 5,080 steps
    --save_total_limit 5                # [authors] a checkpoint with optimizer is about 110 GB
    --logging_steps 1                   # [authors]
    --report_to tensorboard
)
training_machine full
swift sft "${args[@]}" "${resume[@]}" "${machine[@]}" "$@"
