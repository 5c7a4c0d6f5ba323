"""Rows of every stage: the paper's counts from a generated world and from the authors', and what each row holds."""

import json
import shutil
from collections import Counter
from pathlib import Path

import pytest

from data_engine.dataset import DataError, read_json, read_rows
from data_engine.gelab import prompts
from data_engine.gelab.actions import COMPLETE_ANSWER, HIT, Click, parse
from data_engine.gelab.graph import WorldError
from data_engine.gelab.metrics import score_prediction, static_metrics
from data_engine.gelab.world import World, from_structure
from data_engine.gelab.write import Options, write
from data_engine.geometry import Box, Size, to_canvas

COUNTS = {
    "sft.jsonl": 60_952,  # 52,202 path rows of 8,556 pairs + 685 x 6 edges + 2 x 2,320 icon rows
    "st_rl.jsonl": 12_439,
    "eval_id.jsonl": 2 * 12_439,
    "eval_ood.jsonl": 12_439,
    "mt_rl.jsonl": 2_162,
    "tasks_id.jsonl": 2 * 2_162,
    "tasks_ood.jsonl": 2_162,
}
SEPARATE = COUNTS | {"sft.jsonl": 30_888}  # 2 x 12,439 + 685 x 2 + 2 x 2,320
LENGTHS = {1: 137, 2: 147, 3: 222, 4: 324, 5: 492, 6: 456, 7: 384}
STEP_FILES = ["sft.jsonl", "st_rl.jsonl", "eval_id.jsonl", "eval_ood.jsonl"]


