# shellcheck shell=bash disable=SC2034
# What depends on the machine and on nothing else. Sourced by every recipe; never holds a hyper-parameter.
# Each value may be set in the environment:
#   MODEL           checkpoint folder or hub name                    default: the recipe's
#   GELAB_DATA      folder written by data_engine.gelab.write        default: runs/gelab/data; data_hard_way: see need_rows
#   LOGIN_DATA      folder written by data_engine.login.write        default: the recipe's
#   OUTPUT          where checkpoints and logs go                    default: runs/<folder>/<recipe>
#   NPROC_PER_NODE  processes, one a GPU; unset: one, no torchrun    read by swift itself
#   GPUS            1: one GPU, no DeepSpeed, no flash attention     default: the recipe's flags
#   NNODES, NODE_RANK, MASTER_ADDR, MASTER_PORT  more than one node  read by swift itself
#   RESUME          a checkpoint folder to continue from             default: start anew
ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
source "$ROOT/recipes/_checks.sh"
type -P swift >/dev/null || PATH="$ROOT/.venv/bin:$PATH"    # an environment that is in use goes before the project's own
set_variant; export GELAB_DATA="${GELAB_DATA:-$ROOT/runs/gelab/data$variant}"
OUTPUT="${OUTPUT:-$ROOT/runs/$(basename "$(dirname "${BASH_SOURCE[1]}")")/${recipe_name:-$(basename "$0" .sh)}}"
PLUGINS="$ROOT/swift_plugins/register.py"    # absolute: swift writes it into the checkpoint and loads it again from there
numbers 1 NPROC_PER_NODE NNODES MASTER_PORT SERVER_PORT MAX_PIXELS OMP_NUM_THREADS
numbers 0 NODE_RANK GUARD_STEPS
[[ -z "${RESUME:-}" || -f "$RESUME/trainer_state.json" ]] ||
    stop "RESUME=$RESUME: no trainer_state.json there; name a folder like $OUTPUT/checkpoint-500"
[[ "${NNODES:-1}" == 1 || ( -n "${NODE_RANK:-}" && -n "${MASTER_ADDR:-}" ) ]] ||
    stop "NNODES=$NNODES: set NODE_RANK (0 on the first node) and MASTER_ADDR too, or every node waits for the others"
source "$ROOT/recipes/_gpus.sh"
