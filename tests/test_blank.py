"""The blind twin: the same rows over blank pages, never to be confused with the original; and its recipe, for real."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from data_engine.dataset import DataError, read_json, sha256
from data_engine.gelab.blank import blank
from data_engine.gelab.verify import verify
from data_engine.gelab.world import World, read_pixels
from data_engine.gelab.write import write

REPO = Path(__file__).resolve().parents[1]
INTERACTIVE = "eval/gelab_interactive.py"


@pytest.fixture(scope="module")
def twin(small_data, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("blank") / "twin"
    blank(small_data, out)
    return out


def test_the_rows_are_the_same_bytes(small_data, twin):
    names = sorted(read_json(small_data / "manifest.json")["rows"])
    assert len(names) == 7
    assert [sha256(twin / name) for name in names] == [sha256(small_data / name) for name in names]


def test_the_pages_are_blank_and_as_large(small_data, twin):
    seeing, blind = World(small_data / "world"), World(twin / "world")
    assert blind.graph.pages == seeing.graph.pages and len(blind.graph.pages) == 26
    for page in blind.graph.pages:
        pixels = read_pixels(blind.picture(page))
        assert pixels.shape == read_pixels(seeing.picture(page)).shape == (112, 112, 3)
        assert (pixels == 255).all()


def test_both_manifests_say_whose_twin_it_is(small_data, twin):
    original = World(small_data / "world").fingerprint
    for folder in (twin, twin / "world"):
        manifest = read_json(folder / "manifest.json")
        assert manifest["blank_of"] == original != manifest["fingerprint"]
    assert "blank_of" not in read_json(small_data / "manifest.json")


def test_it_is_proven_like_any_other_and_a_page_that_shows_something_is_found(twin, small_data, tmp_path):
    assert verify(twin).faults == []
    blank(small_data, tmp_path / "twin")
    page = tmp_path / "twin" / "world" / "pages" / "page_3.png"
    page.write_bytes((small_data / "world" / "pages" / "page_3.png").read_bytes())
    kinds = verify(tmp_path / "twin", limit=1).kinds
    assert kinds["wrong screenshot"] == kinds["wrong fingerprint"] == 1 and kinds["edited file"]


def test_again_it_is_there_and_other_uses_are_one_line(cli, twin, small_data, small_world, tmp_path):
    before = (twin / "manifest.json").stat().st_mtime_ns
    done = cli("data_engine.gelab.blank", small_data, twin)
    assert done.returncode == 0 and "blank, fingerprint" in done.stdout
    assert (twin / "manifest.json").stat().st_mtime_ns == before
    with pytest.raises(DataError, match="blank already"):
        blank(twin, tmp_path / "again")
    with pytest.raises(DataError, match="lies inside"):
        blank(small_data, small_data / "twin")
    done = cli("data_engine.gelab.blank", small_world, tmp_path / "of-a-world")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1) and "not 'gelab-rows'" in done.stderr
    write(small_world, tmp_path / "seeing")
    with pytest.raises(DataError, match="other arguments"):
        blank(small_data, tmp_path / "seeing")  # there lie the rows that see


def test_twin_and_original_cannot_be_mixed(cli, small_data, twin, tmp_path):
    flags = ["--engine", "oracle", "--tasks", twin / "tasks_ood.jsonl", "--out", tmp_path / "out"]
    done = cli(INTERACTIVE, *flags, "--world", small_data / "world")
    assert done.returncode == 2 and "is not the world of" in done.stderr


def test_a_score_says_that_it_is_blank_and_stands_beside_the_seeing_one(cli, small_data, twin, tmp_path):
    for agent, data in ("sft", small_data), ("sft_blank", twin):
        out = tmp_path / "run" / "eval" / agent / "static_ood"
        done = cli("eval/gelab_static.py", "--engine", "blind", "--data", data / "eval_ood.jsonl", "--out", out)
        assert done.returncode == 0, done.stderr
    assert read_json(out / "run.json")["data"]["blank_of"] == World(small_data / "world").fingerprint
    os.symlink(small_data, tmp_path / "run" / "data")
    done = cli("eval/summary.py", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    rows = [line for line in done.stdout.splitlines() if line.startswith("| sft")]
    assert rows[0].startswith("| sft |") and rows[1].startswith("| sft_blank (blank) |")
    assert rows[0].split("|")[2:] == rows[1].split("|")[2:]  # the blind engine never looks


def test_the_resized_twin_is_white_in_memory_too(twin):
    assert np.unique(World(twin / "world").screenshot("page_0")).tolist() == [255]


def test_an_unknown_stage_is_one_line(tmp_path):
    env = os.environ | {"STAGE": "blind_twin", "RUN": str(tmp_path / "run")}
    env["PATH"] = f"{Path(sys.executable).parent}:{env['PATH']}"
    command = ["bash", str(REPO / "recipes" / "gelab" / "blind_twin.sh")]
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "") and not (tmp_path / "run").exists()
    assert done.stderr == "STAGE=blind_twin: unknown; known are sft, sft_lora, st_rl, mt_rl\n"


@pytest.mark.slow
def test_the_recipe_with_a_tiny_model(small_data, tiny_model, tmp_path):
    run = tmp_path / "run"
    env = {name: value for name, value in os.environ.items() if name not in ("STAGE", "RESUME", "NPROC_PER_NODE")}
    env |= {"RUN": str(run), "GELAB_DATA": str(small_data), "MODEL": str(tiny_model), "MAX_PIXELS": "12544"}
    env |= {"LIMIT": "1", "ATTEMPTS": "1", "TOKENS": "4", "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    env |= {"PATH": f"{Path(sys.executable).parent}:{env['PATH']}", "PYTHONPATH": str(REPO)}
    cpu = "--use_cpu true --torch_dtype float32 --attn_impl sdpa --freeze_vit false --freeze_aligner false".split()
    cpu += "--gradient_checkpointing false --dataloader_num_workers 0 --dataset_num_proc 1 --report_to none".split()
    cpu += ["--deepspeed", "", "--max_steps", "2", "--logging_steps", "1"]
    command = ["bash", str(REPO / "recipes" / "gelab" / "blind_twin.sh"), *cpu]
    done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    trained = read_json(run / "blank" / "sft" / "checkpoint-2" / "trainer_state.json")
    assert trained["global_step"] == 2
    for name in ("static_id", "static_ood", "interactive_id", "interactive_ood"):
        found = read_json(run / "eval" / "sft_blank" / name / "metrics.json")["run"]
        assert found["data"]["blank_of"] == World(small_data / "world").fingerprint
        assert found["model"]["name"] == str(run / "blank" / "sft" / "checkpoint-2")
