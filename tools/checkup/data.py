"""The data: proof of its first rows, MAX_PIXELS, the world, and an evaluation to resume."""

import json
import math
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
from PIL import Image

from data_engine.benchmark import Benchmark
from data_engine.benchmarks import ANSWER_FILES, BENCHMARKS, OF_ROWS
from data_engine.dataset import DataError, read_manifest, read_rows
from data_engine.foreign import read_object
from data_engine.gelab.graph import WorldError
from data_engine.gelab.world import World

from .findings import Finding, fault, ok, warning

EVAL = str(Path(__file__).resolve().parents[2] / "eval")
if EVAL not in sys.path:
    sys.path.append(EVAL)  # scripts, run by path: their modules know each other by bare names

SHOWN = 3  # findings of one kind


def field(path: Path, values: dict, name: str, kind: type):
    """One value of an object read from ``path``. Raises DataError where it is absent or of another kind."""
    if not isinstance(values.get(name), kind):
        raise DataError(f"{path}: {name} is {values.get(name)!r:.60}, no {kind.__name__}; copy or write the file again")
    return values[name]


def open_data(folder: Path) -> tuple[Benchmark, dict]:
    """(benchmark, manifest) of a folder of rows. Raises DataError where it is none."""
    kind = read_object(folder / "manifest.json").get("kind")
    if not isinstance(kind, str) or kind not in OF_ROWS:
        writers = " or ".join(f"data_engine.{one.datasets[0].command}" for one in BENCHMARKS)
        raise DataError(f"{folder}: holds {kind!r}; give what {writers} wrote")
    manifest = read_manifest(folder, kind)
    for name, type_ in (("max_pixels", int), ("files", dict)):
        field(folder / "manifest.json", manifest, name, type_)
    return OF_ROWS[kind], manifest


def check_rows(folder: Path, benchmark: Benchmark, rows: int) -> Iterator[Finding]:
    """tools/verify_data.py on the first rows of each file: hashes, world, screenshots, prompts, answers."""
    report = benchmark.verify(folder, rows)
    for kind, count in report.kinds.items():
        some = [found for found in report.faults if found.kind == kind][:SHOWN]
        for found in some:
            where = found.file if found.line is None else f"{found.file}:{found.line}"
            yield fault(kind, f"{folder / where}: {found.what}", found.fix)
        if count > SHOWN:
            fix = f"python tools/verify_data.py {folder} shows all"
            yield fault(kind, f"{count - SHOWN} more in {folder}", fix)
    if not report.faults:
        checked = ", ".join(f"{name} {count}" for name, count in report.checked.items())
        yield ok("rows", f"hashes of all files, and proven: {checked}")


def gold_rows(folder: Path, benchmark: Benchmark, count: int) -> list[dict]:
    """``count`` rows with an answer, evenly spread over the file, so that every kind of row is among them."""
    rows = read_rows(folder / benchmark.gold_file)
    if not rows:
        raise DataError(f"{folder / benchmark.gold_file}: holds no rows; write the rows again")
    picked = {round(i * (len(rows) - 1) / max(1, count - 1)) for i in range(count)}
    return [rows[i] for i in sorted(picked)]


def check_max_pixels(folder: Path, manifest: dict) -> Finding:
    """The environment's MAX_PIXELS, which training and evaluation both read, against that of the rows."""
    wanted, found = manifest["max_pixels"], os.environ.get("MAX_PIXELS")
    if found is not None and found != str(wanted):
        what = f"MAX_PIXELS={found} in the environment, the rows of {folder} are for {wanted}"
        return fault("MAX_PIXELS", what, f"export MAX_PIXELS={wanted}, or build pages of another size")
    return ok("MAX_PIXELS", f"{wanted}" + ("" if found else f" (not set here: export MAX_PIXELS={wanted} to train)"))


class Limits(msgspec.Struct):
    """Of a picture's pixels: transformers' name today."""

    shortest_edge: int | None = None


class ImageProcessor(msgspec.Struct):
    """What a checkpoint's processor says of small pictures, today and formerly."""

    size: Limits = msgspec.field(default_factory=Limits)
    min_pixels: int | None = None


