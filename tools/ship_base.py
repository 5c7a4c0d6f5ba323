"""Ship a model of a pretraining run: bf16 weights, a model card with the curve, and hashes.

    python tools/ship_base.py RUN OUT [--stage NAME]        (RUN: what recipes/tiny_base/pretrain.sh left)

Without a stage's name it is the best: the one whose probe has the highest mean. OUT gets the weights in bf16 (one
file), tokenizer and processor files as they are, probe.json, README.md (the model card) and manifest.json; it appears
whole or not at all.
"""

import json
import math
import shutil
import sys
from pathlib import Path

from data_engine.cli import Parser, command
from data_engine.dataset import DataError, read_json, sha256, write_json, write_manifest
from data_engine.files import write_file
from data_engine.folder import only_writer

KIND = "tiny-base"
KEPT = (
    "config.json generation_config.json tokenizer.json tokenizer_config.json chat_template.jinja "
    "preprocessor_config.json processor_config.json video_preprocessor_config.json vocab.json merges.txt"
).split()
MOST = 16_000_000  # bytes of weights


def stages(run: Path) -> list[dict]:
    """What each finished stage of a run tells of itself, in the order in which they ended. Raises DataError."""

    stages_found = []
    for path in sorted(run.glob("*/probe/metrics.json"), key=lambda path: path.stat().st_mtime_ns):
        probe = read_json(path)
        stage, model = path.parent.parent, Path(probe["run"]["model"]["name"])
        if not (stage / "from").is_file():
            raise DataError(f"{stage}: has no file `from`, which names the model it started from: write it, as scratch")
        start = (stage / "from").read_text(encoding="utf-8").split("/")[0].strip()  # <stage>/checkpoint-<steps>
        stages_found.append({"name": stage.name, "probe": probe, "model": model, "from": start})
    if not stages_found:
        raise DataError(f"{run}: no stage with a probe; run recipes/tiny_base/pretrain.sh first")
    return stages_found


def best(stages_found: list[dict]) -> dict:
    """The stage with the highest mean of its probe; of equals the last."""
    return max(reversed(stages_found), key=lambda stage: stage["probe"]["metrics"]["mean"])


def named(stages_found: list[dict], name: str) -> dict:
    """The stage of that name. Raises DataError."""

    stages = {stage["name"]: stage for stage in stages_found}
    if name not in stages:
        raise DataError(f"--stage {name}: not there or not finished; known are {', '.join(stages)}")
    return stages[name]


def ancestors(stages_found: list[dict], chosen: dict) -> list[dict]:
    """The stages that led to ``chosen``, the first one first, and ``chosen``."""
    before = {stage["name"]: stage for stage in stages_found}.get(chosen["from"])
    return [*(ancestors(stages_found, before) if before else []), chosen]


def ship(run: Path, out: Path, stage: str | None = None) -> dict:
    """Write ``out`` and return its manifest; without a ``stage`` it is the best one. Raises DataError."""
    stages_found = stages(run)
    chosen = named(stages_found, stage) if stage else best(stages_found)
    if out.exists():
        raise DataError(f"{out}: exists; remove it first")
    with only_writer(out) as scratch, scratch() as folder:
        for name in KEPT:
            if (chosen["model"] / name).is_file():
                shutil.copyfile(chosen["model"] / name, folder / name)
        size = _weights_in_bf16(chosen["model"] / "model.safetensors", folder / "model.safetensors")
        if size > MOST:
            raise DataError(f"{chosen['model']}: {size:,} bytes in bf16, more than {MOST:,}; ship a smaller model")
        write_json(folder / "probe.json", _without_paths(chosen["probe"], run))
        write_file(folder / "README.md", card(out.name, stages_found, chosen))
        hashes = {path.name: sha256(path) for path in folder.iterdir()}
        return write_manifest(folder, KIND, {"stage": chosen["name"], "commit": chosen["probe"]["commit"]}, hashes)


def _without_paths(probe: dict, run: Path) -> dict:
    """A probe as it is shipped: where the run lay is nobody's business."""
    return json.loads(json.dumps(probe).replace(str(run.resolve()), "RUN"))


def _weights_in_bf16(source: Path, target: Path) -> int:
    """Copy the weights; returns the size of the new file in bytes."""
    import torch
    from safetensors.torch import load_file, save_file

    weights = {name: tensor.to(torch.bfloat16).contiguous() for name, tensor in load_file(source).items()}
    save_file(weights, target, metadata={"format": "pt"})
    return target.stat().st_size


