"""Pages taller than the screen: what each screen shows, where its clicks go; the paper's protocol is as it was."""

import json
from collections import deque
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_engine.dataset import DataError, read_json, read_rows, sha256, write_json
from data_engine.gelab import prompts
from data_engine.gelab.actions import (
    COMPLETE_ANSWER,
    SCROLL_SPACE,
    SPACES,
    Click,
    Complete,
    ParseFailure,
    Scroll,
    format_click,
    format_scroll,
    parse,
)
from data_engine.gelab.build import build
from data_engine.gelab.env import GELabEnv, Navigation, NavigationEpisode, step_limit
from data_engine.gelab.graph import Element, Page, PageGraph, WorldError, check
from data_engine.gelab.icons import IconSet
from data_engine.gelab.layout import BACK_BOX, CANVAS, generate
from data_engine.gelab.metrics import score_prediction, static_metrics
from data_engine.gelab.render import Renderer
from data_engine.gelab.tasks import Task, all_tasks
from data_engine.gelab.vary import vary
from data_engine.gelab.verify import verify
from data_engine.gelab.world import World
from data_engine.gelab.write import write
from data_engine.geometry import Box, Size, to_canvas

# Pages of 1179 x 3834 on a screen of 1179 x 2556: a scroll moves 1278 pixels, below the header of 280.
CAR, SUN, KEY = Box(704, 568, 904, 768), Box(934, 1488, 1134, 1688), Box(244, 2408, 444, 2608)
BACK_TO_0 = Element("back", BACK_BOX, "page_0")
PAGES = [
    Page("page_0", 0, (Element("car", CAR, "page_1"), Element("sun", SUN, "page_2"), Element("key", KEY, "page_3"))),
    *(Page(f"page_{i}", 1, (BACK_TO_0,)) for i in (1, 2, 3)),
]
GRAPH = check(PageGraph({page.id: page for page in PAGES}, CANVAS, 1), "here")
DOWN, UP = Scroll("down"), Scroll("up")
SAY_DOWN = "Explain:scroll down on page_0.\tAction: scroll(direction='down')"
PAPER_PROMPTS = "d2dbb19790480891e90f826277af45cc0afc3eeed4adabc789da26d91b26f239"  # before there were scrolls


@pytest.fixture(scope="module")
def tall(tmp_path_factory) -> World:
    """26 pages of 1179 x 5112 canvas pixels, three screens each."""
    out = tmp_path_factory.mktemp("tall") / "world"
    build(out, tree=(5, 2, 1), seed=7, page_size=Size(112, 112), scroll=2)
    return World(out)


