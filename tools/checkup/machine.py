"""The machine: versions, GPUs, and how much memory a model needs to be trained."""

import math
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from math import prod
from pathlib import Path

from data_engine.benchmarks import BENCHMARKS
from data_engine.dataset import DataError
from data_engine.foreign import read_object
from data_engine.model_folder import check_adapter, check_checkpoint, weight_shapes

from .findings import Finding, fault, note, ok, warning

REPO = Path(__file__).resolve().parents[2]
GIB = 2**30
# Bytes for a weight. AdamW: gradient, two moments, and under DeepSpeed a float32 copy of the weight.
ZERO3 = {"frozen": 2, "trained": 16}  # bfloat16 weights and gradients, float32 copy and moments
PLAIN = {"bfloat16": {"frozen": 2, "trained": 8}, "float32": {"frozen": 4, "trained": 16}}  # all of one type
LORA_RANK = 16  # recipes/gelab/sft_lora.sh; the forms' pages have 8 on two matrices, which need less
STD = 0.02  # of the weights of a Qwen-VL language model, about
TRACKERS = ("tensorboard", "wandb")  # --report_to
SPARE = 1.5  # GiB: CUDA context and what the allocator cannot use


# Versions


def pins(text: str) -> dict[str, str]:
    """Package -> version of a requirements file, up to its heading of tests and lint."""
    return dict(re.findall(r"^([\w.-]+)==(\S+)", text.split("# Tests and lint")[0], re.MULTILINE))


def check_versions(pinned: dict[str, str]) -> Iterator[Finding]:
    """The installed packages against the tested set."""
    found = {}
    for name in pinned:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            yield fault("installation", f"{name} is not installed", f"pip install {name}=={pinned[name]}")
    for name, there in found.items():
        if there.partition("+")[0] != pinned[name]:
            fix = f"pip install {name}=={pinned[name]}, if anything behaves oddly"
            yield warning("versions", f"{name} {there}, tested with {pinned[name]}", fix)
    shown = ", ".join(f"{name} {found[name]}" for name in ("ms-swift", "torch", "transformers", "trl") if name in found)
    yield ok("versions", shown)


# Weights


def check_family(base: Path, ours: str, template: str | None) -> Finding:
    """The checkpoint's family against the template of training, of whose name recipes make ms-swift's --model_type:
    the architecture of Qwen3-VL alone does not tell it.

    ``ours``: the template for this benchmark and family; ``template``: the one that training is given, if it is known.
    """
    family = read_object(base / "config.json").get("model_type")
    given = (template or ours).removeprefix(f"{ours.partition('_')[0]}_")  # as recipes do: ${TEMPLATE#gelab_}
    if template and template not in (family, *(f"{one.name}_{family}" for one in BENCHMARKS)):
        what = (
            f"{template} is for another family than {base}, a {family}: --model_type {given} would not load its weights"
        )
        return fault("family", what, f"export TEMPLATE={ours}")
    if given != family:
        what = f"{template} is for rows of another benchmark: recipes make --model_type {given} of it, which is none"
        return fault("family", what, f"export TEMPLATE={ours}")
    hint = "" if template else f" (TEMPLATE is not set: export TEMPLATE={ours} to train)"
    return ok("family", f"{family}, --model_type {given}{hint}")


def check_weights(model: Path, adapters: Sequence[str] = ()) -> Finding:
    """A checkpoint's own files and those of the adapters on it: all there, and readable?"""
    try:
        check_checkpoint(model)
        for adapter in adapters:
            check_adapter(Path(adapter))
        shape = shape_of(model)
    except DataError as error:
        what, _, fix = str(error).partition("; ")
        return fault("weights", what, fix)
    return ok("weights", f"{shape.parameters:,} parameters, {shape.tower:,} of them the vision tower's")


# Memory


@dataclass(frozen=True)
class Shape:
    """A checkpoint's size. ``tower``: weights of the vision part; ``linear``: input + output sizes of the language
    model's matrices, summed (what one rank of LoRA adds); the rest from config.json."""

    parameters: int
    tower: int
    linear: int
    hidden: int
    layers: int
    intermediate: int
    vocabulary: int


SIZES = ("hidden_size", "num_hidden_layers", "intermediate_size", "vocab_size")


def shape_of(model: Path) -> Shape:
    """Raises DataError if the checkpoint is not whole."""
    weights, config = weight_shapes(model), read_object(model / "config.json")
    text = config.get("text_config", config)
    if not isinstance(text, dict) or not all(isinstance(text.get(size), int) for size in SIZES):
        raise DataError(f"{model / 'config.json'}: lacks one of {', '.join(SIZES)}; copy or download it again")
    tower = {name: shape for name, shape in weights.items() if "visual" in name}
    linear = [s for name, s in weights.items() if len(s) == 2 and ".layers." in name and name not in tower]
    return Shape(
        parameters=sum(map(prod, weights.values())),
        tower=sum(map(prod, tower.values())),
        linear=sum(map(sum, linear)),
        hidden=text["hidden_size"],
        layers=text["num_hidden_layers"],
        intermediate=text["intermediate_size"],
        vocabulary=text["vocab_size"],
    )


@dataclass(frozen=True)
class How:
    """How training is started: --deepspeed zero3 or not, and without it --torch_dtype."""

    zero3: bool = True
    dtype: str = "bfloat16"

    def bytes_of(self, on_gpu: bool) -> dict[str, int]:
        """Bytes for a frozen and for a trained weight; a CPU has everything in float32."""
        return (ZERO3 if self.zero3 else PLAIN[self.dtype]) if on_gpu else PLAIN["float32"]

    def __str__(self) -> str:
        return "ZeRO-3" if self.zero3 else f"{self.dtype} without DeepSpeed"


