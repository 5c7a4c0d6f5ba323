"""Every command that reads files which anybody may have written or edited, times every damage: one line, no traceback.

A damaged file is refused (exit code 2), or harmless (0); the proof of a folder may also tell faults (1).
"""

import io
import json
import runpy
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from itertools import count, islice
from pathlib import Path

import pytest
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

import data_engine.sight.write  # noqa: F401  (its manifests have a shape once it is imported)
from data_engine.dataset import read_json, read_rows, sha256, write_json, write_rows
from data_engine.foreign import in_text, present
from data_engine.geometry import Size
from data_engine.login.tasks import Options
from data_engine.login.write import write
from data_engine.shapes import Manifest, manifest_misfit, misfit

REPO = Path(__file__).resolve().parents[1]
BARS = ("static:", "episodes:", "steps:", "verify:")
READS_NOTHING_FOREIGN = {  # script -> why it is not among COMMANDS
    "eval/probe.py": "draws its own questions",
    "tools/bench_eval.py": "measures speed on data that it makes or is given whole",
    "tools/bench_rl.py": "measures speed on data that it makes",
    "tools/bench_world.py": "measures speed on worlds that it builds",
    "tools/file_map.py": "reads the tree: tests/test_file_map.py",
    "tools/gpu_report.py": "reads what a recipe of ours leaves: tests/test_gpu_check.py",
    "tools/recipe_flags.py": "reads the recipes: tests/test_swift_versions.py",
    "tools/swift_versions.py": "makes its own data: tests/test_swift_versions.py",
    "tools/real_shapes.py": "makes a model: tests/test_gpu_check.py",
    "tools/doctor.py": "finds faults of a set-up: tests/test_doctor.py",
    "tools/make_tiny_model.py": "makes a model: tests/test_tiny_model.py",
    "tools/play.py": "shows a world: tests/test_play.py",
    "tools/ship_base.py": "packs what a recipe of ours has trained: tests/test_ship_base.py",
    "tools/stress.py": "makes its own data: tests/test_stress.py",
    "tools/token_table.py": "counts rows of ours: tests/test_real.py",
    "tools/show_world.py": "shows a world: tests/test_show_world.py",
    "tools/watch_checkpoints.py": "reads ms-swift's trainer_state.json: tests/test_watch_checkpoints.py",
}


# Damages


