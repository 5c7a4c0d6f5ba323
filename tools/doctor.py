"""Check a model and its rows before hours are spent on them.

    python tools/doctor.py --model M --data DIR [--world W] [--out DIR]

Installation and versions, GPU and memory; rows, world and MAX_PIXELS; then 20 gold rows are encoded as training
and as evaluation encode them: template, system prompt and tokens must be equal, pictures must keep their size, special
tokens must survive, and gold answers must score 1.0. No weights are loaded, so a large checkpoint takes seconds too.
``--out`` checks an evaluation before it resumes. Exit code 0: no fault; 1: faults, each with its fix; 2: wrong use.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from checkup import data, machine, paths
from checkup.findings import FAULT, Finding, fault

from data_engine.benchmark import Benchmark
from data_engine.benchmarks import BENCHMARKS
from data_engine.cli import Parser, command, positive
from data_engine.dataset import DataError
from data_engine.foreign import read_object
from data_engine.gelab.world import World
from data_engine.model_folder import base_and_adapters, base_folder


def parser() -> Parser:
    parser = Parser(__doc__, "python tools/doctor.py --model CKPT --data data/base")
    parser.add_argument("--model", required=True, help="checkpoint folder: base model, trained, or LoRA adapter")
    parser.add_argument("--data", type=Path, required=True, help="folder of rows, of any benchmark")
    parser.add_argument("--world", type=Path, help="GE-Lab: the world to walk; default: the one in DATA")
    parser.add_argument("--out", type=Path, help="folder of an evaluation to resume")
    train = parser.add_argument_group("how training will be started")
    train.add_argument("--template", help="its --template; default: ours for benchmark and family")
    train.add_argument("--system", help="its --system; recipes give none")
    usual = ", ".join(f"{one.tuner} for {one.title}" for one in BENCHMARKS)
    train.add_argument("--tuner", choices=("full", "lora", "none"), help=f"default: {usual}")
    train.add_argument("--batch", type=positive, default=2, metavar="N", help="its --per_device_train_batch_size")
    train.add_argument(
        "--deepspeed", choices=("zero3", "none"), default="zero3", help="its --deepspeed; none: given ''"
    )
    train.add_argument("--torch_dtype", choices=tuple(machine.PLAIN), default="bfloat16", help="its --torch_dtype")
    train.add_argument("--learning_rate", type=rate, default=1e-5, metavar="RATE", help="its --learning_rate")
    train.add_argument("--report_to", nargs="*", default=["tensorboard"], metavar="NAME", help="its --report_to")
    parser.add_argument("--rows", type=positive, default=20, metavar="N", help="gold rows to send both ways")
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    return parser


def rate(text: str) -> float:
    """An argparse type: a learning rate, between 0 and 1."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no learning rate: give a number between 0 and 1, such as 1e-5")
    return value


def findings(args: argparse.Namespace) -> Iterator[Finding]:
    """All findings, the cheap ones first. Raises DataError on wrong use."""
    benchmark, manifest = data.open_data(args.data)
    base = base_folder(args.model)
    if args.world and not benchmark.world_kind:
        raise DataError(f"--world {args.world}: rows of {benchmark.title} have no world; leave it out")
    pins = machine.pins((machine.REPO / "requirements.txt").read_text(encoding="utf-8"))
    unused = set(machine.TRACKERS).difference(args.report_to)
    yield from machine.check_versions({name: pin for name, pin in pins.items() if name not in unused})
    engine = paths.check_engine()
    yield engine
    pixels = data.check_max_pixels(args.data, manifest)
    yield pixels
    ours = f"{benchmark.name}_{read_object(base / 'config.json').get('model_type')}"
    template = args.template or os.environ.get("TEMPLATE")  # recipes read the variable
    family = machine.check_family(base, ours, template)
    yield family
    weights = machine.check_weights(base, base_and_adapters(args.model)[1])
    yield weights
    proof = list(data.check_rows(args.data, benchmark, args.rows))
    yield from proof
    world = args.world or (args.data / "world" if benchmark.world_kind else None)
    walkable = None
    if world:
        walkable = data.check_world(world, manifest, args.data)
        yield walkable
    if args.out:
        yield from data.check_run(args.out, args.model, manifest)
    if any(one.level == FAULT for one in [engine, pixels, family, weights, *proof]):
        yield fault("both paths", "not walked: data and weights come first", "fix the faults above, and run it again")
        return
    if walkable and walkable.level == FAULT:
        world = None
    yield from both_paths(args, benchmark, manifest, base, world, (template or ours, ours))


def both_paths(
    args: argparse.Namespace,
    benchmark: Benchmark,
    manifest: dict,
    base: Path,
    world: Path | None,
    templates: tuple[str, str],
) -> Iterator[Finding]:
    """The gold rows as training and as evaluation sees them, each with its template; then the memory that the longest
    of them needs."""
    rows = data.gold_rows(args.data, benchmark, args.rows)
    yield data.check_small_pages(base, args.data, rows)
    paths.quiet()
    try:
        evaluation = paths.Evaluation(args.model, templates[1], manifest["max_pixels"], len(rows))
        training = paths.Training(args.model, templates[0], args.system)
        walk = World(world) if world else None
        checkup = paths.Checkup(benchmark, args.data, manifest, rows, walk, training, evaluation)
        yield from checkup.findings()
    except DataError:
        raise
    except Exception as error:  # whatever ms-swift raises for a broken checkpoint or template
        name = type(error).__name__
        yield fault("both paths", f"{name}: {error}", "fix what it names: the checkpoint's files, or --template")
        return
    tuner = args.tuner or benchmark.tuner
    how = machine.How(args.deepspeed == "zero3", args.torch_dtype)
    yield machine.check_precision(tuner, how, args.learning_rate)
    yield from machine.check_memory(machine.shape_of(base), tuner, checkup.longest, args.batch, machine.gpus(), how)


@command("doctor")
def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    found: list[Finding] = []
    for one in findings(args):
        found.append(one)
        if not args.json:
            print(one, flush=True)
    faults = sum(one.level == FAULT for one in found)
    if args.json:
        print(json.dumps({"faults": faults, "findings": [asdict(one) | {"mend": one.fix} for one in found]}, indent=2))
    else:
        print(f"doctor: {faults} fault{'s' * (faults != 1)}" if faults else "doctor: no fault")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
