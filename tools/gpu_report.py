"""Lines and tables of recipes/gpu_check.sh, from what its steps leave below OUTPUT.

    python tools/gpu_report.py machine|curve|speed|answers|room|fits [FOLDER]

machine: versions and memory. curve: of a training killed and resumed, its loss twice. speed: of a training with
``--callbacks gui_timer``. answers: of an evaluation. room: does full tuning of a checkpoint fit? fits: the same of
every recipe and checkpoint, measured or by the doctor's estimate.
"""

import importlib.metadata
import os
import platform
import statistics
import sys
from collections import defaultdict
from pathlib import Path

from checkup import machine

from data_engine.cli import Parser, command
from data_engine.dataset import DataError
from data_engine.foreign import read_growing, read_object

PACKAGES = ("torch", "transformers", "ms-swift", "trl", "peft", "accelerate", "vllm", "flash-attn", "deepspeed")
# TFLOP/s of dense bfloat16 products, from the data sheets (SXM where there are several); of others no MFU is told
PEAKS = {"H100": 989, "H200": 989, "A100": 312, "L40S": 362, "RTX 4090": 165}
ALONE = machine.How(zero3=False, dtype="float32")  # GPUS=1, all weights
# recipe -> tuner, samples in a batch, tokens of the longest row (recipes/README.md#lengths), reference model
RECIPES = {
    "sft_lora.sh": ("lora", 1, 526, False),
    "sft.sh": ("full", 2, 526, False),
    "st_rl.sh": ("full", 8, 535, True),
    "mt_rl.sh": ("full", 8, 5808, True),
}
SAME = 0.1  # of the fall of the loss: two runs of a step on a GPU differ in the last bits, not in this


def version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "-"


def machine_table(_: Path) -> str:
    rows = [("python", platform.python_version()), *((name, version(name)) for name in PACKAGES)]
    rows += [("GPU", f"{name}, {free:.1f} of {total:.1f} GiB free") for name, total, free in machine.gpus()]
    rows += [("cores", str(os.cpu_count())), ("main memory", f"{machine.free_memory():.1f} GiB free")]
    return table(("machine", ""), rows)


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, ("---",) * len(head), *rows))


def curve(folder: Path) -> str:
    """Steps that ran before the kill and again after RESUME must have the same loss."""
    losses = defaultdict(list)
    for row in read_growing(folder / "logging.jsonl"):
        if "loss" in row:
            losses[int(row["global_step/max_steps"].split("/")[0])].append(row["loss"])
    twice = {step: pair for step, pair in losses.items() if len(pair) == 2}
    if not twice:
        raise DataError(f"{folder}: no step has its loss twice; the kill came too early")
    steps = sorted(losses)
    apart = max(abs(first - second) for first, second in twice.values())
    what = f"steps {min(twice)} to {max(twice)} ran twice, losses apart by {apart:.1e} at most; "
    what += f"step 1: {losses[steps[0]][0]:.3f}, step {steps[-1]}: {losses[steps[-1]][-1]:.3f}"
    if apart > max(1e-3, SAME * abs(losses[steps[0]][0] - losses[min(twice)][0])):
        raise DataError(f"{folder}: another curve after RESUME: {what}")
    return what


def flops(shape: machine.Shape, heads: int, tokens: float, samples: float, full: bool, patches: float) -> float:
    """Arithmetic that the model needs, in FLOP; what gradient checkpointing repeats does not count (MFU's convention).

    Matrices of the text layers: 2 a weight and token forward, 2 for the gradient of what came in, 2 for that of the
    weight if it is trained. Causal attention: 2 x layers x hidden x length a token forward, three times that with its
    gradients. The tower is frozen: 2 a weight and patch. The head is left out, so MFU is a lower bound.
    ``heads``: matrices of the vocabulary's size; ``patches``: of all pictures.
    """
    matrices = shape.parameters - shape.tower - heads * shape.vocabulary * shape.hidden
    attention = 6 * shape.layers * shape.hidden * (tokens / samples) * tokens
    return (6 if full else 4) * matrices * tokens + attention + 2 * shape.tower * patches


