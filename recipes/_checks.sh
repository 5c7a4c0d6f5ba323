# shellcheck shell=bash
# What every recipe is checked for before anything starts: in bash, in no time, in one line. Sourced by _machine.sh.

stop() {   # stop LINE: NAME: what; fix
    printf '%s\n' "${1//[[:cntrl:]]/?}" >&2
    exit "${2:-2}"
}

numbers() {   # numbers LEAST NAME...: whole numbers, where set; of anything else, arithmetic would run what it holds
    local least="$1" name
    shift
    for name; do
        if [[ -z "${!name:-}" ]]; then
            unset "$name"                    # empty is as unset, for the programs too
        elif ! { [[ "${!name}" =~ ^(0|[1-9][0-9]{0,17})$ ]] && (( ${!name} >= least )); }; then
            stop "$name=${!name}: not a whole number from $least; unset it, or give digits alone"
        fi
    done
}

one_of() {   # one_of NAME WORD...: the variable holds one of the words
    local name="$1" word
    shift
    for word; do [[ "${!name:-}" != "$word" ]] || return 0; done
    printf -v word ', %s' "$@"
    stop "$name=${!name}: unknown; known are ${word:2}"
}

checkpoints() {   # checkpoints FOLDER [FILE]: those in it that have FILE, not empty; oldest first
    find "$1" -path "*/checkpoint-*/${2:-trainer_state.json}" -size +0 -printf '%h\n' | sort -V
}

newest() {   # newest FOLDER [FILE]: the last of them; nothing where there is none
    checkpoints "$@" | tail -n 1
}

set_up() {   # what a fresh clone lacks: the project's own environment; nothing to do where it is up to date
    make -C "$ROOT" --no-print-directory install
    PATH="$ROOT/.venv/bin:$PATH"
}

need_swift() {
    type -P swift >/dev/null || stop "swift not found: run 'make install', or activate the environment that has it" 127
}

set_variant() {   # of GE-Lab's rows, by PROTOCOL (paper, hard) and EXPLAIN (step, way): _hard_way; empty for the paper's
    variant=''
    [[ -z "${PROTOCOL:-}" ]] || one_of PROTOCOL paper hard
    [[ -z "${EXPLAIN:-}" ]] || one_of EXPLAIN step way
    [[ "${PROTOCOL:-paper}" == paper ]] || variant+="_$PROTOCOL"
    [[ "${EXPLAIN:-step}" == step ]] || variant+="_$EXPLAIN"
}

need_rows() {   # need_rows DATASET: the folder with its rows, for this MAX_PIXELS; a dataset of the user's own passes
    local variable writer folder file pixels name
    case "$1" in
        gelab/*) variable=GELAB_DATA writer="gelab.write${PROTOCOL:+ --protocol $PROTOCOL}${EXPLAIN:+ --explain $EXPLAIN} WORLD" ;;
        worlds/*) variable=WORLDS_DATA writer="gelab.write_many WORLDS" ;;
        login/*) variable=LOGIN_DATA writer=login.write ;;
        sight/*) variable=SIGHT_DATA writer=sight.write ;;
        *) return 0 ;;
    esac
    folder="${!variable:-}" file="${1#*/}"
    file="${file%%[#:]*}"                    # without swift's syntax of samples and subsets
    for file in manifest.json "${file%_chat}.jsonl"; do
        [[ -f "$folder/$file" ]] ||
            stop "$variable=$folder: no $file there; name a folder written by python -m data_engine.$writer OUT"
    done
    pixels="$(grep -o -m 1 '"max_pixels": *[0-9]*' "$folder/manifest.json")" || return 0    # the plugin says what it is
    pixels="${pixels##*[: ]}"
    [[ "${MAX_PIXELS:-}" == "$pixels" ]] ||
        stop "MAX_PIXELS=${MAX_PIXELS:-}: the rows of $folder are for $pixels; export MAX_PIXELS=$pixels"
    [[ "$variable" == GELAB_DATA ]] || return 0
    for name in PROTOCOL EXPLAIN; do
        [[ -z "${!name:-}" ]] || grep -q -m 1 "\"${name,,}\": *\"${!name}\"" "$folder/manifest.json" ||
            stop "$name=${!name}: the rows of $folder are of another kind; write them with --${name,,} ${!name}, or unset $name"
    done
}

