#!/usr/bin/env bash
# Login form, coordinates: LoRA SFT.   Hardware: 1 x 16 GB GPU with the 2B model, 1 x 32 GB with the 8B (estimates).
# NOT RUN ON GPUs YET. The same page runs on the CPU with a tiny model: tests/test_login_benchmark.py.
#
# Needs:     python -m data_engine.login.write "$LOGIN_DATA" --mode coord --protocol published --episodes 32 --seed 123
# Run:       bash recipes/login/coord.sh                       (all of it, with scores: recipes/login/benchmark.sh)
# 8B:        MODEL=Qwen/Qwen3-VL-8B-Instruct bash recipes/login/coord.sh --num_train_epochs 2    ([yaml] qwen3vl_synthetic)
# GPUs:      NPROC_PER_NODE=2 bash recipes/login/coord.sh      (the batch doubles; the document used one device)
# Resume:    RESUME=runs/login/coord/checkpoint-224 bash recipes/login/coord.sh
#
# Sources: [yaml] the benchmark document's configs/qwen3vl_synthetic_dev.yaml; [trainer] its training code;
# ours otherwise. The document's trainer kept weights in float32 and never seeded its shuffle.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../_machine.sh"
MODEL="${MODEL:-Qwen/Qwen3-VL-2B-Instruct}"      # [yaml]
export LOGIN_DATA="${LOGIN_DATA:-$ROOT/runs/login/coord_data}"

export MAX_PIXELS="${MAX_PIXELS:-486400}"        # 800 x 608, what Qwen's resize makes of the published 800 x 600
TEMPLATE="${TEMPLATE:-login_qwen3_vl}"           # the rows' own system prompt; login_qwen2_5_vl for Qwen2.5-VL

resume=()
if [[ -n "${RESUME:-}" ]]; then
    resume=(--resume_from_checkpoint "$RESUME")  # the adapter alone; $MODEL stays the base model it was trained on
fi

args=(
    --model "$MODEL"
    --model_type "${TEMPLATE#login_}"   # the family, which the architecture of Qwen3-VL alone does not tell
    --external_plugins "$PLUGINS"
    --template "$TEMPLATE"
    --dataset login/rows
    --output_dir "$OUTPUT"
    --add_version false                 # checkpoints lie in $OUTPUT itself
    --check_model false                 # no question to a model hub, which stalls where there is none

    --tuner_type lora                   # [yaml]
    --target_modules q_proj v_proj      # [yaml] of the language model: the tower has one fused qkv
    --lora_rank 8                       # [yaml]
    --lora_alpha 16                     # [yaml]
    --lora_dropout 0.05                 # [yaml]
    --lora_bias none                    # [yaml]
    --freeze_vit true                   # [yaml] by its target_modules
    --freeze_aligner true               # the same
    --freeze_llm false
    --num_train_epochs 4                # [yaml] 224 rows: 896 steps
    --per_device_train_batch_size 1     # [yaml]
    --gradient_accumulation_steps 1     # [yaml]
    --learning_rate 1e-4                # [yaml]
    --lr_scheduler_type linear          # [yaml]
    --warmup_ratio 0.03                 # [yaml]
    --weight_decay 0                     # [yaml]
    --max_grad_norm 1.0                 # [yaml]
    --adam_beta2 0.999                  # [trainer] AdamW's own; ms-swift's default is 0.95
    --loss_scale default                # [trainer] the answer and its end are trained, not the question
    --max_length 4096                   # tokens; a row has fewer than 1,500, 475 of them the screenshot

    --split_dataset_ratio 0             # every row trains; evaluation draws other forms
    --strict true                       # a bad or too long row stops the run instead of being replaced by another
    --seed 42

    --torch_dtype bfloat16
    --attn_impl sdpa                    # needs no package of its own
    --gradient_checkpointing true
    --dataloader_num_workers 2
    --dataset_num_proc 1

    --save_strategy epoch               # [trainer]
    --logging_steps 1                   # [yaml]
    --report_to tensorboard
)
training_machine lora
swift sft "${args[@]}" "${resume[@]}" "${machine[@]}" "$@"
