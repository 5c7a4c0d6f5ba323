#!/usr/bin/env bash
# Forms, multi-turn GRPO: the form itself decides.   Hardware: 8 x 80 GB GPUs, about 40 GB each with 2B (an estimate).
# NOT RUN ON GPUs YET. A tiny model runs it on CPUs: tests/test_login_rl.py; with vLLM: tests/test_vllm_rl.py.
#
# Needs:     python -m data_engine.login.write "$LOGIN_DATA" --mode coord --protocol hard --episodes 2000 --seed 1
#            and a model that fills in a form now and then, by SFT: PROTOCOL=hard bash recipes/login/benchmark.sh
# Run:       MODEL=runs/login/merged NPROC_PER_NODE=8 bash recipes/login/rl.sh
# LoRA:      ADAPTER=runs/login/x/model/checkpoint-896 MODEL=Qwen/Qwen3-VL-2B-Instruct bash recipes/login/rl.sh
# Others:    marks, registration: rows of that kind; --multi_turn_scheduler login_form_done: DONE() must follow
# Resume:    RESUME=runs/login/rl/checkpoint-100, all else as before
# CPU:       ENGINE=transformers, no vLLM; tests/test_login_rl.py has the other flags that a CPU needs
#
# The document has no RL. Values are those of recipes/gelab/mt_rl.sh, or ours where a reason stands beside them.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../_machine.sh"
MODEL="${MODEL:-Qwen/Qwen3-VL-2B-Instruct}"      # the checkpoint to start from; KL is measured against it
export LOGIN_DATA="${LOGIN_DATA:-$ROOT/runs/login/rl_data}"

export MAX_PIXELS="${MAX_PIXELS:-486400}"        # 800 x 608; the dataset plugin refuses what does not fit the rows
TEMPLATE="${TEMPLATE:-login_qwen3_vl}"           # the rows' own system prompt; login_qwen2_5_vl for Qwen2.5-VL
export GUARD_STEPS="${GUARD_STEPS:-50}"          # gui_guard ends a run without differences in reward for so many steps

# without DeepSpeed, bfloat16 weights would lose steps so small; products are in bfloat16, vLLM generates in float32
tuner=(--tuner_type full --learning_rate 1e-6 --torch_dtype float32 --bf16 true --fp16 false)
if [[ -n "${ADAPTER:-}" ]]; then                 # LoRA goes on from that adapter, and KL is measured against it
    tuner=(--tuner_type lora --learning_rate 1e-5 --torch_dtype bfloat16 --adapters "$ADAPTER" --ref_adapters "$ADAPTER")
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
    --use_vllm true
    --vllm_mode colocate                # on the training GPUs
    --vllm_gpu_memory_utilization 0.4
    --vllm_max_model_len 16384          # as --max_length
    --vllm_limit_mm_per_prompt '{"image": 12, "video": 0}'     # one screenshot a turn
    --sleep_level 1                     # vLLM gives its memory back while the model trains
    --offload_model true                # the trainer gives its own back while vLLM generates
    --offload_optimizer true
)
if [[ "$ENGINE" == transformers ]]; then
    engine=(--use_vllm false)
fi

args=(
    --rlhf_type grpo
    --model "$MODEL"
    --model_type "${TEMPLATE#login_}"   # the family, which the architecture of Qwen3-VL alone does not tell
    --external_plugins "$PLUGINS"
    --template "$TEMPLATE"
    --dataset login/tasks
    --output_dir "$OUTPUT"
    --add_version false                 # checkpoints lie in $OUTPUT itself
    --check_model false                 # no question to a model hub, which stalls where there is none

    --multi_turn_scheduler login_form   # the episode ends when the form is accepted, rejected or left
    --max_turns 12                      # a login form takes 5, a registration 11
    --use_gym_env false                 # the reward comes through login_success; both would count it twice
    --reward_funcs   login_success login_progress login_parse_rate
    --reward_weights 1             0              0     # the form accepts, or not; the others are for the log
    --callbacks gui_guard gui_no_dropout

    --num_generations 8                 # trajectories of one form
    --temperature 1.0                   # one wrong letter of a password loses the form: less than GE-Lab's 1.2
    --top_p 1.0
    --max_completion_length 150         # tokens of one turn, as in recipes/login/benchmark.sh
    --beta 0.04                         # weight of KL; ms-swift's default
    --epsilon 0.2                       # the same
    --loss_type grpo                    # the same
    --scale_rewards group               # the same

    --freeze_vit true                   # ms-swift's defaults
    --freeze_aligner true
    --freeze_llm false
    --lr_scheduler_type cosine
    --warmup_ratio 0.05
    --num_train_epochs 1                # 2,000 forms: each seen once
    --per_device_train_batch_size 8
    --gradient_accumulation_steps 2     # on 8 GPUs: 128 trajectories, 16 forms a step
    --max_length 16384                  # tokens of a trajectory; 12 turns are 8,362 at most

    --split_dataset_ratio 0             # every row trains; evaluation draws other forms
    --strict true                       # a bad row stops the run instead of being replaced by another
    --seed 42

    --attn_impl sdpa                    # needs no package of its own
    --gradient_checkpointing true
    --dataloader_num_workers 2
    --dataset_num_proc 1

    --save_strategy steps
    --save_steps 50
    --save_total_limit 4
    --logging_steps 1
    --log_completions true              # every answer with its rewards: completions.jsonl
    --report_to tensorboard
)
training_machine "${ADAPTER:+lora}"
swift rlhf "${args[@]}" "${tuner[@]}" "${engine[@]}" "${resume[@]}" "${machine[@]}" "$@"