@pytest.fixture(scope="module")
def authors_data(authors_world, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("rows") / "authors"
    write(authors_world, out)
    return out


@pytest.fixture(scope="module", params=["generated", pytest.param("authors", marks=pytest.mark.reference)])
def data(request) -> Path:
    """Row files of the paper's shape, of a generated world and of the authors'."""
    return request.getfixturevalue({"generated": "paper_data", "authors": "authors_data"}[request.param])


@pytest.fixture(scope="module")
def steps(data) -> dict[str, list[dict]]:
    """The rows of the files that ask for one step each."""
    return {name: read_rows(data / name) for name in STEP_FILES}


def texts(row: dict) -> tuple[str, str, str]:
    """(prompt, picture, answer) of a row."""
    question = next(m["content"] for m in row["messages"] if m["role"] == "user")
    return question, row["images"][0], row.get("solution", row["messages"][-1]["content"])


def test_counts_are_the_papers(data):
    assert read_json(data / "manifest.json")["rows"] == COUNTS
    assert {name: (data / name).read_bytes().count(b"\n") for name in COUNTS} == COUNTS


def test_sft_is_made_of_paths_edges_and_icons(steps):
    rows = steps["sft.jsonl"]
    kinds = Counter("edge" if row["source"].endswith("_edge") else row["task"] for row in rows)
    assert (kinds.pop("edge"), kinds.pop("caption"), kinds.pop("grounding")) == (4_110, 2_320, 2_320)
    assert len(kinds) == 8_556 and sum(kinds.values()) == 52_202
    icons = Counter(
        row["messages"][1]["content"] if row["task"] == "caption" else texts(row)[0][16:-19]
        for row in rows
        if row["source"] == "icon"
    )
    assert len(icons) == 232 and set(icons.values()) == {20}  # each name 10 times in each task


def test_no_two_rows_are_equal_in_prompt_picture_and_answer(steps):
    """But `complete` after an edge, which stands there three times as the click does, and has no other point."""
    for rows in steps.values():
        repeated = [row for row in rows if row["source"].endswith("_edge") and not row["bbox"]]
        others = [texts(row) for row in rows if row["bbox"] or not row["source"].endswith("_edge")]
        assert len(set(others)) == len(others)
        assert set(Counter(map(texts, repeated)).values()) <= {3}


def test_edges_are_clicks_and_what_they_open(steps, paper_world, tmp_path):
    """The paper's 274 edge instances of a subtree: click and `complete` of 137 edges; or the clicks alone, twice."""
    edges = [row for row in steps["sft.jsonl"] if row["source"].endswith("_edge")]
    assert sum(bool(row["bbox"]) for row in edges) * 2 == len(edges) == 4_110
    clicks, opened = edges[:2]
    assert Path(opened["images"][0]).stem == opened["task"].rpartition(" ")[2]
    assert texts(opened)[2] == COMPLETE_ANSWER
    assert texts(opened)[0].partition("step1: ")[2] == texts(clicks)[2].partition("Explain:")[2].partition("\t")[0]
    write(paper_world, tmp_path / "rows", Options(edges="clicks"))
    rows = [row for row in read_rows(tmp_path / "rows" / "sft.jsonl") if row["source"].endswith("_edge")]
    assert len(rows) == 4_110 and all(row["bbox"] for row in rows)


def test_tasks_by_length(data):
    for name, times in ("tasks_ood.jsonl", 1), ("mt_rl.jsonl", 1), ("tasks_id.jsonl", 2):
        rows = read_rows(data / name)
        assert Counter(row["path"] for row in rows) == {n: times * count for n, count in LENGTHS.items()}
        assert len({row["task"] for row in rows}) == len(rows)


def test_indices_count_rows(data, steps):
    for name in COUNTS:
        rows = steps.get(name) or read_rows(data / name)
        assert [row["idx"] for row in rows] == list(range(COUNTS[name]))


def test_clicks_lie_in_the_middle_half_of_their_box(steps):
    """The authors' seven visible clicks keep to .27 .. .74 of the box; ours to .25 .. .75, but for rounding."""
    seen = []
    for name in ("st_rl.jsonl", "eval_ood.jsonl"):
        for row in steps[name]:
            action = parse(texts(row)[2]).action if row["task"] != "caption" else None
            if isinstance(action, Click):
                box, (x, y) = Box(*row["bbox"]), to_canvas(action.x, action.y, Size(*row["canvas"]))
                seen.append(((x - box.x1) / (box.x2 - box.x1), (y - box.y1) / (box.y2 - box.y1)))
    # rounding moves a click by half of 1.179 and 2.556 pixels at most, of a box of 200
    assert all(0.247 <= u <= 0.753 and 0.2436 <= v <= 0.7565 for u, v in seen)
    assert min(u for u, _ in seen) < 0.26 and max(v for _, v in seen) > 0.74  # and they do spread
    assert abs(sum(u for u, _ in seen) / len(seen) - 0.5) < 0.005


def test_gold_scores_one_through_the_models_path(steps):
    for name in ("sft.jsonl", "st_rl.jsonl", "eval_ood.jsonl"):
        for row in steps[name][::3]:
            assert score_prediction(row | {"prediction": texts(row)[2]})["right"] == 1, row


def test_a_liar_scores_nothing_on_any_click(steps):
    rows = []
    for row in steps["eval_ood.jsonl"]:
        gold = texts(row)[2]
        rows.append(
            row | {"prediction": gold.partition("(start_box")[0] + "(start_box='(1,1)')" if "(" in gold else ""}
        )
    metrics = static_metrics(rows)
    assert (metrics["overall_paper"], metrics["first_click"], metrics["middle_click"]) == (0.0, 0.0, 0.0)
    assert metrics["parts"]["intent"] == pytest.approx((12_439 - 2_162) / 12_439)  # it names every icon right
    assert metrics["parts"]["coord"] == 0.0


def test_rows_tell_the_way_of_their_task(small_data, world):
    """Each task's rows: the shortest path, click by click, with the history of what was clicked, then complete."""
    by_task: dict[str, list[dict]] = {}
    for row in read_rows(small_data / "eval_ood.jsonl"):
        by_task.setdefault(row["task"], []).append(row)
    assert len(by_task) == 30
    for task, rows in by_task.items():
        _, start, _, goal = task.split()
        path = world.graph.shortest_path(start, goal)
        pages, history = [page for page, _ in path] + [goal], []
        assert [row["images"] for row in rows] == [[f"world/pages/{page}.png"] for page in pages]
        for row, (page, element) in zip(rows, path, strict=False):
            assert texts(row)[0] == prompts.navigation(start, goal, history)
            answer = parse(texts(row)[2])
            assert (answer.icon, answer.page, tuple(row["bbox"])) == (element.name, page, tuple(element.box))
            history.append(prompts.entry(HIT, page, element.name))
        assert texts(rows[-1]) == (prompts.navigation(start, goal, history), rows[-1]["images"][0], COMPLETE_ANSWER)
        assert rows[-1]["bbox"] == [] and all(row["path"] == len(path) for row in rows)


def test_sources_name_the_subtree_of_the_goal(small_data, world):
    for row in read_rows(small_data / "sft.jsonl"):
        if row["source"] == "icon":
            assert row["task"] in ("caption", "grounding") and row["path"] == 0
            continue
        _, start, _, goal = row["task"].split()
        page = start if goal == "page_0" else goal
        while world.graph.parents[page] != "page_0":
            page = world.graph.parents[page]
        assert row["source"].removesuffix("_edge") == f"sub{page.removeprefix('page_')}"


def test_held_out_tasks_are_in_no_training_path(small_data):
    def tasks(name: str) -> set[str]:
        return {row["task"] for row in read_rows(small_data / name) if not row["source"].endswith(("_edge", "icon"))}

    train = tasks("sft.jsonl") | tasks("st_rl.jsonl") | tasks("mt_rl.jsonl")
    assert not train & tasks("eval_ood.jsonl")
    assert tasks("eval_id.jsonl") <= tasks("sft.jsonl")
    assert len({row["task"] for row in read_rows(small_data / "tasks_ood.jsonl")} & train) == 0


def test_icon_rows_show_their_icon(small_data, world):
    for row in read_rows(small_data / "sft.jsonl"):
        if row["source"] != "icon":
            continue
        page = world.graph.pages[Path(row["images"][0]).stem]
        question, _, answer = texts(row)
        if row["task"] == "caption":
            x, y = question.partition("<|box_start|>(")[2].partition(")")[0].split(",")
            assert page.element_at(*to_canvas(int(x), int(y), world.graph.canvas)).name == answer
        else:
            assert question == prompts.grounding(parse(answer).icon) and parse(answer).page == page.id


def test_rl_rows_hide_the_answer(small_data):
    rows = read_rows(small_data / "st_rl.jsonl")
    twins = read_rows(small_data / "eval_id.jsonl")
    assert all([m["role"] for m in row["messages"]] == ["user"] for row in rows) and all(r["solution"] for r in rows)
    assert set(rows[0]) == set(twins[0]) | {"solution"}
    for row in read_rows(small_data / "mt_rl.jsonl"):
        assert set(row) == {"idx", "task", "path", "messages", "images", "env_config", "source"}
        _, start, _, goal = row["task"].split()
        assert row["messages"] == [{"role": "user", "content": prompts.navigation(start, goal, [])}]
        assert row["images"] == [f"world/pages/{start}.png"]
        assert row["env_config"] == {"name": "gelab", "world": "world", "start": start, "goal": goal}


def test_paths_are_relative_and_pictures_are_there(small_data):
    for name in [*STEP_FILES, "mt_rl.jsonl"]:
        for row in read_rows(small_data / name):
            (picture,) = row["images"]
            assert not Path(picture).is_absolute() and (small_data / picture).is_file()
    assert str(small_data.parent) not in (small_data / "sft.jsonl").read_text()


# ---- options


def test_separate_scope_gives_the_forks_count(paper_world, tmp_path):
    assert write(paper_world, tmp_path / "rows", Options(scope="separate"))["rows"] == SEPARATE


@pytest.mark.reference
def test_separate_scope_of_the_authors_world(authors_world, tmp_path):
    assert write(authors_world, tmp_path / "rows", Options(scope="separate"))["rows"] == SEPARATE


def test_centred_clicks_merge_what_becomes_equal(paper_world, tmp_path):
    manifest = write(paper_world, tmp_path / "rows", Options(clicks="center"))
    # 2 of 3 copies of an edge's click and of its complete are equal, and those of the 274 edges of the SFT subtrees are
    # path rows already; an icon's ten clicks are one, but back and home stand on many pages
    assert manifest["rows"]["sft.jsonl"] + manifest["merged"]["sft.jsonl"] == 60_952
    assert manifest["merged"]["sft.jsonl"] == 2 * (2 * 685 + 2 * 137) + 9 * 230
    assert {n: c for n, c in manifest["rows"].items() if n != "sft.jsonl"} == {
        n: c for n, c in COUNTS.items() if n != "sft.jsonl"
    }
    rows = [texts(row) for row in read_rows(tmp_path / "rows" / "sft.jsonl")]
    assert len(set(rows)) == len(rows)
    first = read_rows(tmp_path / "rows" / "eval_ood.jsonl", limit=1)[0]
    x1, y1, x2, y2 = first["bbox"]
    action = parse(texts(first)[2]).action
    assert (action.x, action.y) == (round((x1 + x2) / 2 / 1.179), round((y1 + y2) / 2 / 2.556))


def test_seed_moves_clicks_only(small_world, small_data, tmp_path):
    write(small_world, tmp_path / "rows", Options(seed=1))
    one, two = read_rows(small_data / "eval_ood.jsonl"), read_rows(tmp_path / "rows" / "eval_ood.jsonl")
    assert [texts(r)[:2] for r in one] == [texts(r)[:2] for r in two]
    moved = sum(texts(a)[2] != texts(b)[2] for a, b in zip(one, two, strict=True))
    assert moved >= 50  # of 56 clicks


def test_system_prompt_in_rows(small_world, small_data, tmp_path):
    write(small_world, tmp_path / "rows", Options(system_in_rows=True))
    for name in [*STEP_FILES, "mt_rl.jsonl"]:
        for with_it, without in zip(read_rows(tmp_path / "rows" / name), read_rows(small_data / name), strict=True):
            head, *rest = with_it["messages"]
            assert head == {"role": "system", "content": prompts.SYSTEM} and rest == without["messages"]


def test_other_subtrees(small_world, tmp_path):
    options = Options(sft_subtrees=(4,), st_rl_subtree=1, mt_rl_subtree=2, test_subtree=3)
    assert write(small_world, tmp_path / "rows", options)["rows"]["eval_id.jsonl"] == 86
    for name, source in {"eval_id": "sub4", "st_rl": "sub1", "mt_rl": "sub2", "eval_ood": "sub3"}.items():
        assert {row["source"] for row in read_rows(tmp_path / "rows" / f"{name}.jsonl")} == {source}


def test_an_unknown_subtree_is_refused_and_leaves_nothing(small_world, tmp_path):
    with pytest.raises(WorldError, match="no subtree 6: page_0 leads to page_1"):
        write(small_world, tmp_path / "rows", Options(test_subtree=6))
    assert list(tmp_path.iterdir()) == []


def test_page_sizes_that_a_model_would_resize_are_refused(cli, tmp_path):
    assert cli("data_engine.gelab.build", tmp_path / "w", "--tree", 5, "--page-size", "450x450").returncode == 0
    done = cli("data_engine.gelab.write", tmp_path / "w", tmp_path / "rows")
    assert done.returncode == 2
    assert done.stderr == "write: page size 450x450: sides must be multiples of 28 or of 32; build with 448x448\n"


def test_a_world_with_a_changed_screenshot_gives_no_rows(small_world, tmp_path):
    shutil.copytree(small_world, tmp_path / "w")
    (tmp_path / "w" / "pages" / "page_3.png").write_bytes((small_world / "pages" / "page_4.png").read_bytes())
    with pytest.raises(DataError, match="page_3.png"):
        write(tmp_path / "w", tmp_path / "rows")


def test_the_command_prints_its_counts(cli, small_world, tmp_path):
    done = cli("data_engine.gelab.write", small_world, "rows", cwd=tmp_path)
    assert done.returncode == 0 and done.stderr == ""
    assert [line.split()[:2] for line in done.stdout.splitlines()] == [
        [name, f"{count:,}"] for name, count in read_json(tmp_path / "rows" / "manifest.json")["rows"].items()
    ]


# ---- the authors' own sample rows


@pytest.mark.reference
@pytest.mark.parametrize("name", ["st_rl.json", "mt_rl.json", "test.json"])
def test_the_authors_answers_score_one(reference, name):
    rows = read_json(reference / name)
    assert rows
    for row in rows:
        answer = row["solution"] if "solution" in row else row["messages"][-1]["content"]
        scored = score_prediction(row | {"prediction": answer})
        assert scored["right"] == 1 and scored["kind"] == "first_click"
        assert scored["parts"].type == scored["parts"].coord == scored["parts"].intent == scored["parts"].format == 1


@pytest.mark.reference
def test_our_prompts_are_the_authors_word_for_word(reference):
    graph = from_structure(read_json(reference / "ui_structure.json"), "authors")
    for name in ["sft.json", "st_rl.json", "mt_rl.json", "test.json"]:
        history: list[str] = []
        for row in read_json(reference / name):
            question = row["problem"] if "problem" in row else row["messages"][0]["content"]
            answer = parse(row["solution"] if "solution" in row else row["messages"][1]["content"])
            _, _, start, _, goal = question.partition(". History")[0].split()
            if "History: Null" in question:
                history = []
            assert question == prompts.navigation(start, goal, history)
            element = graph.pages[answer.page].element(answer.icon)
            x, y = to_canvas(answer.action.x, answer.action.y, graph.canvas)
            u, v = (x - element.box.x1) / 200, (y - element.box.y1) / 200
            assert 0.25 <= u <= 0.75 and 0.25 <= v <= 0.75
            history.append(prompts.entry(HIT, answer.page, answer.icon))


@pytest.mark.reference
def test_the_scorer_reads_the_authors_prediction_files(cli, reference, authors_world, tmp_path):
    """Predictions made of their own answers: as a JSON list, and as JSON lines."""
    for name, right in {"st_rl": 2, "mt_rl": 2, "test": 1, "sft": 2}.items():
        rows = read_json(reference / f"{name}.json")
        for row in rows:
            row["prediction"] = row["solution"] if "solution" in row else row["messages"][-1]["content"]
        (tmp_path / f"{name}.json").write_text(json.dumps(rows, indent=4))
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        world = ["--world", authors_world] if name == "sft" else []
        for file in (f"{name}.json", f"{name}.jsonl") if name == "mt_rl" else (f"{name}.json",):
            done = cli("eval/gelab_score.py", tmp_path / file, "--json", *world)
            assert done.returncode == 0, done.stderr
            metrics = json.loads(done.stdout)["metrics"]
            assert metrics["overall_paper"] == 1.0 and sum(metrics["rows_by_kind"].values()) == right


@pytest.mark.reference
def test_the_authors_sft_rows_need_a_world_for_their_boxes(cli, reference, tmp_path):
    rows = [row | {"prediction": row["messages"][-1]["content"]} for row in read_json(reference / "sft.json")]
    (tmp_path / "sft.json").write_text(json.dumps(rows))
    done = cli("eval/gelab_score.py", tmp_path / "sft.json")
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1 and "row 0" in done.stderr


@pytest.mark.reference
def test_the_authors_world_asks_for_the_same_tasks(authors_data, authors_world):
    graph = World(authors_world).graph
    assert (len(graph.pages), len(graph.edges), len(graph.places)) == (231, 685, 232)
    rows = read_rows(authors_data / "eval_ood.jsonl")
    assert {row["source"] for row in rows} == {"sub5"}
