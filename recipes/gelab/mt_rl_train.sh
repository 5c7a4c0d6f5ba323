#!/usr/bin/env bash
# The old path of ENGINE=server mt_rl.sh: says so and starts it.
echo "mt_rl_train.sh: moved; ENGINE=server bash recipes/gelab/mt_rl.sh does the same, in runs/gelab/mt_rl" >&2
ENGINE=server recipe_name=mt_rl_train exec bash "$(dirname "${BASH_SOURCE[0]}")/mt_rl.sh" "$@"
