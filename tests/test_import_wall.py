"""The arrows between the rooms, as a test: who may import whom.

    geometry, seeds, dataset, episode  <-  gelab | login  <-  swift_plugins, eval, tools

Every import statement counts, also one inside a function, also ``importlib.import_module("name")``.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[1]
HEAVY = {"swift", "torch", "transformers", "vllm"}
ROOMS = ("data_engine", "swift_plugins", "eval", "tools")

# Folder -> what its files must not import. A file obeys every folder that it is in.
WALLS = {
    "data_engine": HEAVY | {"swift_plugins", "eval", "tools"},
    "data_engine/gelab": {"data_engine.login"},
    "data_engine/login": {"data_engine.gelab"},
    "swift_plugins": {"eval", "tools"},
    "eval": HEAVY | {"swift_plugins", "tools"},
    "tools": HEAVY | {"swift_plugins", "eval"},
}
# The shared ground: modules directly in data_engine/ know no benchmark.
GROUND = {"data_engine.gelab", "data_engine.login"}
# The doors in the walls, files or folders, each with its reason.
DOORS = {
    "data_engine/benchmarks.py": GROUND,  # the list of them
    "eval/checkpoint.py": HEAVY | {"swift_plugins"},  # the one door to a model; registers our templates
    "eval/decode.py": {"torch"},  # its sampling loop
    "eval/vision.py": {"torch"},  # its vision tower
    "tools/make_tiny_model.py": {"torch", "transformers"},  # makes a checkpoint
    "tools/real_shapes.py": {"torch"},  # makes one too
    "tools/tiny_model": {"torch", "transformers"},  # its parts
    "tools/token_table.py": {"transformers"},  # the tokenizer whose tokens it counts
    "tools/recipe_flags.py": {"swift", "transformers"},  # asks its argument classes
    "tools/ship_base.py": {"torch"},  # casts the weights of one
    "tools/bench_eval.py": {"eval"},  # times it
    "tools/bench_rl.py": {"swift_plugins"},  # times them
    "tools/checkup/paths.py": {"swift", "swift_plugins", "eval"},  # the doctor walks training's path and evaluation's
    "tools/checkup/machine.py": {"torch"},  # asks the GPUs for their memory
    "tools/checkup/data.py": {"eval"},  # a run's record is compared as the scripts compare it
}


def imports(path: Path, root: Path) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of everything that a file imports; relative names resolved."""
    package = path.relative_to(root).parent.parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join([*above, *filter(None, [node.module])])
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            if node.args and isinstance(node.args[0], ast.Constant):
                yield node.lineno, str(node.args[0].value)


def forbidden(name: str) -> set[str]:
    """What the file of this name (relative, with /) must not import."""
    walls = gather(WALLS, name)
    if name.startswith("data_engine/") and name.count("/") == 1:
        walls |= GROUND
    return walls - gather(DOORS, name)


def gather(rules: dict[str, set[str]], name: str) -> set[str]:
    """All that the rules say about a file: its own, and those of the folders that it is in."""
    return set().union(*(names for place, names in rules.items() if f"{name}/".startswith(f"{place}/")))


def violations(root: Path) -> list[str]:
    """One line for each wrong arrow under ``root``."""
    found = []
    for room in ROOMS:
        for path in sorted((root / room).rglob("*.py")):
            name = path.relative_to(root).as_posix()
            walls = forbidden(name)
            bare = {script.stem for script in (root / "eval").glob("*.py")} if room != "eval" else set()
            for line, imported in imports(path, root):
                if imported.partition(".")[0] in bare:  # scripts, run by path, know each other by bare names
                    imported = f"eval.{imported}"
                if any(imported == wall or imported.startswith(wall + ".") for wall in walls):
                    found.append(f"{name}:{line} imports {imported}")
    return found


