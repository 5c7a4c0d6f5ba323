#!/usr/bin/env bash
echo "registration_som.sh: moved; SCENARIO=registration bash recipes/login/som.sh does the same" >&2
SCENARIO=registration exec bash "$(dirname "${BASH_SOURCE[0]}")/som.sh" "$@"
