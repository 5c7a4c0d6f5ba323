"""Protocol `hard` and `--explain way`: rows, proof, rollouts and scores of worlds whose icons change places."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from data_engine.dataset import DataError, read_json, read_rows
from data_engine.gelab import prompts
from data_engine.gelab.actions import format_click, format_way, parse
from data_engine.gelab.baselines import Blind, TextOnly
from data_engine.gelab.benchmark import request
from data_engine.gelab.blank import blank
from data_engine.gelab.build import build
from data_engine.gelab.env import GELabEnv, episode_of
from data_engine.gelab.graph import WorldError
from data_engine.gelab.oracle import gold_answer
from data_engine.gelab.placements import SPLITS, names, opened, split_counts
from data_engine.gelab.scoring import gold_of, score
from data_engine.gelab.tasks import Task
from data_engine.gelab.verify import verify
from data_engine.gelab.world import World
from data_engine.gelab.write import Options, write
from data_engine.geometry import Size

HARD = Options(protocol="hard", explain="way", placements=4, passes=2, recovery=0.2, page_questions=2)
STEP_FILES = ("sft.jsonl", "st_rl.jsonl", "eval_id.jsonl", "eval_ood.jsonl")


@pytest.fixture(scope="module")
def hard(small_world, tmp_path_factory) -> Path:
    """Rows of the small world on four placements, each answer with its way."""
    out = tmp_path_factory.mktemp("rows") / "hard"
    write(small_world, out, HARD)
    return out


@pytest.fixture
def copy(hard, tmp_path) -> Path:
    return Path(shutil.copytree(hard, tmp_path / "copy"))


def worlds(data: Path) -> dict[str, dict[str, World]]:
    counts = split_counts(HARD.placements)
    return {split: {path: opened(data, path) for path in names(split, counts[split])} for split in SPLITS}


def test_placements_share_pages_names_and_transitions_and_no_place(hard, world):
    made, places = worlds(hard), {split: set() for split in SPLITS}
    for split, of_split in made.items():
        for shown in of_split.values():
            assert {p: [(e.name, e.target) for e in page.elements] for p, page in shown.graph.pages.items()} == {
                p: [(e.name, e.target) for e in page.elements] for p, page in world.graph.pages.items()
            }
            icons = [(p, e) for p, page in shown.graph.pages.items() for e in page.elements]
            assert all(e.box == world.graph.pages[p].element(e.name).box for p, e in icons if e.system)
            places[split] |= {(p, e.name, e.box) for p, e in icons if not e.system}
    assert not places["train"] & places["eval"]
    assert len({shown.fingerprint for of_split in made.values() for shown in of_split.values()}) == 5


def test_training_and_evaluation_show_their_own_placements(hard):
    def shown(name: str) -> set[str]:
        return {row["images"][0].partition("/pages/")[0] for row in read_rows(hard / name)}

    train, test = (set(of_split) for of_split in worlds(hard).values())
    assert shown("sft.jsonl") == shown("st_rl.jsonl") == shown("mt_rl.jsonl") == train
    assert shown("eval_id.jsonl") <= test and shown("eval_ood.jsonl") <= test
    tasks = read_rows(hard / "tasks_ood.jsonl")
    assert {task["world"] for task in tasks} <= test
    rows = {(row["task"], row["images"][0].partition("/pages/")[0]) for row in read_rows(hard / "eval_ood.jsonl")}
    assert rows == {(task["task"], task["world"]) for task in tasks}  # teacher-forced and live: the same placement


def test_counts_are_the_papers_times_the_passes(hard, small_data):
    paper, made = (read_json(data / "manifest.json")["rows"] for data in (small_data, hard))
    assert {name: made[name] for name in made if "eval" in name or "tasks" in name} == {
        name: paper[name] for name in paper if "eval" in name or "tasks" in name
    }
    assert made["mt_rl.jsonl"] == 2 * paper["mt_rl.jsonl"]
    kinds = {"recovery": 0, "opening": 0, "page": 0, "": 0}
    for row in read_rows(hard / "sft.jsonl"):
        kind = row["source"].rpartition("_")[2]
        kinds[kind if kind in kinds else ""] += 1
    rows = read_rows(small_data / "sft.jsonl")
    clicks = sum("sub" in row["source"] and bool(row["bbox"]) for row in rows)
    assert kinds == {"": 2 * len(rows), "page": 2 * 2 * 26, "opening": 2 * 2 * 25, "recovery": round(0.2 * 2 * clicks)}


def test_the_same_arguments_give_the_same_bytes(small_world, hard, tmp_path):
    write(small_world, tmp_path / "again", HARD, workers=2)
    for path in sorted(p.relative_to(hard) for p in hard.rglob("*") if p.is_file()):
        assert (tmp_path / "again" / path).read_bytes() == (hard / path).read_bytes(), path


def test_every_row_says_its_way_and_asks_for_it(hard):
    world = World(hard / "world")
    for name in STEP_FILES:
        for row in read_rows(hard / name):
            system, question, *_ = row["messages"]
            assert system == {"role": "system", "content": prompts.system(explain="way")}
            if row["path"]:
                page, goal = Path(row["images"][0]).stem, row["task"].rpartition(" ")[2]
                answer = parse(row.get("solution", row["messages"][-1]["content"]))
                above = [[p] for p in (page, goal)]
                for chain in above:
                    while chain[-1] != "page_0":
                        chain.append(world.graph.parents[chain[-1]])
                to_open = goal if page == goal else world.graph.next_element(page, goal).target
                assert f"{answer.way}\n" == format_way(*above, to_open) and answer.well_formed


def test_mishaps_are_told_as_the_environment_tells_them(hard):
    """Each recovery row's history is replayed in the environment, which asks the same question on the same page."""
    replayed = set()
    for row in read_rows(hard / "sft.jsonl"):
        if not row["source"].endswith("_recovery"):
            continue
        path, question = row["images"][0].partition("/pages/")[0], row["messages"][-2]["content"]
        start, goal = row["task"].removeprefix("From ").split(" to ")
        episode = episode_of({"world": str(hard / path), "start": start, "goal": goal, "explain": "way"}, 12, False)
        for entry in question.partition("History: ")[2].split(" step"):
            state, text = episode.state, "hm"
            if "missed" in entry:
                text = format_click("x", "y", 0, 1000)
            elif "click" in entry:
                name = entry.partition("click ")[2].partition(" icon on ")[0]
                box = next(e for e in episode.world.graph.click_table[state.page] if e[4] == name)
                text = format_click("x", "y", *box[:2])
            replayed.add(text[:4])
            episode.answer(text)
        asked = episode.request()
        assert (asked.prompt, asked.system) == (question, row["messages"][0]["content"])
        assert asked.image == hard / row["images"][0]
        gold, told = parse(asked.gold()), parse(row["messages"][-1]["content"])
        assert (gold.icon, gold.page, gold.way) == (told.icon, told.page, told.way)
    assert replayed == {"hm", "Expl"}


