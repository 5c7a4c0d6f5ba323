#!/usr/bin/env bash
# The short form of tiny.sh: coordinates and marks side by side, one core each.   Hardware: CPU, two cores, 6 GB; no GPU.
# Takes:     about 3 minutes of installation once, then 12 (recipes/RESULTS.md)
# Run:       bash recipes/login/quickstart.sh
# Setting:   `hard` login forms of 256 x 192 pixels that training never drew; from assets/tiny-forms and tiny-marks
# Small:     STEPS=4 EPISODES=4 LIMIT=2 RUN=runs/smoke bash recipes/login/quickstart.sh
# Again:     the same command; what is there is reused, and a training that was killed goes on from its last checkpoint.
# Leaves:    runs/login/quickstart/ with coord/ som/ logs/ table.md curves.png examples/
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../_machine.sh"
numbers 1 STEPS EPISODES LIMIT CURVE
set_up
RUN="$(realpath -m "${RUN:-$ROOT/runs/login/quickstart}")"
export RUN STEPS="${STEPS:-1200}" EPISODES="${EPISODES:-1600}"
export LIMIT="${LIMIT:-50}" CURVE="${CURVE:-2}" OMP_NUM_THREADS=1
mkdir -p "$RUN/logs"

MODE=som bash "$ROOT/recipes/login/tiny.sh" "$@" > "$RUN/logs/som.log" 2>&1 &
som=$!
MODE=coord bash "$ROOT/recipes/login/tiny.sh" "$@" > "$RUN/logs/coord.log" 2>&1 || failed=coord
wait "$som" || failed=som
if [[ -n "${failed:-}" ]]; then
    tail -n 20 "$RUN/logs/$failed.log" >&2
    exit 1
fi
python "$ROOT"/eval/login_table.py "$RUN"
