"""The published tables beside our runs: the numbers of the paper, our cells, intervals, and what is refused."""

import json
import shutil
from pathlib import Path

import pytest

from data_engine.dataset import read_json, read_rows, write_json, write_rows
from data_engine.intervals import by_group, interval

COMPARE = "eval/compare_with_paper.py"


@pytest.fixture(scope="module")
def modules(eval_module):
    return {name: eval_module(name) for name in ("published", "compare_with_paper")}


@pytest.fixture(scope="module")
def tables(modules) -> dict:
    return modules["published"].PUBLISHED["gelab"]["tables"]


@pytest.fixture(scope="module")
def run(cli, small_data, tmp_path_factory) -> Path:
    """A run of the small world: blind under the name of the first stage, and the oracle."""
    out = tmp_path_factory.mktemp("compare") / "run"
    for engine, agent in ("blind", "sft"), ("oracle", "oracle"):
        for split in ("id", "ood"):
            data = ["--data", small_data / f"eval_{split}.jsonl", "--out", out / "eval" / agent / f"static_{split}"]
            assert cli("eval/gelab_static.py", "--engine", engine, *data).returncode == 0
        walk = ["--world", small_data / "world", "--tasks", small_data / "tasks_ood.jsonl"]
        out_walk = out / "eval" / agent / "interactive_ood"
        assert cli("eval/gelab_interactive.py", "--engine", engine, *walk, "--out", out_walk).returncode == 0
    return out


# ---- the paper's numbers, against its own arithmetic


def test_the_tables_agree_with_each_other(tables):
    for stage, row in tables["1"]["rows"].items():
        if stage in tables["3"]["rows"]:
            edge, path, overall = row[3:6]
            assert tables["3"]["rows"][stage] == pytest.approx([overall, path, edge], abs=0.011)
            assert tables["11 step"]["rows"][stage][-1] == pytest.approx(overall, abs=0.011)


@pytest.mark.parametrize("table, column, attempts", [("2 Pass@1", 6, 5), ("2 Pass@5", 7, 1)])
def test_passes_by_length_add_up(modules, tables, table, column, attempts):
    """Every cell is a whole number of episodes, and their sum over the 2,162 tasks is Table 1's Pass@1 and Pass@5."""
    tasks = list(modules["published"].PUBLISHED["gelab"]["protocol"]["tasks"].values())
    assert sum(tasks) == 2162
    for stage, row in tables[table]["rows"].items():
        hits = [round(cell * n * attempts / 100) for cell, n in zip(row, tasks, strict=True)]
        for cell, n, hit in zip(row, tasks, hits, strict=True):
            assert cell == pytest.approx(100 * hit / (n * attempts), abs=0.006)
        assert tables["1"]["rows"][stage][column] == pytest.approx(100 * sum(hits) / (2162 * attempts), abs=0.006)


def test_steps_by_length_add_up(modules, tables):
    tasks = modules["published"].PUBLISHED["gelab"]["protocol"]["tasks"]
    steps = [n * (int(length) + 1) for length, n in tasks.items()]
    assert sum(steps) == 12439
    for row in tables["11 step"]["rows"].values():
        hits = sum(round(cell * n / 100) for cell, n in zip(row, steps, strict=False))
        assert row[-1] == pytest.approx(100 * hits / 12439, abs=0.006)


def test_the_forms_by_coordinates_are_the_documents(modules):
    """Its table of six models: action accuracy, coordinate error (three decimals), click hit rate; no episode right."""
    document = {
        "Qwen3-VL-2B base": (14.3, None, None),
        "Qwen3-VL-2B FT": (46.9, 0.051, 85.0),
        "Qwen3-VL-8B base": (14.3, None, None),
        "Qwen3-VL-8B FT": (28.6, 0.004, 100),
        "Claude Sonnet 4.5": (12.1, 0.757, 0),
        "GPT-5.1": (18.3, 0.057, 60.0),
    }
    rows = modules["published"].PUBLISHED["login"]["tables"]["coord"]["rows"]
    ours = {name: (kind, error and round(error / 100, 3), hit) for name, (kind, error, hit, *_) in rows.items()}
    assert ours == document
    assert {tuple(row[3:]) for row in rows.values()} == {(0, None)}


def test_every_row_has_every_column(modules):
    for benchmark in modules["published"].PUBLISHED.values():
        for table in benchmark["tables"].values():
            rows = {**table["rows"], **table.get("ceiling", {})}
            assert all(len(row) == len(table["columns"]) for row in rows.values())


# ---- our cells are the metrics


def mean(trials) -> float | None:
    return sum(value for _, value in trials) / len(trials) if trials else None


