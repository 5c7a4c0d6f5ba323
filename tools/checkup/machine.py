"""The machine: versions, GPUs, and how much memory a model needs to be trained."""

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
GPU = {"frozen": 2, "trained": 16}  # bfloat16 weights and gradients, float32 copy and moments
CPU = {"frozen": 4, "trained": 16}  # everything float32
LORA_RANK = 16  # recipes/gelab/sft_lora.sh; the forms' pages have 8 on two matrices, which need less
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
            mend = f"pip install {name}=={pinned[name]}, if anything behaves oddly"
            yield warning("versions", f"{name} {there}, tested with {pinned[name]}", mend)
    shown = ", ".join(f"{name} {found[name]}" for name in ("ms-swift", "torch", "transformers", "trl") if name in found)
    yield ok("versions", shown)


# Weights


def check_family(base: Path, ours: str, template: str | None) -> Finding:
    """The checkpoint's family against the template of training, of whose name recipes make ms-swift's --model_type.

    ``ours``: the template for this benchmark and family; ``template``: the one that training is given, if it is known.
    """
    family = read_object(base / "config.json").get("model_type")
    if template and template not in (family, *(f"{one.name}_{family}" for one in BENCHMARKS)):
        what = f"{template} is for another family than {base}, a {family}: training would not load its weights"
        return fault("family", what, f"export TEMPLATE={ours}")
    return ok("family", f"{family}" + ("" if template else f" (TEMPLATE is not set: export TEMPLATE={ours} to train)"))


def check_weights(model: Path, adapters: Sequence[str] = ()) -> Finding:
    """A checkpoint's own files and those of the adapters on it: all there, and readable?"""
    try:
        check_checkpoint(model)
        for adapter in adapters:
            check_adapter(Path(adapter))
        shape = shape_of(model)
    except DataError as error:
        what, _, mend = str(error).partition("; ")
        return fault("weights", what, mend)
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


def need(shape: Shape, tuner: str, tokens: int, batch: int, devices: int = 1, on_gpu: bool = True) -> float:
    """GiB on each device, an estimate. ``tokens``: of the longest row.

    full: all but the vision tower is trained, and with several devices weights, gradients and AdamW states are shared
    out (ZeRO-3). lora: rank 16 on every matrix of the language model, the weights on each device. none: inference.
    Activations: one vector a layer and token (gradient checkpointing), one layer worked out again, and the logits with
    their gradient in float32.
    """
    bytes_of = GPU if on_gpu else CPU
    if tuner == "full":
        trained = shape.parameters - shape.tower
        weights = (bytes_of["trained"] * trained + bytes_of["frozen"] * shape.tower) / devices
    else:
        adapter = LORA_RANK * shape.linear if tuner == "lora" else 0
        weights = bytes_of["frozen"] * shape.parameters + bytes_of["trained"] * adapter
    kept = shape.layers * shape.hidden + 8 * shape.hidden + 3 * shape.intermediate
    each = bytes_of["frozen"] * kept + (8 * shape.vocabulary if tuner != "none" else 0)
    return (weights + batch * tokens * each) / GIB + (SPARE if on_gpu else 0)


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


def check_memory(shape: Shape, tuner: str, tokens: int, batch: int, devices: list) -> Iterator[Finding]:
    """``devices`` as of ``gpus()``; none: the CPU."""
    count, on_gpu = max(1, len(devices)), bool(devices)
    here = min(free for _, _, free in devices) if devices else free_memory()
    place = f"each of {count} GPUs" if on_gpu else "the CPU (float32)"
    needs = {how: need(shape, how, tokens, batch, count, on_gpu) for how in ("full", "lora", "none")}
    words = {"full": "full tuning", "lora": "LoRA", "none": "inference"}
    shown = ", ".join(f"{words[how]} {gib:.1f} GiB" for how, gib in needs.items())
    assumed = f"{shape.parameters:,} parameters, {batch} x {tokens} tokens, AdamW, gradient checkpointing"
    yield note("memory", f"estimate for {place}: {shown} ({assumed}, ZeRO-3 if full on several; no vLLM)")
    if on_gpu:
        yield ok("gpu", "; ".join(f"{name}, {free:.0f} of {total:.0f} GiB free" for name, total, free in devices))
    else:
        mend = "nothing, for a tiny model; for a real one, use a machine with a GPU, or check CUDA_VISIBLE_DEVICES"
        yield warning("gpu", "none that torch can use: the CPU will train", mend)
    if needs[tuner] > here:
        fitting = [words[how] for how in ("lora", "none") if needs[how] <= here and how != tuner]
        mend = "more GPUs, a smaller model or batch" + (f"; {' and '.join(fitting)} would fit" if fitting else "")
        yield fault("memory", f"{words[tuner]} needs about {needs[tuner]:.1f} GiB, {here:.1f} are free", mend)
    else:
        yield ok("memory", f"{words[tuner]} needs about {needs[tuner]:.1f} GiB, {here:.1f} are free")
