#!/usr/bin/env bash
# The GE-Lab pipeline, end to end, with a tiny model made from scratch.   Hardware: two CPU cores, 4 GB; no GPU, no hub.
# Takes:     about 3 minutes of installation once, then about 12 minutes (measured: recipes/RESULTS.md).
# Run:       bash recipes/quickstart.sh
# Again:     the same command; what is there is reused, and a training that was killed goes on from its last checkpoint.
# Small:     STEPS=8 LIMIT=4 RUN=runs/smoke bash recipes/quickstart.sh     (does it run? its scores mean nothing)
# Leaves:    runs/quickstart/ with world/ data/ model/ sft/ eval/ pictures/ summary.md curves.png examples/ report.html
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
make install
export PATH="$PWD/.venv/bin:$PATH"
RUN="${RUN:-runs/quickstart}"
STEPS="${STEPS:-2800}"
export CUDA_VISIBLE_DEVICES=                 # the CPU, also where there is a GPU: the figures are meant to be the same
export MAX_PIXELS=12544                      # 112 x 112, the page size below

# 1. World and rows: 26 pages, five subtrees; subtrees 1 and 2 train, subtree 5 is held out.
#    Gold clicks in the middle of the box: two million weights need no noise in their labels.
python -m data_engine.gelab.build "$RUN/world" --tree 5 2 1 --seed 0 --page-size 112x112
python -m data_engine.gelab.write "$RUN/world" "$RUN/data" --seed 0 --clicks center
python tools/verify_data.py "$RUN/data"
python tools/show_world.py "$RUN/world" --out "$RUN/pictures"

# 2. A model of the Qwen2.5-VL architecture with two million random weights.
python tools/make_tiny_model.py "$RUN/model" --family qwen2_5_vl --size 2m

# 3. SFT by the recipe that trains the real model; these flags are what a tiny model on a CPU needs instead.
cpu=(
    --use_cpu true --torch_dtype float32 --attn_impl sdpa --deepspeed ''
    --freeze_vit false --freeze_aligner false               # nothing is pretrained, so everything learns
    --per_device_train_batch_size 8 --gradient_accumulation_steps 1 --gradient_checkpointing false
    --learning_rate 1.5e-3 --adam_beta2 0.99 --weight_decay 0.01
    --num_train_epochs 1000 --max_steps "$STEPS"
    --dataloader_num_workers 0 --dataset_num_proc 1
    --save_steps 500 --save_total_limit 2 --logging_steps 10 --report_to none
)
mkdir -p "$RUN/sft"
state="$(find "$RUN/sft" -path '*/checkpoint-*/trainer_state.json' | sort -V | tail -n 1)"    # of whole checkpoints
if [[ "$state" != */checkpoint-$STEPS/* ]]; then
    OMP_NUM_THREADS=2 MODEL="$RUN/model" GELAB_DATA="$RUN/data" OUTPUT="$RUN/sft" RESUME="${state%/trainer_state.json}" \
        bash recipes/gelab/sft.sh "${cpu[@]}" "$@"
fi

# 4. Scores: reference policies, the untrained model and the trained one, on held-in and held-out subtrees.
score() {   # score AGENT ATTEMPTS ENGINE [--model M]
    local agent="$1" attempts="$2" set
    shift 2
    for set in id ood; do
        python eval/gelab_static.py --engine "$@" --data "$RUN/data/eval_$set.jsonl" \
            --out "$RUN/eval/$agent/static_$set" --max-new-tokens 64 --batch-size 32 ${LIMIT:+--limit "$LIMIT"}
        python eval/gelab_interactive.py --engine "$@" --world "$RUN/data/world" --tasks "$RUN/data/tasks_$set.jsonl" \
            --attempts "$attempts" --out "$RUN/eval/$agent/interactive_$set" \
            --max-new-tokens 64 --batch-size 32 ${LIMIT:+--limit "$LIMIT"}
    done
}
mkdir -p "$RUN/logs"
export OMP_NUM_THREADS=1                     # two models are asked side by side, one thread each
for agent in oracle random blind; do score "$agent" 5 "$agent" > "$RUN/logs/$agent.log"; done
score base 1 transformers --model "$RUN/model" > "$RUN/logs/base.log" 2>&1 &     # one attempt: it only babbles
base=$!
score sft 5 transformers --model "$RUN/sft/checkpoint-$STEPS" > "$RUN/logs/sft.log"
wait "$base" || { cat "$RUN/logs/base.log" >&2; exit 1; }

# 5. One table, the curves, a few walks; and all of it to look at: what goes wrong, and where.
python eval/summary.py "$RUN"
python eval/report.py "$RUN"