def test_static_cells_are_the_metrics(modules, run):
    published = modules["published"]
    rows = read_rows(run / "eval" / "sft" / "static_ood" / "predictions.jsonl")
    cells, metrics = published.static_cells(rows, False), read_json(run / "eval/sft/static_ood/metrics.json")["metrics"]
    for column in ("Edge", "Path", "Overall"):
        assert mean(cells["1", f"OOD {column}"]) == mean(cells["3", column]) == metrics[f"{column.lower()}_paper"]
        assert interval(by_group(cells["3", column])) == metrics["intervals"][f"{column.lower()}_paper"]
    for n, by_length in metrics["by_length"].items():
        assert mean(cells["11 step", n]) == by_length["step"] and mean(cells["11 task", n]) == by_length["task"]
    assert mean(cells["11 task", "all"]) == metrics["task_all"]
    assert interval(by_group(cells["11 task", "all"])) == metrics["intervals"]["task_all"]
    assert 0 < metrics["task_all"] < 1


def test_interactive_cells_are_the_metrics(modules, run):
    published = modules["published"]
    rows = read_rows(run / "eval" / "sft" / "interactive_ood" / "trajectories.jsonl")
    cells = published.interactive_cells(rows)
    metrics = read_json(run / "eval" / "sft" / "interactive_ood" / "metrics.json")["metrics"]
    assert mean(cells["1", "Pass@1"]) == metrics["pass_at_1"] and mean(cells["1", "Pass@5"]) == metrics["pass_at_k"]
    for column, name in ("Pass@1", "pass_at_1"), ("Pass@5", "pass_at_k"):
        assert interval(by_group(cells["1", column])) == metrics["intervals"][name]
    for n, by_length in metrics["by_length"].items():
        assert mean(cells["2 Pass@1", f"Path@{n}"]) == by_length["pass_at_1"]
        assert mean(cells["2 Pass@5", f"Path@{n}"]) == by_length["pass_at_k"]


# ---- the command


def refused(done, words: str) -> None:
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    assert words in done.stderr, done.stderr


def test_a_small_world_is_refused_unless_it_is_named(cli, run):
    refused(cli(COMPARE, run), "30 tasks, lengths 1 to 4: another world")
    done = cli(COMPARE, "--scaled-down", run)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("| **")]
    assert len(lines) == 12 and all("(scaled down) |" in line for line in lines)  # six tables, two agents
    assert "sft - SFT" not in done.stdout and "so no difference is taken" in done.stdout
    assert "| SFT (published) | 94.82 | 99.76 | 98.89 | 64.55 | 41.76 | 55.45 | 14.30 | 20.86 |" in done.stdout


def test_differences_by_hand(modules, run, tables):
    """The check aside, the difference is ours minus theirs, in points, and goes with the name of the stage."""
    compare = modules["compare_with_paper"]
    results = compare.results_of(str(run), False)
    found = compare.compare(results, None)
    first = next(table for table in found if table["table"] == "1")
    lines = {line.agent: line for line in first["runs"]}
    assert (lines["sft"].against, lines["oracle"].against) == ("SFT", None)
    overall = lines["sft"].cells["OOD Overall"]
    assert overall["difference"] == pytest.approx(overall["value"] - 55.45) and overall["n"] == 86
    assert overall["low"] <= overall["value"] <= overall["high"]
    assert lines["oracle"].cells["Pass@5"]["value"] == 100 and lines["oracle"].cells["Pass@5"]["difference"] is None
    named = compare.compare(results, "MT-RL")
    assert {line.against for table in named for line in table["runs"]} == {"MT-RL"}
    text = compare.report(found, results)
    assert f"| sft - SFT | {lines['sft'].cells['ID Edge']['difference']:+.2f}" in text


def test_json(cli, run):
    done = cli(COMPARE, "--scaled-down", run / "eval" / "oracle", "--json")
    content = json.loads(done.stdout)
    assert [table["table"] for table in content["tables"]] == ["1", "2 Pass@1", "2 Pass@5", "3", "11 step", "11 task"]
    assert content["tables"][0]["runs"][0]["cells"]["ID Overall"]["value"] == 100
    assert {one["agent"] for one in content["runs"]} == {"oracle"} and content["runs"][0]["run"]["kind"]


def test_a_score_that_its_answers_do_not_give_is_refused(cli, run, tmp_path):
    copy = shutil.copytree(run / "eval" / "sft", tmp_path / "sft")
    metrics = read_json(copy / "static_ood" / "metrics.json")
    metrics["metrics"]["overall_paper"] = 0.99
    write_json(copy / "static_ood" / "metrics.json", metrics)
    refused(cli(COMPARE, "--scaled-down", copy), "predictions.jsonl beside it scores otherwise")


