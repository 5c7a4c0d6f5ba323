#!/usr/bin/env bash
# Env-Base in full with a tiny model: 231 pages, the paper's counts of rows.   Hardware: two CPU cores, 6 GB; no GPU, no hub.
# Takes:     not measured yet; SFT is 7,620 steps of 8 rows. Stop it at any time: the same command goes on.
# Needs:     make install
# Run:       PROTOCOL=hard EXPLAIN=way bash recipes/gelab/env_base_tiny.sh       (or paper, step: the paper's)
# Seeds:     SEED=1 bash recipes/gelab/env_base_tiny.sh            (another order of the same rows, and other samples)
# Small:     STEPS=2 LIMIT=2 RUN=runs/smoke bash recipes/gelab/env_base_tiny.sh --per_device_train_batch_size 4
# Leaves:    runs/env_base_tiny/PROTOCOL_EXPLAIN_SEED/ with data/ model/ sft/ sft_chat/ st_rl/ mt_rl/ eval/ comparison.md
set -euo pipefail
export PROTOCOL="${PROTOCOL:-paper}" EXPLAIN="${EXPLAIN:-step}" SEED="${SEED:-0}"
source "$(dirname "${BASH_SOURCE[0]}")/../_machine.sh"
numbers 1 STEPS LIMIT
numbers 0 SEED
need_swift
cd "$ROOT"
RUN="$(realpath -m "${RUN:-runs/env_base_tiny/${PROTOCOL}_${EXPLAIN}_$SEED}")"
export MAX_PIXELS=56320                      # 160 x 352
flags=(--seed "$SEED" "$@")
source recipes/_tiny.sh

python -m data_engine.gelab.build "$RUN/world" --seed 0 --page-size 160x352 --workers 2
python -m data_engine.gelab.write "$RUN/world" "$RUN/data" --seed 0 --clicks uniform \
    --protocol "$PROTOCOL" --explain "$EXPLAIN" --workers 2
python tools/verify_data.py "$RUN/data"
python tools/make_tiny_model.py "$RUN/model" --from-base --explain "$EXPLAIN"

# One epoch each: 60,952 rows, 12,439 questions, 2,162 tasks. MT-RL is one chat a task; so is a part of SFT.
SFT_STEPS="${STEPS:-7620}" CHAT_STEPS="${STEPS:-600}" ST_STEPS="${STEPS:-3110}" MT_STEPS="${STEPS:-541}"
train_stages 2400 50 8

for agent in oracle text_only blind; do logged "$agent" 5 "$agent"; done
logged sft 5 transformers --model "$RUN/sft_chat/checkpoint-$CHAT_STEPS" &
logged st_rl 5 transformers --model "$RUN/st_rl/checkpoint-$ST_STEPS"
wait $!
logged mt_rl 5 transformers --model "$RUN/mt_rl/checkpoint-$MT_STEPS"
python eval/compare_with_paper.py --scaled-down "$RUN/eval" --out "$RUN/comparison.md"