def least_pixels(base: Path) -> tuple[Path, int] | None:
    """(file, pixels) below which the checkpoint's own processor enlarges a picture; None where no file says it."""
    for name, inner in ("preprocessor_config.json", None), ("processor_config.json", "image_processor"):
        if (base / name).is_file():
            config = read_object(base / name)
            try:
                processor = msgspec.convert(config.get(inner) if inner else config, ImageProcessor)
            except msgspec.ValidationError:
                continue  # of another kind than a Qwen-VL's: says nothing of pixels
            if least := processor.size.shortest_edge or processor.min_pixels:
                return base / name, least
    return None


def check_small_pages(base: Path, folder: Path, rows: list[dict]) -> Finding:
    """ms-swift sets a minimum of its own; whatever goes by the checkpoint's would see enlarged pages."""
    found = least_pixels(base)
    if found is None:
        return ok("small pages", "the checkpoint names no least number of pixels")
    file, least = found
    for name in dict.fromkeys(row["images"][0] for row in rows):
        with Image.open(folder / name) as picture:
            width, height = picture.size
        if width * height < least:
            what = f"{name}: {width}x{height} is less than the {least:,} pixels of {file}: ms-swift shows it as it is, "
            what += "a program that goes by that file (transformers alone, other servers) enlarges it"
            side = math.isqrt(least - 1) + 1
            fix = f"build pages of {side}x{side} or more, or train, score and serve with ms-swift alone"
            return warning("small pages", what, fix)
    return ok("small pages", f"none has less than {least:,} pixels, the checkpoint's own minimum")


def check_world(folder: Path, manifest: dict, data: Path) -> Finding:
    """A world that is to be walked: the one of the rows, with its own screenshots."""
    try:
        world = World(folder)
        world.check_pictures()
    except (DataError, WorldError) as error:
        return fault("world", str(error), f"give --world {data / 'world'}, or build the world again")
    if world.fingerprint != manifest["fingerprint"]:
        what = f"{folder} is world {world.fingerprint[:12]}, the rows of {data} are of {manifest['fingerprint'][:12]}"
        return fault("world", what, f"give --world {data / 'world'}, or write rows of this world")
    blank = f", the blind twin of {manifest['blank_of'][:12]}" if "blank_of" in manifest else ""
    return ok("world", f"{folder}: {len(world.graph.pages)} pages, fingerprint {world.fingerprint[:12]}{blank}")


# An evaluation to resume


def check_run(out: Path, model: str, manifest: dict) -> Iterator[Finding]:
    """Can an evaluation with ``--out OUT`` resume what is there?"""
    from common import identity  # of eval/

    anew = "give another --out, or remove the folder"
    found = [out / name for name in ANSWER_FILES if (out / name).is_file()]
    if not (out / "run.json").is_file():
        if found:
            yield fault("evaluation", f"{found[0]}: no run.json beside it, so it cannot be resumed", anew)
        return
    run = read_object(out / "run.json")
    data = field(out / "run.json", {"data": {}} | run, "data", dict)
    if data.get("sha256") != manifest["files"].get(data.get("name")):
        yield fault("evaluation", f"{out}: was started on other rows than these ({data.get('name')})", anew)
    if run.get("model") not in (None, identity(model)):
        name = field(out / "run.json", run, "model", dict).get("name")
        yield fault("evaluation", f"{out}: was started with another model, {name}", anew)
    for path in found:
        yield from check_lines(path)


def check_lines(path: Path) -> Iterator[Finding]:
    """Whole lines of JSON. A last half one is what a kill leaves, and is asked again; any other cannot be repaired."""
    *lines, rest = path.read_bytes().split(b"\n")
    broken = next((number for number, line in enumerate(lines, 1) if not _is_object(line)), None)
    if broken:
        fix = f"keep the first {broken - 1} lines, or remove the file: the rest is asked again"
        yield fault("evaluation", f"{path}:{broken}: half a line, or no JSON object", fix)
    elif rest:
        fix = "nothing: it is cut off and asked again"
        yield warning("evaluation", f"{path}:{len(lines) + 1}: half a line, as a kill leaves it", fix)
    else:
        yield ok("evaluation", f"{path}: {len(lines)} whole lines")


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False
