"""Worlds, rows and a tiny model that the tests share; everything is made once per run, in a temporary folder."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from data_engine.gelab.build import build
from data_engine.gelab.world import World
from data_engine.gelab.write import write
from data_engine.geometry import Size

REPO = Path(__file__).resolve().parents[1]
os.environ.setdefault("OMP_NUM_THREADS", "2")


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
def tiny_model(tmp_path_factory) -> Path:
    """An untrained Qwen2.5-VL-architecture checkpoint of about two million parameters."""
    out = tmp_path_factory.mktemp("models") / "tiny-qwen2_5_vl"
    script = REPO / "tools" / "make_tiny_model.py"
    subprocess.run([sys.executable, str(script), str(out), "--family", "qwen2_5_vl", "--size", "2m"], check=True)
    return out
