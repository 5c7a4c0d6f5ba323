"""The records of benchmarks; and a third one, added to a copy of the tree as benchmark.py says, by two edits."""

import ast
import html
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from data_engine.benchmarks import BENCHMARKS, OF_FOLDERS, OF_ROWS, OF_RUNS, PROTOCOLS
from data_engine.dataset import read_json

REPO = Path(__file__).resolve().parents[1]
TOY = {  # file of tests/toy -> its place in the tree
    "benchmark.py": "data_engine/toy/benchmark.py",
    "evaluate.py": "eval/toy_eval.py",
    "reporter.py": "eval/html_report/toy.py",
}
EDITS = [  # all that existing files need
    ("data_engine/benchmarks.py", "import LOGIN\n", "import LOGIN\nfrom .toy.benchmark import TOY\n"),
    ("data_engine/benchmarks.py", "(GELAB, LOGIN)", "(GELAB, LOGIN, TOY)"),
    ("eval/html_report/reporters.py", "import gelab, login\n", "import gelab, login, toy\n"),
    ("eval/html_report/reporters.py", '"login": login}', '"login": login, "toy": toy}'),
]


class Tree:
    """A copy of the tree with the benchmark in it."""

    def __init__(self, folder: Path):
        self.folder = folder
        for room in ("data_engine", "swift_plugins", "eval", "tools"):
            shutil.copytree(REPO / room, folder / room, ignore=shutil.ignore_patterns("__pycache__"))
        (folder / "data_engine" / "toy").mkdir()
        (folder / "data_engine" / "toy" / "__init__.py").touch()
        for name, place in TOY.items():
            shutil.copyfile(REPO / "tests" / "toy" / name, folder / place)
        for name, before, after in EDITS:
            text = (folder / name).read_text(encoding="utf-8")
            assert text.count(before) == 1, (name, before)
            (folder / name).write_text(text.replace(before, after), encoding="utf-8")

    def run(self, *command: object, code: int = 0, **env: str) -> str:
        env = os.environ | {"PYTHONPATH": str(self.folder), **env}
        command = [sys.executable, *map(str, command)]
        done = subprocess.run(command, capture_output=True, text=True, env=env, cwd=self.folder)
        assert done.returncode == code, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Tree:
    """With 6 squares, and two agents asked: the oracle, and one that answers something else."""
    tree = Tree(tmp_path_factory.mktemp("tree") / "gui-swift")
    tree.run("-m", "data_engine.toy.benchmark", "run/data", 6)
    for engine in ("oracle", "random"):
        tree.run("eval/toy_eval.py", "--engine", engine, "--data", "run/data", "--out", f"run/eval/{engine}/steps_ood")
    return tree


def test_a_third_benchmark_is_proven(tree):
    assert tree.run("tools/verify_data.py", "run/data") == "rows.jsonl             6 rows checked\n"
    spoilt = tree.folder / "spoilt"
    shutil.copytree(tree.folder / "run" / "data", spoilt)
    text = (spoilt / "rows.jsonl").read_text(encoding="utf-8")
    (spoilt / "rows.jsonl").write_text(text.replace('"right"', '"left"', 1), encoding="utf-8")
    assert tree.run("tools/verify_data.py", "spoilt", code=1).splitlines()[1:] == [
        "spoilt/rows.jsonl: edited file: was changed after it was written; write the folder again",
        "spoilt/rows.jsonl:2: wrong row: 'left'; write the folder again",
        "spoilt: 2 faults",
    ]


def test_a_third_benchmark_is_scored_and_watched(tree):
    scores = [read_json(tree.folder / f"run/eval/{name}/steps_ood/metrics.json") for name in ("oracle", "random")]
    assert [one["metrics"] for one in scores] == [{"accuracy": 1.0, "rows": 6}, {"accuracy": 0.0, "rows": 6}]
    assert tree.run("tools/progress.py", "run").splitlines() == [
        "eval/oracle/steps_ood  evaluation  6/6 100% squares  finished  accuracy 1  rows 6",
        "eval/random/steps_ood  evaluation  6/6 100% squares  finished  accuracy 0  rows 6",
    ]


