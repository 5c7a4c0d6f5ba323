#!/usr/bin/env bash
# The login benchmark: rows, LoRA, scores of base and tuned model (and of two APIs), plots.   Hardware: as the config's page.
# NOT RUN ON GPUs YET. It runs on the CPU with a tiny model: tests/test_login_benchmark.py.
#
# Run:       bash recipes/login/benchmark.sh                                  (coord as published)
# Marks:     CONFIG=som bash recipes/login/benchmark.sh                       (or CONFIG=registration_som)
# An agent:  PROTOCOL=hard bash recipes/login/benchmark.sh                    (also in the closed loop)
# 8B:        MODEL=Qwen/Qwen3-VL-8B-Instruct bash recipes/login/benchmark.sh --num_train_epochs 2
# APIs:      export ANTHROPIC_API_KEY, OPENAI_API_KEY or both; each key that is there adds its model, and costs money;
#            CLAUDE_PRICE="IN OUT" and GPT_PRICE (dollars for a million tokens) put the cost into their files
# Again:     the same command; what is there is reused, and a training that was killed goes on from its last checkpoint.
# Flags:     those after the command are the training's, and win
# Leaves:    RUN/data/ RUN/model/ RUN/runs/ and, as published, RUN/eval/eval_qwen_base.json eval_qwen_ft.json
#            eval_claude.json eval_gpt51.json and RUN/plots/; RUN/report.html shows what goes wrong
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../_machine.sh"
CONFIG="${CONFIG:-coord}"
one_of CONFIG coord som registration_som
export SCENARIO=login
case "$CONFIG" in
    coord) mode=coord published=published ;;
    som) mode=som published=scripted ;;
    registration_som) SCENARIO=registration mode=som published=scripted ;;
esac
need_swift
numbers 1 EPISODES TOKENS
numbers 0 SEED EVAL_SEED
for price in CLAUDE_PRICE GPT_PRICE; do
    [[ "${!price:-0 0}" =~ ^[0-9.]+\ [0-9.]+$ ]] || stop "$price=${!price}: not two numbers; give it as \"IN OUT\""
done
PROTOCOL="${PROTOCOL:-$published}"
MODEL="${MODEL:-Qwen/Qwen3-VL-2B-Instruct}"
RUN="$(realpath -m "${RUN:-$ROOT/runs/login/${CONFIG}_${PROTOCOL}_$(basename "$MODEL")}")"
EPISODES="${EPISODES:-32}"                   # of either set, as published
SEED="${SEED:-123}"                          # as published
EVAL_SEED="${EVAL_SEED:-999}"                # EVAL_SEED=123 scores the training forms, as the published numbers do
PAGE_SIZE="${PAGE_SIZE:-800x608}"
[[ "$PAGE_SIZE" =~ ^[1-9][0-9]{1,3}x[1-9][0-9]{1,3}$ ]] || stop "PAGE_SIZE=$PAGE_SIZE: not WIDTHxHEIGHT in pixels; give e.g. 800x608"
TOKENS="${TOKENS:-150}"                      # of an answer, as published
export TEMPLATE="${TEMPLATE:-login_qwen3_vl}"
need_model "$MODEL" "${TEMPLATE#login_}" "$TEMPLATE"
export MAX_PIXELS=$(( ${PAGE_SIZE%x*} * ${PAGE_SIZE#*x} ))
mkdir -p "$RUN/model" "$RUN/eval" "$RUN/plots"

# 1. Rows: one set to train on, one to score. `hard` draws other forms for the second anyway.
kind=(--scenario "$SCENARIO" --mode "$mode" --protocol "$PROTOCOL" --episodes "$EPISODES" --page-size "$PAGE_SIZE")
python -m data_engine.login.write "$RUN/data/train" "${kind[@]}" --seed "$SEED" --split train
python -m data_engine.login.write "$RUN/data/eval" "${kind[@]}" --seed "$EVAL_SEED" --split eval

# 2. Training, by the config's own page.
if [[ ! -f "$RUN/model/finished" ]]; then
    MODEL="$MODEL" LOGIN_DATA="$RUN/data/train" OUTPUT="$RUN/model" RESUME="$(newest "$RUN/model")" \
        bash "$ROOT/recipes/login/$mode.sh" "$@"
    touch "$RUN/model/finished"
fi
tuned="$(newest "$RUN/model" adapter_config.json)"

# 3. Scores, in the published schema; the ceiling and the baselines stand in the same files.
files=() labels=()
score() {   # score FILE LABEL ENGINE MODEL [FLAGS]
    local file="$1" label="$2" engine="$3" model="$4"
    shift 4
    python "$ROOT"/eval/login_eval.py --engine "$engine" --model "$model" --data "$RUN/data/eval" --out "$RUN/runs/$file" \
        --max-new-tokens "$TOKENS" "$@"
    cp "$RUN/runs/$file/metrics.json" "$RUN/eval/$file.json"
    files+=("$RUN/eval/$file.json") labels+=("$label")
    if [[ "$PROTOCOL" == hard ]]; then       # the form's own state decides
        python "$ROOT"/eval/login_eval.py --engine "$engine" --model "$model" --data "$RUN/data/eval" \
            --out "$RUN/runs/${file}_closed_loop" --max-new-tokens "$TOKENS" --closed-loop "$@"
        cp "$RUN/runs/${file}_closed_loop/metrics.json" "$RUN/eval/${file}_closed_loop.json"
    fi
}
name="$(basename "$MODEL")"
plot=qwen_base_vs_ft
score eval_qwen_base "$name base" transformers "$MODEL" --template "$TEMPLATE"
score eval_qwen_ft "$name FT" transformers "$tuned" --template "$TEMPLATE"
plain=(--batch-size 4 --extra '{"temperature": null}')    # as published: the server's own temperature
if [[ -n "${ANTHROPIC_API_KEY:-}" ]]; then
    CLAUDE="${CLAUDE:-claude-sonnet-4-5-20250929}"        # as published
    score eval_claude "$CLAUDE" anthropic "$CLAUDE" "${plain[@]}" ${CLAUDE_PRICE:+--price $CLAUDE_PRICE}
    plot=qwen_vs_apis
fi
if [[ -n "${OPENAI_API_KEY:-}" ]]; then
    GPT="${GPT:-gpt-5.1}"                                 # as published
    score eval_gpt51 "$GPT" openai "$GPT" "${plain[@]}" ${GPT_PRICE:+--price $GPT_PRICE}
    plot=qwen_vs_apis
fi

# 4. Bars, and a page to look at.
python "$ROOT"/eval/plot_metrics.py --files "${files[@]}" --labels "${labels[@]}" --output "$RUN/plots/$plot.png"
python "$ROOT"/eval/report.py "$RUN"
