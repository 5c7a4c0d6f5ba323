#!/usr/bin/env bash
# GE-Lab SFT with LoRA.   Hardware: 1 x 24 GB GPU, about 21 GB with the 7B model (an estimate).
# NOT RUN ON GPUs YET. The same page runs on the CPU with a tiny model: tests/test_sft_resume.py.
#
# Needs:     python -m data_engine.gelab.write WORLD "$GELAB_DATA"
# Run:       MODEL=Qwen/Qwen2.5-VL-7B-Instruct bash recipes/gelab/sft_lora.sh
# Override:  bash recipes/gelab/sft_lora.sh --lora_rank 8        (the last flag wins)
# Resume:    RESUME=runs/gelab/sft_lora/checkpoint-500 bash recipes/gelab/sft_lora.sh
# Merge:     swift export --adapters runs/gelab/sft_lora/checkpoint-3810 --merge_lora true
#
# Sources: [T7] the paper's Table 7; [authors] their published sft script; ours otherwise. Neither used LoRA.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../_machine.sh"
MODEL="${MODEL:-Qwen/Qwen2.5-VL-7B-Instruct}"    # [T7]

export MAX_PIXELS="${MAX_PIXELS:-200704}"        # contract [T7]: 448 x 448; the dataset plugin refuses another value
TEMPLATE="${TEMPLATE:-gelab_qwen2_5_vl}"         # contract: holds the system prompt; gelab_qwen3_vl for Qwen3-VL

resume=()
if [[ -n "${RESUME:-}" ]]; then
    resume=(--resume_from_checkpoint "$RESUME")  # the adapter alone; $MODEL stays the base model it was trained on
fi

args=(
    --model "$MODEL"
    --model_type "${TEMPLATE#gelab_}"   # the family, which the architecture of Qwen3-VL alone does not tell
    --external_plugins "$PLUGINS"
    --template "$TEMPLATE"
    --dataset gelab/sft
    --output_dir "$OUTPUT"
    --add_version false                 # checkpoints lie in $OUTPUT itself
    --check_model false                 # no question to a model hub, which stalls where there is none

    --tuner_type lora
    --target_modules all-linear         # of the language model: the two towers below stay frozen
    --lora_rank 16
    --lora_alpha 32
    --lora_dropout 0                    # RL goes on from this adapter, and wants none; ms-swift's default is 0.05
    --freeze_vit true
    --freeze_aligner true
    --freeze_llm false
    --learning_rate 1e-4                # ms-swift's default for LoRA; ten times the full-weight rate
    --lr_scheduler_type cosine          # [T7]
    --warmup_ratio 0.05                 # [T7]
    --num_train_epochs 1                # [T7]
    --per_device_train_batch_size 1     # what 24 GB hold
    --gradient_accumulation_steps 16    # 16 samples a step
    --max_length 10240                  # [authors] in tokens; a row has fewer than 1,000

    --packing false                     # as sft.sh: every step holds 16 samples
    --split_dataset_ratio 0             # every row trains; eval_id and eval_ood are the test sets
    --strict true                       # a bad or too long row stops the run instead of being replaced by another
    --seed 42

    --torch_dtype bfloat16              # [authors]
    --attn_impl flash_attn              # [authors]
    --gradient_checkpointing true
    --dataloader_num_workers 4          # [authors]
    --dataset_num_proc 4

    --save_strategy steps
    --save_steps 500                    # 60,952 rows are 3,810 steps
    --save_total_limit 5                # [authors]
    --logging_steps 1                   # [authors]
    --report_to tensorboard
)
training_machine lora
swift sft "${args[@]}" "${resume[@]}" "${machine[@]}" "$@"
