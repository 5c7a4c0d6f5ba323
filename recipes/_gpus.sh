# shellcheck shell=bash disable=SC2034
# Flags that follow from the number of GPUs. Sourced by _machine.sh; training recipes give `machine` to swift.
[[ "${GPUS:-1}" == 1 ]] || stop "GPUS=$GPUS: only 1 means something here; for more give NPROC_PER_NODE=$GPUS"
[[ "${GPUS:-}" != 1 || "${NPROC_PER_NODE:-1}" == 1 ]] ||
    stop "GPUS=1: NPROC_PER_NODE=$NPROC_PER_NODE says otherwise; unset one of them"

training_machine() {   # training_machine full|lora: sets `machine`
    # one process takes one GPU; of several that it sees, ms-swift would spread the model over all, layer by layer
    [[ -n "${NPROC_PER_NODE:-}" ]] || export CUDA_VISIBLE_DEVICES="${CUDA_VISIBLE_DEVICES-0}"
    machine=()
    [[ "${GPUS:-}" == 1 ]] || return 0
    machine=(--deepspeed '' --attn_impl sdpa)
    # AdamW on float32 weights, products in bfloat16: DeepSpeed does so by itself; ms-swift would choose fp16 here
    [[ "$1" == lora ]] || machine+=(--torch_dtype float32 --bf16 true --fp16 false)
}
