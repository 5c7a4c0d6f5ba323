"""A model's folder, by its files: where an adapter's base lies, and whether all parts of a checkpoint are there.

Only JSON files and the heads of weight files are read, so a checkpoint of any size takes no time. The evaluation
scripts and the doctor both ask here, before anything is loaded or written.
"""

import json
import re
from pathlib import Path
from typing import Annotated

import msgspec

from .dataset import DataError
from .foreign import read_object

HUB_NAME = re.compile(r"\w[\w.-]*/\w[\w.-]*(:.+)?")  # OWNER/NAME, of a model hub; a short path looks the same
ADAPTER = "adapter_config.json"
READ = (  # JSON objects, where they are there
    "config.json",
    "generation_config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "model.safetensors.index.json",
    "args.json",
    ADAPTER,
)
AGAIN = "copy or download the file again"


class WeightIndex(msgspec.Struct):
    """model.safetensors.index.json: weight -> file."""

    weight_map: dict[str, str]


class AdapterConfig(msgspec.Struct):
    """adapter_config.json of a LoRA: the rank of its matrices, and of those that have another."""

    r: Annotated[int, msgspec.Meta(ge=1)]
    rank_pattern: dict[str, int] = {}


# Where


def base_and_adapters(model: str) -> tuple[str, list[str]]:
    """(folder or hub name with the weights, adapters on it). Raises DataError where an adapter's base is not there.

    A LoRA checkpoint names its base in ms-swift's args.json; any other model is its own base.
    """
    return (base_of(Path(model)), [model]) if (Path(model) / ADAPTER).is_file() else (model, [])


def base_folder(model: str) -> Path:
    """The folder with the weights. Raises DataError where there is none; a hub name is none."""
    folder = Path(base_and_adapters(model)[0])
    check_config(folder)
    return folder


def base_of(adapter: Path) -> str:
    """The base of a LoRA checkpoint: a folder, or a name that only a hub can know. Raises DataError.

    A relative base is looked for where training may have been started: here, in the adapter's folder, and in each
    folder above that. Two different ones are refused.
    """
    args = adapter / "args.json"
    if not args.is_file():
        raise DataError(
            f"{args}: no such file, so nothing names the adapter's base; copy it from the training's output"
        )
    name = read_object(args, dict, AGAIN).get("model")
    if not isinstance(name, str) or not name:
        raise DataError(f'{args}: names no base; write its folder there as "model"')
    places = {}
    for place in (Path.cwd(), adapter.resolve(), *adapter.resolve().parents):
        if (place / name / "config.json").is_file():
            places.setdefault((place / name).resolve(), place / name)
    if len(places) > 1:
        both = " or ".join(map(str, places))
        raise DataError(f'{adapter}: its base {name} may be {both}; write the right one into {args} as "model"')
    if not places and not HUB_NAME.fullmatch(name):
        raise DataError(f'{adapter}: its base {name} is not there; write where it is now into {args} as "model"')
    return str(next(iter(places.values()), name))


# What


def check_config(folder: Path) -> dict:
    """config.json of a checkpoint. Raises DataError, with what to give, where the folder is none."""
    if not (folder / "config.json").is_file():
        raise DataError(f"{folder}: no checkpoint folder; {_advice(folder)}")
    config = read_object(folder / "config.json", dict, AGAIN)
    if not isinstance(config.get("model_type"), str):
        raise DataError(f"{folder / 'config.json'}: names no model_type; {AGAIN}")
    return config


def _advice(folder: Path) -> str:
    inside = sorted((*folder.glob("checkpoint-*"), *folder.glob("*/checkpoint-*")), key=_age) if folder.is_dir() else []
    whole = [path for path in inside if (path / "config.json").is_file() or (path / ADAPTER).is_file()]
    if whole:
        return f"{whole[-1].relative_to(folder)} lies inside: give {whole[-1]}"
    if folder.is_dir():
        return "it has no config.json: give the folder that has one"
    if folder.exists():
        return "it is a file: give the folder that has its config.json"
    return "it does not exist: give a folder, or download a hub model first: hf download NAME"


def _age(checkpoint: Path) -> tuple[int, int]:
    """Later trainings last, and of one training the later steps."""
    step = checkpoint.name.rpartition("-")[2]
    return checkpoint.parent.stat().st_mtime_ns, int(step) if step.isdecimal() else -1


def check_checkpoint(folder: Path) -> None:
    """Raises DataError unless config, processor, tokenizer and weights are there and can be read."""
    check_config(folder)
    for name in READ:
        if (folder / name).is_file():
            read_object(folder / name, dict, AGAIN)
    fix = "copy the files of processor and tokenizer from the model that it was trained from"
    if not any((folder / name).is_file() for name in ("preprocessor_config.json", "processor_config.json")):
        raise DataError(f"{folder}: no preprocessor_config.json, so it cannot see; {fix}")
    if not (folder / "tokenizer.json").is_file() and not (folder / "vocab.json").is_file():
        raise DataError(f"{folder}: no tokenizer.json, so it cannot read; {fix}")
    weight_shapes(folder)


def check_adapter(folder: Path) -> None:
    """Raises DataError unless an adapter's own files are there and can be read."""
    for name in (ADAPTER, "args.json"):
        read_object(folder / name, dict, AGAIN)
    weights = folder / "adapter_model.safetensors"
    if not weights.is_file():
        raise DataError(f"{folder}: no {weights.name}; copy it from the training's output")
    head_of(weights)


def lora_rank(folder: Path) -> int:
    """The largest rank of an adapter's matrices. Raises DataError."""
    config = read_object(folder / ADAPTER, AdapterConfig, AGAIN)
    return max([config["r"], *config.get("rank_pattern", {}).values()])


# Weights


def weight_shapes(folder: Path) -> dict[str, list[int]]:
    """Name -> shape of every weight, from the heads of the files; no weight is read. Raises DataError."""
    shapes: dict[str, list[int]] = {}
    for path in sorted(folder.glob("*.safetensors")):
        if not path.name.startswith("adapter"):
            shapes |= head_of(path)
    index = folder / "model.safetensors.index.json"
    listed = read_object(index, WeightIndex, AGAIN)["weight_map"] if index.is_file() else {}
    missing = set(listed) - shapes.keys()
    if missing or not shapes:
        raise DataError(f"{folder}: {len(missing) or 'all'} weights are missing; download the checkpoint again")
    return shapes


def head_of(path: Path) -> dict[str, list[int]]:
    """Name -> shape of the weights in a .safetensors file. Raises DataError where its head or its length is wrong."""
    there = path.stat().st_size
    with open(path, "rb") as file:
        size = int.from_bytes(file.read(8), "little")
        try:
            head = json.loads(file.read(size if size <= there else 0))
            head.pop("__metadata__", None)
            wanted = 8 + size + max((int(weight["data_offsets"][1]) for weight in head.values()), default=0)
            shapes = {name: [int(side) for side in weight["shape"]] for name, weight in head.items()}
        except (ValueError, KeyError, TypeError, IndexError, AttributeError, OverflowError, RecursionError):
            raise DataError(f"{path}: its head cannot be read; {AGAIN}") from None
    if there != wanted:
        raise DataError(f"{path}: {there:,} bytes, not {wanted:,}; copy or download it again")
    return shapes
