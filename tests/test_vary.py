"""Variants of a world: only what the flag names changes in graph, names, boxes and pixels; the oracle is perfect."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data_engine.dataset import read_json, read_rows
from data_engine.episode import run_episodes
from data_engine.gelab.build import build
from data_engine.gelab.env import NavigationEpisode
from data_engine.gelab.graph import Element, PageGraph, WorldError, check
from data_engine.gelab.icons import IconSet, synonyms
from data_engine.gelab.layout import BODY
from data_engine.gelab.metrics import interactive_metrics, static_metrics
from data_engine.gelab.oracle import gold_answer
from data_engine.gelab.tasks import Task, all_tasks
from data_engine.gelab.vary import other_pictures, vary
from data_engine.gelab.verify import verify
from data_engine.gelab.world import World
from data_engine.gelab.write import write
from data_engine.geometry import Box, Size

KINDS = ("image", "name", "position", "noise")
VARY = "data_engine.gelab.vary"
# Worlds to vary: how each is built, 26 pages all
BASES = {
    "grid": {"page_size": Size(112, 112)},
    "list": {"layout": "list", "theme": "dark", "captions": True, "page_size": Size(308, 644)},
    "tabs": {"layout": "tabs", "page_size": Size(112, 112)},
    "free": {"layout": "free", "theme": "dark", "captions": True, "page_size": Size(448, 448)},
}


@dataclass
class Pair:
    """A world and one of its variants. ``icons`` pairs each icon of the base with its page and its successor."""

    base: World
    varied: World
    kind: str

    @property
    def icons(self) -> list[tuple[str, Element, Element]]:
        return [
            (page.id, a, b)
            for page in self.base.graph.pages.values()
            for a, b in zip(own_icons(page), own_icons(self.varied.graph.pages[page.id]), strict=True)
        ]

    def pictures(self, element: Element, successor: Element) -> tuple[str, str]:
        return self.base.manifest["icons"][element.name], self.varied.manifest["icons"][successor.name]

    def changed(self, page: str) -> np.ndarray:
        """(height, width) bool: which pixels of a page differ."""
        return (self.base.screenshot(page) != self.varied.screenshot(page)).any(axis=2)

    def on_page(self, box: Box) -> tuple[slice, slice]:
        box = box.scaled(self.base.graph.canvas, self.base.page_size)
        return slice(box.y1, box.y2), slice(box.x1, box.x2)


def own_icons(page) -> list[Element]:
    """The icons that lead somewhere; not `back`, `home` and distractors."""
    return [e for e in page.elements if e.target and not e.system]


def distractors(graph: PageGraph) -> list[tuple[str, Element]]:
    return [(page.id, e) for page in graph.pages.values() for e in page.elements if e.target is None]


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """pair(layout, kind), each made once."""
    made: dict[tuple[str, str], Pair] = {}
    folder = tmp_path_factory.mktemp("variants")

    def pair(layout: str, kind: str) -> Pair:
        if (layout, kind) not in made:
            build(folder / layout, tree=(5, 2, 1), seed=7, **BASES[layout])
            vary(folder / layout, folder / f"{layout}-{kind}", kind, seed=3)
            made[layout, kind] = Pair(World(folder / layout), World(folder / f"{layout}-{kind}"), kind)
        return made[layout, kind]

    return pair


every_base = pytest.mark.parametrize("layout", BASES)
every_kind = pytest.mark.parametrize("kind", KINDS)


@every_base
@every_kind
def test_the_graph_is_the_same(pair, layout, kind):
    both = pair(layout, kind)
    assert both.base.fingerprint != both.varied.fingerprint
    assert (both.base.page_size, both.base.style) == (both.varied.page_size, both.varied.style)
    a, b = both.base.graph, both.varied.graph
    assert [(p.id, p.depth) for p in a.pages.values()] == [(p.id, p.depth) for p in b.pages.values()]
    assert [(page, e.target) for page, e in a.edges] == [(page, e.target) for page, e in b.edges]
    assert all_tasks(a, list(a.pages)) == all_tasks(b, list(b.pages))  # and with them every distance
    ups = [[(page.id, e) for page in g.pages.values() for e in page.elements if e.system] for g in (a, b)]
    assert ups[0] == ups[1] and len(ups[0]) == 25 + 20  # back from depth 1, home from depth 2
    assert read_json(both.varied.folder / "ui_structure.json")["metadata"]["nodes_per_level"] == [5, 2, 1]


@every_base
@every_kind
def test_names_boxes_and_pictures_change_only_where_the_flag_says(pair, layout, kind):
    both = pair(layout, kind)
    assert len(both.icons) == 25
    for _, a, b in both.icons:
        before, after = both.pictures(a, b)
        assert (a.name != b.name) == (kind == "name")
        assert (a.box != b.box) == (kind == "position")
        assert (before != after) == (kind == "image")
    assert bool(distractors(both.varied.graph)) == (kind == "noise")
    assert distractors(both.base.graph) == []


@every_base
def test_image_leaves_no_picture_of_the_world(pair, layout):
    both = pair(layout, "image")
    before, after = set(both.base.manifest["icons"].values()), set(both.varied.manifest["icons"].values())
    assert not before & after and len(before) == len(after) == 25
    for seed in range(20):  # one seed could be lucky
        assert not before & set(other_pictures(both.base.manifest["icons"], IconSet(), seed).values())


@every_base
def test_image_changes_pixels_inside_the_pictures_alone(pair, layout):
    both = pair(layout, "image")
    changed = {page: both.changed(page) for page in both.base.graph.pages}
    for page, a, _ in both.icons:
        art, _ = both.base.style.parts(a.box)
        assert changed[page][both.on_page(art)].any(), (page, a.name)
        changed[page][both.on_page(art)] = False
    assert not any(left.any() for left in changed.values())


@every_base
def test_name_changes_no_pixel_but_captions(pair, layout):
    both = pair(layout, "name")
    changed = {page: both.changed(page) for page in both.base.graph.pages}
    for page, a, b in both.icons:
        assert b.name == synonyms()[a.name]
        _, words = both.base.style.parts(a.box)
        if words:
            assert changed[page][both.on_page(words)].any(), (page, a.name)
            changed[page][both.on_page(words)] = False
    assert not any(left.any() for left in changed.values())
    assert not {b.name for _, _, b in both.icons} & set(both.base.graph.places)


@every_base
def test_position_moves_icons_and_nothing_else(pair, layout):
    both = pair(layout, "position")
    changed = {page: both.changed(page) for page in both.base.graph.pages}
    for page, a, b in both.icons:
        assert not a.box.overlaps(b.box)  # a click remembered from the base misses
        assert (a.box.x2 - a.box.x1, a.box.y2 - a.box.y1) == (b.box.x2 - b.box.x1, b.box.y2 - b.box.y1)
        assert BODY.x1 <= b.box.x1 and b.box.x2 <= BODY.x2 and BODY.y1 <= b.box.y1 and b.box.y2 <= BODY.y2
        for box in (a.box, b.box):
            assert changed[page][both.on_page(box)].any()
        changed[page][both.on_page(a.box)] = changed[page][both.on_page(b.box)] = False
    assert not any(left.any() for left in changed.values())
    check(both.varied.graph, "no overlap, inside the page")


@every_base
def test_noise_adds_icons_that_lead_nowhere(pair, layout):
    both = pair(layout, "noise")
    added = distractors(both.varied.graph)
    assert [page for page, _ in added] == [page for page in both.base.graph.pages for _ in range(4)]
    changed = {page: both.changed(page) for page in both.base.graph.pages}
    sources = set(both.base.manifest["icons"].values())
    size = {(e.box.x2 - e.box.x1, e.box.y2 - e.box.y1) for _, e, _ in both.icons}
    for page, e in added:
        assert e.name not in both.base.graph.places and both.varied.manifest["icons"][e.name] not in sources
        assert {(e.box.x2 - e.box.x1, e.box.y2 - e.box.y1)} == size
        assert changed[page][both.on_page(e.box)].any()
        changed[page][both.on_page(e.box)] = False
    assert not any(left.any() for left in changed.values())


def test_distractors_of_a_grid_stand_on_the_grid(pair):
    slots = {e.box for _, e, _ in pair("grid", "noise").icons}
    added = {e.box for _, e in distractors(pair("grid", "noise").varied.graph)}
    columns, rows = {box.x1 for box in added}, {box.y1 for box in added}
    assert columns == {244, 474, 704, 934} and rows == set(range(568, 2179, 230)) and slots & added


@every_base
@every_kind
def test_a_variant_is_proven_and_the_oracle_is_perfect(pair, tmp_path, layout, kind):
    both = pair(layout, kind)
    if layout != "grid":
        assert verify(both.varied.folder).faults == []
        return
    written = write(both.varied.folder, tmp_path / "rows")
    assert verify(tmp_path / "rows").faults == []
    oracle_is_perfect(tmp_path / "rows", 30)
    names = 25 + 2 + len({e.name for _, e in distractors(both.varied.graph)})
    # 6 pages of subtree 5 and page_0: 6 x 5 tasks, as in the base; 20 rows a name, distractors among them
    assert written["rows"]["tasks_ood.jsonl"] == 30
    assert sum(row["source"] == "icon" for row in read_rows(tmp_path / "rows" / "sft.jsonl")) == 20 * names


def oracle_is_perfect(rows: Path, tasks: int) -> None:
    """Static: each gold answer scores 1 in every column. Interactive: each task is won on a shortest path."""
    predicted = [row | {"prediction": row["messages"][-1]["content"]} for row in read_rows(rows / "eval_ood.jsonl")]
    static = static_metrics(predicted)
    columns = ("overall_paper", "edge_paper", "path_paper", "complete", "task_all")
    assert {static[name] for name in columns} == {1.0} == set(static["parts"].values())
    world, played = World(rows / "world"), read_rows(rows / "tasks_ood.jsonl")
    assert static["tasks"] == len(played) == tasks
    episodes = [NavigationEpisode(world, Task(t["start"], t["goal"], t["path"]), str(t["idx"])) for t in played]
    run_episodes(episodes, lambda requests: [request.gold() for request in requests])
    assert all(e.state.arrived and e.state.declared and e.state.steps == e.task.length for e in episodes)
    walked = [
        {"attempt": 1, "task": e.task.name, "path": e.task.length, "ended": "arrived", "turns": e.turns}
        | {"arrived": e.state.arrived, "declared": e.state.declared}
        for e in episodes
    ]
    assert interactive_metrics(walked)["pass_at_1"] == interactive_metrics(walked)["declared"] == 1.0


@pytest.mark.parametrize("script", ["static", "interactive"])
def test_the_evaluation_scripts_take_a_variant(cli, pair, tmp_path, script):
    write(pair("grid", "name").varied.folder, tmp_path / "rows")
    data = ["--data", tmp_path / "rows" / "eval_ood.jsonl"]
    if script == "interactive":
        data = ["--world", tmp_path / "rows" / "world", "--tasks", tmp_path / "rows" / "tasks_ood.jsonl"]
    done = cli(f"eval/gelab_{script}.py", "--engine", "oracle", *data, "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    metrics = read_json(tmp_path / "run" / "metrics.json")["metrics"]
    assert metrics["overall_paper" if script == "static" else "pass_at_1"] == 1.0
    said = (tmp_path / "run" / ("predictions.jsonl" if script == "static" else "trajectories.jsonl")).read_text()
    names = {b.name for _, _, b in pair("grid", "name").icons}
    assert any(f"click {name} icon" in said for name in names)
    assert not any(f"click {a.name} icon" in said for _, a, _ in pair("grid", "name").icons)


def test_the_history_tells_the_new_names(pair):
    """page_1 -> page_6 -> page_16 in a tree (5, 2, 1): ids are breadth-first."""
    both = pair("grid", "name")
    task = Task("page_1", "page_16", 2)
    episode = NavigationEpisode(both.varied, task, "k")
    old, new = (w.graph.next_element("page_1", "page_16").name for w in (both.base, both.varied))
    assert new == synonyms()[old]
    episode.answer(gold_answer(both.varied.graph, "page_1", "page_16"))
    assert episode.request().prompt.endswith(f"History: step1: click {new} icon on page_1.")


def test_a_click_on_a_distractor_is_told_and_opens_nothing(pair):
    both = pair("grid", "noise")
    name = next(e.name for page, e in distractors(both.varied.graph) if page == "page_0")
    episode = NavigationEpisode(both.varied, Task("page_0", "page_1", 1), "k")
    x1, y1, x2, y2 = next(c[:4] for c in both.varied.graph.click_table["page_0"] if c[4] == name)
    episode.answer(f"Explain:click x icon on page_0.\tAction: click(start_box='({(x1 + x2) // 2},{(y1 + y2) // 2})')")
    assert (episode.state.page, episode.turns[0]["outcome"], episode.turns[0]["element"]) == ("page_0", "hit", name)
    assert episode.request().prompt.endswith(f"step1: click {name} icon on page_0.")


def test_places_learnt_in_the_base_miss_in_the_position_variant(pair):
    both = pair("grid", "position")
    for page, a, _ in both.icons:
        hit = both.varied.graph.pages[page].element_at(*a.box.at(0.5, 0.5))
        assert hit is None or hit.name != a.name


@every_kind
def test_same_arguments_same_bytes_and_another_seed_others(pair, tmp_path, kind):
    both = pair("grid", kind)
    first = (both.varied.folder / "manifest.json").read_text()
    vary(both.base.folder, tmp_path / "again", kind, seed=3, workers=2)
    assert (tmp_path / "again" / "manifest.json").read_text() == first  # it holds the hash of every file
    other = vary(both.base.folder, tmp_path / "other", kind, seed=4)
    assert (other["fingerprint"] == both.varied.fingerprint) == (kind == "name")  # the table leaves no choice


def test_variants_of_variants(pair, tmp_path):
    base = pair("grid", "image").varied.folder
    for kind in ("name", "position", "noise"):
        vary(base, tmp_path / kind, kind)
        base = tmp_path / kind
    assert verify(base).faults == []
    assert read_json(base / "manifest.json")["arguments"]["base"] == World(tmp_path / "position").fingerprint


def test_the_authors_names_change_by_category(authors_world, tmp_path):
    vary(authors_world, tmp_path / "name", "name")
    base, varied = World(authors_world).graph, World(tmp_path / "name").graph
    names = dict(zip(base.places, varied.places, strict=True))
    assert names["Animals_28"] == "Creatures_28" and names["Human_body_146"] == "Anatomy_146"
    assert names["back"] == "back" and not set(names) & set(names.values()) - {"back", "home"}


# ---- a folder of the user's


@pytest.fixture
def own(tmp_path) -> Path:
    """A world of three pictures of its own, out of a folder with five."""
    for i, colour in enumerate(("red", "blue", "green", "black", "pink")):
        path = tmp_path / "icons" / "Toys" / "PNG" / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture = Image.new("RGBA", (8, 8))
        picture.paste(colour, (2, 2, 6, 6))
        picture.save(path)
    build(tmp_path / "own", tree=(3,), icons=tmp_path / "icons", page_size=Size(56, 56))
    return tmp_path


def test_a_world_of_own_pictures(own):
    vary(own / "own", own / "position", "position", icons=own / "icons")
    noisy = vary(own / "own", own / "noise", "noise", icons=own / "icons", distractors=2)
    assert set(noisy["icons"]) == {f"Toys_{i}" for i in range(5)}
    other = vary(own / "own", own / "image", "image")
    assert all(source.startswith("builtin:") for source in other["icons"].values())
    (own / "names.tsv").write_text("Toys\tPlaythings\n")
    named = vary(own / "own", own / "name", "name", icons=own / "icons", names=own / "names.tsv")
    assert set(named["icons"]) == {
        name.replace("Toys", "Playthings") for name in read_json(own / "own" / "manifest.json")["icons"]
    }
    assert [verify(own / kind).faults for kind in KINDS] == [[], [], [], []]


@pytest.mark.parametrize(
    "flags, words",
    [
        (["--position"], "was built with pictures of its own; name their folder: --icons DIR"),
        (["--noise", 3, "--icons", "icons"], "--noise 3: only 2 pictures are not in the world; ask for fewer"),
        (["--image", "--icons", "icons"], "--image: 3 names, only 2 other pictures; pass --icons DIR with more"),
        (["--name", "--icons", "icons"], "--name: no other name for 'Toys_"),
        (["--name", "--icons", "icons", "--names", "bad.tsv"], "--names bad.tsv:2: not NAME<tab>OTHER; fix the line"),
        (["--name", "--icons", "icons", "--names", "same.tsv"], "would be the name of two icons"),
        (["--name", "--icons", "icons", "--names", "none.tsv"], "none.tsv: no such file"),
    ],
)
def test_what_cannot_be_is_one_line(cli, own, flags, words):
    (own / "bad.tsv").write_text("Toys\tGames\nToys_1 Ball\n")
    (own / "same.tsv").write_text("".join(f"Toys_{i}\tball\n" for i in range(5)))
    done = cli(VARY, "own", "out", *flags, cwd=own)
    assert done.returncode == 2 and done.stderr.startswith("vary: ") and words in done.stderr, done.stderr
    assert len(done.stderr.splitlines()) == 1 and not (own / "out").exists()


def test_changed_pictures_are_refused(own):
    source = next(iter(read_json(own / "own" / "manifest.json")["icons"].values()))
    Image.new("RGBA", (8, 8), "white").save(own / "icons" / source)
    with pytest.raises(WorldError, match=f"{source} is not the picture that .* was built with"):
        vary(own / "own", own / "out", "position", icons=own / "icons")


@pytest.mark.parametrize(
    "flags, words",
    [
        ([], "one of the arguments --image --name --position --noise is required"),
        (["--image", "--name"], "not allowed with"),
        (["--noise", 0], "--noise 0: must be 1 or more"),
        (["--image", "--names", "x.tsv"], "--names goes with --name, not with --image"),
        (["--noise", 40], "a page has room for 27 more icons, not for 40; ask for fewer"),
        (["--image", "--icons", "nowhere"], "--icons nowhere: no CATEGORY/PNG/*.png below it"),
    ],
)
def test_wrong_use(cli, small_world, tmp_path, flags, words):
    done = cli(VARY, small_world, "out", *flags, cwd=tmp_path)
    assert done.returncode == 2 and words in done.stderr.splitlines()[-1], done.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_command_line(cli, small_world, tmp_path):
    done = cli(VARY, small_world, "out", "--noise", 2, "--seed", 5, cwd=tmp_path)
    assert done.returncode == 0 and done.stdout.startswith("out: noise variant of "), done.stderr
    assert len(distractors(World(tmp_path / "out").graph)) == 2 * 26
    assert cli(VARY, small_world, "out", "--noise", 2, "--seed", 5, cwd=tmp_path).returncode == 0
    again = cli(VARY, small_world, "out", "--noise", 3, "--seed", 5, cwd=tmp_path)
    assert again.returncode == 2 and "was made with other arguments" in again.stderr


def test_the_table_of_names_covers_the_built_in_icons():
    names, others = {icon.name for icon in IconSet().icons}, list(synonyms().values())
    assert names <= set(synonyms())
    loose = [name.lower().rstrip("s") for name in [*synonyms(), *others]]
    assert len(loose) == len(set(loose))  # no other name is, or looks like, a name


@pytest.mark.slow
@every_kind
def test_env_base(paper_world, tmp_path, kind):
    """231 pages: the paper's counts, every row proven, the oracle perfect."""
    vary(paper_world, tmp_path / "world", kind)
    rows = write(tmp_path / "world", tmp_path / "rows")["rows"]
    assert (rows["eval_ood.jsonl"], rows["tasks_ood.jsonl"], rows["st_rl.jsonl"]) == (12_439, 2_162, 12_439)
    names = 232 + len({e.name for _, e in distractors(World(tmp_path / "world").graph)})
    assert rows["sft.jsonl"] == 52_202 + 4_110 + 20 * names and (names > 232) == (kind == "noise")
    assert verify(tmp_path / "rows").faults == []
    oracle_is_perfect(tmp_path / "rows", 2_162)
