"""Both RL stages for real: `swift rlhf` through the recipes that users run, tiny model, CPU, no vLLM.

The first rollouts are answered by tests/scripted_policy.py, one behaviour a trajectory, so that what each is worth is
known; in the last step the model itself samples. Everything else is ms-swift's own: encoding, rollout, rewards, loss.
"""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[1]
PLUGINS = [str(REPO / "swift_plugins" / "register.py"), str(REPO / "tests" / "scripted_policy.py")]
TURNS = 4
# What makes a GPU recipe run on the CPU; the rest makes the run short and lets the weights move.
CPU = [
    *("--use_cpu", "true", "--torch_dtype", "float32", "--attn_impl", "sdpa", "--deepspeed", ""),
    *("--freeze_vit", "false", "--freeze_aligner", "false", "--gradient_checkpointing", "false"),
    *("--dataloader_num_workers", "0", "--dataset_num_proc", "1", "--report_to", "none"),
]
SHORT = [
    *("--external_plugins", *PLUGINS, "--num_generations", "12", "--per_device_train_batch_size", "12"),
    *("--gradient_accumulation_steps", "1", "--learning_rate", "1e-4", "--max_completion_length", "64"),
    *("--max_steps", "3", "--save_steps", "2"),
    *("--dataset_shuffle", "false", "--train_dataloader_shuffle", "false"),
]
PARTS = ("GelabType", "GelabCoord", "GelabIntent", "GelabFormat", "GelabParseRate")


@pytest.fixture(scope="module")
def start(tiny_model, small_data, tmp_path_factory):
    """start(recipe, output, *flags, **environment): run a recipe to its end."""

    def start(recipe: str, output: Path, *flags: str, scripted: int = 2, **environment: str) -> None:
        users = ("NPROC_PER_NODE", "RESUME", "ADAPTER", "TEMPLATE", "NNODES", "GUARD_STEPS")
        env = {key: value for key, value in os.environ.items() if key not in users}
        env |= {
            "PATH": f"{Path(sys.executable).parent}:{env['PATH']}",
            "PYTHONPATH": str(REPO),
            "MODEL": str(tiny_model),
            "GELAB_DATA": str(small_data),
            "MAX_PIXELS": str(json.loads((small_data / "manifest.json").read_text())["max_pixels"]),
            "OUTPUT": str(output),
            "ENGINE": "transformers",
            "SCRIPTED_ROLLOUTS": str(scripted),
            "CUDA_VISIBLE_DEVICES": "",
            "MODELSCOPE_CACHE": str(tmp_path_factory.mktemp("cache")),
        }
        output.mkdir(exist_ok=True)
        command = ["bash", str(REPO / "recipes" / "gelab" / recipe), *CPU, *SHORT, *flags]
        done = subprocess.run(command, env=env | environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-3000:]

    return start


