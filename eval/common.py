"""What the evaluation scripts share: their flags, the check that data fits the code, and where a number came from."""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from api import usage
from dialects import DIALECTS
from engines import CHECKPOINTS, ENGINES, LEARNERS, Engine, make_engine
from settings import CACHE, Settings

from data_engine.answer import cleaned
from data_engine.benchmark import Benchmark
from data_engine.cli import json_object, positive, real, whole
from data_engine.dataset import DataError, read_manifest, sha256, verified_path, write_json
from data_engine.episode import Request
from data_engine.runlog import nothing, open_run

REPO = Path(__file__).resolve().parents[1]
GROUPS = {"by_length": "length ", "by_subtree": ""}  # metrics with a line for each of their parts -> what heads it
AT_ONCE = 4  # batches; what a killed run may have to ask again


def engine_flags(parser: argparse.ArgumentParser) -> None:
    """The flags of every script that asks a model."""
    parser.add_argument("--engine", required=True, choices=ENGINES, help="who answers")
    parser.add_argument("--model", help="checkpoint folder or hub name; for replay: a results file; a server's name")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run; a started run is continued")
    parser.add_argument(
        "--train-rows", type=Path, help="rows that blind and text_only learn from; default: sft.jsonl beside the data"
    )
    parser.add_argument("--template", help="ms-swift template; default: ours for the model's family")
    parser.add_argument("--max-new-tokens", type=positive, default=256, metavar="N", help="of an answer")
    parser.add_argument("--batch-size", type=positive, help="requests answered together; default: 64, at a server 16")
    parser.add_argument("--seed", type=whole(), default=0, help="of the samples")
    parser.add_argument("--limit", type=positive, help="only the first N rows or tasks")
    parser.add_argument("--json", action="store_true", help="print the metrics as JSON")
    vllm = parser.add_argument_group("vllm")
    vllm.add_argument(
        "--gpu-memory-utilization",
        type=real(0.01, 1),
        default=0.9,
        metavar="X",
        help="of the GPU; default: %(default)s",
    )
    vllm.add_argument("--enforce-eager", action="store_true", help="start sooner, answer more slowly")
    server = parser.add_argument_group("openai and anthropic (--batch-size: requests under way at once)")
    server.add_argument("--price", type=real(0), nargs=2, metavar=("IN", "OUT"), help="US dollars for a million tokens")
    server.add_argument(
        "--cache", type=Path, default=CACHE, help="folder of all replies so far; default: runs/api_cache"
    )
    server.add_argument(
        "--extra", type=json_object, help="""fields of the request, as JSON: '{"temperature": null}' takes one out"""
    )


def answers(engine: Engine, asked: Sequence[Request], settings: Settings) -> Iterator[str]:
    """Greedy answers, in order. A checkpoint gets several batches at once, to sort them and to ask equals once."""
    size = settings.batch_size * (AT_ONCE if settings.engine in CHECKPOINTS else 1)
    for start in range(0, len(asked), size):
        yield from map(cleaned, engine.answer(asked[start : start + size], temperature=0.0, seed=settings.seed))


def loading(engine: Engine) -> Callable[[], object]:
    """Loads the engine's model when called; does nothing for an engine without one."""
    return getattr(engine, "load", nothing)


def engine_and_run(
    settings: Settings, kind: str, data: Path, manifest: dict, engine: Engine | None = None, **more: object
) -> tuple[Engine, dict]:
    """(engine, record of the run): the record holds everything that decides the answers. Raises DataError.

    The engine is made first, so that a wrong --engine or --model leaves no started run behind; or a benchmark gives
    one of its own as ``engine``.
    """
    settings = replace(settings, train_rows=settings.train_rows or data.parent / "sft.jsonl")
    own = engine is not None
    engine = engine or make_engine(settings, manifest["max_pixels"])
    run = {
        "kind": kind,
        "data": data_record(data.name, manifest),
        "engine": settings.engine,
        "model": identity(settings.model),
        "train_rows": sha256(settings.train_rows) if settings.engine in LEARNERS and not own else None,
        "template": settings.template,
        "seed": settings.seed,
        "max_new_tokens": settings.max_new_tokens,
        "limit": settings.limit,
        **({"server": engine.server, "extra": settings.extra} if settings.engine in DIALECTS else {}),
        **({"runs_on": engine.runs_on} if settings.engine in CHECKPOINTS and not own else {}),
        **more,
    }
    open_run(settings.out, run)
    return engine, run


