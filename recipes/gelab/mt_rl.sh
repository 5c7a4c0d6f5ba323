#!/usr/bin/env bash
# GE-Lab MT-RL: multi-turn GRPO in the live environment.   Hardware: 16 x 80 GB GPUs, about 75 GB each (an estimate).
# NOT RUN ON GPUs YET. A tiny model runs it on CPUs: tests/test_rl.py; with vLLM, in server mode too, and with ZeRO-3 on
# two processes: tests/test_vllm_rl.py.
#
# Needs:     python -m data_engine.gelab.write WORLD "$GELAB_DATA", and a checkpoint of SFT or ST-RL
# Run:       MODEL=runs/gelab/st_rl/checkpoint-1944 NPROC_PER_NODE=8 bash recipes/gelab/mt_rl.sh
# Hard:      PROTOCOL=hard EXPLAIN=way, rows written so (data_engine/README.md, Protocols)
# Nodes:     NNODES=2 NODE_RANK=0 MASTER_ADDR=10.0.0.1 on the first, NODE_RANK=1 on the second, at the same time
# LoRA:      ADAPTER=runs/gelab/st_rl/checkpoint-1944 MODEL=Qwen/Qwen2.5-VL-7B-Instruct bash recipes/gelab/mt_rl.sh
# Resume:    RESUME=runs/gelab/mt_rl/checkpoint-66, all else as before
# Server:    ENGINE=server, 8 x 80 GB GPUs, about 70 GB each (an estimate), beside mt_rl_server.sh running on other GPUs;
#            SERVER_HOST and SERVER_PORT name it; it must see $GELAB_DATA under the same path
# CPU:       ENGINE=transformers, no vLLM; tests/test_rl.py has the other flags that a CPU needs
#
# Sources: [T8] the paper's Table 8; [A.4] and [3.2.2] its sections; [authors] their published script; ours otherwise.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../_machine.sh"
MODEL="${MODEL:-$ROOT/runs/gelab/st_rl/checkpoint-1944}"    # the checkpoint to start from; KL is measured against it

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

ENGINE="${ENGINE:-vllm}"                         # who generates; nothing else depends on it
one_of ENGINE vllm server transformers
case "$ENGINE" in
    vllm) engine=(
        --use_vllm true                     # [authors]
        --vllm_mode colocate                # on the training GPUs
        --vllm_gpu_memory_utilization 0.4   # [authors]
        --vllm_max_model_len 16384          # as --max_length; authors: 2048 for one screenshot
        --vllm_limit_mm_per_prompt '{"image": 12, "video": 0}'     # one screenshot a turn
        --sleep_level 1                     # vLLM gives its memory back while the model trains
        --offload_model true                # [authors] the trainer gives its own back while vLLM generates
        --offload_optimizer true
    ) ;;
    server) engine=(
        --use_vllm true                     # [authors]
        --vllm_mode server
        --vllm_server_host "${SERVER_HOST:-127.0.0.1}"
        --vllm_server_port "${SERVER_PORT:-8000}"
        --vllm_server_pass_dataset true     # or env_config does not reach the environment
    ) ;;
    transformers) engine=(--use_vllm false) ;;
esac

args=(
    --rlhf_type grpo
    --model "$MODEL"
    --model_type "${TEMPLATE#gelab_}"   # the family, which the architecture of Qwen3-VL alone does not tell
    --external_plugins "$PLUGINS"
    --template "$TEMPLATE"
    --dataset gelab/mt_rl
    --output_dir "$OUTPUT"
    --add_version false                 # [authors] checkpoints lie in $OUTPUT itself
    --check_model false                 # no question to a model hub, which stalls where there is none

    --multi_turn_scheduler gelab_click  # [3.2.2] without `complete`; with it: gelab_click_complete
    --max_turns 12                      # [3.2.2] "e.g. 12"; evaluation allows as many
    --use_gym_env false                 # the reward comes through gelab_a2b; both would count it twice
    --reward_funcs   gelab_a2b gelab_progress gelab_parse_rate
    --reward_weights 1         0              0     # [3.2.2] sparse A2B; the others are for the log
    --callbacks gui_guard gui_no_dropout

    --num_generations 8                 # [T8] answers to one question
    --temperature 1.2                   # [T8]
    --top_p 1.0                         # [T8]
    --top_k 8                           # [T8]
    --max_completion_length 256         # tokens of one turn; answers have 34 at most. Authors: 1024
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
    --max_length 16384                  # tokens of a trajectory, 5,808 in 12 turns; a longer one ends the run

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
    --save_steps 66                     # [authors] 2,162 tasks are 67 steps an epoch
    --save_total_limit 20               # [authors] a checkpoint with optimizer is about 110 GB
    --logging_steps 1                   # [authors]
    --log_completions true              # [authors] every answer with its rewards: completions.jsonl
    --report_to tensorboard
)
training_machine "${ADAPTER:+lora}"
swift rlhf "${args[@]}" "${tuner[@]}" "${engine[@]}" "${resume[@]}" "${machine[@]}" "$@"
