#!/usr/bin/env bash
# GE-Lab MT-RL, the generating side of server mode.   Hardware: 8 x 80 GB GPUs, about 72 GB each (an estimate).
# NOT RUN ON GPUs YET. It serves a tiny model on a CPU, with ms-swift's GPU count switched off: tests/test_vllm_rl.py.
#
# Needs:     $GELAB_DATA, under the same path as the trainer's
# Run:       MODEL=runs/gelab/st_rl/checkpoint-1944 bash recipes/gelab/mt_rl_server.sh
#            then ENGINE=server bash recipes/gelab/mt_rl.sh, with the same MODEL, on other GPUs or another node
# Override:  bash recipes/gelab/mt_rl_server.sh --port 8001      (the last flag wins)
# Stop:      Ctrl-C, or kill PID of this script: its engines end with it. After kill -9: kill -9 -- -GROUP, which ps shows
#
# Sources: [3.2.2] the paper's section; ours otherwise. The authors have no server mode.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../_machine.sh"
MODEL="${MODEL:-$ROOT/runs/gelab/st_rl/checkpoint-1944}"

export MAX_PIXELS="${MAX_PIXELS:-200704}"        # contract: 448 x 448
need_swift
need_rows gelab/mt_rl                            # its environment opens the world beside the rows
TEMPLATE="${TEMPLATE:-gelab_qwen2_5_vl}"         # contract: holds the system prompt; gelab_qwen3_vl for Qwen3-VL

args=(
    --model "$MODEL"
    --model_type "${TEMPLATE#gelab_}"   # the family, which the architecture of Qwen3-VL alone does not tell
    --external_plugins "$PLUGINS"
    --template "$TEMPLATE"
    --multi_turn_scheduler gelab_click  # as the trainer's
    --max_turns 12                      # as the trainer's
    --use_gym_env false                 # the reward comes through gelab_a2b; both would count it twice
    --vllm_use_async_engine true        # trajectories do not wait for each other
    --vllm_data_parallel_size 8         # a copy of the model on each GPU
    --vllm_gpu_memory_utilization 0.9
    --vllm_max_model_len 16384          # as the trainer's --max_length
    --vllm_limit_mm_per_prompt '{"image": 12, "video": 0}'     # one screenshot a turn
    --torch_dtype bfloat16
    --host "${SERVER_HOST:-127.0.0.1}"
    --port "${SERVER_PORT:-8000}"
)
set -m                                  # the server and its engines become a process group, which ends with this script
swift rollout "${args[@]}" "$@" &
group=$!
end_group() {   # first they are asked to; what is left after ten seconds is killed
    for _ in {1..100}; do kill -- "-$group" 2> /dev/null || return 0; sleep 0.1; done
    kill -KILL -- "-$group" 2> /dev/null || return 0
}
trap end_group EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
wait "$group"
