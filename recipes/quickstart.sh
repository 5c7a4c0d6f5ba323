#!/usr/bin/env bash
# GE-Lab's three stages, end to end, from the small base model.   Hardware: two CPU cores, 4 GB; no GPU, no hub.
# Takes:     about 3 minutes of installation once, then 19 to 24 min while other jobs shared both cores (recipes/RESULTS.md).
# Run:       bash recipes/quickstart.sh
# Again:     the same command; what is there is reused, and a training that was killed goes on from its last checkpoint.
# Override:  bash recipes/quickstart.sh --learning_rate 1e-4       (in all three stages; the last flag wins)
# Small:     STEPS=2 LIMIT=2 RUN=runs/smoke bash recipes/quickstart.sh --per_device_train_batch_size 4     (does it run?)
# Leaves:    runs/quickstart/ with world/ data/ model/ sft/ st_rl/ mt_rl/ eval/ pictures/ examples/
#            summary.md curves.png report.html
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/_machine.sh"
numbers 1 STEPS LIMIT
set_up
cd "$ROOT"
RUN="$(realpath -m "${RUN:-runs/quickstart}")"
export CUDA_VISIBLE_DEVICES=                 # the CPU, also where there is a GPU: the figures are meant to be the same
export MAX_PIXELS=56320                      # 160 x 352, the page size below
export TEMPLATE=gelab_qwen3_vl GELAB_DATA="$RUN/data" ENGINE=transformers
export OMP_NUM_THREADS=1 NPROC_PER_NODE=2    # tiny matrices: two processes are quicker than two threads
export PET_STANDALONE=1 PET_LOCAL_ADDR=localhost      # torchrun takes a free port: other trainings may run beside it

# 1. World and rows: 36 pages, five subtrees; 1 and 2 train SFT, 3 ST-RL, 4 MT-RL, 5 is held out.
#    Gold clicks in the middle of the box: three million weights need no noise in their labels.
python -m data_engine.gelab.build "$RUN/world" --tree 5 2 2 --seed 0 --page-size 160x352
python -m data_engine.gelab.write "$RUN/world" "$RUN/data" --seed 0 --clicks center
python tools/verify_data.py "$RUN/data"
python tools/show_world.py "$RUN/world" --out "$RUN/pictures"

# 2. The base model: a Qwen3-VL of 3.4 million weights that can point at things and name them, and knows no world.
python tools/make_tiny_model.py "$RUN/model" --from-base

# 3. The stages, by the recipes that train the real model; these flags are what a tiny model on a CPU needs instead.
cpu=(
    --freeze_vit false --freeze_aligner false                           # all of its weights learn
    --use_cpu true --torch_dtype float32 --bf16 true --fp16 false --attn_impl eager --deepspeed '' --ddp_backend gloo
    --gradient_accumulation_steps 1 --gradient_checkpointing false --weight_decay 0.01
    --num_train_epochs 1000 --dataloader_num_workers 0 --dataset_num_proc 1
    --save_steps 20 --save_total_limit 2 --report_to none
)
sft=(
    --dataset gelab/sft gelab/sft_chat       # the paper's single questions, and whole chats: MT-RL is one chat a task
    --optimizer gui_muon --learning_rate 1e-3 --warmup_ratio 0.1 --adam_beta2 0.99
    --per_device_train_batch_size 4 --logging_steps 5
)
rl=(--learning_rate 1e-4 --max_completion_length 48 --per_device_train_batch_size 16)    # 4 questions a step
flags=("$@")

train() {   # train STAGE MODEL STEPS [FLAGS]: the stage's recipe goes on from MODEL; a finished stage is left as it is
    local stage="$1" model="$2" steps="$3" last
    shift 3
    mkdir -p "$RUN/$stage"
    last="$(newest "$RUN/$stage")"
    if [[ "$last" != */checkpoint-$steps ]]; then
        MODEL="$model" OUTPUT="$RUN/$stage" RESUME="$last" \
            bash "recipes/gelab/$stage.sh" "${cpu[@]}" --max_steps "$steps" "$@" "${flags[@]}"
    fi
}
SFT_STEPS="${STEPS:-120}" ST_STEPS="${STEPS:-80}" MT_STEPS="${STEPS:-20}"    # SFT: 2/3 epoch, the rest is RL's
train sft "$RUN/model" "$SFT_STEPS" "${sft[@]}"
train st_rl "$RUN/sft/checkpoint-$SFT_STEPS" "$ST_STEPS" "${rl[@]}"
train mt_rl "$RUN/st_rl/checkpoint-$ST_STEPS" "$MT_STEPS" "${rl[@]}" --max_turns 5    # the longest way is 4

# 4. Scores: reference policies, the base model and each stage, on held-in and held-out subtrees.
score() {   # score AGENT ATTEMPTS ENGINE [--model M]
    local agent="$1" attempts="$2" set
    shift 2
    for set in id ood; do
        python eval/gelab_static.py --engine "$@" --data "$RUN/data/eval_$set.jsonl" \
            --out "$RUN/eval/$agent/static_$set" --max-new-tokens 48 ${LIMIT:+--limit "$LIMIT"} || return
        python eval/gelab_interactive.py --engine "$@" --world "$RUN/data/world" --tasks "$RUN/data/tasks_$set.jsonl" \
            --attempts "$attempts" --out "$RUN/eval/$agent/interactive_$set" \
            --max-new-tokens 48 ${LIMIT:+--limit "$LIMIT"} || return
    done
}
mkdir -p "$RUN/logs"
for agent in oracle random blind; do score "$agent" 5 "$agent" > "$RUN/logs/$agent.log"; done
logged() { score "$@" > "$RUN/logs/$1.log" 2>&1 || { cat "$RUN/logs/$1.log" >&2; exit 1; }; }
logged base 1 transformers --model "$RUN/model" &        # two side by side; one attempt for base, which knows no world
logged sft 5 transformers --model "$RUN/sft/checkpoint-$SFT_STEPS"
wait $!
logged st_rl 5 transformers --model "$RUN/st_rl/checkpoint-$ST_STEPS" &
logged mt_rl 5 transformers --model "$RUN/mt_rl/checkpoint-$MT_STEPS"
wait $!

# 5. One table, one figure, a few walks; and all of it to look at: what goes wrong, and where.
python eval/summary.py "$RUN"
python eval/report.py "$RUN"