def wrong_plugin_names(root: Path) -> list[str]:
    """Plugin files that could shadow a real module: ms-swift puts their folder first on sys.path."""
    names = [path.name for path in sorted((root / "swift_plugins").glob("*.py"))]
    return [n for n in names if not n.startswith("gui_") and n not in ("register.py", "__init__.py")]


def test_no_wrong_arrow():
    assert violations(REPO) == []


@pytest.mark.parametrize("room", ROOMS)
def test_no_room_is_empty(room):
    assert list((REPO / room).rglob("*.py")), f"{room}/ has no Python file: the wall guards nothing"


@pytest.mark.parametrize("door", DOORS)
def test_doors_exist(door):
    assert (REPO / door).exists(), f"{door} is gone: take its door out of the wall"


def test_recipes_hold_no_python():
    assert list((REPO / "recipes").rglob("*.py")) == []


def test_plugin_names():
    assert wrong_plugin_names(REPO) == []


def test_core_stays_light():
    code = f"import sys, data_engine.gelab.env, data_engine.login.verify; print(sorted({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


PLANTED = [
    ("data_engine/geometry.py", "import torch", "torch"),
    ("data_engine/gelab/env.py", "def f():\n    from swift.rewards import ORM", "swift.rewards.ORM"),
    ("data_engine/gelab/env.py", "from ..login import forms", "data_engine.login.forms"),
    ("data_engine/gelab/env.py", "from .. import login", "data_engine.login"),
    ("data_engine/login/env.py", "from data_engine.gelab.graph import Page", "data_engine.gelab.graph.Page"),
    ("data_engine/episode.py", "from .gelab import env", "data_engine.gelab.env"),
    ("data_engine/seeds.py", "import importlib\nimportlib.import_module('swift_plugins')", "swift_plugins"),
    ("swift_plugins/gui_rewards.py", "import tools.play", "tools.play"),
    ("eval/report.py", "import transformers as t", "transformers"),
    ("eval/engines.py", "import swift", "swift"),
    ("eval/report.py", "import swift_plugins.register", "swift_plugins.register"),
    ("tools/make_tiny_model.py", "import swift", "swift"),
    ("tools/play.py", "import torch.nn", "torch.nn"),
    ("tools/tiny_models.py", "import torch", "torch"),
]


@pytest.mark.parametrize("name, code, imported", PLANTED)
def test_a_planted_violation_is_caught(tmp_path, name, code, imported):
    path = tmp_path / name
    path.parent.mkdir(parents=True)
    path.write_text(code)
    assert [v.partition(" imports ")[2] for v in violations(tmp_path)] == [imported]


def test_a_script_under_its_bare_name_is_caught(tmp_path):
    for name, code in (
        ("eval/engines.py", ""),
        ("eval/summary.py", "import engines"),
        ("tools/play.py", "import engines"),
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(code)
    assert violations(tmp_path) == ["tools/play.py:1 imports eval.engines"]


ALLOWED = [
    ("data_engine/gelab/env.py", "from ..geometry import Box\nfrom . import graph\nimport numpy, swiftly"),
    ("data_engine/gelab/env.py", "text = 'import torch'  # import swift"),
    ("swift_plugins/gui_rewards.py", "from swift.rewards import ORM\nimport data_engine.gelab.scoring"),
    ("eval/checkpoint.py", "import torch\nimport swift\nimport swift_plugins.register"),
    ("tools/make_tiny_model.py", "import torch, transformers"),
]


@pytest.mark.parametrize("name, code", ALLOWED)
def test_what_is_allowed_passes(tmp_path, name, code):
    path = tmp_path / name
    path.parent.mkdir(parents=True)
    path.write_text(code)
    assert violations(tmp_path) == []


def test_a_shadowing_plugin_name_is_caught(tmp_path):
    for name in ("__init__.py", "register.py", "gui_rewards.py", "datasets.py"):
        (tmp_path / "swift_plugins").mkdir(exist_ok=True)
        (tmp_path / "swift_plugins" / name).touch()
    assert wrong_plugin_names(tmp_path) == ["datasets.py"]
