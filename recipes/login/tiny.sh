#!/usr/bin/env bash
# A tiny model that fills in forms it has never seen: all weights, `hard` episodes.   Hardware: CPU, one core, 3 GB; no GPU.
# Takes:     25 minutes after `make install` by coordinates, 70 by marks (recipes/RESULTS.md).
# Run:       MODE=som bash recipes/login/tiny.sh              (MODE=coord: clicks by coordinates)
# Scratch:   START=scratch bash recipes/login/tiny.sh         (random weights; or START=CKPT, a checkpoint of that shape)
# Short:     recipes/login/quickstart.sh, both modes side by side
# Small:     STEPS=4 EPISODES=4 LIMIT=2 RUN=runs/smoke bash recipes/login/tiny.sh     (its scores mean nothing)
# Again:     the same command; what is there is reused, and a training that was killed goes on from its last checkpoint.
# Flags:     those after the command are the training's, and win
# Leaves:    RUN/MODE/data/ start/ probe/ model/ runs/ eval/ plots/, and over all modes of RUN: table.md curves.png examples/
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../_machine.sh"
MODE="${MODE:-coord}"
one_of MODE coord som
need_swift
numbers 1 STEPS EPISODES LIMIT CURVE
RUN="$(realpath -m "${RUN:-$ROOT/runs/login/tiny}")"
START="${START:-base}"
LIMIT="${LIMIT:-100}"                        # episodes to score, of another split: no form is in both
CURVE="${CURVE:-4}"                          # checkpoints that are kept and scored, evenly spaced
if [[ "$MODE" == coord ]]; then
    base=forms                               # what the model to start from sees
    asked="point at a part of a login form"  # and what is asked of it before training
    STEPS="${STEPS:-3000}"                   # of training on whole episodes, 8 rows each
    EPISODES="${EPISODES:-4000}"             # to train on, six rows each: no row is seen twice, so none is learnt by heart
else
    base=marks
    asked="number of a mark on a login form"
    STEPS="${STEPS:-7000}"
    EPISODES="${EPISODES:-9400}"
fi
PAGE_SIZE=256x192                            # the smallest at which type and marks are legible
export MAX_PIXELS=49152 CUDA_VISIBLE_DEVICES='' OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
TEMPLATE=login_qwen3_vl
here="$RUN/$MODE"
mkdir -p "$here/model" "$here/eval" "$here/plots"

# 1. Rows. Registration has more fields than such a page has room for legible ones; this is the login form.
rows=(--scenario login --mode "$MODE" --protocol hard --page-size "$PAGE_SIZE")
python -m data_engine.login.write "$here/data/train" "${rows[@]}" --episodes "$EPISODES" --seed 1 --split train
python -m data_engine.login.write "$here/data/eval" "${rows[@]}" --episodes "$LIMIT" --seed 999 --split eval

# 2. The model to start from has seen login forms of its mode, part by part and state by state, but no episode, nor these.
model="$here/start"
case "$START" in
    base) python "$ROOT"/tools/make_tiny_model.py "$model" --from-base "$base" ;;
    scratch) python "$ROOT"/tools/make_tiny_model.py "$model" --family qwen3_vl --size 4m ;;
    *) model="$START" ;;
esac

# 3. What it can see before training.
MAX_PIXELS=56320 python "$ROOT"/eval/probe.py --engine transformers --model "$model" --out "$here/probe" \
    --rows "$LIMIT" --sets "$asked" --max-new-tokens 40

# 4. Training by the mode's own page; these flags are what a tiny model on a CPU needs instead of LoRA.
cpu=(
    --tuner_type full --freeze_vit false --freeze_aligner false
    --use_cpu true --torch_dtype float32 --bf16 true --fp16 false --attn_impl eager
    --optimizer gui_muon --learning_rate 1e-3 --lr_scheduler_type cosine --warmup_ratio 0.02
    --adam_beta2 0.99 --weight_decay 0.01 --max_grad_norm 1.0
    --per_device_train_batch_size 8 --gradient_checkpointing false
    --num_train_epochs 1000 --max_steps "$STEPS"
    --dataloader_num_workers 0 --save_strategy steps --save_steps $(( (STEPS + CURVE - 1) / CURVE ))
    --logging_steps 10 --report_to none
)
if [[ ! -f "$here/model/finished" ]]; then
    MODEL="$model" LOGIN_DATA="$here/data/train" OUTPUT="$here/model" RESUME="$(newest "$here/model")" TEMPLATE="$TEMPLATE" \
        bash "$ROOT/recipes/login/$MODE.sh" "${cpu[@]}" "$@"
    touch "$here/model/finished"
fi

# 5. Scores: the model to start from, each checkpoint (the curve), and the last one in the closed loop too.
score() {   # score NAME CHECKPOINT [FLAGS]
    local name="$1" checkpoint="$2"
    shift 2
    python "$ROOT"/eval/login_eval.py --engine transformers --model "$checkpoint" --template "$TEMPLATE" \
        --data "$here/data/eval" --out "$here/runs/$name" --max-new-tokens 96 --batch-size 32 "$@"
    cp "$here/runs/$name/metrics.json" "$here/eval/$name.json"
}
score base "$model"
while read -r checkpoint; do
    score "step_${checkpoint##*-}" "$checkpoint"
done < <(checkpoints "$here/model")
tuned="$(newest "$here/model")"
score closed_loop "$tuned" --closed-loop

# 6. Bars of the published keys; the table beside the published rows, the curves, a few episodes.
python "$ROOT"/eval/plot_metrics.py --files "$here/eval/base.json" "$here/eval/step_${tuned##*-}.json" \
    --labels "tiny base" "tiny tuned" --output "$here/plots/$MODE.png"
python "$ROOT"/eval/login_table.py "$RUN"