def speed(folder: Path) -> str:
    args = read_object(folder / "args.json")
    model, full = Path(args["model"]), args["tuner_type"] == "full"
    steps = read_growing(folder / "timing.jsonl")[1:]  # the first one pays for warming up
    if not steps:
        raise DataError(f"{folder / 'timing.jsonl'}: fewer than two steps; give a larger --max_steps")
    seconds, samples, tokens = (sum(step[key] for step in steps) for key in ("seconds", "samples", "tokens"))
    config = read_object(model / "config.json")
    pixels = int(os.environ["MAX_PIXELS"]) / config["vision_config"]["patch_size"] ** 2
    heads = 1 if config["tie_word_embeddings"] else 2
    rate = flops(machine.shape_of(model), heads, tokens, samples, full, samples * pixels) / seconds / 1e12
    devices = machine.gpus()
    peak = next((peak for name, peak in PEAKS.items() if devices and name in devices[0][0]), None)
    mfu = f"MFU {rate / peak:.1%} of {peak} TFLOP/s" if peak else "no MFU: the card's peak is not known"
    memory = f"{max(step['gib'] for step in steps):.1f} GiB" if devices else "no GPU memory"
    middle = statistics.median(step["seconds"] for step in steps)
    return (
        f"{samples / seconds:.2f} samples/s, {tokens / seconds:,.0f} tokens/s, {middle:.2f} s a step of "
        f"{steps[0]['samples']} samples, {memory}, {rate:.2g} TFLOP/s, {mfu}"
    )


def answers(folder: Path) -> str:
    """Of tools/bench_eval.py --json, or of trajectories and the seconds that they took."""
    if (folder / "bench.json").is_file():
        result = read_object(folder / "bench.json")
        each = result["milliseconds"]
        return (
            f"{1000 / each['fast']:.1f} answers/s ({result['clock']} time, {result['answers']} answers), "
            f"one image at a time {1000 / each['one_at_a_time']:.1f}"
        )
    count = sum(len(row["turns"]) for row in read_growing(folder / "trajectories.jsonl"))
    seconds = read_object(folder / "seconds.json")["seconds"]
    return f"{count / seconds:.1f} answers/s ({count} answers in {seconds} s, loading included)"


def need(model: Path, recipe: str) -> float:
    """GiB by the doctor's estimate, GPUS=1 and no vLLM; RL has a reference model beside the trained one."""
    tuner, batch, tokens, reference = RECIPES[recipe]
    shape, on_gpu = machine.shape_of(model), bool(machine.gpus())
    how = ALONE if tuner == "full" else machine.How(zero3=False)
    more = 4 * shape.parameters / machine.GIB if reference else 0
    return machine.need(shape, tuner, tokens, batch, on_gpu=on_gpu, how=how) + more


def free() -> float:
    return min((total for _, total, _ in machine.gpus()), default=machine.free_memory())


def room(model: Path) -> str:
    needed = need(model, "sft.sh")
    if needed > free():
        raise DataError(f"full tuning needs about {needed:.0f} GiB of {free():.0f} (the doctor's estimate)")
    return f"full tuning needs about {needed:.1f} GiB of {free():.1f} (the doctor's estimate)"


def fits(folder: Path) -> str:
    """One table of RECIPES x the checkpoints of folder/models."""
    rows = []
    for model in sorted(path for path in (folder / "models").iterdir() if path.name != "base"):
        for recipe, (tuner, *_) in RECIPES.items():
            run = folder / f"{tuner}-{model.name}"
            steps = read_growing(run / "timing.jsonl") if recipe.startswith("sft") else []
            measured = max((step["gib"] for step in steps), default=0)
            gib = measured or need(model, recipe)
            says = "measured" if measured else "estimate"
            rows.append((recipe, model.name, f"{gib:.1f}", says, "yes" if gib <= free() else "no"))
    head = ("recipe, GPUS=1", "model", "GiB", "from", f"fits {free():.1f} GiB")
    return table(head, rows)


ANSWERS = {"machine": machine_table, "curve": curve, "speed": speed, "answers": answers, "room": room, "fits": fits}


@command("gpu_report")
def main() -> None:
    parser = Parser(__doc__, "python tools/gpu_report.py fits runs/gpu_check")
    parser.add_argument("what", choices=tuple(ANSWERS), help="line or table to print")
    parser.add_argument("folder", type=Path, nargs="?", default=Path(), metavar="FOLDER", help="what it is about")
    args = parser.parse_args()
    print(ANSWERS[args.what](args.folder))


if __name__ == "__main__":
    sys.exit(main())