def data_record(name: str, manifest: dict) -> dict:
    """Which rows: their file, its sha256 and number of rows, the world's fingerprint; for a blind twin, the original's
    too; and the protocol, where it is not the paper's. Raises DataError for a file that the manifest does not name."""
    if name not in manifest["files"] or name not in manifest["rows"]:
        raise DataError(f"{name}: not in the manifest beside it, or its rows are not counted there; write it again")
    twin = {"blank_of": manifest["blank_of"]} if "blank_of" in manifest else {}
    facts = {"sha256": manifest["files"][name], "rows": manifest["rows"][name], "fingerprint": manifest["fingerprint"]}
    other = {"protocol": manifest["protocol"]} if "protocol" in manifest else {}
    return {"name": name, **facts, **twin, **other}


def world_of(run: dict) -> str | None:
    """The world that a run's record names; a blind twin counts to the world that it is the twin of."""
    data = run.get("data", {})
    return data.get("blank_of") or data.get("fingerprint")


def spent(settings: Settings) -> dict:
    """``api`` of metrics.json: tokens, seconds and cost of a run that asked a server; nothing for the others."""
    return {"api": usage(settings.requests, settings.price)} if settings.engine in DIALECTS else {}


def checked_manifest(data: Path, benchmark: Benchmark) -> dict:
    """The manifest beside a data file. Raises DataError where the file has changed since, or the prompt builder."""
    manifest = read_manifest(data.parent, benchmark.rows_kind)
    verified_path(data.parent, data.name, manifest)
    if manifest["prompt_sha256"] != benchmark.prompt_hash(manifest["arguments"]):
        raise DataError(f"{data}: its prompts come from another version of the prompt builder; write the rows again")
    return manifest


def identity(model: str | None) -> dict | None:
    """Tells two models under one path apart: ``files`` is [name, bytes, time of change in ns] of each weights file."""
    if model is None or not Path(model).exists():
        return {"name": model} if model else None
    files = [Path(model)] if Path(model).is_file() else sorted(Path(model).glob("*.safetensors"))
    return {"name": model, "files": [[f.name, f.stat().st_size, f.stat().st_mtime_ns] for f in files]}


def provenance() -> dict:
    """Commit (``+`` if the tree has changes) and command of this run."""
    commit = _git("rev-parse", "HEAD")
    dirty = "+" if commit and _git("status", "--porcelain", "--untracked-files=no") else ""
    return {"commit": (commit or "unknown") + dirty, "command": " ".join(["python", *sys.argv])}


def _git(*args: str) -> str:
    done = subprocess.run(["git", "-C", str(REPO), *args], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def finish(out: Path | None, metrics: dict, run: dict, as_json: bool, text: str | None = None, **more: object) -> None:
    """Write metrics.json (with ``more`` on top) and show the metrics, or ``text`` in their place."""
    result = {**more, "metrics": metrics, "run": run, **provenance()}
    if out:
        write_json(out, result)
    print(json.dumps(result, indent=2) if as_json else text or table(metrics))
    if "api" in more and not as_json:
        print("server: " + "  ".join(f"{name} {number(value)}" for name, value in more["api"].items()))


def side_by_side(columns: dict[str, dict]) -> str:
    """Metrics of several policies: one line a metric, one column a policy; counts by name of the first alone."""
    first = next(iter(columns.values()))
    names = [name for name, value in first.items() if not isinstance(value, dict)]
    cells = [["", *columns], *([name, *(number(m.get(name)) for m in columns.values())] for name in names)]
    wide = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(line, wide, strict=True)).rstrip() for line in cells]
    return "\n".join(lines + [f"{name}: {show(value)}" for name, value in first.items() if isinstance(value, dict)])


def number(value: float | None) -> str:
    """Four decimals of a fraction; a count as it is."""
    return "n/a" if value is None else f"{value:.4f}" if isinstance(value, float) else str(value)


def table(metrics: dict) -> str:
    """Metrics as lines of text: fractions in percent, counts as they are."""
    lines = []
    for name, value in metrics.items():
        if name in GROUPS:
            lines += [f"  {GROUPS[name]}{n}: {show(row)}" for n, row in value.items()]
        else:
            lines.append(f"{name:18} {show(value)}")
    return "\n".join(lines)


def show(value: object) -> str:
    """A fraction in percent, an interval of two in percent, a dict by its names, a count as it is."""
    if isinstance(value, dict):
        return "  ".join(f"{k} {show(v)}" for k, v in value.items()) or "none"
    if isinstance(value, list):  # an interval
        return f"{100 * value[0]:.2f} to {100 * value[1]:.2f} %"
    return "n/a" if value is None else f"{100 * value:.2f} %" if isinstance(value, float) else str(value)