need_folder() {   # need_folder NAME VALUE: a path is there; what may be a hub's name passes
    [[ "$2" != [/.]* && "$2" != */*/* ]] || [[ -d "$2" ]] ||
        stop "$1=$2: no such folder; name a checkpoint like RUN/checkpoint-500, or a model of the hub"
}

need_model() {   # need_model MODEL TYPE TEMPLATE: it is there; a folder's config.json says TYPE, or swift loads noise
    need_folder MODEL "$1"
    [[ "$2" =~ ^qwen(2_5|3)_vl$ && -f "$1/config.json" ]] || return 0
    grep -q "\"model_type\": *\"$2\"" "$1/config.json" ||
        stop "TEMPLATE=$3: for $2, which $1 is not; set TEMPLATE to ${3%%_*}_qwen2_5_vl or ${3%%_*}_qwen3_vl"
}

need_package() {   # need_package FLAG INSTEAD PACKAGE...: one of them, in the Python that runs swift
    local flag="$1" instead="$2" line
    local -a python
    shift 2
    read -r line < "$(type -P swift)"
    read -ra python <<< "${line#\#!}"
    [[ "$line" == *python* ]] || return 0    # a wrapper: nobody knows what is behind it
    "${python[@]}" -c 'import sys, importlib.util as u; sys.exit(not any(map(u.find_spec, sys.argv[1:])))' "$@" ||
        stop "$flag: $1 is not installed; install it as requirements-gpu.txt says, or give $instead"
}

need_output() {   # need_output OUTPUT CHECKPOINT: no other training's checkpoints, which this one would delete in time
    local state
    [[ -z "$2" || ! "$2/.." -ef "$1" ]] || return 0
    for state in "$1"/checkpoint-*/trainer_state.json; do
        [[ ! -s "$state" ]] ||
            stop "OUTPUT=$1: holds a training, whose checkpoints would be deleted; name another, or RESUME=$(newest "$1")"
    done
}

swift() {   # the program itself, once its words have been looked at; of equal flags the last counts
    local word flag='' dataset
    local -A given=()
    local -a datasets
    need_swift
    for word; do
        case "$word" in
            --*=*) flag="${word%%=*}" given[${word%%=*}]="${word#*=}" ;;
            --*) flag="$word" given[$word]='' ;;
            *) [[ -z "$flag" ]] || given[$flag]+="${given[$flag]:+ }$word" ;;
        esac
    done
    read -ra datasets <<< "${given[--dataset]:-}"
    for dataset in "${datasets[@]}"; do need_rows "$dataset"; done
    need_model "${given[--model]:-}" "${given[--model_type]:-}" "${given[--template]:-}"
    need_folder ADAPTER "${given[--adapters]:-}"
    if [[ "${given[--add_version]:-}" == false ]]; then
        need_output "${given[--output_dir]:-}" "${given[--resume_from_checkpoint]:-}"
    fi
    local keeping=''
    if [[ "${given[--tuner_type]:-} ${given[--torch_dtype]:-}" == "full bfloat16" ]]; then
        keeping=" --torch_dtype float32 --bf16 true --fp16 false"
        [[ -n "${given[--deepspeed]:-}${given[--fsdp]:-}" ]] ||
            stop "--torch_dtype bfloat16 without DeepSpeed: such weights lose small steps (of 1e-6, 98 %); give$keeping"
    fi
    if [[ -n "${given[--deepspeed]:-}" ]]; then
        [[ "${given[--optimizer]:-} ${given[--deepspeed]}" != gui_muon\ zero[1-3]* ]] ||
            stop "--optimizer gui_muon: needs whole matrices, which ${given[--deepspeed]} cuts; give --deepspeed ''$keeping"
        need_package "--deepspeed ${given[--deepspeed]}" "--deepspeed ''$keeping" deepspeed
    fi
    if [[ "${given[--use_vllm]:-}" == true ]]; then need_package "--use_vllm true" "--use_vllm false" vllm; fi
    if [[ "${given[--attn_impl]:-}" == flash_att* ]]; then
        need_package "--attn_impl flash_attn" "--attn_impl sdpa" flash_attn flash_attn_3 kernels torch_npu
    fi
    if [[ "$1" == rollout ]]; then need_package "swift rollout" "mt_rl.sh, which needs no server" vllm; fi
    command swift "$@"
}