@pytest.fixture(scope="module")
def tall_data(tall, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("tall") / "data"
    write(tall.folder, out)
    return out


# ---- screens and clicks, by hand


def test_what_each_screen_shows():
    top, below = GRAPH.screens["page_0"], GRAPH.screens["page_0+1"]
    assert [e.name for e in top.elements] == ["car", "sun"] and [e.name for e in top.cut] == ["key"]
    # 1278 higher: the car is gone (-710..-510), the sun half under the header (210..410), the key in the middle
    assert below.elements == (Element("key", Box(244, 1130, 444, 1330), "page_3"),)
    assert below.cut == (Element("sun", Box(934, 210, 1134, 410), "page_2"),)
    assert (below.title, below.offset, below.screens) == ("page_0", 1, 2)
    assert list(GRAPH.screens) == [f"page_{i}{more}" for i in range(4) for more in ("", "+1")]
    assert GRAPH.screens["page_1+1"].elements == (BACK_TO_0,)  # stays in the header


def test_clicks_go_through_the_offset():
    """In 0..1000 of the screen: 244/1179 is 206.96, so 207; 2408/2556 is 942.1, so 943; 1330/2556 is 520.3, so 520."""
    assert GRAPH.click_table["page_0"] == (
        (598, 223, 766, 300, "car", "page_1"),
        (793, 583, 961, 660, "sun", "page_2"),
        (207, 943, 376, 1000, "key", "page_3"),  # what is seen of it: 2408..2556
    )
    assert GRAPH.click_table["page_0+1"] == (
        (207, 443, 376, 520, "key", "page_3"),
        (793, 110, 961, 160, "sun", "page_2"),  # 280..410
    )


@pytest.mark.parametrize(
    "scrolled, x, y, page",
    [
        (False, 207, 943, "page_3"),  # the seen part of the key: 241.0..2410.3
        (False, 207, 942, None),  # 2407.8 lies above it
        (False, 206, 943, None),
        (True, 376, 520, "page_3"),
        (True, 376, 521, None),
        (True, 207, 943, None),  # where the key was before
        (True, 700, 250, None),  # where the car was
        (True, 800, 110, "page_2"),
        (True, 800, 109, None),  # 278.6: the header hides the rest of the sun
    ],
)
def test_a_click_hits_what_its_screen_shows(scrolled, x, y, page):
    state = Navigation(GRAPH, Task("page_0", "page_1", 1))
    if scrolled:
        state.act(DOWN)
    assert state.act(Click(x, y)) == ("hit" if page else "miss")
    assert state.page == (page or ("page_0+1" if scrolled else "page_0"))


def test_scrolls_move_to_the_ends_and_are_steps():
    state = Navigation(GRAPH, Task("page_0", "page_3", 2))
    moves = [(state.act(action), state.page) for action in (UP, DOWN, DOWN, UP, DOWN)]
    top, below = "page_0", "page_0+1"
    assert moves == [("stuck", top), ("scroll", below), ("stuck", below), ("scroll", top), ("scroll", below)]
    assert state.act(Click(300, 480)) == "hit" and (state.page, state.arrived, state.steps) == ("page_3", True, 6)
    assert state.history() == [
        "scroll up at the end of page_0.",
        "scroll down on page_0.",
        "scroll down at the end of page_0.",
        "scroll up on page_0.",
        "scroll down on page_0.",
        "click key icon on page_0.",
    ]


def test_a_page_opens_at_its_top_and_back_works_from_anywhere():
    state = Navigation(GRAPH, Task("page_0", "page_3", 2))
    for action, page in (DOWN, "page_0+1"), (Click(800, 130), "page_2"), (DOWN, "page_2+1"), (Click(100, 60), "page_0"):
        state.act(action)
        assert state.page == page


def test_gold_scrolls_until_all_of_the_icon_is_seen():
    path = GRAPH.shortest_path("page_0", "page_3")
    assert [(screen, element.name) for screen, element in path] == [("page_0", "down"), ("page_0+1", "key")]
    assert GRAPH.distances_to("page_3")["page_1+1"] == 3  # back, down, key
    assert [e.name for _, e in GRAPH.shortest_path("page_0+1", "page_1")] == ["up", "car"]
    assert [e.name for _, e in GRAPH.shortest_path("page_0+1", "page_2")] == ["up", "sun"]  # not its seen part


@pytest.mark.parametrize(
    "element, fault",
    [
        (Element("car", Box(704, 268, 904, 468), None), "no screen shows all of 'car'"),
        (Element("car", Box(704, 600, 904, 3835), None), r"leaves the 1179x3834 canvas"),
        (Element("back", Box(60, 60, 260, 300), "page_0"), "'back' leaves the header"),
    ],
)
def test_a_world_that_cannot_scroll_is_refused(element, fault):
    pages = {"page_0": Page("page_0", 0, (element,))}
    with pytest.raises(WorldError, match=fault):
        check(PageGraph(pages, CANVAS, 1), "here")


def test_distances_equal_a_search_by_hand():
    """States (page, pixels scrolled), from the boxes alone; an icon counts where all of it is between 280 and 2556."""
    names = [icon.name for icon in IconSet().icons]
    graph = generate((4, 3, 1), 5, names, "free", scroll=2)

    def moves(page: str, up: int):
        for e in graph.pages[page].elements:
            if e.name in ("back", "home") or (e.box.y1 - up >= 280 and e.box.y2 - up <= 2556):
                yield e.target, 0
        yield from ((page, to) for to in (up - 1278, up + 1278) if 0 <= to <= 2 * 1278)

    longest = 0
    for start in graph.pages:
        steps, queue = {(start, 0): 0}, deque([(start, 0)])
        while queue:
            state = queue.popleft()
            for following in moves(*state):
                if following not in steps:
                    steps[following] = steps[state] + 1
                    queue.append(following)
        for goal in graph.pages:
            assert graph.distances_to(goal)[start] == steps[goal, 0]
            longest = max(longest, steps[goal, 0])
    assert longest > 3 + 3  # more than the clicks of any way in a tree of depth 3


# ---- pictures


def test_a_screen_is_a_part_of_the_whole_page_to_the_pixel(tall):
    """Drawn at the size of the canvas, below the header, left of the bar (its last 14 columns)."""
    icons, page = IconSet(), tall.graph.pages["page_0"]
    sources, high = tall.manifest["icons"], Size(CANVAS.width, CANVAS.height + 2 * 1278)
    whole = np.array(Renderer(icons, sources, high, high).page(page))
    for offset in range(3):
        screen = tall.graph.screens["page_0" + (f"+{offset}" if offset else "")]
        shown = np.array(Renderer(icons, sources, CANVAS, CANVAS).page(screen))
        assert np.array_equal(shown[280:, :-14], whole[1278 * offset + 280 : 1278 * offset + 2556, :-14])
        assert np.array_equal(shown[:280], whole[:280])  # name, back and home stay
        bar = np.flatnonzero((shown[:, -10] == 0).all(axis=1))
        # 2276 of 2276 + 2 * 1278 = 4832 pixels are seen: 1072 high, 601 lower for each scroll
        assert (bar[0], bar[-1] - bar[0] + 1) == (280 + 2276 * 1278 * offset // 4832, 1072)


def test_every_screen_has_its_own_picture(tall):
    files = [name for name in tall.manifest["files"] if name.startswith("pages/")]
    assert len(files) == 3 * 26 and "pages/page_3+2.png" in files
    assert len({sha256(tall.folder / name) for name in files}) == len(files)
    assert tall.manifest["arguments"]["scroll"] == 2
    assert not verify(tall.folder).faults


# ---- the grammar


def test_scrolls_are_read_in_their_space_alone():
    for direction in ("down", "up"):
        text = format_scroll(direction, "page_0")
        answer = parse(text, SCROLL_SPACE)
        assert answer.action == Scroll(direction) and answer.well_formed
        assert (answer.icon, answer.page) == (None, None)
        assert parse(text).action == ParseFailure("malformed action") and not parse(text).well_formed
    assert format_scroll("down", "page_0") == SAY_DOWN


@pytest.mark.parametrize(
    "action, well_formed",
    [("scroll(direction='down')", True), ('Scroll( direction = "Down" )', False), ("scroll(direction=down)", False)],
)
def test_harmless_differences_read_as_the_same_scroll(action, well_formed):
    answer = parse(f"Explain:scroll down on page_0.\tAction: {action}", SCROLL_SPACE)
    assert (answer.action, answer.well_formed) == (DOWN, well_formed)


@pytest.mark.parametrize(
    "text, reason",
    [
        ("Action: scroll(direction='left')", "malformed action"),
        ("Action: scroll(direction='down') twice", "malformed action"),
        ("Action: scroll(down)", "malformed action"),
        ("Action: scroll", "malformed action"),
        ("scroll(direction='down')", "no action"),
        (f"{SAY_DOWN}\n{format_scroll('up', 'page_0')}", "several actions"),
        (f"{SAY_DOWN}\n{COMPLETE_ANSWER}", "several actions"),
    ],
)
def test_other_scrolls_are_refused_with_their_reason(text, reason):
    assert parse(text, SCROLL_SPACE).action == ParseFailure(reason)


fragments = [
    "Action:",
    "Explain:",
    "scroll(",
    "direction=",
    "'down'",
    "'up'",
    ")",
    "click(start_box='(1,2)')",
    "\t",
    "a",
]


@given(st.lists(st.sampled_from([*fragments, "complete", " ", "<think>", "</think>"]), max_size=30).map("".join))
def test_any_text_gives_an_answer_and_without_scroll_the_same_in_both_spaces(text):
    answer = parse(text, SCROLL_SPACE)
    assert isinstance(answer.action, Click | Scroll | Complete | ParseFailure)
    assert answer == parse(text) or "scroll(" in text
    assert not isinstance(parse(text).action, Scroll)


def test_the_system_prompt_states_the_space():
    said = prompts.system(SCROLL_SPACE)
    shown = [line for line in said.splitlines() if line.startswith("Explain:")]
    assert shown == list(SPACES[SCROLL_SPACE].forms) and "<image>" not in said
    read = [parse(line.replace("(x,y)", "(1,2)"), SCROLL_SPACE) for line in shown]
    assert [answer.action for answer in read] == [Click(1, 2), DOWN, UP, Complete()]
    assert all(answer.well_formed for answer in read)


def test_an_unknown_space_lists_the_known_ones():
    with pytest.raises(DataError, match="'swipe': unknown; known are click, click_scroll"):
        prompts.system("swipe")


# ---- the paper's protocol


def test_the_papers_protocol_is_unchanged(world, small_data):
    assert prompts.sha256() == PAPER_PROMPTS and "scroll" not in prompts.SYSTEM
    assert prompts.sha256(SCROLL_SPACE) != PAPER_PROMPTS
    assert "action_space" not in read_json(small_data / "manifest.json")
    assert "scroll" not in world.manifest["arguments"] and world.graph.screens is world.graph.pages
    assert all("action_space" not in row for row in read_rows(small_data / "sft.jsonl", 50))
    state = Navigation(world.graph, Task("page_0", "page_1", 1))
    assert (state.act(DOWN), state.page) == ("unreadable", "page_0")
    assert step_limit(world.graph) == 12 and step_limit(GRAPH) == 24


# ---- scores


def scroll_row(prediction: str, **more) -> dict:
    said = [{"role": "user", "content": "<image>History: Null"}, {"role": "assistant", "content": SAY_DOWN}]
    row = {"idx": 0, "task": "From a to b", "path": 1, "messages": said, "bbox": [], "canvas": [1179, 2556]}
    return row | {"action_space": SCROLL_SPACE, "prediction": prediction} | more


@pytest.mark.parametrize(
    "prediction, right, parts",
    [
        (SAY_DOWN, 1, (1, 1, 1, 1)),
        ("Explain:look below.\tAction: scroll(direction='down')", 1, (1, 1, 0, 1)),
        (format_scroll("up", "page_0"), 0, (1, 0, 0, 1)),
        (format_click("car", "page_0", 600, 250), 0, (0, 0, 0, 1)),
        (COMPLETE_ANSWER, 0, (0, 0, 0, 1)),
        ("scroll down", 0, (0, 0, 0, 0)),
    ],
)
def test_an_answer_where_a_scroll_is_gold(prediction, right, parts):
    found = score_prediction(scroll_row(prediction))
    assert (found["kind"], found["right"]) == ("scroll", right)
    assert tuple(getattr(found["parts"], name) for name in ("type", "coord", "intent", "format")) == parts


def test_scrolls_are_counted_apart_and_refused_in_plain_rows():
    metrics = static_metrics([scroll_row(SAY_DOWN), scroll_row(COMPLETE_ANSWER)])
    assert (metrics["scroll"], metrics["overall_paper"], metrics["first_click"]) == (0.5, 0.5, None)
    with pytest.raises(DataError, match="row 0: gold is neither"):
        score_prediction(scroll_row(SAY_DOWN, action_space=None))


# ---- rows and evaluation


def test_gold_rows_are_on_the_screens_they_show(tall, tall_data):
    """A row's box, moved down by what its screenshot is scrolled, is the element's box in ui_structure.json."""
    structure, seen = read_json(tall.folder / "ui_structure.json")["pages"], set()
    for row in read_rows(tall_data / "sft.jsonl"):
        assert row["action_space"] == SCROLL_SPACE and row["messages"][0]["content"] == prompts.SCROLL_SYSTEM
        answer = parse(row["messages"][-1]["content"], SCROLL_SPACE)
        if not isinstance(answer.action, Click):
            continue
        page, _, offset = Path(row["images"][0]).stem.partition("+")
        x1, y1, x2, y2 = row["bbox"]
        down = 0 if answer.icon in ("back", "home") else 1278 * int(offset or 0)
        assert [x1, y1 + down, x2, y2 + down] == structure[page]["layout"][answer.icon]["bbox"]
        assert answer.page == page and Box(*row["bbox"]).contains(*to_canvas(answer.action.x, answer.action.y, CANVAS))
        seen.add(offset)
    assert seen == {"", "1", "2"}


def test_every_row_is_proven(tall_data):
    report = verify(tall_data)
    assert not report.faults and report.checked["world/pages"] == 78
    assert sum("Action: scroll(" in row["messages"][-1]["content"] for row in read_rows(tall_data / "eval_ood.jsonl"))


def plant(data: Path, out: Path, change) -> list[str]:
    """The kinds of fault in a copy of the rows, of which the first scroll of eval_ood.jsonl is changed."""
    rows = read_rows(data / "eval_ood.jsonl")
    row = next(row for row in rows if "Action: scroll(" in row["messages"][-1]["content"])
    change(row)
    for path in data.rglob("*"):
        if path.is_file():
            (out / path.relative_to(data)).parent.mkdir(parents=True, exist_ok=True)
            (out / path.relative_to(data)).write_bytes(path.read_bytes())
    (out / "eval_ood.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    manifest = read_json(out / "manifest.json")
    manifest["files"]["eval_ood.jsonl"] = sha256(out / "eval_ood.jsonl")
    write_json(out / "manifest.json", manifest)
    return [fault.kind for fault in verify(out).faults if fault.line]


def swap_direction(row):
    row["messages"][-1]["content"] = row["messages"][-1]["content"].replace("down", "up")


@pytest.mark.parametrize(
    "change, kind",
    [
        (swap_direction, "wrong answer"),
        (lambda row: row.update(images=[row["images"][0].replace(".png", "+1.png")]), "wrong image"),
        (lambda row: row["messages"].pop(0), "system prompt"),
        (lambda row: row.pop("action_space"), "wrong column"),
    ],
)
def test_planted_faults_are_found(tall_data, tmp_path, change, kind):
    assert kind in plant(tall_data, tmp_path, change)


def test_the_oracle_walks_every_task(tall):
    """Interactive, all 650 pairs of pages, in text; as many steps as the task says, and every scroll moves."""
    for task in all_tasks(tall.graph, list(tall.graph.pages)):
        episode = NavigationEpisode(tall, task, "0", step_limit(tall.graph))
        while not episode.done:
            request = episode.request()
            assert request.image.is_file() and request.system == prompts.SCROLL_SYSTEM
            episode.answer(request.gold())
        outcomes = [turn["outcome"] for turn in episode.turns]
        assert episode.state.declared and episode.state.steps == task.length
        assert set(outcomes) <= {"hit", "scroll", "complete"}
        assert episode.record()["distances"] == [*range(task.length, -1, -1), 0]


def test_both_evaluations_of_the_oracle(tall_data, cli, tmp_path):
    arguments = ("--engine", "oracle", "--json")
    static = cli("eval/gelab_static.py", *arguments, "--data", tall_data / "eval_ood.jsonl", "--out", tmp_path / "s")
    assert static.returncode == 0, static.stderr
    metrics = json.loads(static.stdout)["metrics"]
    assert (metrics["step_all"], metrics["task_all"], metrics["scroll"]) == (1.0, 1.0, 1.0)
    scrolls = metrics["rows_by_kind"]["scroll"]
    walked = cli(
        *("eval/gelab_interactive.py", *arguments, "--world", tall_data / "world", "--attempts", 1),
        *("--tasks", tall_data / "tasks_ood.jsonl", "--out", tmp_path / "i"),
    )
    assert walked.returncode == 0, walked.stderr
    result = json.loads(walked.stdout)
    assert (result["metrics"]["pass_at_1"], result["metrics"]["greedy_declared"]) == (1.0, 1.0)
    assert result["metrics"]["outcomes"]["scroll"] == 2 * scrolls > 0  # greedy, and one sampled attempt
    assert result["run"]["max_steps"] == 36


def test_the_gymnasium_environment_scrolls(tall):
    env = GELabEnv(tall, all_tasks(tall.graph, ["page_0", "page_1"]), max_steps=36)
    first, _ = env.reset(options={"task": 0})
    seen, reward, *_, info = env.step(SAY_DOWN)
    assert (info["page"], info["outcome"], reward) == ("page_0+1", "scroll", 0.0)
    assert not np.array_equal(seen["image"], first["image"])


# ---- worlds of every kind


@pytest.mark.parametrize("kind", ["image", "name", "position", "noise"])
def test_variants_scroll_too(tall, tmp_path, kind):
    vary(tall.folder, tmp_path / kind, kind)
    varied = World(tmp_path / kind)
    assert varied.graph.scroll == 2 and not verify(varied.folder).faults
    lows = [e.box.y2 for page in varied.graph.pages.values() for e in page.elements]
    assert max(lows) > 2556 + 1278  # still on the last screen


def test_many_worlds_scroll_too(tmp_path):
    pytest.importorskip("pyarrow")
    from data_engine.gelab.build_many import build_many
    from data_engine.gelab.write_many import Options, write_many

    build_many(tmp_path / "worlds", 3, options={"tree": (3, 1), "page_size": Size(56, 56), "scroll": 1})
    manifest = write_many(tmp_path / "worlds", tmp_path / "data", Options(2, 1, parquet=True))
    assert manifest["action_space"] == SCROLL_SPACE and not verify(tmp_path / "data").faults


def test_a_structure_that_scrolls_comes_back(tall, tmp_path):
    build(tmp_path / "w", structure_file=tall.folder / "ui_structure.json", page_size=Size(56, 56), scroll=2)
    assert World(tmp_path / "w").graph == tall.graph
    with pytest.raises(WorldError, match="leaves the 1179x2556 canvas"):
        build(tmp_path / "v", structure_file=tall.folder / "ui_structure.json", page_size=Size(56, 56))


@pytest.mark.parametrize(
    "arguments, why",
    [
        (
            ("--layout", "list", "--scroll", 1),
            "--scroll: list keeps its icons on the first screen; give --layout grid or",
        ),
        (("--scroll", -1), "--scroll -1: must be 0 to 100"),
    ],
)
def test_what_cannot_scroll_is_one_line(cli, tmp_path, arguments, why):
    done = cli("data_engine.gelab.build", tmp_path / "w", *arguments)
    assert done.returncode == 2 and why in done.stderr and done.stderr.count("\n") == 1


def test_playing_refuses_a_world_that_scrolls(tall, cli):
    done = cli("tools/play.py", tall.folder, "--port", 0)
    assert done.returncode == 2 and "its pages scroll, which cannot be played" in done.stderr
    assert done.stderr.count("\n") == 1
