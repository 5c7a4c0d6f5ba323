"""A world and its rows in the published layout: they read back equal, score 100 %, and look as the authors' files."""

import json
import re
import shutil
from collections import Counter
from pathlib import Path

import pytest

from data_engine.dataset import DataError, read_json, read_rows, sha256, write_json, write_rows
from data_engine.gelab.actions import parse
from data_engine.gelab.blank import blank
from data_engine.gelab.build import build
from data_engine.gelab.export import config, export
from data_engine.gelab.graph import BACK, HOME, PageGraph
from data_engine.gelab.metrics import answered, static_metrics
from data_engine.gelab.structure import from_structure
from data_engine.gelab.vary import vary
from data_engine.gelab.world import World
from data_engine.gelab.write import Options, write
from data_engine.geometry import Size

EXPORT = "data_engine.gelab.export"
ROWS = {  # of the small world: 26 pages, five subtrees of five, 6 pages with page_0 in each
    "sft.json": "sft.jsonl",
    "st_rl.json": "st_rl.jsonl",
    "mt_rl.json": "mt_rl.jsonl",
    "test.json": "eval_ood.jsonl",
    "eval_sub4_test.json": "eval_ood.jsonl",
}


@pytest.fixture(scope="module")
def published(small_world, small_data, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("published") / "small"
    export(small_world, small_data, out)
    return out


def gold(row: dict) -> str:
    return row["solution"] if "solution" in row else row["messages"][-1]["content"]


def question(row: dict) -> str:
    return row["problem"] if "problem" in row else row["messages"][0]["content"]


def picture(row: dict) -> str:
    return row["image"] if "image" in row else row["images"][0]


# ---- the world


def test_the_files_of_the_published_layout(published, world):
    files = {path.relative_to(published).as_posix() for path in published.rglob("*") if path.is_file()}
    pages = {f"pages/{page}.png" for page in world.graph.pages}
    tables = {"icon_captioning.json", "icon_grounding.json", "eval_sub0_test.json", "eval_sub1_test.json", *ROWS}
    structure = {"ui_structure.json", "ui_structure_layer.json", "ui_structure_layer_fixed.json", "ui_topology.png"}
    assert files == pages | tables | structure | {"config.json", "used_icons.json", "manifest.json"}
    for page in pages:
        assert (published / page).read_bytes() == (world.folder / page).read_bytes()


def test_the_structure_reads_back_equal(published, world, tmp_path):
    structure = read_json(published / "ui_structure.json")
    assert from_structure(structure, "published") == world.graph
    assert structure["metadata"] == world.structure["metadata"] | {"config_file": "config.json"}
    build(tmp_path / "again", structure_file=published / "ui_structure.json", page_size=Size(112, 112))
    assert World(tmp_path / "again").graph == world.graph


def flattened(node: dict) -> dict[str, dict]:
    """Page id -> its record, of a nested structure."""
    record = {name: value for name, value in node.items() if name != "subnodes"}
    pages = {Path(node["image"]).stem: record}
    for child in node["subnodes"]:
        pages |= flattened(child)
    return pages


def test_nested_by_hand(tmp_path):
    """page_0 leads to page_1 and page_2, these to page_3 and page_4."""
    build(tmp_path / "world", (2, 1), page_size=Size(112, 112))
    write(tmp_path / "world", tmp_path / "data", Options(0, "union", "uniform", (1,), 1, 2, 2))
    export(tmp_path / "world", tmp_path / "data", tmp_path / "out")
    root = read_json(tmp_path / "out/ui_structure_layer.json")["root"]
    first, second = root["subnodes"]
    assert [node["image"] for node in (root, first, second)] == ["page_0.png", "page_1.png", "page_2.png"]
    assert [[leaf["image"] for leaf in node["subnodes"]] for node in (first, second)] == [
        ["page_3.png"],
        ["page_4.png"],
    ]
    assert [t["target_page"] for t in first["transitions"]] == ["page_3"]
    assert first["subnodes"][0]["transitions"] == first["subnodes"][0]["subnodes"] == []
    assert list(first) == ["image", "depth", "layout", "transitions", "subnodes"]
    fixed = read_json(tmp_path / "out/ui_structure_layer_fixed.json")["root"]["subnodes"][0]
    assert [t["target_page"] for t in fixed["transitions"]] == ["page_3", "page_0"]
    assert [t["action"] for t in fixed["subnodes"][0]["transitions"]] == ["back", "home"]
    names = {path.name for path in (tmp_path / "out").glob("*_test.json")}
    assert names == {"eval_sub0_test.json", "eval_sub1_test.json"}


def test_the_nested_structure_is_the_flat_one(published):
    flat = read_json(published / "ui_structure.json")
    layer, fixed = (read_json(published / f"ui_structure_layer{name}.json") for name in ("", "_fixed"))
    assert flattened(fixed["root"]) == flat["pages"]
    assert layer["metadata"] == fixed["metadata"] == flat["metadata"]
    for page, record in flattened(layer["root"]).items():
        whole = flat["pages"][page]
        assert record["layout"] == whole["layout"]
        assert record["transitions"] == [t for t in whole["transitions"] if t["action"] not in ("back", "home")]


def test_config_by_hand(published, world):
    assert read_json(published / "config.json") == {
        "tree_depth": 4,
        "nodes_per_level": [5, 2, 1],
        "is_random_node": False,
        "canvas_size": [1179, 2556],
        "icon_size": [200, 200],
        "margin": 60,
        "top_margin": 150,
    }
    pages = dict(world.graph.pages)
    lost = next(page for page in reversed(pages) if pages[page].depth == 3)  # one page of depth 2 leads nowhere now
    parent = pages[world.graph.parents[lost]]
    kept = tuple(element for element in parent.elements if element.target != lost)
    pages[parent.id] = type(parent)(parent.id, parent.depth, kept)
    del pages[lost]
    irregular = config(PageGraph(pages, world.graph.canvas))
    assert (irregular["nodes_per_level"], irregular["is_random_node"]) == ([5, 2, 1], True)


def test_used_icons(published, world):
    icons = read_json(published / "used_icons.json")
    assert all(list(icon) == ["original_path", "func_name"] for icon in icons)
    assert {icon["func_name"]: icon["original_path"] for icon in icons} == world.manifest["icons"]
    assert {icon["func_name"] for icon in icons} == world.graph.places.keys() - {BACK, HOME}


# ---- the rows


@pytest.mark.parametrize("name", ROWS)
def test_rows_say_what_ours_say(published, small_data, world, name):
    ours, theirs = read_rows(small_data / ROWS[name]), read_json(published / name)
    assert [row["idx"] for row in theirs] == list(range(len(ours)))
    for own, row in zip(ours, theirs, strict=True):
        assert question(row) == own["messages"][0]["content"]
        assert "world/" + picture(row) == own["images"][0] and (published / picture(row)).is_file()
        assert all(row[column] == own[column] for column in ("task", "path", "source") if column in row)
        if name == "mt_rl.json":
            start, goal = own["env_config"]["start"], own["env_config"]["goal"]
            answer, element = parse(gold(row)), world.graph.shortest_path(start, goal)[0][1]
            assert (answer.icon, answer.page, answer.well_formed) == (element.name, start, True)
            own |= {"bbox": element.box}
        else:
            assert gold(row) == (own["solution"] if "solution" in own else own["messages"][-1]["content"])
        if "bbox" in row:
            assert row["bbox"] == own["bbox"]
        if "bbox_norm" in row:
            x1, y1, x2, y2 = own["bbox"] or (0, 0, 0, 0)
            norm = [round(x1 / 1.179), round(y1 / 2.556), round(x2 / 1.179), round(y2 / 2.556)]
            assert row["bbox_norm"] == (norm if own["bbox"] else [])


def test_each_subtree_has_its_rows(published, small_data):
    held_in = read_rows(small_data / "eval_id.jsonl")
    for name, source in ("eval_sub0_test", "sub1"), ("eval_sub1_test", "sub2"):
        rows = read_json(published / f"{name}.json")
        assert list(map(question, rows)) == [question(row) for row in held_in if row["source"] == source]
        assert len(rows) == 86 and [row["idx"] for row in rows] == list(range(86))
    assert (published / "eval_sub4_test.json").read_bytes() == (published / "test.json").read_bytes()


def test_a_subtree_that_is_held_in_and_out_has_its_rows_once(small_world, tmp_path):
    write(small_world, tmp_path / "data", Options(sft_subtrees=(1, 5)))
    rows = export(small_world, tmp_path / "data", tmp_path / "out")["rows"]
    assert {name: count for name, count in rows.items() if name.startswith("eval_")} == {
        "eval_sub0_test.json": 86,
        "eval_sub4_test.json": 86,
    }


def test_icon_questions_stand_in_sft_too(published):
    sft = read_json(published / "sft.json")
    for name, task in ("icon_captioning", "caption"), ("icon_grounding", "grounding"):
        rows = read_json(published / f"{name}.json")
        asked = Counter((question(row), gold(row), picture(row)) for row in sft if row["task"] == task)
        assert Counter((question(row), gold(row), picture(row)) for row in rows) == asked
        assert len(rows) == 27 * 10  # 25 icons, back and home
        assert [row["idx"] for row in rows] == list(range(270))


EVERY = [*ROWS, "icon_captioning.json", "icon_grounding.json", "eval_sub0_test.json", "eval_sub1_test.json"]


@pytest.mark.parametrize("name", EVERY)
def test_gold_scores_100_percent(published, world, eval_module, tmp_path, name):
    """As eval/gelab_score.py reads them; rows of sft.json have no box and get theirs from the world."""
    rows = [row | {"prediction": gold(row)} for row in read_json(published / name)]
    write_json(tmp_path / name, rows)
    sft = name.startswith(("sft", "icon"))
    metrics = static_metrics(eval_module("gelab_score").load(tmp_path / name, world if sft else None, None))
    assert metrics["rows"] == len(rows) > 0 and metrics["parse_failures"] == {} and metrics["out_of_range"] == 0
    rates = [metrics[rate] for rate in ("overall_paper", "edge_paper", "path_paper", "caption", "grounding")]
    assert {rate for rate in rates if rate is not None} == {1.0}
    assert metrics["task_all"] in (1.0, None)


def test_the_scorer_as_it_is_started(cli, published, tmp_path):
    rows = [row | {"prediction": gold(row)} for row in read_json(published / "test.json")]
    write_rows(tmp_path / "lines.jsonl", rows)
    done = cli("eval/gelab_score.py", tmp_path / "lines.jsonl", "--json")
    assert done.returncode == 0, done.stderr
    metrics = json.loads(done.stdout)["metrics"]
    assert (metrics["overall_paper"], metrics["tasks"], metrics["task_all"]) == (1.0, 30, 1.0)


def test_wrong_answers_do_not_score(published):
    rows = [row | {"prediction": gold(row).replace("(", "(9")} for row in read_json(published / "st_rl.json")]
    metrics = static_metrics(list(map(answered, rows)))
    assert metrics["first_click"] == metrics["middle_click"] == 0.0 and metrics["complete"] == 1.0


def test_a_system_prompt_is_left_out(small_world, published, tmp_path):
    write(small_world, tmp_path / "data", Options(system_in_rows=True))
    export(small_world, tmp_path / "data", tmp_path / "out")
    for name in EVERY:
        assert (tmp_path / "out" / name).read_bytes() == (published / name).read_bytes()


@pytest.mark.parametrize("kind", ["image", "name", "position", "noise"])
def test_a_variant(small_world, tmp_path, kind):
    vary(small_world, tmp_path / "world", kind)
    write(tmp_path / "world", tmp_path / "data")
    export(tmp_path / "world", tmp_path / "data", tmp_path / "out")
    graph = from_structure(read_json(tmp_path / "out/ui_structure.json"), "published")
    assert graph == World(tmp_path / "world").graph
    layer = read_json(tmp_path / "out/ui_structure_layer_fixed.json")
    assert flattened(layer["root"]) == read_json(tmp_path / "out/ui_structure.json")["pages"]


def test_a_blank_twin(small_data, published, tmp_path):
    blank(small_data, tmp_path / "blank")
    export(tmp_path / "blank/world", tmp_path / "blank", tmp_path / "out")
    for name in EVERY:
        assert (tmp_path / "out" / name).read_bytes() == (published / name).read_bytes()
    assert (tmp_path / "out/pages/page_1.png").read_bytes() == (tmp_path / "out/pages/page_2.png").read_bytes()


def test_the_command(cli, small_data, published, tmp_path):
    done = cli(EXPORT, small_data / "world", small_data, "out", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    files = read_json(tmp_path / "out/manifest.json")
    assert files == read_json(published / "manifest.json")  # with the hash of each file
    lines = [line.split()[:2] for line in done.stdout.splitlines()]
    assert lines == [[name, f"{count:,}"] for name, count in files["rows"].items()]


# ---- refusals


def test_rows_of_another_world(cli, small_data, tmp_path):
    build(tmp_path / "w", (1,), page_size=Size(112, 112))
    done = cli(EXPORT, tmp_path / "w", small_data, tmp_path / "out")
    line = f"export: {small_data}: its rows are not of {tmp_path}/w; give their own world, {small_data}/world\n"
    assert (done.returncode, done.stderr) == (2, line)
    assert not (tmp_path / "out").exists()


@pytest.fixture
def data(small_data, tmp_path) -> Path:
    shutil.copytree(small_data, tmp_path / "data")
    return tmp_path / "data"


@pytest.mark.parametrize("name, value, known", [("protocol", "hard", "paper"), ("explain", "way", "step")])
def test_rows_that_the_formats_cannot_say(data, tmp_path, name, value, known):
    manifest = read_json(data / "manifest.json")
    for given in value, known:
        manifest["arguments"][name] = given
        write_json(data / "manifest.json", manifest)
        if given == value:
            with pytest.raises(DataError, match=f"has rows of --{name} {value}, .*; write rows with --{name} {known}$"):
                export(data / "world", data, tmp_path / "out")
            assert not (tmp_path / "out").exists()
        else:
            export(data / "world", data, tmp_path / "out")


def edit(data: Path, name: str, change: dict) -> None:
    """Change the third row of a file, and the manifest with it."""
    rows = read_rows(data / name)
    rows[2] |= change
    write_rows(data / name, rows)
    manifest = read_json(data / "manifest.json")
    manifest["files"][name] = sha256(data / name)
    write_json(data / "manifest.json", manifest)


QUESTION = {"role": "user", "content": "<image>Where?"}
EDITS = [
    ("sft.jsonl", {"source": "sub1_recovery"}, "source is 'sub1_recovery', expected"),
    ("sft.jsonl", {"messages": [QUESTION]}, "its messages are not of user and assistant; write the rows again"),
    ("sft.jsonl", {"images": ["world/placements/a/pages/page_0.png"]}, "is no page of the world"),
    ("sft.jsonl", {"images": []}, "images is a list of 0, expected"),
    ("eval_ood.jsonl", {"source": "sub5_edge"}, "source is 'sub5_edge', expected"),
    ("eval_id.jsonl", {"bbox": []}, "gold is neither complete nor a click with a box; write the rows again"),
    ("st_rl.jsonl", {"messages": [QUESTION, QUESTION]}, "its messages are not of user; write the rows again"),
    ("mt_rl.jsonl", {"env_config": {"start": "page_1", "goal": "page_99"}}, "from 'page_1' to 'page_99' is no task"),
    ("mt_rl.jsonl", {"env_config": {"start": "page_1", "goal": "page_1"}}, "from 'page_1' to 'page_1' is no task"),
    ("mt_rl.jsonl", {"env_config": None}, "env_config is null, expected"),
]


@pytest.mark.parametrize("name, change, words", EDITS)
def test_an_odd_row_is_one_line(data, tmp_path, name, change, words):
    edit(data, name, change)
    with pytest.raises(DataError) as caught:
        export(data / "world", data, tmp_path / "out")
    line = str(caught.value)
    assert f"{name}:3: row " in line and words in line and "\n" not in line
    assert not (tmp_path / "out").exists()


def test_changed_files_are_refused(data, tmp_path):
    page = data / "world/pages/page_3.png"
    page.write_bytes((data / "world/pages/page_4.png").read_bytes())
    with pytest.raises(DataError, match=r"page_3\.png: was changed"):
        export(data / "world", data, tmp_path / "out")
    (data / "st_rl.jsonl").write_bytes((data / "st_rl.jsonl").read_bytes() + b"\n")
    with pytest.raises(DataError, match="was changed"):
        export(data / "world", data, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_structure_with_odd_metadata(small_world, tmp_path):
    structure = read_json(small_world / "ui_structure.json") | {"metadata": [1, 2, 3]}
    write_json(tmp_path / "structure.json", structure)
    build(tmp_path / "world", structure_file=tmp_path / "structure.json", page_size=Size(112, 112))
    write(tmp_path / "world", tmp_path / "data")
    with pytest.raises(DataError, match="metadata: it is a list of 3, expected `object`; make it one$"):
        export(tmp_path / "world", tmp_path / "data", tmp_path / "out")


# ---- the authors' own files


@pytest.fixture(scope="module")
def authors(authors_world, tmp_path_factory) -> Path:
    """The authors' world, written and exported, its subtrees shared out as their sample rows have them."""
    folder = tmp_path_factory.mktemp("authors")
    write(
        authors_world, folder / "data", Options(sft_subtrees=(4, 5), st_rl_subtree=3, mt_rl_subtree=3, test_subtree=1)
    )
    export(authors_world, folder / "data", folder / "out")
    return folder / "out"


def kinds(value: object) -> object:
    """Keys in their order, and types; a list has those of its items."""
    if isinstance(value, dict):
        return [(name, kinds(inner)) for name, inner in value.items()]
    return [kinds(inner) for inner in value] if isinstance(value, list) else type(value).__name__


PATTERNS = {"sft": EVERY[:1] + EVERY[5:7], "st_rl": ["st_rl.json"], "mt_rl": ["mt_rl.json"]}
PATTERNS["test"] = [name for name in EVERY if "test" in name]


@pytest.mark.reference
@pytest.mark.parametrize("pattern", PATTERNS)
def test_keys_and_types_are_the_authors(reference, published, pattern):
    theirs = {json.dumps(kinds(row)) for row in read_json(reference / f"{pattern}.json")}
    assert len(theirs) == 1
    (theirs,) = map(json.loads, theirs)
    unclicked = [[name, [] if name.startswith("bbox") else kind] for name, kind in theirs]
    for name in PATTERNS[pattern]:
        rows = read_json(published / name)
        assert rows
        for row in rows:
            clicks = pattern == "sft" or "Action: click" in gold(row)
            assert json.loads(json.dumps(kinds(row))) == (theirs if clicks else unclicked), name


@pytest.mark.reference
def test_the_authors_structure_comes_back_byte_for_byte(reference, authors):
    assert (authors / "ui_structure.json").read_bytes() == (reference / "ui_structure.json").read_bytes()
    shape = read_json(authors / "config.json")
    assert (shape["tree_depth"], shape["nodes_per_level"]) == (7, [5, 3, 2, 2, 1, 1])


def unsampled(row: dict) -> str:
    """A row without what was sampled or chosen: its number, the point, the folder of pictures."""
    text = json.dumps({name: value for name, value in row.items() if name != "idx"})
    text = re.sub(r"\(\d+,\d+\)", "(x,y)", re.sub(r'"\w+/images/', '"pages/', text))
    return text.replace("explain:", "Explain:").replace("sub3_edge", "sub3")  # st_rl.json: ours are path rows


@pytest.mark.reference
@pytest.mark.parametrize("name", PATTERNS)
def test_the_authors_sample_rows_are_among_ours(reference, authors, name):
    ours = set(map(unsampled, read_json(authors / f"{name}.json")))
    assert {unsampled(row) for row in read_json(reference / f"{name}.json")} <= ours