def file_damages(data: bytes) -> Iterator[tuple[str, bytes]]:
    """(name, bytes) of a damaged file."""
    text = data.decode()
    yield "empty", b""
    yield "blank line", b"\n"
    yield "UTF-16", text.encode("utf-16")
    yield "BOM", b"\xef\xbb\xbf" + data
    yield "no UTF-8", data[:20] + b"\xff\xfe" + data[20:]
    yield "list of numbers", b"[1, 2, 3]\n"
    yield "list of nulls", b"[null]\n"
    yield "number", b"5\n"
    yield "null", b"null\n"
    yield "text", b'"text"\n'
    yield "empty object", b"{}\n"
    yield "NaN", b"NaN\n"
    yield "NaN in an object", b'{"x": NaN}\n'
    yield "Infinity in a list", b"[Infinity]\n"
    yield "deep", b"[" * 100_000 + b"\n"
    yield "deep object", b'{"x":' * 100_000 + b"\n"
    yield "half", data[: len(data) // 2]


WRONG = (None, "text", -1, float("nan"), True, [], [1, 2, 3], {}, [None], [{}])
PARTS = [{"type": "text", "text": "Action: "}, {"type": "image"}, {"type": "text", "text": "DONE()"}]


def places(value: object, top: int, depth: int) -> Iterator[tuple]:
    """Paths of what can be damaged in a row or object: each key, and those of a list's first item."""
    if isinstance(value, dict) and depth:
        for key, inner in islice(value.items(), 30 if depth == top else 7):
            yield (key,)
            yield from ((key, *rest) for rest in places(inner, top, depth - 1))
    elif isinstance(value, list) and value and depth:
        yield (0,)
        yield from ((0, *rest) for rest in places(value[0], top, depth - 1))


def changed(value: object, place: tuple, new: object, gone: bool) -> object:
    """A copy of a value with one place changed, or gone."""
    copy = json.loads(json.dumps(value))
    inner = copy
    for key in place[:-1]:
        inner = inner[key]
    if gone:
        del inner[place[-1]]
    else:
        inner[place[-1]] = new
    return copy


def value_damages(value: object, depth: int, wrong: Sequence) -> Iterator[tuple[str, object]]:
    """(name, damaged value), every place times gone and every wrong value."""
    for place in places(value, depth, depth):
        name = ".".join(map(str, place))
        yield f"{name} gone", changed(value, place, None, True)
        for new in wrong:
            yield f"{name} = {new!r}", changed(value, place, new, False)


def damages(data: bytes, lines: bool, depth: int, wrong: Sequence) -> Iterator[tuple[str, bytes]]:
    """All damages of a file; of JSON lines, those of the first row."""
    yield from file_damages(data)
    first, rest = data.partition(b"\n")[::2] if lines else (data, b"")
    for name, value in value_damages(json.loads(first), depth, wrong):
        yield name, json.dumps(value).encode() + b"\n" + rest


# Commands


@dataclass
class Case:
    """A command on a file to damage. ``after``: what makes an edit look whole, as somebody's script might."""

    script: str
    flags: list
    file: Path
    after: Callable[[], None] = lambda: None
    few: bool = False  # damages, because it draws or is slow
    codes: tuple = (0, 2)
    lines: bool = field(init=False)

    def __post_init__(self):
        self.lines = self.file.suffix == ".jsonl"


OUTS = count()


def start(script: str, flags: list, out: Path) -> tuple[int, str]:
    """(exit code, stderr) of a script started as a user starts it, but in this process. OUT in ``flags``: a new one."""
    argv = [script, *(str(out / str(next(OUTS))) if flag == "OUT" else str(flag) for flag in flags)]
    errors = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stderr(errors), redirect_stdout(io.StringIO()):
        patch.setattr(sys, "argv", argv)
        patch.setattr(sys, "path", [str((REPO / script).parent), *sys.path])
        patch.setattr(Figure, "savefig", lambda *_, **__: None)  # most of the time of what draws
        patch.setattr(Figure, "tight_layout", lambda *_, **__: None)
        if "common" in sys.modules:
            patch.setattr(sys.modules["common"], "_git", lambda *_: "")  # most of the time of what scores
        try:
            if script.startswith("data_engine/"):
                runpy.run_module(script.removesuffix(".py").replace("/", "."), run_name="__main__")
            else:
                runpy.run_path(str(REPO / script), run_name="__main__")
            code = 0
        except SystemExit as end:
            code = end.code or 0
        finally:
            plt.close("all")
    return code, errors.getvalue()


def complaint(case: Case, out: Path) -> str | None:
    """What is wrong with how a command takes a damage."""
    try:
        code, errors = start(case.script, case.flags, out)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    said = [line for line in errors.replace("\r", "\n").splitlines() if line.strip() and not line.startswith(BARS)]
    if code not in case.codes or "Traceback" in errors or len(said) > 1 or (code == 2 and not said):
        return f"exit code {code}, {said}"
    return None


def rehash(folder: Path) -> None:
    """The manifest of an edited folder, made to fit; a manifest that is broken stays so."""
    manifest = read_json(folder / "manifest.json")
    manifest["files"] |= {name: sha256(folder / name) for name in manifest["files"] if (folder / name).is_file()}
    write_json(folder / "manifest.json", manifest)


@pytest.fixture(scope="module")
def room(small_data, tmp_path_factory) -> Path:
    """Data, runs of both benchmarks by the oracle, a training log, tables: one of each file that is read."""
    room = tmp_path_factory.mktemp("foreign")
    data, forms, run, out = room / "data", room / "forms", room / "run", room / "outs"
    shutil.copytree(small_data, data)
    write(forms, Options(episodes=2, seed=5, split="eval", page_size=Size(256, 192)))

    def play(script: str, place: Path, *flags: object) -> None:
        code, errors = start(f"eval/{script}.py", ["--engine", "oracle", "--out", place, *flags], out)
        assert code == 0, errors

    walk = ("--world", data / "world", "--tasks", data / "tasks_ood.jsonl", "--attempts", 2, "--limit", 3)
    play("gelab_static", run / "eval/sft/static_ood", "--data", data / "eval_ood.jsonl", "--limit", 8)
    play("gelab_interactive", run / "eval/sft/interactive_ood", *walk)
    play("gelab_static", room / "all", "--data", data / "sft.jsonl")
    play("login_eval", room / "filled/runs/steps", "--data", forms)
    play("login_eval", room / "filled/runs/loop", "--data", forms, "--closed-loop")
    shutil.copytree(data, run / "data")
    shutil.copytree(forms, room / "filled/data")
    log = [{"loss": 2.5, "global_step/max_steps": "1/5", "train_speed(s/it)": 1.5}, {"time": 3}]
    for folder in (run / "sft", room / "table/coord/model"):
        folder.mkdir(parents=True)
        write_rows(folder / "logging.jsonl", log)
        write_json(folder / "args.json", {})
    shutil.copytree(forms, room / "table/coord/data/eval")
    shutil.copytree(room / "filled/runs/loop", room / "table/coord/runs/closed_loop")
    (room / "table/coord/eval").mkdir()
    for name, source in ("base", "steps"), ("step_5", "steps"), ("closed_loop", "loop"):
        shutil.copy(room / f"filled/runs/{source}/metrics.json", room / f"table/coord/eval/{name}.json")
    probed = {"right": 0.5, "low": 0.2, "high": 0.7, "chance": 0.25, "rows": 60}
    (room / "table/coord/probe").mkdir()
    write_json(room / "table/coord/probe/metrics.json", {"metrics": {"point": probed, "mean": 0.5}})
    shutil.copytree(run / "eval/sft/static_ood", room / "worlds/base")
    rows = read_rows(run / "eval/sft/static_ood/predictions.jsonl")
    bare = [{k: v for k, v in row.items() if k not in ("bbox", "canvas")} for row in rows]
    write_json(room / "theirs.json", [theirs(row) for row in rows])
    write_rows(room / "bare.jsonl", bare)
    captions = [row for row in read_rows(room / "all/predictions.jsonl") if row["task"] == "caption"]
    write_rows(room / "captions.jsonl", captions[:2])
    return room


def theirs(row: dict) -> dict:
    """A row as the authors' RL files have them."""
    question, answer = (message["content"] for message in row["messages"][-2:])
    boxed = {"bbox_norm": [0, 0, 1000, 1000]} if row["bbox"] else {}
    return {"idx": row["idx"], "problem": question, "solution": answer, "prediction": answer, **boxed}


def cases(room: Path) -> dict[str, Case]:
    """Name -> a command on a file."""
    data, forms, run, filled, table = (room / n for n in ("data", "forms", "run", "filled", "table"))
    static, walks, steps, loop = (
        run / "eval/sft/static_ood",
        run / "eval/sft/interactive_ood",
        filled / "runs/steps",
        filled / "runs/loop",
    )
    flags = ["--engine", "oracle", "--out", "OUT"]
    ood = [*flags, "--data", data / "eval_ood.jsonl", "--limit", 3]
    tasks = [*flags, "--world", data / "world", "--tasks", data / "tasks_ood.jsonl", "--attempts", 1, "--limit", 2]
    again = {"data": lambda: rehash(data), "forms": lambda: rehash(forms)}
    published = [data / "world", data, "OUT"]
    found = {
        "export": Case("data_engine/gelab/export.py", published, data / "st_rl.jsonl", again["data"], few=True),
        "export manifest": Case("data_engine/gelab/export.py", published, data / "manifest.json", few=True),
        "score": Case("eval/gelab_score.py", [static / "predictions.jsonl"], static / "predictions.jsonl"),
        "score captions": Case("eval/gelab_score.py", [room / "captions.jsonl"], room / "captions.jsonl"),
        "score theirs": Case("eval/gelab_score.py", [room / "theirs.json"], room / "theirs.json"),
        "score bare": Case(
            "eval/gelab_score.py", [room / "bare.jsonl", "--world", data / "world"], room / "bare.jsonl"
        ),
        "forms strict": Case("eval/login_score.py", [steps / "predictions.jsonl"], steps / "predictions.jsonl"),
        "forms classic": Case(
            "eval/login_score.py", [steps / "predictions.jsonl", "--scoring", "classic"], steps / "predictions.jsonl"
        ),
        "static": Case("eval/gelab_static.py", ood, data / "eval_ood.jsonl", again["data"]),
        "static manifest": Case("eval/gelab_static.py", ood, data / "manifest.json"),
        "interactive": Case("eval/gelab_interactive.py", tasks, data / "tasks_ood.jsonl", again["data"]),
        "interactive manifest": Case("eval/gelab_interactive.py", tasks, data / "manifest.json"),
        "forms eval": Case("eval/login_eval.py", [*flags, "--data", forms], forms / "rows.jsonl", again["forms"]),
        "forms manifest": Case("eval/login_eval.py", [*flags, "--data", forms], forms / "manifest.json"),
        "forms loop manifest": Case(
            "eval/login_eval.py", [*flags, "--data", forms, "--closed-loop"], forms / "manifest.json"
        ),
        "replay": Case(
            "eval/gelab_static.py",
            ["--engine", "replay", "--model", static / "predictions.jsonl", *ood[2:]],
            static / "predictions.jsonl",
        ),
        "replay walks": Case(
            "eval/gelab_interactive.py",
            ["--engine", "replay", "--model", walks / "trajectories.jsonl", *tasks[2:]],
            walks / "trajectories.jsonl",
        ),
        "blind": Case(
            "eval/gelab_static.py",
            ["--engine", "blind", "--train-rows", room / "bare.jsonl", *ood[2:]],
            room / "bare.jsonl",
        ),
        "plot": Case(
            "eval/plot_metrics.py",
            ["--files", steps / "metrics.json", "--labels", "a", "--output", room / "plot.png"],
            steps / "metrics.json",
            few=True,
        ),
        "worlds": Case("eval/compare_worlds.py", [room / "worlds"], room / "worlds/base/metrics.json"),
        "proof": Case("tools/verify_data.py", [forms], forms / "rows.jsonl", few=True, codes=(1, 2)),
        "proof of manifest": Case("tools/verify_data.py", [forms], forms / "manifest.json", few=True, codes=(0, 1, 2)),
        "proof of pages": Case(
            "tools/verify_data.py", [data, "--limit", 5], data / "sft.jsonl", few=True, codes=(1, 2)
        ),
        "proof of world": Case(
            "tools/verify_data.py", [data / "world"], data / "world/manifest.json", few=True, codes=(0, 1, 2)
        ),
    }
    for folder, name in [(static, "predictions.jsonl"), (walks, "trajectories.jsonl"), (steps, "predictions.jsonl")]:
        for file in (name, "metrics.json"):
            place = folder.relative_to(room)
            found[f"paper {place}/{file}"] = Case(
                "eval/compare_with_paper.py", ["--scaled-down", folder], folder / file, few=file == "metrics.json"
            )
    for folder, name in (static, "predictions.jsonl"), (walks, "trajectories.jsonl"), (loop, "trajectories.jsonl"):
        for file in (name, "run.json", name.replace(".jsonl", ".start.json")):
            found[f"progress {folder.name}/{file}"] = Case("tools/progress.py", [folder], folder / file)
    found["progress log"] = Case("tools/progress.py", [run / "sft"], run / "sft/logging.jsonl")
    for file in (
        static / "metrics.json",
        walks / "metrics.json",
        walks / "trajectories.jsonl",
        run / "sft/logging.jsonl",
    ):
        found[f"summary {file.parent.name}/{file.name}"] = Case("eval/summary.py", [run], file, few=True)
    for name in ("eval/base.json", "eval/closed_loop.json", "probe/metrics.json", "model/logging.jsonl"):
        found[f"table {name}"] = Case("eval/login_table.py", [table], table / "coord" / name, few=True)
    for name in ("runs/closed_loop/trajectories.jsonl", "data/eval/manifest.json"):
        found[f"table {name}"] = Case("eval/login_table.py", [table], table / "coord" / name, few=True)
    page = ["--out", room / "r.html", "--walks", 1]
    for where, folder, name in (
        (run, static, "predictions.jsonl"),
        (run, walks, "trajectories.jsonl"),
        (filled, steps, "predictions.jsonl"),
        (filled, loop, "trajectories.jsonl"),
    ):
        for file in ("run.json", "metrics.json", name):
            found[f"report {folder.name}/{file}"] = Case("eval/report.py", [where, *page], folder / file, few=True)
    for file in (run / "data/manifest.json", run / "data/world/manifest.json", run / "sft/logging.jsonl"):
        name = f"report {file.relative_to(run)}"
        found[name] = Case("eval/report.py", [run, *page], file, few=True)
    manifest = filled / "data/manifest.json"
    found["report forms manifest"] = Case("eval/report.py", [filled, *page], manifest, few=True)
    return found


@pytest.mark.parametrize("thorough", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["", "thorough"])
@pytest.mark.parametrize("name", list(cases(Path())))
def test_a_damaged_file_is_one_line(room, tmp_path, name, thorough):
    case = cases(room)[name]
    depth, wrong = (3, (*WRONG, PARTS)) if thorough and not case.few else (2, (None, [1, 2, 3]))
    if case.few and not thorough:
        depth, wrong = 1, ([1, 2, 3],)
    data, manifest = case.file.read_bytes(), case.file.parent / "manifest.json"
    kept = manifest.read_bytes() if manifest.is_file() else None
    assert complaint(case, tmp_path) is None or case.codes[0] == 1, "whole"
    faults = []
    try:
        for damage, broken in damages(data, case.lines, depth, wrong):
            case.file.write_bytes(broken)
            if case.file != manifest:
                case.after()
            found = complaint(case, tmp_path)
            faults += [f"{damage}: {found}"] if found else []
    finally:
        case.file.write_bytes(data)
        if kept is not None:
            manifest.write_bytes(kept)
    assert not faults, "\n".join(faults)


def test_every_script_is_tried():
    """A later script that reads such files is added to ``cases``, or says why it needs not be."""
    scripts = {
        path.relative_to(REPO).as_posix()
        for folder in ("eval", "tools")
        for path in (REPO / folder).glob("*.py")
        if "__main__" in path.read_text(encoding="utf-8")
    }
    tried = {case.script for case in cases(Path()).values() if not case.script.startswith("data_engine/")}
    assert scripts == tried | READS_NOTHING_FOREIGN.keys()


# What exactly comes of some of them, worked by hand

LINES = [  # case, change of the first row, code, what the line says after the file and its line
    ("score", {"prediction": None}, 2, "row 0: no text under 'prediction'; run the evaluation to the end"),
    ("score", {"prediction": 5}, 2, "row 0: no text under 'prediction'"),
    ("score", {"prediction": ["a", "b"]}, 2, "row 0: no text under 'prediction'"),
    ("score", {"prediction": PARTS}, 0, ""),
    ("score", {"bbox": [1, 2, 3]}, 2, "row 0: bbox is a list of 3, expected `array` of length 4; write the rows again"),
    ("score", {"bbox": "1, 2, 3, 4"}, 2, "row 0: bbox is '1, 2, 3, 4', expected `array | null`"),
    ("score", {"bbox": [9, 9, 1, 1]}, 2, "row 0: the box [9, 9, 1, 1] has its corners exchanged"),
    ("score", {"canvas": [0, 5]}, 2, "row 0: canvas[0] is 0, expected `int` >= 1"),
    ("score", {"path": None}, 0, ""),
    ("score", {"path": "3"}, 2, "row 0: path is '3', expected `int`; run the evaluation again"),
    (
        "score",
        {"messages": [{"role": "user", "content": None}]},
        2,
        "row 0: messages[0].content is null, expected `str`",
    ),
    ("forms strict", {"prediction": PARTS}, 0, ""),
    ("forms strict", {"prediction": None}, 2, "needs text under 'prediction' and 'mode' coord or som"),
    ("forms strict", {"element": ["username"]}, 2, "element is a list of 1, expected `str | null`"),
    ("forms strict", {"scenario": None}, 0, ""),
]


@pytest.mark.parametrize("name, change, code, line", LINES)
def test_lines(room, tmp_path, name, change, code, line):
    case = cases(room)[name]
    data = case.file.read_bytes()
    rows = read_rows(case.file)
    try:
        write_rows(case.file, [rows[0] | change, *rows[1:]])
        found = start(case.script, case.flags, tmp_path)
    finally:
        case.file.write_bytes(data)
    assert found[0] == code and line in found[1] and (not line or f"{case.file}:1: " in found[1])


def test_null_is_absent_and_parts_are_text():
    row = {"a": None, "b": 1}
    assert present(row) == {"b": 1} and present(row, kept=("a",)) is row
    parts = [{"type": "text", "text": "CLICK("}, {"type": "image"}, {"type": "text", "text": "1)"}]
    asked = {
        "prediction": parts,
        "messages": [{"role": "user", "content": parts}, {"role": "assistant", "content": "x"}],
    }
    assert in_text(asked, "prediction") == {
        "prediction": "CLICK(1)",
        "messages": [{"role": "user", "content": "CLICK(1)"}, {"role": "assistant", "content": "x"}],
    }
    assert in_text(row, "b") is row and in_text({"b": ["x"]}, "b") == {"b": ["x"]}


@pytest.mark.parametrize(
    "value, words",
    [
        ({"arguments": {}}, "has no 'kind'"),
        ({"kind": 5, "arguments": {}}, "kind is 5, expected `str`"),
        ({"kind": "gelab-world", "arguments": {"captions": -1}}, "arguments.captions is -1, expected `bool`"),
        ({"kind": "sight-rows", "arguments": {}, "files": {"a": 1}}, "a value of files: Expected `str`, got `int`"),
        ({"kind": "login-rows", "arguments": {"system": True}, "files": {}}, "has no 'fingerprint'"),
        ([], "it is a list of 0, expected `object`"),
    ],
)
def test_what_does_not_fit_a_manifest(value, words):
    assert manifest_misfit(value) == words


def test_manifests_of_every_kind_fit(small_data, room):
    for folder in (small_data, small_data / "world", room / "forms"):
        assert manifest_misfit(read_json(folder / "manifest.json")) is None
    assert misfit({"kind": "of another program", "arguments": {}}, Manifest) is None


def test_a_long_proof_has_a_bar_with_a_total(small_data):
    """Eight rows of each of seven files and 26 pages; no bar before the two seconds are over."""
    module = runpy.run_path(str(REPO / "tools/verify_data.py"))
    seen = {}
    for delay in (0.0, 60.0):
        module["prove"].__globals__["SHORT"] = delay
        errors = io.StringIO()
        with redirect_stderr(errors):
            module["prove"](small_data, 8, lambda name, count: None)
        seen[delay] = errors.getvalue()
    assert "82/82" in seen[0.0] and seen[60.0] == ""