CARD = """# {name}

A Qwen3-VL of {parameters:,} parameters that was trained from nothing on random screens, so that tests, quickstarts and
demonstrations on a CPU have something to fine-tune, as users fine-tune Qwen. It is shipped by `tools/ship_base.py`.

- **Data**: screens and questions of `data_engine/sight`, drawn from seeds that no benchmark uses. No human data.
- **Made by**: `{command}` at commit `{commit}`: {steps:,} steps in all; this is stage
  `{stage}`.
- **Weights**: bf16, {size:.1f} MB. Use: `python tools/make_tiny_model.py MODEL --from-base NAME` (its `--help` has
  the names), then `--model MODEL --model_type qwen3_vl --template gelab_qwen3_vl` as with any checkpoint. No network,
  no remote code.
- **Page size**: pages of 160x352 pixels, cuttings of 64x64 and 128x64, forms of 256x192; it has seen no others.

## What it can do

`python eval/probe.py --engine transformers --model MODEL --out DIR --rows {rows}`, on screens that no training showed:

{table}

"Chance" is one of the things on the screen at random (pointing), or one of the names at random (naming, reading).

## What it cannot do

What is near chance in the table, what an earlier stage knew included. It knows the names and looks of its own screens
and no others, no user's icons and no other page size, and cannot follow a goal over several steps before it is
fine-tuned. A held-out GE-Lab subtree is new to it as a place; the pictures and names of its icons are not.

## The curve

Right answers in percent after each stage:

{curve}
"""


def card(name: str, stages_found: list[dict], chosen: dict) -> str:
    """The model card of ``chosen``, under the name of its folder; its curve has the stages that led to it."""
    from safetensors import safe_open

    with safe_open(chosen["model"] / "model.safetensors", "pt") as weights:
        parameters = sum(math.prod(weights.get_slice(name).get_shape()) for name in weights.keys())  # noqa: SIM118
    probe = chosen["probe"]
    sets = {name: values for name, values in probe["metrics"].items() if name != "mean"}
    done = ancestors(stages_found, chosen)
    return CARD.format(
        name=name,
        parameters=parameters,
        command="bash recipes/tiny_base/pretrain.sh",
        commit=probe["commit"][:7],
        steps=sum(map(_steps, done)),
        stage=chosen["name"],
        size=2 * parameters / 1e6,
        rows=probe["run"]["rows"],
        table=_table(["", "right", "95 % interval", "chance"], [_line(name, values) for name, values in sets.items()]),
        curve=_table(["after stage", "steps", "questions a set", *sets], [_stage_line(stage, sets) for stage in done]),
    )


def _steps(stage: dict) -> int:
    return json.loads((stage["model"] / "trainer_state.json").read_text(encoding="utf-8"))["global_step"]


def _line(name: str, values: dict) -> list[str]:
    low, high = (f"{100 * values[key]:.0f}" for key in ("low", "high"))
    return [name, f"{100 * values['right']:.1f} %", f"{low} to {high} %", f"{100 * values['chance']:.1f} %"]


def _stage_line(stage: dict, sets: dict) -> list[str]:
    probe = stage["probe"]["metrics"]
    asked = stage["probe"]["run"]["rows"]
    return [stage["name"], str(_steps(stage)), str(asked), *(_percent(probe.get(name)) for name in sets)]


def _percent(values: dict | None) -> str:
    """A set that an earlier probe did not have is n/a."""
    return f"{100 * values['right']:.0f}" if values else "n/a"


def _table(head: list[str], lines: list[list[str]]) -> str:
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


@command("ship_base")
def main(argv: list[str] | None = None) -> None:
    parser = Parser(__doc__, "python tools/ship_base.py runs/tiny_base assets/tiny-base")
    parser.add_argument("run", type=Path, metavar="RUN", help="of recipes/tiny_base/pretrain.sh")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder to write")
    parser.add_argument("--stage", metavar="NAME", help="ship this one; default: the best by its probe")
    args = parser.parse_args(argv)
    manifest = ship(args.run, args.out, args.stage)
    print(f"{args.out}: stage {manifest['arguments']['stage']}, {len(manifest['files'])} files")


if __name__ == "__main__":
    sys.exit(main())
