"""The evaluation scripts as a user starts them: subprocesses, from another folder."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from data_engine.dataset import read_json, read_rows, write_json
from data_engine.gelab.actions import COMPLETE_ANSWER
from data_engine.gelab.build import build
from data_engine.gelab.tasks import all_tasks, subtree_pages
from data_engine.gelab.world import World
from data_engine.geometry import Size
from data_engine.seeds import rng

STATIC, INTERACTIVE, SCORE = "eval/gelab_static.py", "eval/gelab_interactive.py", "eval/gelab_score.py"


def static_args(data: Path, engine: str, out: Path, split: str = "ood") -> list:
    return ["--engine", engine, "--data", data / f"eval_{split}.jsonl", "--out", out]


def interactive_args(data: Path, engine: str, out: Path, split: str = "ood") -> list:
    tasks = data / f"tasks_{split}.jsonl"
    return ["--engine", engine, "--world", data / "world", "--tasks", tasks, "--out", out]


@pytest.fixture(scope="module")
def metrics_of(cli, small_data, tmp_path_factory):
    """metrics_of(script, engine, split): metrics of a finished run, each made once."""
    done: dict[tuple, dict] = {}

    def metrics_of(script: str, engine: str, split: str) -> dict:
        if (script, engine, split) not in done:
            out = tmp_path_factory.mktemp("runs") / "run"
            args = static_args if script == STATIC else interactive_args
            finished = cli(script, *args(small_data, engine, out, split), "--json")
            assert finished.returncode == 0, finished.stderr
            assert json.loads(finished.stdout) == read_json(out / "metrics.json")
            done[script, engine, split] = read_json(out / "metrics.json") | {"out": out}
        return done[script, engine, split]

    return metrics_of


def test_the_oracle_is_perfect_static(metrics_of):
    metrics = metrics_of(STATIC, "oracle", "ood")["metrics"]
    names = ["overall_paper", "edge_paper", "path_paper", "first_click", "middle_click", "complete", "step_all"]
    assert {metrics[name] for name in [*names, "task_all"]} == {1.0}
    assert set(metrics["parts"].values()) == {1.0}
    assert (metrics["rows"], metrics["tasks"], metrics["tasks_incomplete"]) == (86, 30, 0)
    assert metrics["parse_failures"] == {} and metrics["out_of_range"] == 0


def test_the_oracle_is_perfect_interactive(metrics_of):
    metrics = metrics_of(INTERACTIVE, "oracle", "ood")["metrics"]
    names = ["pass_at_1", "pass_at_k", "declared", "greedy", "greedy_declared"]
    assert {metrics[name] for name in names} == {1.0}
    assert (metrics["tasks"], metrics["k"]) == (30, 5)
    assert metrics["outcomes"] == {"complete": 6 * 30, "hit": 6 * 56}  # six attempts of 30 tasks with 56 clicks
    # 6 pages (page_0, 5, two below, two below those): 14 edges at distance 1, and so on
    assert {n: v["tasks"] for n, v in metrics["by_length"].items()} == {"1": 14, "2": 8, "3": 6, "4": 2}


def test_the_oracle_goes_the_shortest_way(metrics_of):
    trips = read_rows(metrics_of(INTERACTIVE, "oracle", "ood")["out"] / "trajectories.jsonl")
    assert len(trips) == 180
    assert all(trip["steps"] == trip["path"] and trip["ended"] == "arrived" for trip in trips)


def test_random_is_near_nothing(metrics_of):
    assert metrics_of(STATIC, "random", "ood")["metrics"]["overall_paper"] == 0.0  # it names no icon
    metrics = metrics_of(INTERACTIVE, "random", "ood")["metrics"]
    far = [metrics["by_length"][n]["pass_at_1"] for n in ("2", "3", "4")]
    assert max(far) <= 0.05 and metrics["declared"] == 0.0 and metrics["greedy"] <= 0.1


def test_blind_knows_what_it_read_and_little_else(metrics_of):
    """Held-in tasks can be learned by heart; held-out ones only as far as the edges of all subtrees tell them."""
    held_in = metrics_of(STATIC, "blind", "id")["metrics"]
    held_out = metrics_of(STATIC, "blind", "ood")["metrics"]
    assert held_in["overall_paper"] >= 0.95 and held_in["task_all"] >= 0.95
    tasks = {length: values["task"] for length, values in held_out["by_length"].items()}
    assert held_out["overall_paper"] <= 0.55 and tasks["1"] == 1.0 and tasks["2"] == tasks["3"] == tasks["4"] == 0.0
    walked = metrics_of(INTERACTIVE, "blind", "ood")["metrics"]["by_length"]
    # length 1: the edge rows of the test subtree are in the SFT rows, as in the paper
    assert walked["1"]["pass_at_1"] == 1.0 and walked["3"]["pass_at_1"] == walked["4"]["pass_at_1"] == 0.0


@pytest.mark.parametrize("script, results", [(STATIC, "predictions.jsonl"), (INTERACTIVE, "trajectories.jsonl")])
def test_replay_gives_the_same_metrics(cli, metrics_of, small_data, tmp_path, script, results):
    first = metrics_of(script, "random", "ood")
    args = static_args if script == STATIC else interactive_args
    out = tmp_path / "again"
    done = cli(script, *args(small_data, "replay", out), "--model", first["out"] / results)
    assert done.returncode == 0, done.stderr
    assert read_json(out / "metrics.json")["metrics"] == first["metrics"]
    assert (out / results).read_bytes() == (first["out"] / results).read_bytes()


def test_replay_of_other_tasks_is_refused(cli, metrics_of, small_data, tmp_path):
    results = metrics_of(STATIC, "oracle", "ood")["out"] / "predictions.jsonl"
    refused(
        cli(STATIC, *static_args(small_data, "replay", tmp_path / "out", "id"), "--model", results), "has no answer"
    )


def test_score_gives_the_same_metrics(cli, metrics_of, tmp_path):
    first = metrics_of(STATIC, "blind", "ood")
    done = cli(SCORE, first["out"] / "predictions.jsonl", "--out", tmp_path / "metrics.json", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["metrics"] == read_json(tmp_path / "metrics.json")["metrics"] == first["metrics"]


def test_score_of_a_hand_made_file(cli, metrics_of, tmp_path):
    """One wrong first click, one 'not complete yet', one right click in prose, one answer without point."""
    rows = read_rows(metrics_of(STATIC, "oracle", "ood")["out"] / "predictions.jsonl")
    click, complete = [i for i, row in enumerate(rows) if row["bbox"]], [i for i, r in enumerate(rows) if not r["bbox"]]
    other = next(row["prediction"] for row in rows if row["bbox"] and row["bbox"] != rows[click[0]]["bbox"])
    for i, text in [(click[0], other), (complete[0], "Action: not complete yet")]:
        rows[i] = rows[i] | {"prediction": text}
    gold = rows[click[2]]["prediction"]
    rows[click[2]] = rows[click[2]] | {"prediction": gold.partition("\t")[0] + gold.partition("box_start|>")[2]}
    rows[complete[1]] = rows[complete[1]] | {"prediction": "complete"}
    (tmp_path / "p.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = cli(SCORE, tmp_path / "p.jsonl", "--json")
    metrics = json.loads(done.stdout)["metrics"]
    assert metrics["overall_paper"] == pytest.approx(82 / 86) and metrics["complete"] == pytest.approx(28 / 30)
    assert metrics["parse_failures"] == {"malformed action": 1, "no action": 2}


def test_score_of_the_authors_rows_without_a_path(cli, tmp_path):
    """Their st_rl.json has neither task nor path; a `complete` of it counts as complete and not as an edge."""
    rows = [{"idx": 0, "problem": "<image>Instruction: from a to b. History: step1: c.", "solution": COMPLETE_ANSWER}]
    rows[0]["prediction"] = COMPLETE_ANSWER
    (tmp_path / "p.json").write_text(json.dumps(rows))
    done = cli(SCORE, tmp_path / "p.json", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["metrics"]["complete"] == 1.0


def test_metrics_say_where_they_come_from(metrics_of, small_data):
    made = metrics_of(STATIC, "oracle", "ood")
    assert made["command"].startswith("python ") and "--engine oracle" in made["command"]
    assert made["commit"] == "unknown" or len(made["commit"].rstrip("+")) == 40
    assert made["run"]["data"]["fingerprint"] == read_json(small_data / "manifest.json")["fingerprint"]
    assert made["run"]["engine"] == "oracle" and made["run"]["limit"] is None


def test_the_table_for_people(cli, small_data, tmp_path):
    done = cli(STATIC, *static_args(small_data, "oracle", tmp_path / "o"), "--limit", 5)
    assert "overall_paper      100.00 %" in done.stdout.splitlines()
    assert "caption            n/a" in done.stdout.splitlines()
    assert "5/5" in done.stderr  # the progress bar


def test_limit_takes_the_first(cli, small_data, tmp_path):
    assert cli(STATIC, *static_args(small_data, "oracle", tmp_path / "s"), "--limit", 7).returncode == 0
    assert [row["idx"] for row in read_rows(tmp_path / "s" / "predictions.jsonl")] == list(range(7))
    done = cli(INTERACTIVE, *interactive_args(small_data, "oracle", tmp_path / "i"), "--limit", 3, "--attempts", 2)
    assert done.returncode == 0, done.stderr
    assert [trip["key"] for trip in read_rows(tmp_path / "i" / "trajectories.jsonl")] == [
        f"{attempt}/{idx}" for idx in range(3) for attempt in range(3)
    ]


def test_relative_paths_mean_the_folder_one_is_in(cli, small_data, tmp_path):
    args = ["--engine", "oracle", "--data", "eval_ood.jsonl", "--out", tmp_path / "s"]
    assert cli(STATIC, *args, cwd=small_data).returncode == 0


@pytest.mark.parametrize("size", [1, 7])
def test_the_batch_size_changes_nothing(cli, metrics_of, small_data, tmp_path, size):
    whole = metrics_of(INTERACTIVE, "random", "ood")["out"]
    args = interactive_args(small_data, "random", tmp_path / "i")
    assert cli(INTERACTIVE, *args, "--batch-size", size).returncode == 0
    assert (tmp_path / "i" / "trajectories.jsonl").read_bytes() == (whole / "trajectories.jsonl").read_bytes()


# ---- one run by several processes


@pytest.mark.parametrize("script, name", [(STATIC, "predictions.jsonl"), (INTERACTIVE, "trajectories.jsonl")])
def test_processes_that_share_the_tasks_end_with_the_same_bytes(cli, metrics_of, small_data, tmp_path, script, name):
    whole = metrics_of(script, "random", "ood")
    args = (static_args if script == STATIC else interactive_args)(small_data, "random", tmp_path / "s")
    done = cli(script, *args, "--nproc", 3)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "s" / name).read_bytes() == (whole["out"] / name).read_bytes()
    made = read_json(tmp_path / "s" / "metrics.json")
    assert (made["metrics"], made["run"]) == (whole["metrics"], whole["run"])
    assert "--nproc 3" in made["command"]
    # each did its part: tasks 0, 3, 6, ... with all their attempts in the first
    parts = [read_rows(tmp_path / "s" / f"shard-{i}-of-3" / name) for i in range(3)]
    assert sum(map(len, parts)) == len(read_rows(whole["out"] / name))
    assert {row["idx"] % 3 for row in parts[1]} == {1}


def test_the_last_shard_merges(cli, metrics_of, small_data, tmp_path):
    whole = metrics_of(INTERACTIVE, "random", "ood")["out"]
    args, made = interactive_args(small_data, "random", tmp_path / "s"), tmp_path / "s" / "trajectories.jsonl"
    assert cli(INTERACTIVE, *args, "--shard", "1/2").returncode == 0
    assert not made.exists() and not (tmp_path / "s" / "metrics.json").exists()
    torn = tmp_path / "s" / "shard-1-of-2" / "trajectories.jsonl"
    torn.write_bytes(torn.read_bytes()[:-1])  # a shard that was killed within its last line
    assert cli(INTERACTIVE, *args, "--shard", "0/2").returncode == 0
    assert not made.exists()
    assert cli(INTERACTIVE, *args, "--shard", "1/2").returncode == 0
    assert made.read_bytes() == (whole / "trajectories.jsonl").read_bytes()
    assert read_json(tmp_path / "s" / "metrics.json")["metrics"] == read_json(whole / "metrics.json")["metrics"]


def test_a_shard_that_fails_ends_all(cli, small_data, tmp_path):
    """Replay without an answer: known only once the processes have started."""
    (tmp_path / "p.jsonl").write_text("")
    args = [*static_args(small_data, "replay", tmp_path / "s"), "--model", tmp_path / "p.jsonl", "--nproc", 2]
    done = cli(STATIC, *args)
    assert done.returncode == 2 and "of 2 failed;" in done.stderr.splitlines()[-1]
    assert "has no answer for" in (tmp_path / "s" / "shard-0-of-2" / "log.txt").read_text()


@pytest.mark.parametrize("text", ["2/2", "1", "-1/2", "a/b", "0/0"])
def test_what_is_no_shard_is_refused(cli, small_data, tmp_path, text):
    done = cli(STATIC, *static_args(small_data, "oracle", tmp_path / "s"), f"--shard={text}")
    assert done.returncode == 2 and "is no shard; give I/N" in done.stderr.splitlines()[-1]


def test_shards_of_a_server_are_refused(cli, small_data, tmp_path):
    args = [*static_args(small_data, "openai", tmp_path / "s"), "--model", "m", "--shard", "0/2"]
    done = cli(STATIC, *args, OPENAI_API_KEY="any")  # pragma: allowlist secret
    refused(done, "--engine openai: shards are for models on this machine")


# ---- refusals: exit code 2, one line, and what to do


def refused(done: subprocess.CompletedProcess, *words: str) -> None:
    assert done.returncode == 2, done.stderr
    lines = [line for line in done.stderr.splitlines() if line and not line.startswith(("static:", "episodes:"))]
    assert len(lines) == 1, done.stderr
    assert all(word in lines[0] for word in words), lines[0]


@pytest.fixture
def copy_of(small_data, tmp_path) -> Path:
    """A copy of the rows folder, to damage."""
    return Path(shutil.copytree(small_data, tmp_path / "copy"))


def test_a_foreign_world_is_refused(cli, small_data, tmp_path):
    build(tmp_path / "foreign", tree=(5, 2, 1), seed=8, page_size=Size(112, 112))
    args = interactive_args(small_data, "oracle", tmp_path / "out")
    args[args.index("--world") + 1] = tmp_path / "foreign"
    refused(cli(INTERACTIVE, *args), "foreign", "is not the world of")


@pytest.mark.parametrize("script, args", [(STATIC, static_args), (INTERACTIVE, interactive_args)])
def test_rows_of_another_prompt_builder_are_refused(cli, copy_of, tmp_path, script, args):
    manifest = read_json(copy_of / "manifest.json")
    write_json(copy_of / "manifest.json", manifest | {"prompt_sha256": "0" * 64})
    refused(cli(script, *args(copy_of, "oracle", tmp_path / "out")), "another version of the prompt builder")


@pytest.mark.parametrize("script, args", [(STATIC, static_args), (INTERACTIVE, interactive_args)])
def test_edited_rows_are_refused(cli, copy_of, tmp_path, script, args):
    for name in ("eval_ood.jsonl", "tasks_ood.jsonl"):
        (copy_of / name).write_bytes((copy_of / name).read_bytes().replace(b"page_5", b"page_4", 1))
    refused(cli(script, *args(copy_of, "oracle", tmp_path / "out")), "_ood.jsonl: was changed after it was written")


@pytest.mark.parametrize("script, args", [(STATIC, static_args), (INTERACTIVE, interactive_args)])
def test_a_changed_screenshot_is_refused(cli, copy_of, tmp_path, script, args):
    pages = copy_of / "world" / "pages"
    shutil.copy(pages / "page_14.png", pages / "page_5.png")
    refused(cli(script, *args(copy_of, "oracle", tmp_path / "out")), "page_5.png", "changed")


@pytest.mark.parametrize("script, args", [(STATIC, static_args), (INTERACTIVE, interactive_args)])
def test_rows_without_their_manifest_are_refused(cli, copy_of, tmp_path, script, args):
    (copy_of / "manifest.json").unlink()
    refused(cli(script, *args(copy_of, "oracle", tmp_path / "out")), "no manifest.json")


def test_the_wrong_kind_of_file_is_refused(cli, small_data, tmp_path):
    args = ["--engine", "oracle", "--out", tmp_path / "out"]
    refused(cli(STATIC, *args, "--data", small_data / "tasks_ood.jsonl"), "tasks_ood.jsonl")
    tasks = ["--world", small_data / "world", "--tasks", small_data / "eval_ood.jsonl"]
    refused(cli(INTERACTIVE, *args, *tasks), "eval_ood.jsonl")


def test_an_unknown_engine_lists_the_known(cli, small_data, tmp_path):
    done = cli(STATIC, *static_args(small_data, "gpt", tmp_path / "out"))
    assert done.returncode == 2 and "oracle" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    "args, words",
    [
        (["--engine", "replay"], ["--engine replay: needs --model"]),
        (["--engine", "transformers"], ["--engine transformers: needs --model (a checkpoint)"]),
        (["--engine", "blind", "--train-rows", "no.jsonl"], ["no training rows at no.jsonl"]),
        (["--engine", "replay", "--model", "no.jsonl"], ["no.jsonl: no such file"]),
    ],
)
def test_engines_say_what_they_need(cli, small_data, tmp_path, args, words):
    refused(cli(STATIC, "--data", small_data / "eval_ood.jsonl", "--out", tmp_path / "out", *args), *words)


def test_a_started_run_with_other_arguments_is_refused(cli, metrics_of, small_data, tmp_path):
    out = Path(shutil.copytree(metrics_of(STATIC, "oracle", "ood")["out"], tmp_path / "s"))
    refused(cli(STATIC, *static_args(small_data, "random", out)), "holds a run with another engine")
    refused(cli(STATIC, *static_args(small_data, "oracle", out), "--limit", 5), "holds a run with another limit")
    refused(cli(STATIC, *static_args(small_data, "oracle", out, "id")), "holds a run with another data")
    done = cli(STATIC, *static_args(small_data, "oracle", out))
    assert done.returncode == 0, done.stderr  # the same arguments: nothing to do


@pytest.mark.parametrize("text, words", [(None, "no such file"), ("", "holds no rows"), ("{", ":1: not a JSON object")])
def test_score_refuses_broken_files(cli, tmp_path, text, words):
    if text is not None:
        (tmp_path / "p.jsonl").write_text(text)
    refused(cli(SCORE, tmp_path / "p.jsonl"), "p.jsonl", words)


def test_score_refuses_rows_without_prediction(cli, small_data):
    refused(cli(SCORE, small_data / "eval_ood.jsonl"), "row 0: no text under 'prediction'")


# ---- interrupted and started again


def run_until(script: str, args: list, results: Path, lines: int) -> None:
    """Start a script and kill it with SIGKILL as soon as ``results`` holds ``lines`` lines."""
    repo = Path(__file__).resolve().parents[1]
    command = [sys.executable, str(repo / script), *map(str, args)]
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(repo)}, stdout=quiet, stderr=quiet)
    deadline = time.monotonic() + 60
    while not results.exists() or results.read_bytes().count(b"\n") < lines:
        assert process.poll() is None, "ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.0005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


CASES = [
    # batches of one: hundreds of flushed chunks, so that a kill lands in the middle
    (STATIC, "predictions.jsonl", static_args, "random", ["--batch-size", "1"]),
    (INTERACTIVE, "trajectories.jsonl", interactive_args, "random", ["--batch-size", "7", "--attempts", "2"]),
]


@pytest.mark.parametrize("kills", [3, pytest.param(10, marks=pytest.mark.slow)])
@pytest.mark.parametrize("script, name, args, engine, more", CASES, ids=["static", "interactive"])
def test_killed_and_started_again_gives_the_same_bytes(
    cli, paper_data, tmp_path, script, name, args, engine, more, kills
):
    limit = ["--limit", 400 if script == STATIC else 200]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert cli(script, *args(paper_data, engine, whole), *more, *limit).returncode == 0
    total = (whole / name).read_bytes().count(b"\n")
    moments = sorted(rng(kills, "moments", script).choice(total // 2, kills, replace=False).tolist())
    for lines in moments:
        run_until(script, [*args(paper_data, engine, killed), *more, *limit], killed / name, lines)
        assert lines <= (killed / name).read_bytes().count(b"\n") < total
    assert not (killed / "metrics.json").exists()
    assert cli(script, *args(paper_data, engine, killed), *more, *limit).returncode == 0
    assert (killed / name).read_bytes() == (whole / name).read_bytes()
    one, two = read_json(whole / "metrics.json"), read_json(killed / "metrics.json")
    assert (one["metrics"], one["run"]) == (two["metrics"], two["run"])


@pytest.mark.parametrize("cut", ["empty", "mid-line", "mid-chunk", "chunk boundary", "no last newline", "garbage tail"])
def test_a_file_cut_anywhere_is_completed(cli, small_data, metrics_of, tmp_path, cut):
    whole = metrics_of(INTERACTIVE, "random", "ood")["out"]  # 180 trajectories in chunks of 16
    out = Path(shutil.copytree(whole, tmp_path / "cut"))
    data = (whole / "trajectories.jsonl").read_bytes()
    ends = [i + 1 for i, byte in enumerate(data) if byte == 10]
    tail = {
        "empty": b"",
        "mid-line": data[: ends[40] + 25],
        "mid-chunk": data[: ends[40]],
        "chunk boundary": data[: ends[31]],
        "no last newline": data[:-1],
        "garbage tail": data + b'{"key": "5/0"',
    }[cut]
    (out / "trajectories.jsonl").write_bytes(tail)
    assert cli(INTERACTIVE, *interactive_args(small_data, "random", out)).returncode == 0
    assert (out / "trajectories.jsonl").read_bytes() == data
    assert read_json(out / "metrics.json")["metrics"] == read_json(whole / "metrics.json")["metrics"]


def test_the_tasks_of_the_held_out_split_are_all_pairs_of_the_test_subtree(small_data, small_world):
    graph = World(small_world).graph
    expected = [task.name for task in all_tasks(graph, subtree_pages(graph, 5))]
    assert [row["task"] for row in read_rows(small_data / "tasks_ood.jsonl")] == expected
