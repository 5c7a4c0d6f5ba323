# shellcheck shell=bash disable=SC2034,SC2154
# A tiny model of GE-Lab on a CPU: the flags that it needs, its stages one after the other, its scores. Sourced by
# quickstart.sh and gelab/env_base_tiny.sh, which set RUN, MAX_PIXELS and flags.
export CUDA_VISIBLE_DEVICES=                 # the CPU, also where there is a GPU: the figures are meant to be the same
export TEMPLATE=gelab_qwen3_vl GELAB_DATA="$RUN/data" ENGINE=transformers
export OMP_NUM_THREADS=1 NPROC_PER_NODE=2    # tiny matrices: two processes are quicker than two threads
export PET_STANDALONE=1 PET_LOCAL_ADDR=localhost      # torchrun takes a free port: other trainings may run beside it

cpu=(
    --freeze_vit false --freeze_aligner false                           # all of its weights learn
    --use_cpu true --torch_dtype float32 --bf16 true --fp16 false --attn_impl eager --deepspeed '' --ddp_backend gloo
    --gradient_accumulation_steps 1 --gradient_checkpointing false --weight_decay 0.01
    --num_train_epochs 1000 --dataloader_num_workers 0 --dataset_num_proc 1
    --save_total_limit 2 --report_to none
)
sft=(                                        # 8 rows a step
    --optimizer gui_muon --learning_rate 1e-3 --warmup_ratio 0.1 --adam_beta2 0.99
    --per_device_train_batch_size 4 --logging_steps 10 --callbacks gui_cpu
)
rl=(                                         # 4 questions a step
    --learning_rate 1e-4 --max_completion_length 64 --per_device_train_batch_size 16
    --callbacks gui_guard gui_no_dropout gui_cpu
)

train() {   # train FOLDER RECIPE MODEL STEPS [FLAGS]: the recipe goes on from MODEL; a finished training is left as it is
    local folder="$RUN/$1" recipe="$2" model="$3" steps="$4" last
    shift 4
    mkdir -p "$folder"
    last="$(newest "$folder")"
    if [[ "$last" != */checkpoint-$steps ]]; then
        MODEL="$model" OUTPUT="$folder" RESUME="$last" \
            bash "recipes/gelab/$recipe.sh" "${cpu[@]}" --max_steps "$steps" "$@" "${flags[@]}"
    fi
}

train_stages() {   # train_stages ROWS SAVE TURNS: SFT on single questions, then on ROWS of them and as many chats, as MT-RL
    local rows="$1" save="$2" turns="$3"     # has them; ST-RL, MT-RL. SFT_STEPS, CHAT_STEPS, ST_STEPS and MT_STEPS of each
    train sft sft "$RUN/model" "$SFT_STEPS" "${sft[@]}" --save_steps 200
    train sft_chat sft "$RUN/sft/checkpoint-$SFT_STEPS" "$CHAT_STEPS" "${sft[@]}" --save_steps "$save" \
        --dataset "gelab/sft#$rows" "gelab/sft_chat#$rows" --learning_rate 3e-4
    train st_rl st_rl "$RUN/sft_chat/checkpoint-$CHAT_STEPS" "$ST_STEPS" "${rl[@]}" --save_steps "$save"
    train mt_rl mt_rl "$RUN/st_rl/checkpoint-$ST_STEPS" "$MT_STEPS" "${rl[@]}" --save_steps 20 --max_turns "$turns"
}

score() {   # score AGENT ATTEMPTS ENGINE [--model M]: on held-in and held-out subtrees, teacher-forced and live
    local agent="$1" attempts="$2" set
    shift 2
    for set in id ood; do
        python eval/gelab_static.py --engine "$@" --data "$RUN/data/eval_$set.jsonl" \
            --out "$RUN/eval/$agent/static_$set" --max-new-tokens 64 ${LIMIT:+--limit "$LIMIT"} || return
        python eval/gelab_interactive.py --engine "$@" --world "$RUN/data/world" --tasks "$RUN/data/tasks_$set.jsonl" \
            --attempts "$attempts" --out "$RUN/eval/$agent/interactive_$set" \
            --max-new-tokens 64 ${LIMIT:+--limit "$LIMIT"} || return
    done
}

logged() {  # the same, with its lines in a file, which is shown where it fails
    mkdir -p "$RUN/logs"
    score "$@" > "$RUN/logs/$1.log" 2>&1 || { cat "$RUN/logs/$1.log" >&2; exit 1; }
}
