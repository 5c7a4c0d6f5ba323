#!/usr/bin/env bash
# GE-Lab's three stages, end to end, from the small base model.   Hardware: two CPU cores, 4 GB; no GPU, no hub.
# Takes:     about 3 minutes of installation once, then 29 min (recipes/RESULTS.md).
# Run:       bash recipes/quickstart.sh
# Again:     the same command; what is there is reused, and a training that was killed goes on from its last checkpoint.
# Paper:     PROTOCOL=paper RUN=runs/paper bash recipes/quickstart.sh    (icons stay, answers name the click alone)
# Override:  bash recipes/quickstart.sh --learning_rate 1e-4       (in all stages; the last flag wins)
# Small:     STEPS=2 LIMIT=2 RUN=runs/smoke bash recipes/quickstart.sh --per_device_train_batch_size 4     (does it run?)
# Leaves:    runs/quickstart/ with world/ data/ model/ sft/ sft_chat/ st_rl/ mt_rl/ eval/ pictures/ examples/
#            summary.md curves.png report.html
set -euo pipefail
PROTOCOL="${PROTOCOL:-hard}"
if [[ "$PROTOCOL" == hard ]]; then
    export EXPLAIN=way                       # answers say the way before the click
fi
source "$(dirname "${BASH_SOURCE[0]}")/_machine.sh"
numbers 1 STEPS LIMIT
set_up
cd "$ROOT"
RUN="$(realpath -m "${RUN:-runs/quickstart}")"
export MAX_PIXELS=56320                      # 160 x 352, the page size below
flags=("$@")
source recipes/_tiny.sh

# 1. World and rows: 36 pages, five subtrees; 1 and 2 train SFT, 3 ST-RL, 4 MT-RL, 5 is held out.
#    Icons change places from task to task, and are scored at places where they were never trained.
rows=(--clicks center)                       # three million weights need no noise in their labels
if [[ "$PROTOCOL" == hard ]]; then
    rows+=(--protocol hard --explain way --placements 48 --passes 8 --recovery 0.3 --page-questions 6)
fi
python -m data_engine.gelab.build "$RUN/world" --tree 5 2 2 --seed 0 --page-size 160x352
python -m data_engine.gelab.write "$RUN/world" "$RUN/data" --seed 0 "${rows[@]}" --workers 2
python tools/verify_data.py "$RUN/data"
python tools/show_world.py "$RUN/world" --out "$RUN/pictures"

# 2. The base model: a Qwen3-VL of 3.4 million weights that can point at things and name them, and knows no world.
python tools/make_tiny_model.py "$RUN/model" --from-base --explain "${EXPLAIN:-step}"

# 3. The stages, by the recipes that train the real model; the longest way is 4.
SFT_STEPS="${STEPS:-1600}" CHAT_STEPS="${STEPS:-60}" ST_STEPS="${STEPS:-60}" MT_STEPS="${STEPS:-20}"
train_stages 480 20 5

# 4. Scores: reference policies, the base model and each stage; models two side by side.
for agent in oracle random text_only blind; do logged "$agent" 5 "$agent"; done
logged base 1 transformers --model "$RUN/model" &        # one attempt for base, which knows no world
logged sft 5 transformers --model "$RUN/sft_chat/checkpoint-$CHAT_STEPS"
wait $!
logged st_rl 5 transformers --model "$RUN/st_rl/checkpoint-$ST_STEPS" &
logged mt_rl 5 transformers --model "$RUN/mt_rl/checkpoint-$MT_STEPS"
wait $!

# 5. One table, one figure, a few walks; and all of it to look at: what goes wrong, and where.
python eval/summary.py "$RUN"
python eval/report.py "$RUN"
