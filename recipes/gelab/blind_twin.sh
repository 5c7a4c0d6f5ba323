#!/usr/bin/env bash
# What the picture is worth: the same model and rows, blank screenshots.   Hardware: 3 x 80 GB GPUs, or as the stage's page.
# NOT RUN ON GPUs YET. It runs on the CPU with a tiny model: tests/test_blank.py.
#
# Page ids stand in the instruction and the history, so a world can be learnt by heart from text. What the model of
# STAGE scores beyond this twin, it owes to the screenshots.
#
# Needs:     python -m data_engine.gelab.write WORLD "$GELAB_DATA"
# Run:       NPROC_PER_NODE=3 MODEL=Qwen/Qwen2.5-VL-7B-Instruct bash recipes/gelab/blind_twin.sh
# LoRA:      STAGE=sft_lora bash recipes/gelab/blind_twin.sh
# RL:        STAGE=st_rl MODEL=runs/gelab/blank/sft/checkpoint-5080 bash recipes/gelab/blind_twin.sh
# Beside:    RUN=runs/quickstart, the run of the seeing model: eval/summary.py and eval/compare_with_paper.py show both
# Again:     the same command; what is there is reused, and a training that was killed goes on from its last checkpoint.
# Flags:     those after the command are the training's, and win
# Leaves:    RUN/blank/data/ (the rows, byte for byte, over white pages), RUN/blank/STAGE/ and RUN/eval/STAGE_blank/
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../_machine.sh"
STAGE="${STAGE:-sft}"
case "$STAGE" in
    sft | sft_lora | st_rl | mt_rl) ;;
    *) stop "STAGE=$STAGE: unknown; known are sft, sft_lora, st_rl, mt_rl" ;;
esac
need_swift
numbers 1 BATCH TOKENS LIMIT ATTEMPTS
MAX_PIXELS="${MAX_PIXELS:-200704}" need_rows "gelab/${STAGE%_lora}"    # as in the stage's page
RUN="$(realpath -m "${RUN:-$ROOT/runs/gelab}")"
TWIN="$RUN/blank/data"
MODEL_OUT="$RUN/blank/$STAGE"

# 1. The rows of $GELAB_DATA over white pages of the same size; a fingerprint of their own keeps the two apart.
python -m data_engine.gelab.blank "$GELAB_DATA" "$TWIN"

# 2. Training, by the stage's own page.
mkdir -p "$MODEL_OUT"
if [[ ! -f "$MODEL_OUT/finished" ]]; then
    GELAB_DATA="$TWIN" OUTPUT="$MODEL_OUT" RESUME="$(newest "$MODEL_OUT")" \
        bash "$ROOT/recipes/gelab/$STAGE.sh" "$@"
    touch "$MODEL_OUT/finished"
fi

# 3. Scores, as the seeing model's; the screenshots are blank here too.
ask=(--engine transformers --model "$(newest "$MODEL_OUT")" --batch-size "${BATCH:-16}")
ask+=(--max-new-tokens "${TOKENS:-256}" ${LIMIT:+--limit "$LIMIT"})
out="$RUN/eval/${STAGE}_blank"
for set in id ood; do
    python "$ROOT"/eval/gelab_static.py "${ask[@]}" --data "$TWIN/eval_$set.jsonl" --out "$out/static_$set"
    python "$ROOT"/eval/gelab_interactive.py "${ask[@]}" --world "$TWIN/world" --tasks "$TWIN/tasks_$set.jsonl" \
        --attempts "${ATTEMPTS:-5}" --out "$out/interactive_$set"
done
