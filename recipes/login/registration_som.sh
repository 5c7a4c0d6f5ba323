#!/usr/bin/env bash
# The old path of SCENARIO=registration som.sh: says so and starts it.
echo "registration_som.sh: moved; SCENARIO=registration bash recipes/login/som.sh does the same" >&2
SCENARIO=registration exec bash "$(dirname "${BASH_SOURCE[0]}")/som.sh" "$@"
