#!/usr/bin/env bash
# GE-Lab ST-RL: single-turn GRPO on pre-built steps.   Hardware: 16 x 80 GB GPUs, about 70 GB each (an estimate).
# NOT RUN ON GPUs YET. A tiny model runs it on CPUs: tests/test_rl.py; with vLLM: tests/test_vllm_rl.py.
#
# Needs:     python -m data_engine.gelab.write WORLD "$GELAB_DATA", and a checkpoint of SFT
# Run:       MODEL=runs/gelab/sft/checkpoint-5080 NPROC_PER_NODE=8 bash recipes/gelab/st_rl.sh
# Nodes:     NNODES=2 NODE_RANK=0 MASTER_ADDR=10.0.0.1 on the first, NODE_RANK=1 on the second, at the same time
# Hard:      PROTOCOL=hard EXPLAIN=way, rows written so (data_engine/README.md, Protocols)
# LoRA:      ADAPTER=runs/gelab/sft_lora/checkpoint-3810 MODEL=Qwen/Qwen2.5-VL-7B-Instruct bash recipes/gelab/st_rl.sh
# Resume:    RESUME=runs/gelab/st_rl/checkpoint-300, all else as before
# CPU:       ENGINE=transformers, no vLLM; tests/test_rl.py has the other flags that a CPU needs
#
# Sources: [T8] the paper's Table 8; [A.4] and [3.2.2] its sections; [authors] their published script; ours otherwise.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../_machine.sh"
MODEL="${MODEL:-$ROOT/runs/gelab/sft/checkpoint-5080}"    # the checkpoint to start from; KL is measured against it

export MAX_PIXELS="${MAX_PIXELS:-200704}"        # contract: 448 x 448; the dataset plugin refuses another value
TEMPLATE="${TEMPLATE:-gelab_qwen2_5_vl}"         # contract: holds the system prompt; gelab_qwen3_vl for Qwen3-VL
export GUARD_STEPS="${GUARD_STEPS:-50}"          # gui_guard ends a run without differences in reward for so many steps

tuner=(--tuner_type full --learning_rate 1e-6)   # [T8]
if [[ -n "${ADAPTER:-}" ]]; then                 # LoRA goes on from that adapter, and KL is measured against it
    tuner=(--tuner_type lora --learning_rate 1e-5 --adapters "$ADAPTER" --ref_adapters "$ADAPTER")
fi

resume=()
if [[ -n "${RESUME:-}" ]]; then
    resume=(--resume_from_checkpoint "$RESUME")
    if [[ -z "${ADAPTER:-}" ]]; then
        resume+=(--ref_model "$MODEL")           # or KL would be measured against the checkpoint itself
        MODEL="$RESUME"                          # or training restarts from the first weights, with a mere warning
    fi
fi

ENGINE="${ENGINE:-vllm}"                         # who generates
one_of ENGINE vllm transformers
engine=(
    --use_vllm true                     # [authors]
    --vllm_mode colocate                # on the training GPUs
    --vllm_gpu_memory_utilization 0.4   # [authors]
    --vllm_max_model_len 2048           # [authors]
    --sleep_level 1                     # vLLM gives its memory back while the model trains
    --offload_model true                # the trainer gives its own back while vLLM generates
    --offload_optimizer true
)
if [[ "$ENGINE" == transformers ]]; then
    engine=(--use_vllm false)
fi

way=()
if [[ "${EXPLAIN:-step}" == way ]]; then
    way=(gelab_way)                     # the line that says the way is worth as much as each other part
fi

args=(
    --rlhf_type grpo
    --model "$MODEL"
    --model_type "${TEMPLATE#gelab_}"   # the family, which the architecture of Qwen3-VL alone does not tell
    --external_plugins "$PLUGINS"
    --template "$TEMPLATE"
    --dataset gelab/st_rl
    --output_dir "$OUTPUT"
    --add_version false                 # [authors] checkpoints lie in $OUTPUT itself
    --check_model false                 # no question to a model hub, which stalls where there is none

    --reward_funcs   gelab_type gelab_coord gelab_intent gelab_format gelab_parse_rate "${way[@]}"
    --reward_weights 1          1           1            1            0                "${way[@]/*/1}"
                                        # [A.4] equal; gelab_parse_rate is for the log
    --callbacks gui_guard gui_no_dropout

    --num_generations 8                 # [T8] answers to one question
    --temperature 1.2                   # [T8]
    --top_p 1.0                         # [T8]
    --top_k 8                           # [T8]
    --max_completion_length 1024        # [authors] tokens of an answer; ours have 34 at most
    --beta 0.04                         # weight of KL; ms-swift's default, then and now, which the authors leave
    --epsilon 0.2                       # the same
    --loss_type grpo                    # the same
    --scale_rewards group               # the same

    --freeze_vit true                   # ms-swift's defaults, which the authors leave
    --freeze_aligner true
    --freeze_llm false
    --lr_scheduler_type cosine          # ms-swift's default, which the authors leave
    --warmup_ratio 0.05                 # [authors]
    --num_train_epochs 5                # [T8] the authors' script says 10
    --per_device_train_batch_size 8     # [T8]
    --gradient_accumulation_steps 2     # [authors] on 16 GPUs: 256 answers, 32 questions a step
    --max_length 4096                   # [authors] in tokens; a row has fewer than 1,000

    --split_dataset_ratio 0             # every row trains; eval_id and eval_ood are the test sets
    --strict true                       # a bad row stops the run instead of being replaced by another
    --seed 42

    --torch_dtype bfloat16              # [authors]
    --attn_impl flash_attn
    --deepspeed zero3                   # [authors]
    --gradient_checkpointing true
    --dataloader_num_workers 4          # [authors]
    --dataset_num_proc 4                # [authors]

    --save_strategy steps
    --save_steps 300                    # [authors] 12,439 rows are 389 steps an epoch
    --save_total_limit 12               # [authors] a checkpoint with optimizer is about 110 GB
    --logging_steps 1                   # [authors]
    --log_completions true              # [authors] every answer with its rewards: completions.jsonl
    --report_to tensorboard
)
training_machine "${ADAPTER:+lora}"
swift rlhf "${args[@]}" "${tuner[@]}" "${engine[@]}" "${resume[@]}" "${machine[@]}" "$@"
