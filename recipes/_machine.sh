# shellcheck shell=bash disable=SC2034
# What depends on the machine and on nothing else. Sourced by every recipe; never holds a hyper-parameter.
# Each value may be set in the environment:
#   MODEL           checkpoint folder or hub name                    default: the recipe's
#   GELAB_DATA      folder written by data_engine.gelab.write        default: runs/gelab/data
#   LOGIN_DATA      folder written by data_engine.login.write        default: the recipe's
#   OUTPUT          where checkpoints and logs go                    default: runs/<folder>/<recipe>
#   NPROC_PER_NODE  processes, one a GPU; unset: one, no torchrun    read by swift itself
#   NNODES, NODE_RANK, MASTER_ADDR, MASTER_PORT  more than one node  read by swift itself
#   RESUME          a checkpoint folder to continue from             default: start anew
command -v swift >/dev/null || { echo "swift not found: run 'make install', then 'source .venv/bin/activate'" >&2; exit 127; }
ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
export GELAB_DATA="${GELAB_DATA:-$ROOT/runs/gelab/data}"
OUTPUT="${OUTPUT:-$ROOT/runs/$(basename "$(dirname "${BASH_SOURCE[1]}")")/$(basename "$0" .sh)}"
PLUGINS="$ROOT/swift_plugins/register.py"    # absolute: swift writes it into the checkpoint and loads it again from there
if [[ -n "${RESUME:-}" && ! -f "$RESUME/trainer_state.json" ]]; then
    echo "RESUME=$RESUME: no trainer_state.json there; name a folder like $OUTPUT/checkpoint-500" >&2
    exit 2
fi
if (( ${NNODES:-1} > 1 )) && [[ -z "${NODE_RANK:-}" || -z "${MASTER_ADDR:-}" ]]; then
    echo "NNODES=$NNODES: set NODE_RANK (0 on the first node) and MASTER_ADDR too, or every node waits for the others" >&2
    exit 2
fi