def test_a_third_benchmark_is_reported(tree):
    data = json.loads(tree.run("eval/report.py", "run", "--json"))
    (table,) = data["tables"]
    assert (table["benchmark"], data["benchmarks"], data["left_out"]) == ("squares", ["squares"], [])
    rows = [(row["agent"], row["values"]) for row in table["rows"]]
    assert rows == [("oracle", [1.0]), ("random", [0.0])]
    assert data["lead"][0] == "random finds 0 of 6 squares (0.0 %)."
    wrong = data["diagnoses"][1]
    assert (wrong["count"], wrong["unit"], wrong["failures"]) == (6, "answers", {"wrong element": 6})
    assert wrong["actions"]["counts"] == [[3], [3]] and wrong["set"] == "rows, step by step"
    page = html.unescape((tree.folder / "run" / "report.html").read_text(encoding="utf-8"))
    assert "Squares are black." in page and page.count("data:image/webp") == 2


def test_without_its_rows_its_numbers_stand(tree):
    shutil.copytree(tree.folder / "run" / "eval", tree.folder / "bare" / "eval")
    data = json.loads(tree.run("eval/report.py", "bare", "--json"))
    assert len(data["tables"][0]["rows"]) == 2 and data["diagnoses"] == []
    assert any("its rows are not below this folder" in sentence for sentence in data["missing"])


def test_a_third_benchmark_is_a_dataset_and_a_template(tree):
    code = """
import swift_plugins.register
from swift.dataset import load_dataset
from swift.template import TEMPLATE_MAPPING
rows, _ = load_dataset(["toy/rows"])
print(len(rows), rows[1]["messages"][-1]["content"], TEMPLATE_MAPPING["toy_qwen3_vl"].default_system)
"""
    env = {"TOY_DATA": "run/data", "MAX_PIXELS": str(224 * 224), "MODELSCOPE_CACHE": str(tree.folder / "cache")}
    assert tree.run("-c", code, **env).splitlines()[-1] == "6 right Answer left or right."
    again = tree.run("-c", "from checkpoint import OURS; print('toy_qwen3_vl' in OURS)", PYTHONPATH=_with_eval(tree))
    assert again == "True\n"


def _with_eval(tree: Tree) -> str:
    return f"{tree.folder}{os.pathsep}{tree.folder / 'eval'}"


def test_a_third_benchmark_is_checked_by_the_doctor(tree):
    code = """
import sys; sys.path.insert(0, "tools")
from pathlib import Path
from checkup import data
benchmark, manifest = data.open_data(Path("run/data"))
(found,) = data.check_rows(Path("run/data"), benchmark, 4)
(row, *_) = data.gold_rows(Path("run/data"), benchmark, 2)
print(benchmark.title, found.what, benchmark.lost(row, "left"), benchmark.lost(row, "right"), sep="; ")
"""
    assert tree.run("-c", code) == "squares; hashes of all files, and proven: rows.jsonl 4; None; score 0\n"


def test_names_and_kinds_are_of_one_benchmark_each():
    for table, keys in (
        (OF_ROWS, [one.rows_kind for one in BENCHMARKS]),
        (OF_FOLDERS, [kind for one in BENCHMARKS for kind in one.kinds]),
        (OF_RUNS, [protocol.kind for one in BENCHMARKS for protocol in one.protocols]),
        (PROTOCOLS, [protocol.kind for one in BENCHMARKS for protocol in one.protocols]),
    ):
        assert list(table) == keys
    datasets = [source.name for one in BENCHMARKS for source in one.datasets]
    assert len(set(datasets)) == len(datasets) and len({one.name for one in BENCHMARKS}) == len(BENCHMARKS)


@pytest.mark.parametrize("benchmark", BENCHMARKS, ids=lambda one: one.name)
def test_what_a_record_names_is_there(benchmark):
    assert all((REPO / protocol.script).is_file() for protocol in benchmark.protocols)
    for source in benchmark.datasets:
        assert (REPO / "data_engine" / f"{source.command.replace('.', '/')}.py").is_file()
        assert source.kind in benchmark.kinds
    assert benchmark.world_kind is None or benchmark.world_kind in benchmark.kinds


def test_every_reporter_has_all_parts():
    tree = ast.parse((REPO / "eval/html_report/reporters.py").read_text(encoding="utf-8"))
    (parts,) = (node.body for node in tree.body if isinstance(node, ast.ClassDef))
    names = {node.target.id for node in parts if isinstance(node, ast.AnnAssign)}
    names |= {node.name for node in parts if isinstance(node, ast.FunctionDef)}
    assert len(names) == 12
    sys.path.insert(0, str(REPO / "eval"))
    try:
        from html_report.reporters import REPORTERS
    finally:
        sys.path.remove(str(REPO / "eval"))
    assert list(REPORTERS) == [one.name for one in BENCHMARKS]
    assert all(names <= set(dir(reporter)) for reporter in REPORTERS.values())
