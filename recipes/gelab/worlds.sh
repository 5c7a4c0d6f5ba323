#!/usr/bin/env bash
# A checkpoint on its world and on the four perturbed ones, the paper's Table 3.   Hardware: what the model needs.
# NOT RUN ON GPUs YET. With ENGINE=oracle it needs no model: tests/test_compare_worlds.py.
#
# Needs:     a world, and a checkpoint trained on its rows            (recipes/gelab/sft.sh and what follows it)
# Run:       MODEL=runs/gelab/sft/checkpoint-5080 bash recipes/gelab/worlds.sh
# Smaller:   bash recipes/gelab/worlds.sh --limit 200                 (flags go to eval/gelab_static.py)
# Way:       EXPLAIN=way, for a checkpoint that was trained on such rows
# Another:   MODEL=... NAME=mt_rl bash recipes/gelab/worlds.sh        (a second column of the table)
# Again:     the same command; what is there is reused.
# Leaves:    RUN/image/ name/ position/ noise/ rows/ scores/NAME/WORLD/metrics.json table.md
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../_machine.sh"
cd "$ROOT"
WORLD="${WORLD:-runs/gelab/world}"
RUN="${RUN:-runs/gelab/worlds}"
ENGINE="${ENGINE:-transformers}"
NAME="${NAME:-sft}"                          # of the column
SEED="${SEED:-0}"                            # of the variants
need_swift
numbers 0 SEED
[[ -f "$WORLD/manifest.json" ]] || stop "WORLD=$WORLD: no world there; python -m data_engine.gelab.build OUT writes one"
if [[ "$ENGINE" == transformers || "$ENGINE" == vllm ]]; then
    [[ -n "${MODEL:-}" ]] || stop "MODEL: not set; name the checkpoint to score"
    need_folder MODEL "$MODEL"
fi

# 1. The four variants, and the rows of all five worlds.
mkdir -p "$RUN/rows"
for kind in image name position noise; do
    python -m data_engine.gelab.vary "$WORLD" "$RUN/$kind" "--$kind" --seed "$SEED"
    python -m data_engine.gelab.write "$RUN/$kind" "$RUN/rows/$kind" --explain "${EXPLAIN:-step}"
done
python -m data_engine.gelab.write "$WORLD" "$RUN/rows/base" --explain "${EXPLAIN:-step}"

# 2. Static scores of the held-out subtree, and the table over all models so far.
for kind in base image name position noise; do
    python eval/gelab_static.py --engine "$ENGINE" ${MODEL:+--model "$MODEL"} --data "$RUN/rows/$kind/eval_ood.jsonl" \
        --out "$RUN/scores/$NAME/$kind" "$@"
done
python eval/compare_worlds.py "$RUN"/scores/* --out "$RUN/table.md"