def test_two_runs_of_one_name_are_refused_until_they_are_named(cli, run):
    one = run / "eval" / "sft" / "static_ood"
    refused(cli(COMPARE, "--scaled-down", one, one), "give names")
    done = cli(COMPARE, "--scaled-down", f"first={one}", f"second={one}")
    assert done.returncode == 0 and "**first**" in done.stdout and "**second**" in done.stdout


def test_wrong_use_is_one_line(cli, run, tmp_path):
    refused(cli(COMPARE, tmp_path), "no metrics.json of a published table below it")
    refused(cli(COMPARE, "--scaled-down", run, "--against", "Gemini"), "known are GPT-4o-2024-11-20")


def test_other_worlds_do_not_stand_together(modules, run):
    compare = modules["compare_with_paper"]
    results = compare.results_of(str(run), False)
    for one in results:
        one.differences = lambda: iter(())  # as if both were of the paper's size
    other = [one for one in results if one.agent == "oracle"]
    for one in other:
        one.run = one.run | {"data": one.run["data"] | {"fingerprint": "another"}}
    with pytest.raises(ValueError, match="are of different worlds"):
        compare.check(results)
    world = next(one for one in results if one.agent == "sft").run["data"]["fingerprint"]
    for one in other:  # a blind twin is of its original's world
        one.run = one.run | {"data": one.run["data"] | {"blank_of": world}}
    compare.check(results)


@pytest.mark.parametrize("name, subtrees", [("eval_ood.jsonl", 1), ("eval_id.jsonl", 2)])
def test_counts_of_env_base_are_taken(modules, name, subtrees):
    """12,439 rows a subtree, one held out and two held in; one row less is another set."""
    compare = modules["compare_with_paper"]
    protocol = compare.PUBLISHED["gelab"]["protocol"]
    kinds = {kind: subtrees * count for kind, count in protocol["rows"].items()}
    metrics = {"by_length": {n: {"tasks": subtrees * count} for n, count in protocol["tasks"].items()}}
    metrics |= {"rows": subtrees * 12439, "rows_by_kind": kinds}
    run = {"kind": "gelab-static", "data": {"name": name}, "limit": None}
    result = compare.Result("sft", Path("x"), run, metrics, [], "c", False)
    assert list(result.differences()) == []
    kinds["complete"] -= 1
    assert list(result.differences()) == [f"{subtrees * 12439:,} rows, not the paper's"]
    result.run["limit"] = 7
    assert next(result.differences()) == f"only the first 7 of {name}"


@pytest.mark.parametrize("k, max_steps, exact", [(5, 12, True), (1, 12, False), (5, 8, False)])
def test_other_attempts_or_steps_are_another_quantity(modules, k, max_steps, exact):
    compare = modules["compare_with_paper"]
    tasks = compare.PUBLISHED["gelab"]["protocol"]["tasks"]
    metrics = {"by_length": {n: {"tasks": count} for n, count in tasks.items()}, "k": k}
    run = {"kind": "gelab-interactive", "data": {"name": "tasks_ood.jsonl"}, "limit": None, "max_steps": max_steps}
    assert (list(compare.Result("sft", Path("x"), run, metrics, [], "c", False).differences()) == []) is exact


def test_forms(cli, tmp_path):
    """32 published episodes stand beside the published rows and their ceiling; other protocols do not."""
    for protocol in ("published", "hard"):
        data = tmp_path / protocol
        done = cli("data_engine.login.write", data, "--protocol", protocol, "--page-size", "448x320")
        assert done.returncode == 0, done.stderr
        out = tmp_path / "runs" / f"{protocol}_ft"
        assert cli("eval/login_eval.py", "--engine", "oracle", "--data", data, "--out", out).returncode == 0
    refused(cli(COMPARE, tmp_path / "runs" / "hard_ft"), "protocol hard, published is published")
    done = cli(COMPARE, tmp_path / "runs" / "published_ft", "--against", "Qwen3-VL-2B FT")
    assert done.returncode == 0, done.stderr
    assert "| ceiling of any deterministic model (published) | 57.10 |" in done.stdout
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("| **published_ft**")]
    assert line.split("|")[2].strip().startswith("100.00 [")
    assert "| published_ft - Qwen3-VL-2B FT | +53.10 * |" in done.stdout


def test_rows_without_answers_are_no_result(cli, run, tmp_path):
    copy = shutil.copytree(run / "eval" / "sft" / "static_ood", tmp_path / "sft" / "static_ood")
    write_rows(copy / "predictions.jsonl", [])
    refused(cli(COMPARE, "--scaled-down", copy), "scores otherwise")