def need(
    shape: Shape, tuner: str, tokens: int, batch: int, devices: int = 1, on_gpu: bool = True, how: How = How()
) -> float:
    """GiB on each device, an estimate. ``tokens``: of the longest row.

    full: all but the vision tower is trained; with ZeRO-3 and several devices weights, gradients and AdamW states are
    shared out. lora: rank 16 on every matrix of the language model, the weights on each device. none: inference.
    Activations: one vector a layer and token (gradient checkpointing), one layer worked out again, and the logits with
    their gradient in float32.
    """
    bytes_of = how.bytes_of(on_gpu)
    if tuner == "full":
        trained = shape.parameters - shape.tower
        weights = bytes_of["trained"] * trained + bytes_of["frozen"] * shape.tower
        weights /= devices if how.zero3 else 1
    else:
        adapter = LORA_RANK * shape.linear if tuner == "lora" else 0
        weights = bytes_of["frozen"] * shape.parameters + bytes_of["trained"] * adapter
    kept = shape.layers * shape.hidden + 8 * shape.hidden + 3 * shape.intermediate
    each = bytes_of["frozen"] * kept + (8 * shape.vocabulary if tuner != "none" else 0)
    return (weights + batch * tokens * each) / GIB + (SPARE if on_gpu else 0)


def moved(learning_rate: float) -> float:
    """Share of bfloat16 weights, normal with STD, that one AdamW step of that rate changes at all.

    The step is about the rate itself. A weight between 2^e and 2^(e+1) has neighbours 2^(e-7) away, and stays unless
    the step is half of that: 1e-6 moves 1.9 % of the weights, 1e-5 15 %, 1e-4 88 %.
    """
    return math.erf(2.0 ** (math.floor(math.log2(256 * learning_rate)) + 1) / STD / math.sqrt(2))


def check_precision(tuner: str, how: How, learning_rate: float) -> Finding:
    """Without DeepSpeed nothing keeps float32 weights beside bfloat16 ones."""
    share = moved(learning_rate)
    if tuner == "full" and not how.zero3 and how.dtype == "bfloat16" and share < 0.5:
        what = f"pure bfloat16: a step of --learning_rate {learning_rate:g} changes {share:.1%} of the weights"
        return fault(
            "precision", what, "--torch_dtype float32 --bf16 true --fp16 false (float32 weights), or --deepspeed zero3"
        )
    kept = "an adapter's weights are float32" if tuner == "lora" else f"{how}, --learning_rate {learning_rate:g}"
    return ok("precision", "nothing is trained" if tuner == "none" else kept)


def gpus() -> list[tuple[str, float, float]]:
    """(name, GiB in all, GiB free) of each GPU that this process may use."""
    import torch

    found = []
    for i in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(i)
        found.append((torch.cuda.get_device_name(i), total / GIB, free / GIB))
    return found


def free_memory() -> float:
    """GiB of main memory that programs may still take."""
    lines = Path("/proc/meminfo").read_text() if Path("/proc/meminfo").is_file() else ""
    found = re.search(r"MemAvailable:\s+(\d+) kB", lines)
    return int(found[1]) * 1024 / GIB if found else os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / GIB


def check_memory(
    shape: Shape, tuner: str, tokens: int, batch: int, devices: list, how: How = How()
) -> Iterator[Finding]:
    """``devices`` as of ``gpus()``; none: the CPU."""
    count, on_gpu = max(1, len(devices)), bool(devices)
    here = min(free for _, _, free in devices) if devices else free_memory()
    place = f"each of {count} GPUs" if on_gpu else "the CPU (float32)"
    needs = {one: need(shape, one, tokens, batch, count, on_gpu, how) for one in ("full", "lora", "none")}
    words = {"full": "full tuning", "lora": "LoRA", "none": "inference"}
    shown = ", ".join(f"{words[one]} {gib:.1f} GiB" for one, gib in needs.items())
    assumed = f"{shape.parameters:,} parameters, {batch} x {tokens} tokens, AdamW, gradient checkpointing"
    yield note("memory", f"estimate for {place}: {shown} ({assumed}, {how}; no vLLM)")
    if on_gpu:
        ways = [How(), How(False), How(False, "float32")]
        full = ", ".join(f"{need(shape, 'full', tokens, batch, count, how=way):.1f} GiB with {way}" for way in ways)
        yield note("memory", f"full tuning on {place}: {full}")
        yield ok("gpu", "; ".join(f"{name}, {free:.0f} of {total:.0f} GiB free" for name, total, free in devices))
    else:
        fix = "nothing, for a tiny model; for a real one, use a machine with a GPU, or check CUDA_VISIBLE_DEVICES"
        yield warning("gpu", "none that torch can use: the CPU will train", fix)
    if needs[tuner] > here:
        fitting = [words[one] for one in ("lora", "none") if needs[one] <= here and one != tuner]
        fix = "more GPUs, a smaller model or batch" + (f"; {' and '.join(fitting)} would fit" if fitting else "")
        yield fault("memory", f"{words[tuner]} needs about {needs[tuner]:.1f} GiB, {here:.1f} are free", fix)
    else:
        yield ok("memory", f"{words[tuner]} needs about {needs[tuner]:.1f} GiB, {here:.1f} are free")
