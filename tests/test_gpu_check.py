"""recipes/gpu_check.sh: the CPU form for real, a stage that fails, no GPU; its formulas by hand; the shapes' sizes."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import fake_programs
import pytest

from data_engine.dataset import DataError, write_json, write_rows

REPO = Path(__file__).resolve().parents[1]
USERS = ("NPROC_PER_NODE", "RESUME", "MODEL", "GELAB_DATA", "MAX_PIXELS", "TEMPLATE", "ADAPTER", "GUARD_STEPS", "GPUS")
USERS += ("DEVICE", "STEPS", "WITHIN", "SHAPES", "OUTPUT", "CUDA_VISIBLE_DEVICES")


def start(output: Path, path: Path | None = None, **environment: str) -> subprocess.CompletedProcess:
    programs = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    env = fake_programs.clean(USERS, OUTPUT=str(output), PATH=f"{path}:{programs}" if path else programs)
    command = ["bash", str(REPO / "recipes" / "gpu_check.sh")]
    return subprocess.run(command, env=env | environment, capture_output=True, text=True)


def lines(done: subprocess.CompletedProcess) -> dict[str, str]:
    """Step -> what is told about it."""
    return dict(re.findall(r"^- ([\w.-]+)(?:, \d+ s:)? (.*)$", done.stdout, re.MULTILINE))


@pytest.mark.slow
def test_the_steps_run_on_a_cpu(tmp_path):
    done = start(tmp_path / "out", DEVICE="cpu", STEPS="3", WITHIN="300")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    said = lines(done)
    assert list(said) == [
        *("data", "sft", "resume", "st_rl", "mt_rl", "model-tiny", "lora-tiny", "full-tiny"),
        *("eval-transformers", "eval-vllm"),
    ]
    assert re.match(r"steps 2 to \d ran twice, losses apart by 0.0e\+00 at most; step 1: .*, step 3: ", said["resume"])
    assert (said["st_rl"], said["mt_rl"]) == ("checkpoint-3", "checkpoint-3")
    for speed in (said["lora-tiny"], said["full-tiny"]):
        assert re.match(r"\d+\.\d+ samples/s, [\d,]+ tokens/s, .*, no GPU memory, .* no MFU", speed)
    assert re.match(r"\d+\.\d answers/s \(CPU time", said["eval-transformers"])
    assert re.findall(r"^\| (\w+\.sh) \| tiny \| \d+\.\d \| estimate \| yes \|$", done.stdout, re.MULTILINE) == [
        *("sft_lora.sh", "sft.sh", "st_rl.sh", "mt_rl.sh")
    ]
    assert (tmp_path / "out" / "summary.md").read_text() == done.stdout


def test_a_failed_step_is_one_line_and_the_next_goes_on(tmp_path):
    """A swift that can do nothing, and says so as ms-swift does."""
    (tmp_path / "bin").mkdir()
    swift = tmp_path / "bin" / "swift"
    swift.write_text("#!/bin/sh\necho 'Traceback' >&2\necho 'RuntimeError: planted' >&2\necho 'the end'\nexit 1\n")
    swift.chmod(0o755)
    python = tmp_path / "bin" / "python"  # evaluation is no part of this test
    python.write_text(f'#!/bin/sh\ncase "$1" in *bench_eval.py) exit 1 ;; esac\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    done = start(tmp_path / "out", tmp_path / "bin", DEVICE="cpu", STEPS="3")
    said = lines(done)
    assert (done.returncode, done.stderr) == (1, "")
    assert said["sft"] == said["lora-tiny"] == said["full-tiny"] == "FAILED: RuntimeError: planted"
    assert said["resume"] == "FAILED: there is no checkpoint to go on from"
    assert re.match("FAILED: MODEL=.*/sft/checkpoint-3: no such folder; ", said["st_rl"])
    assert "FAILED" not in said["model-tiny"] and "bench.json" in said["eval-transformers"]
    assert done.stdout.endswith("\n7 failed\n")
    again = start(tmp_path / "out", DEVICE="cpu")
    assert again.returncode == 2 and re.fullmatch("OUTPUT=.*: is there already; .*\n", again.stderr)


def test_without_a_gpu_it_says_how_to_see_it(tmp_path):
    done = start(tmp_path / "out", CUDA_VISIBLE_DEVICES="")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "no GPU; DEVICE=cpu shows the steps in tiny shapes\n"
    assert not (tmp_path / "out").exists()


@pytest.fixture
def tools(monkeypatch):
    monkeypatch.syspath_prepend(str(REPO / "tools"))


def test_the_arithmetic_of_a_step_by_hand(tools):
    import gpu_report
    from checkup.machine import Shape

    # 1,000 weights: a tower of 100, input and output of 10 x 20 each, so 500 in the text layers
    shape = Shape(parameters=1000, tower=100, linear=0, hidden=20, layers=3, intermediate=0, vocabulary=10)
    attention = 6 * 3 * 20 * 4 * 8  # two samples of four tokens
    assert gpu_report.flops(shape, 2, 8, 2, True, 50) == 6 * 500 * 8 + attention + 2 * 100 * 50
    assert gpu_report.flops(shape, 2, 8, 2, False, 50) == 4 * 500 * 8 + attention + 2 * 100 * 50
    assert gpu_report.flops(shape, 1, 8, 2, False, 0) == 4 * 700 * 8 + attention


def test_speed_and_fit_on_a_card(tools, monkeypatch, tmp_path):
    """The first step is left out; MFU and memory are those of the card."""
    import gpu_report
    from checkup.machine import Shape

    shape = Shape(parameters=2 * 10**9, tower=0, linear=0, hidden=1000, layers=1, intermediate=0, vocabulary=0)
    monkeypatch.setattr(gpu_report.machine, "shape_of", lambda model: shape)
    monkeypatch.setattr(gpu_report.machine, "gpus", lambda: [("NVIDIA H100 80GB HBM3", 79.0, 78.0)])
    monkeypatch.setenv("MAX_PIXELS", "200704")
    run, model = tmp_path / "full-big", tmp_path / "models" / "big"
    write_json(model / "config.json", {"vision_config": {"patch_size": 16}, "tie_word_embeddings": True})
    run.mkdir()
    write_json(run / "args.json", {"model": str(model), "tuner_type": "full"})
    step = {"seconds": 2.0, "samples": 4, "tokens": 40_000, "gib": 60.0}
    write_rows(run / "timing.jsonl", [step | {"seconds": 99.0}, step, step | {"gib": 70.0}])
    rate = (6 * 2e9 * 40_000 + 6 * 1000 * 10_000 * 40_000) / 2 / 1e12
    assert gpu_report.speed(run) == (
        f"2.00 samples/s, 20,000 tokens/s, 2.00 s a step of 4 samples, 70.0 GiB, {rate:.2g} TFLOP/s, "
        f"MFU {rate / 989:.1%} of 989 TFLOP/s"
    )
    table = gpu_report.fits(tmp_path)
    assert "| sft.sh | big | 70.0 | measured | yes |" in table and "| sft_lora.sh | big | " in table
    assert re.search(r"\| st_rl.sh \| big \| \d+\.\d \| estimate \| yes \|", table)
    monkeypatch.setattr(gpu_report.machine, "gpus", lambda: [("NVIDIA L4", 22.0, 21.0)])
    assert "no MFU" in gpu_report.speed(run) and "| sft.sh | big | 70.0 | measured | no |" in gpu_report.fits(tmp_path)
    with pytest.raises(DataError, match="full tuning needs about 31 GiB of 22"):
        gpu_report.room(model)


@pytest.mark.parametrize("second, fault", [(1.5, None), (2.9, "another curve"), (None, "no step has its loss twice")])
def test_the_curve_after_a_kill(tools, tmp_path, second, fault):
    import gpu_report

    losses = [(1, 3.0), (2, 2.0), (3, 1.5), *([(3, second)] if second else []), (4, 1.0)]
    write_rows(tmp_path / "logging.jsonl", [{"global_step/max_steps": f"{n}/4", "loss": loss} for n, loss in losses])
    if fault:
        with pytest.raises(DataError, match=fault):
            gpu_report.curve(tmp_path)
    else:
        line = "steps 3 to 3 ran twice, losses apart by 0.0e+00 at most; step 1: 3.000, step 4: 1.000"
        assert gpu_report.curve(tmp_path) == line


@pytest.mark.parametrize(
    "shape, count", [("qwen2_5_vl-7b", 8_292_166_656), ("qwen2_5_vl-3b", 3_754_622_976), ("qwen3_vl-2b", 2_127_532_032)]
)
def test_the_shapes_have_the_published_models_number_of_weights(tools, shape, count):
    import real_shapes
    from tiny_model import vocabulary

    ids = dict.fromkeys([*vocabulary.SPECIAL], 0)
    assert real_shapes.make_model(shape, ids, "meta").num_parameters() == count


def test_a_shape_does_not_overwrite(cli, tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "file").touch()
    done = cli("tools/real_shapes.py", tmp_path / "there", "--shape", "tiny", "--device", "cpu")
    assert done.returncode == 2 and re.search("there exists; remove it", done.stderr)


def test_an_evaluation_by_its_trajectories(tools, tmp_path):
    import gpu_report

    write_rows(tmp_path / "trajectories.jsonl", [{"turns": [{}, {}]}, {"turns": [{}]}])
    (tmp_path / "seconds.json").write_text(json.dumps({"seconds": 2}))
    assert gpu_report.answers(tmp_path) == "1.5 answers/s (3 answers in 2 s, loading included)"
