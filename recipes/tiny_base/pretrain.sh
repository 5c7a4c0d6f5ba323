#!/usr/bin/env bash
# Small base models that can see, from nothing, on a curriculum of screens.   Hardware: two CPU cores, 8 GB; no GPU, no hub.
# Takes:     about 75 minutes for pages, most of it on one core, then 65 for forms, 45 each for marks and words (recipes/RESULTS.md);
#            stop it at any time.
# Run:       make install, then bash recipes/tiny_base/pretrain.sh
# Again:     the same command; finished stages are kept, and one that was killed goes on from its last checkpoint.
# Small:     STEPS=2 PROBE=2 RUN=runs/smoke bash recipes/tiny_base/pretrain.sh --save_steps 2
# Leaves:    RUN/<stage>/checkpoint-<steps>, RUN/<stage>/probe/metrics.json, and RUN/<stage>/from: what it started from
# Ship:      python tools/ship_base.py runs/tiny_base assets/tiny-base --stage pages; the same with assets/tiny-forms and
#            --stage forms_end, tiny-marks and marks_end, tiny-words and reading
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../_machine.sh"
need_swift
numbers 1 STEPS PROBE
cd "$ROOT"
RUN="$(realpath -m "${RUN:-runs/tiny_base}")"
PROBE="${PROBE:-100}"                        # questions of each set that every stage is probed with
export CUDA_VISIBLE_DEVICES='' OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
export MAX_PIXELS=56320                      # pages of 160 x 352; forms have fewer

python tools/make_tiny_model.py "$RUN/scratch" --family qwen3_vl --size 4m
MODEL="$RUN/scratch"
number=0

stage() {   # stage NAME SCREENS STEPS BATCH [FLAGS]: goes on from the last stage's model, on fresh screens of a kind
    local out="$RUN/$1" screens="$2" steps="${STEPS:-$3}" batch="$4" last
    shift 4
    number=$((number + 1))                   # is also the seed of its screens
    if [[ ! -f "$out/probe/metrics.json" ]]; then
        python -m data_engine.sight.write "$out/rows" --stage "$screens" --rows $((batch * ${NPROC_PER_NODE:-1} * steps)) --seed "$number"
        echo "${MODEL#"$RUN"/}" > "$out/from"
        last="$(newest "$out")"
        if [[ "$last" != */checkpoint-$steps ]]; then
            MODEL="$MODEL" SIGHT_DATA="$out/rows" OUTPUT="$out" RESUME="$last" \
                bash recipes/tiny_base/stage.sh --per_device_train_batch_size "$batch" "$@"
        fi
        python eval/probe.py --engine transformers --model "$out/checkpoint-$steps" --out "$out/probe" \
            --rows "$PROBE" --max-new-tokens 40 --batch-size 32
        rm -rf "$out/rows"                   # 0.2 GB; the same command writes the same rows again
    fi
    MODEL="$out/checkpoint-$steps"
}

# Easy first: where is the one thing, what is it; which of several shapes is it, of hundreds of icons. What failed:
# recipes/RESULTS.md.
stage start  start  800 16 "$@"
stage one    one    300  8 "$@"
stage two    two    500  8 "$@"
stage four   four   500  8 "$@"
stage eight  eight  500  8 "$@"
stage shapes shapes 1000 8 "$@"
stage icons  icons  1500 8 "$@"
stage pages  pages  700  8 --learning_rate 5e-4 --lr_scheduler_type cosine "$@"
pages="$MODEL"
# Login forms take the place of icons: a second model, for them alone. Two processes make 16 screens a step.
NPROC_PER_NODE=2 stage forms forms 1800 8 --save_steps 300 "$@"
NPROC_PER_NODE=2 stage marks marks 500 8 "$@"
stage forms_end login 1100 8 --lr_scheduler_type cosine "$@"
# Marks: a third model, from the icon model again. Eight screens a step: many small steps, or numbers do not begin.
MODEL="$pages"
NPROC_PER_NODE=2 stage numbered numbered 1600 4 "$@"
NPROC_PER_NODE=2 stage marks_end login_marks 2400 4 --lr_scheduler_type cosine "$@"
# Words: a fourth model, from the icon model too.
MODEL="$pages"
stage words words 1200 8 "$@"
NPROC_PER_NODE=2 stage reading reading 6000 4 --lr_scheduler_type cosine "$@"