@pytest.fixture(scope="module")
def st_run(start, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("runs") / "st_rl"
    start("st_rl.sh", output)
    return output


@pytest.fixture(scope="module")
def mt_run(start, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("runs") / "mt_rl"
    start("mt_rl.sh", output, "--max_turns", str(TURNS), "--save_strategy", "no")
    return output


def steps(output: Path) -> list[dict]:
    """The rows of logging.jsonl that stand for a step."""
    rows = [json.loads(line) for line in (output / "logging.jsonl").read_text().splitlines()]
    return [row for row in rows if "reward" in row]


def completions(output: Path) -> list[dict]:
    """The rows of completions.jsonl, one a step, columns of 12; ms-swift writes the last one twice."""
    rows = [json.loads(line) for line in (output / "completions.jsonl").read_text().splitlines()]
    return list({row["step"][0]: row for row in rows}.values())


def encoded(output: Path) -> list[dict]:
    """What the scripted plugin noted of each trained trajectory."""
    return [json.loads(line) for line in (output / "encoded.jsonl").read_text().splitlines()]


@pytest.mark.slow
def test_single_turn_rewards(st_run, scripted):
    rows = completions(st_run)
    assert ["complete" in row["solution"][0] for row in rows] == [False, True, False]  # the first rows of the file
    for kind, row in enumerate(rows[:2]):
        earned = dict(zip(scripted.BEHAVIOURS, zip(*(row[part] for part in PARTS), strict=True), strict=True))
        assert earned == {name: scripted.WORTH[name][kind] for name in scripted.BEHAVIOURS}


@pytest.mark.slow
def test_single_turn_log(st_run):
    """Health numbers, by the table: 4 for perfect, 3 3 2 1 1 for the five that have parts right, over 12 answers."""
    click, _, sampled = steps(st_run)
    assert click["reward"] == pytest.approx((4 + 3 + 3 + 2 + 1 + 1) / 12)
    means = {part: click[f"rewards/{part}/mean"] for part in PARTS}
    assert means == pytest.approx(dict(zip(PARTS, (4 / 12, 1 / 12, 3 / 12, 6 / 12, 7 / 12), strict=True)))
    assert click["frac_reward_zero_std"] == 0 and click["grad_norm"] > 0
    assert click["kl"] == 0 and sampled["kl"] > 0  # KL to the start, once the weights have moved
    assert all(math.isfinite(value) for row in steps(st_run) for value in row.values() if isinstance(value, float))


@pytest.mark.slow
def test_multi_turn_rewards(mt_run, scripted):
    rows = completions(mt_run)
    assert len(rows) == 3
    for row in rows[:2]:
        by_name = {name: {key: row[key][i] for key in row} for i, name in enumerate(scripted.BEHAVIOURS)}
        assert {name: r["GelabA2B"] for name, r in by_name.items()} == {
            name: float(name == "perfect") for name in by_name
        }
        assert {r["num_turns"] for name, r in by_name.items() if name != "perfect"} == {TURNS}
        # the log shows each earlier question with its screenshot's tag
        assert [r["prompt"].count("<image>Instruction:") for r in by_name.values()] == row["num_turns"]
    assert [row["num_turns"][0] for row in rows[:2]] == [1, 2]  # the first tasks of the file, one and two clicks long
    assert [step["reward"] for step in steps(mt_run)][:2] == pytest.approx([1 / 12, 1 / 12])
    assert all(step["grad_norm"] > 0 for step in steps(mt_run)[:2])
    assert steps(mt_run)[0]["num_turns"] == pytest.approx(sum(rows[0]["num_turns"]) / 12)


@pytest.mark.slow
@pytest.mark.parametrize("run", ["st_run", "mt_run"])
def test_every_answer_is_trained_and_nothing_else(run, request):
    notes = encoded(request.getfixturevalue(run))
    assert len(notes) == 36
    for note in notes:
        turns = note["infos"].get("num_turns", 1)
        assert len(note["questions"]) == note["images"] == len(note["trained"]) == turns, note["behaviour"]
        assert note["image_tokens"] == 16 * turns  # 112 x 112 pixels: 4 x 4 tokens a screenshot, none from an answer
        assert not any(text in run for run in note["trained"] for text in ("Instruction:", "<|vision", "GUI agent"))
        if note["finish_reason"] == "stop":
            assert all(run.endswith("<|im_end|>") for run in note["trained"])


@pytest.mark.slow
def test_each_turn_trains_the_answer_given_on_its_page(mt_run, world):
    from data_engine.gelab.oracle import gold_answer

    perfect = [note for note in encoded(mt_run) if note["behaviour"] == "perfect"]
    assert len(perfect) == 2
    for note in perfect:
        goal = note["questions"][0].partition(" to ")[2].partition(".")[0]
        pages = note["infos"]["env_state_hash"]
        assert note["trained"] == [gold_answer(world.graph, page, goal) + "<|im_end|>" for page in pages]


@pytest.mark.slow
def test_a_resumed_run_goes_on_as_if_nothing_had_happened(start, st_run, tmp_path):
    """Step 3 again from checkpoint-2, weights and reference included: the model samples the same, KL is the same."""
    start("st_rl.sh", tmp_path, "--save_strategy", "no", scripted=0, RESUME=str(st_run / "checkpoint-2"))
    (again,), whole = steps(tmp_path), steps(st_run)[2]
    assert again["global_step/max_steps"] == "3/3"
    assert completions(tmp_path)[-1]["completion"] == completions(st_run)[-1]["completion"]
    assert again["kl"] == pytest.approx(whole["kl"], rel=1e-4)
    assert again["loss"] == pytest.approx(whole["loss"], abs=1e-6)
