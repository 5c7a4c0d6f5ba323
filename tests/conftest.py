"""Worlds, rows and a tiny model that the tests share; everything is made once per run, in a temporary folder."""

import importlib.util
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from types import ModuleType

import pytest
from fake_server import Fake
from hypothesis import settings

from data_engine.gelab.build import build
from data_engine.gelab.world import World
from data_engine.gelab.write import Options, write
from data_engine.geometry import Size

REPO = Path(__file__).resolve().parents[1]
os.environ.setdefault("OMP_NUM_THREADS", "1" if "PYTEST_XDIST_WORKER" in os.environ else "2")
# The same examples on every run; no time limit per example, because machines differ.
settings.register_profile("suite", deadline=None, derandomize=True, database=None)
settings.load_profile("suite")


@pytest.fixture(scope="module", autouse=True)
def _environment():
    """What ms-swift writes into the environment with a model (MAX_PIXELS among it) ends with the test file."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="session")
def repo() -> Path:
    return REPO


@pytest.fixture(scope="session")
def reference() -> Path:
    """The authors' own files, where the machine has them: GUI_SWIFT_REFERENCE names the folder."""
    folder = os.environ.get("GUI_SWIFT_REFERENCE")
    if not folder:
        pytest.skip("GUI_SWIFT_REFERENCE is not set: the authors' reference data is not on this machine")
    return Path(folder)


@pytest.fixture(scope="session")
def small_world(tmp_path_factory) -> Path:
    """A world of 26 pages at 112 x 112 pixels."""
    out = tmp_path_factory.mktemp("worlds") / "small"
    build(out, tree=(5, 2, 1), seed=7, page_size=Size(112, 112))
    return out


@pytest.fixture(scope="session")
def world(small_world) -> World:
    return World(small_world)


@pytest.fixture(scope="session")
def rows_of(tmp_path_factory):
    """rows_of(size): the row files of a world of 26 pages of that size, made anew."""

    def make(size: Size) -> Path:
        folder = tmp_path_factory.mktemp("gelab")
        build(folder / "world", tree=(5, 2, 1), seed=7, page_size=size)
        write(folder / "world", folder / "data")
        return folder / "data"

    return make


@pytest.fixture(scope="session")
def small_data(small_world, tmp_path_factory) -> Path:
    """All row files of the small world."""
    out = tmp_path_factory.mktemp("rows") / "small"
    write(small_world, out)
    return out


@pytest.fixture(scope="session")
def paper_world(tmp_path_factory) -> Path:
    """The paper's Env-Base shape, generated: 231 pages."""
    out = tmp_path_factory.mktemp("worlds") / "paper"
    build(out)
    return out


@pytest.fixture(scope="session")
def paper_data(paper_world, tmp_path_factory) -> Path:
    """All row files of the paper-sized world."""
    out = tmp_path_factory.mktemp("rows") / "paper"
    write(paper_world, out)
    return out


@pytest.fixture(scope="session")
def authors_world(reference, tmp_path_factory) -> Path:
    """The authors' own structure with built-in pictures."""
    out = tmp_path_factory.mktemp("worlds") / "authors"
    build(out, structure_file=reference / "ui_structure.json", page_size=Size(112, 112))
    return out


@pytest.fixture
def server():
    """A fake server of models (fake_server.py) on loopback."""
    fake = Fake()
    yield fake
    fake.shutdown()
    fake.server_close()


@pytest.fixture(scope="session")
def cli(tmp_path_factory):
    """cli("eval/x.py" or "package.module", *arguments, **environment): a script as a user starts it, elsewhere."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")

    def cli(script: str, *arguments: object, cwd: Path = elsewhere, **environment: str) -> subprocess.CompletedProcess:
        start = [str(REPO / script)] if script.endswith(".py") else ["-m", script]
        clean = {name: value for name, value in os.environ.items() if name != "MAX_PIXELS"}
        env = clean | {"PYTHONPATH": str(REPO)} | environment
        command = [sys.executable, *start, *map(str, arguments)]
        return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)

    return cli


@pytest.fixture(scope="session")
def eval_module():
    """eval_module("summary"): the script eval/summary.py as a module; its folder is on the path while it loads."""
    return partial(load_script, "eval")


@pytest.fixture(scope="session")
def tool_module():
    """tool_module("doctor"): the same for tools/doctor.py."""
    return partial(load_script, "tools")


def load_script(room: str, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"{name}_under_test", REPO / room / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(REPO / room))
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def scripted():
    """tests/scripted_policy.py, whose behaviours the fast tests share with the real runs."""
    import scripted_policy

    return scripted_policy


@pytest.fixture(scope="session")
def engine_data(cli, tmp_path_factory) -> Path:
    """For tests with vLLM and DeepSpeed: rows of a world of 26 pages in data/, the small base model in base/."""
    folder = tmp_path_factory.mktemp("engines")
    build(folder / "world", tree=(5, 2, 1), seed=7, page_size=Size(160, 352))
    write(folder / "world", folder / "data", Options(clicks="center"))
    made = cli("tools/make_tiny_model.py", folder / "base", "--from-base")
    assert made.returncode == 0, made.stderr
    return folder


@pytest.fixture(scope="session")
def trained(engine_data) -> Path:
    """A checkpoint of the base model that answers in GE-Lab's form, engine_data/sft/checkpoint-40."""
    import on_cpu

    env = on_cpu.environment(engine_data, MODEL=engine_data / "base", OUTPUT=engine_data / "sft")
    muon = ("--optimizer", "gui_muon", "--learning_rate", "1e-3", "--adam_beta2", "0.99", "--deepspeed", "")
    size = ("--per_device_train_batch_size", "8", "--max_steps", "40", "--save_steps", "40")
    return on_cpu.start("gelab/sft.sh", env, *muon, *size) / "checkpoint-40"


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory) -> Path:
    """An untrained Qwen2.5-VL-architecture checkpoint of about two million parameters."""
    out = tmp_path_factory.mktemp("models") / "tiny-qwen2_5_vl"
    script = REPO / "tools" / "make_tiny_model.py"
    subprocess.run([sys.executable, str(script), str(out), "--family", "qwen2_5_vl", "--size", "2m"], check=True)
    return out


@pytest.fixture(scope="session")
def real_models(tmp_path_factory) -> dict[str, Path]:
    """Family -> a tiny checkpoint with the family's own tokenizer, where `make test-real` has laid its packages."""
    packages = Path(os.environ.get("GUI_SWIFT_REAL") or REPO / "build" / "real")
    if not packages.is_dir():
        pytest.skip(f"{packages} is not there: `make test-real` lays the packages with the families' tokenizers there")
    folder = tmp_path_factory.mktemp("real")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(REPO / "tools"))
        from make_tiny_model import FAMILIES, make_real

        for family in FAMILIES:
            make_real(folder / family, family)
    return {family: folder / family for family in FAMILIES}