def test_the_proof_passes_and_finds_what_is_planted(hard, copy):
    assert not verify(hard).faults
    manifest = read_json(copy / "manifest.json")
    rows = read_rows(copy / "eval_ood.jsonl")
    plants = [
        ("wrong image", lambda row: row["images"].__setitem__(0, row["images"][0].replace("eval_0", "train_0"))),
        ("wrong answer", lambda row: row["messages"][-1].update(content=row["messages"][-1]["content"][4:])),
        ("system prompt", lambda row: row["messages"].pop(0)),
        ("wrong box", lambda row: row.update(bbox=[x + 1 for x in row["bbox"]])),
    ]
    for (_, plant), row in zip(plants, rows, strict=False):
        plant(row)
    (copy / "eval_ood.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    shutil.copytree(copy / "placements" / "train_0", copy / "placements" / "eval_0", dirs_exist_ok=True)
    manifest["placements"]["placements/eval_0"] = manifest["placements"]["placements/train_0"]
    (copy / "manifest.json").write_text(json.dumps(manifest))
    faults = verify(copy).faults
    found = {fault.kind for fault in faults}
    assert {kind for kind, _ in plants} | {"shared place", "edited file"} <= found
    assert {f.line for f in faults if f.file == "eval_ood.jsonl" and f.kind in ("wrong image", "system prompt")} >= {
        1,
        3,
    }


def test_what_is_known_by_heart_hits_no_icon(hard):
    """The look-up in the text names icons of held-in tasks, text-only all, and neither clicks on any of them."""
    rows = read_rows(hard / "sft.jsonl")
    policies, named = (Blind(rows), TextOnly(rows)), [0, 0]
    icons = [row for row in read_rows(hard / "eval_id.jsonl") if gold_of(row).answer.icon not in (None, "back", "home")]
    for row in icons:
        gold = gold_of(row)
        for i, policy in enumerate(policies):
            answer = parse(policy.answer([request(row, hard)])[0])
            named[i] += answer.icon == gold.answer.icon
            assert not score(answer, gold).coord
    assert 0 < named[0] <= named[1] == len(icons)


def test_text_only_is_right_in_all_where_icons_stay(small_data):
    policy = TextOnly(read_rows(small_data / "sft.jsonl"))
    for row in read_rows(small_data / "eval_ood.jsonl"):
        assert score(parse(policy.answer([request(row, small_data)])[0]), gold_of(row)).step


@pytest.mark.parametrize("explain", ["step", "way"])
def test_the_way_belongs_to_the_format_of_its_rows_alone(world, explain):
    gold = gold_answer(world.graph, "page_0", "page_6", explain)
    other = gold_answer(world.graph, "page_0", "page_6", "way" if explain == "step" else "step")
    element = world.graph.next_element("page_0", "page_6")
    row = {"solution": gold, "bbox": list(element.box), "canvas": list(world.graph.canvas)}
    assert score(parse(gold), gold_of(row)).format == 1
    parts = score(parse(other), gold_of(row))
    assert (parts.type, parts.coord, parts.intent, parts.step, parts.format) == (1, 1, 1, 1, 0)


def test_text_before_the_answer_is_a_way_only_as_it_is_declared():
    answer = format_click("key", "page_1", 5, 5)
    way = "Way:page_1 page_0. page_2 page_0. page_0."
    assert parse(f"{way}\n{answer}").way == way
    for text in (
        "Way: page_1. page_2. page_0.\n",
        "Way:page_1. page_2.\n",
        "Way:page_1. page_2. page_0.",
        "way:page_1. page_2. page_0.\n",
        "Way:a. b. c.\n" * 2,
    ):
        said = parse(text + answer)
        assert (said.way is None or not said.well_formed) and said.action == parse(answer).action, text


def test_the_gym_environment_changes_places_by_seed_or_by_choice(hard):
    shown = [opened(hard, f"placements/train_{i}") for i in range(4)]
    env = GELabEnv(World(hard / "world"), [Task("page_0", "page_6", 2)], placements=shown)
    seen = set()
    for seed in range(12):
        image = env.reset(seed=seed)[0]["image"]
        assert np.array_equal(image, env.reset(seed=seed)[0]["image"])
        seen.add(image.tobytes())
    assert seen == {world.screenshot("page_0").tobytes() for world in shown}
    assert np.array_equal(env.reset(options={"placement": 2})[0]["image"], shown[2].screenshot("page_0"))


def test_live_evaluation_walks_each_task_on_its_placement(hard, cli, tmp_path):
    done = cli(
        *("eval/gelab_interactive.py", "--engine", "oracle", "--world", hard / "world", "--out", tmp_path / "run"),
        *("--tasks", hard / "tasks_ood.jsonl", "--attempts", 1, "--json"),
    )
    assert done.returncode == 0, done.stderr
    metrics = json.loads(done.stdout)["metrics"]
    assert metrics["greedy_declared"] == metrics["pass_at_1"] == 1.0 and metrics["outcomes"].keys() == {
        "hit",
        "complete",
    }
    walks = read_rows(tmp_path / "run" / "trajectories.jsonl")
    assert {walk["world"] for walk in walks} == {task["world"] for task in read_rows(hard / "tasks_ood.jsonl")}
    assert all(turn["answer"].startswith("Way:") for walk in walks for turn in walk["turns"])


def test_a_placement_that_was_exchanged_is_refused(copy, cli, tmp_path):
    shutil.copytree(copy / "placements" / "train_0", copy / "placements" / "eval_0", dirs_exist_ok=True)
    done = cli(
        *("eval/gelab_interactive.py", "--engine", "oracle", "--world", copy / "world", "--out", tmp_path / "run"),
        *("--tasks", copy / "tasks_ood.jsonl"),
    )
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "is not the placement of" in done.stderr


def test_the_blind_twin_has_blank_placements(hard, tmp_path):
    blank(hard, tmp_path / "twin")
    assert not verify(tmp_path / "twin").faults
    for split in worlds(tmp_path / "twin").values():
        for world in split.values():
            assert (world.screenshot("page_0") == 255).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (Options(passes=2), "give --protocol hard"),
        (Options(protocol="hard", placements=2, passes=3), "more than --placements 2"),
        (Options(page_questions=1), "belong to --explain way"),
    ],
)
def test_options_that_contradict_each_other_are_refused(small_world, tmp_path, options, message):
    with pytest.raises(DataError, match=message):
        write(small_world, tmp_path / "rows", options)
    assert not os.listdir(tmp_path)


def test_a_world_off_the_grid_is_refused(tmp_path):
    build(tmp_path / "free", tree=(5, 2), layout="free", page_size=Size(112, 112))
    with pytest.raises(WorldError, match="do not stand on the grid"):
        write(tmp_path / "free", tmp_path / "rows", HARD)


@pytest.mark.parametrize(
    ("variables", "line"),
    [
        ({"PROTOCOL": "harder"}, "PROTOCOL=harder: unknown; known are paper, hard\n"),
        ({"EXPLAIN": "why"}, "EXPLAIN=why: unknown; known are step, way\n"),
        ({"PROTOCOL": "paper"}, "PROTOCOL=paper: the rows of {} are of another kind; write them with --protocol paper"),
        ({"EXPLAIN": "step"}, "EXPLAIN=step: the rows of {} are of another kind; write them with --explain step"),
    ],
)
def test_recipes_want_the_rows_that_their_variables_name(hard, repo, variables, line):
    given = {"GELAB_DATA": str(hard), "MAX_PIXELS": "12544", "PATH": os.environ["PATH"], **variables}
    done = subprocess.run(
        ["bash", str(repo / "recipes" / "gelab" / "sft.sh")], env=given, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2 and done.stderr.startswith(line.format(hard)) and done.stderr.count("\n") == 1


def test_the_kind_of_rows_names_their_folder(repo):
    done = subprocess.run(
        ["bash", str(repo / "recipes" / "gelab" / "st_rl.sh")],
        env={"PROTOCOL": "hard", "EXPLAIN": "way", "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    folder = f"GELAB_DATA={repo}/runs/gelab/data_hard_way: no manifest.json there"
    wanted = "python -m data_engine.gelab.write --protocol hard --explain way WORLD OUT\n"
    assert done.returncode == 2 and done.stderr.startswith(folder) and done.stderr.endswith(wanted)
