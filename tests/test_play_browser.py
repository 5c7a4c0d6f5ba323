"""The play page in a real Chromium: a person's walk, and the browser backend of the environment."""

import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from data_engine.dataset import read_json
from data_engine.gelab.actions import Click
from data_engine.gelab.build import build
from data_engine.gelab.env import HIT, MISS, Navigation
from data_engine.gelab.graph import Element, Page, PageGraph
from data_engine.gelab.layout import BACK_BOX, CANVAS, HOME_BOX, ICON, SLOTS, TITLE_BOX
from data_engine.gelab.oracle import gold_click
from data_engine.gelab.play.browser import PROGRAMS, Browser
from data_engine.gelab.play.game import Game, task_of
from data_engine.gelab.play.server import PlayServer
from data_engine.gelab.tasks import Task
from data_engine.gelab.world import World, dump_structure, read_pixels, to_structure
from data_engine.geometry import Box, Size

playwright = pytest.importorskip("playwright", reason="playwright is not installed: pip install -e '.[browser]'")
pytestmark = pytest.mark.skipif(not any(map(shutil.which, PROGRAMS)), reason="no Chromium on this machine")


# ---- a person


@pytest.fixture(scope="module")
def browser(world, tmp_path_factory):
    with Browser(world, tmp_path_factory.mktemp("screens")) as browser:
        yield browser


@pytest.fixture
def visit(browser):
    """visit(world, start, goal, width, height, **options) -> a tab with the page; a word on its console is a fault."""
    tabs, servers, said = [], [], []

    def visit(world: World, start: str, goal: str, width: int = 1200, height: int = 800, **options):
        server = PlayServer(world)
        server.task = task_of(world.graph, start, goal)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        tab = browser.tab.context.browser.new_page(viewport={"width": width, "height": height}, **options)
        tab.on("console", lambda message: said.append(message.text))
        tab.on("pageerror", lambda error: said.append(str(error)))
        tab.goto(server.url)
        tab.wait_for_selector("#screen button")
        servers.append(server), tabs.append(tab)
        return tab

    yield visit
    for tab in tabs:
        tab.close()
    for server in servers:
        server.shutdown()
        server.server_close()
    assert said == []


def text(tab, name: str) -> str:
    return tab.locator(f"#{name}").inner_text()


def press(tab, key: str) -> None:
    tab.keyboard.press(key)
    tab.evaluate("settled")


def click(tab, name: str) -> None:
    tab.locator(f'#screen [data-name="{name}"]').click()
    tab.evaluate("settled")


def trace(tab, which: str = "trace") -> list[list[str]]:
    return [row.split("\n") for row in tab.locator(f"#{which} li").all_inner_texts()]


def test_the_oracles_walk_wins_with_100_percent(visit, world):
    tab = visit(world, "page_1", "page_19")
    assert tab.locator("h1").inner_text() == "From page_1 to page_19"
    path = world.graph.shortest_path("page_1", "page_19")
    for steps, (page, element) in enumerate(path):
        assert (text(tab, "steps"), text(tab, "score")) == (f"{steps} of 12", "\u2264 100 %")
        assert tab.locator("#screen .title").inner_text() == page
        click(tab, element.name)
    assert text(tab, "message") == "Arrived in 4 clicks, the shortest way: 100 %."
    assert (text(tab, "steps"), text(tab, "score"), text(tab, "won")) == ("4 of 12", "100 %", "1 of 1")
    assert [row[-2:] for row in trace(tab)] == [[element.name, element.target] for _, element in path]
    assert not tab.locator("#better").is_visible()


def test_a_walk_by_keyboard_alone(visit, world):
    tab = visit(world, "page_1", "page_19")
    press(tab, "b")
    for _, element in world.graph.shortest_path("page_0", "page_19"):
        for _ in range(12):
            if tab.evaluate("document.activeElement.dataset.name") == element.name:
                break
            tab.keyboard.press("Tab")
        press(tab, "Enter")
    assert text(tab, "message") == "Arrived in 4 clicks, the shortest way: 100 %."
    press(tab, "r")  # the same again
    assert (text(tab, "steps"), text(tab, "goal"), text(tab, "won")) == ("0 of 12", "page_19", "1 of 1")


def test_misses_hints_and_the_end(visit, world):
    tab = visit(world, "page_1", "page_19")
    box = tab.locator("#screen").bounding_box()
    tab.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] - 4)
    tab.evaluate("settled")
    assert (text(tab, "message"), trace(tab)[0][-2:]) == ("Nothing there.", ["missed", "page_1"])
    press(tab, "?")
    assert text(tab, "message") == "Click back: 4 clicks to go."
    assert tab.locator("#screen .hint").get_attribute("data-name") == "back"
    for _ in range(5):
        press(tab, "b")
        click(tab, world.graph.pages["page_0"].elements[0].name)  # to page_1, and back again
    press(tab, "b")
    assert text(tab, "message") == "Out of steps. page_19 was 4 clicks away."
    assert (text(tab, "score"), text(tab, "won")) == ("0 %", "0 of 1")
    assert [row[-1] for row in trace(tab, "way")] == ["page_0", "page_2", "page_9", "page_19"]
    assert tab.locator("#hint").is_disabled()


def test_a_reload_goes_on_where_it_was(visit, world):
    tab = visit(world, "page_1", "page_19")
    press(tab, "b")
    tab.reload()
    tab.wait_for_selector("#screen button")
    assert (text(tab, "steps"), tab.locator("#screen .title").inner_text()) == ("1 of 12", "page_0")


def test_new_tasks_have_the_length_that_was_chosen(visit, world):
    tab = visit(world, "page_1", "page_19")
    tab.locator("#wanted").select_option("2")
    tab.evaluate("settled")
    assert text(tab, "length") == "2"
    assert tab.locator("#wanted option").all_inner_texts() == ["any", "1", "2", "3", "4"]


@pytest.mark.parametrize("width, height", [(390, 844), (1200, 800), (844, 390)])
def test_it_fits_the_window(visit, world, width, height):
    """Nothing to scroll sideways; the screen has the shape of the canvas, then that of the screenshot (a square)."""
    tab = visit(world, "page_1", "page_19", width, height)
    assert tab.evaluate("document.documentElement.scrollWidth") == width
    for shape in (1179 / 2556, 1.0):
        box = tab.locator("#screen").bounding_box()
        assert box["width"] / box["height"] == pytest.approx(shape, rel=0.01)
        assert box["x"] >= 0 and box["x"] + box["width"] <= width and box["height"] <= height
        press(tab, "v")


def test_the_screen_is_sharp_and_clicks_land_on_a_fine_display(visit, world):
    tab = visit(world, "page_1", "page_0", 390, 844, device_scale_factor=3, has_touch=True)
    assert tab.evaluate("[...document.querySelectorAll('#screen img')].map(i => i.naturalWidth)") == [200, 200]
    tab.locator('#screen [data-name="back"]').tap()
    tab.evaluate("settled")
    assert text(tab, "message") == "Arrived in 1 click, the shortest way: 100 %."


MARKUP = ['<img src="x" onerror="alert(1)">', "a & b/c?d#e%20 'f' \"g\""]


def test_names_are_text_and_never_markup(visit, tmp_path):
    boxes = [Box(x, y, x + ICON, y + ICON) for x, y in SLOTS[:2]]
    icons = tuple(Element(name, box, f"page_{i}") for i, (name, box) in enumerate(zip(MARKUP, boxes, strict=True), 1))
    below = [Page(f"page_{i}", 1, (Element("back", BACK_BOX, "page_0"),)) for i in (1, 2)]
    graph = PageGraph({page.id: page for page in [Page("page_0", 0, icons), *below]}, CANVAS)
    (tmp_path / "ui_structure.json").write_text(dump_structure(to_structure(graph, {})))
    build(tmp_path / "<b>world", structure_file=tmp_path / "ui_structure.json", page_size=Size(112, 112))
    tab = visit(World(tmp_path / "<b>world"), "page_1", "page_2")
    assert text(tab, "world") == "<b>world, 3 pages"
    press(tab, "b")
    press(tab, "?")
    assert text(tab, "message") == f"Click {MARKUP[1]}: 1 click to go."
    tab.locator("#screen button").nth(1).click()
    tab.evaluate("settled")
    assert trace(tab)[1][-2:] == [MARKUP[1], "page_2"]
    assert tab.locator("#trace img").evaluate("image => image.naturalWidth") == 200


# ---- a program


def top_row(world: World) -> int:
    """The row where the title's box ends, with `back` and `home` beside it; pixels of the screenshot."""
    assert TITLE_BOX.y2 == BACK_BOX.y2 == HOME_BOX.y2
    return TITLE_BOX.scaled(world.graph.canvas, world.page_size).y2


def check_screens(world: World, browser: Browser) -> None:
    """Below the title each pixel is the renderer's. In its row grounds are, and words cover nearly what his cover."""
    top = top_row(world)
    for page in world.graph.pages.values():
        task = Task(page.id, "page_0", 1)
        seen = read_pixels(browser.screenshot(Game(world, task, Navigation(world.graph, task)), page.id))
        drawn = world.screenshot(page.id)
        assert seen.shape == drawn.shape and np.array_equal(seen[top:], drawn[top:]), page.id
        for box in [TITLE_BOX, *(element.box for element in page.elements if element.system)]:
            x1, y1, x2, y2 = box.scaled(world.graph.canvas, world.page_size)
            ours, theirs = seen[y1:y2, x1:x2], drawn[y1:y2, x1:x2]
            assert np.array_equal(ours[0, 0], theirs[0, 0])
            assert np.abs(extent(ours) - extent(theirs)).max() <= 0.15 * (x2 - x1), page.id


def extent(tile: np.ndarray) -> np.ndarray:
    """First and last column with ink on a tile."""
    inked = (np.abs(tile.astype(int) - tile[0, 0]).max(axis=2) > 60).any(axis=0).nonzero()[0]
    return inked[[0, -1]]


def check_clicks(world: World, browser: Browser, around: int) -> int:
    """Each edge clicked in the middle leads where it should, with the state's own event; every ``around``-th also at
    two corners of its box, and just outside them. Returns how many clicks were made."""
    made = 0
    for number, (page, element) in enumerate(world.graph.edges):
        middle = gold_click(world.graph, page, element)
        x1, y1, x2, y2 = next(entry[:4] for entry in world.graph.click_table[page] if entry[4] == element.name)
        corners = [(x1, y1), (x2, y2), (x1 - 1, y1), (x2, y2 + 1)] if number % around == 0 else []
        for x, y in [(middle.x, middle.y), *corners]:
            task = Task(page, "page_0" if page != "page_0" else "page_1", 1)
            there, here = Navigation(world.graph, task), Navigation(world.graph, task)
            browser.click(Game(world, task, there), page, x, y)
            here.act(Click(x, y))
            assert (there.events, there.page) == (here.events, here.page), (page, element.name, x, y)
            made += 1
            if (x, y) == (middle.x, middle.y):
                assert (there.events, there.page) == ([(HIT, element.name, page)], element.target)
    return made


def test_screens_are_the_renderers_below_the_title(world, browser):
    check_screens(world, browser)


def test_clicks_lead_to_the_same_result_on_every_edge(world, browser):
    """26 pages: 25 icons, 25 backs, 20 homes; 70 middles, and 4 more around every seventh."""
    assert check_clicks(world, browser, around=7) == 70 + 4 * 10


@pytest.mark.slow
@pytest.mark.parametrize("size", [Size(448, 448), Size(308, 644)], ids=str)
def test_env_base_in_the_browser(size, tmp_path):
    """Env-Base, square and of a phone's shape: 231 screens, and at 448 x 448 the 685 edges."""
    build(tmp_path / "world", page_size=size)
    world = World(tmp_path / "world")

    def check() -> None:
        with Browser(world, tmp_path / "screens") as browser:
            check_screens(world, browser)
            assert len(list(browser.folder.iterdir())) == 231
            if size.width == size.height:
                assert check_clicks(world, browser, around=25) == 685 + 4 * 28

    with ThreadPoolExecutor(1) as other:  # Playwright opens one browser in a thread
        other.submit(check).result()


@pytest.mark.parametrize("x, y", [(0, 0), (1000, 1000), (1000, 0), (0, 1000), (-1, 5), (1001, 20), (150_000, 7)])
def test_edges_of_the_window_and_what_lies_outside_are_misses_that_cost(world, browser, x, y):
    episode = browser.episode(Task("page_0", "page_6", 2), "edge")
    episode.answer(f"Action: click(start_box='({x},{y})')")
    assert episode.turns[0]["outcome"] == MISS and episode.turns[0]["point"] == [x, y] and episode.state.steps == 1


def test_episodes_take_turns_in_one_tab(world, browser):
    """Two episodes, answered in turn, each on its own page; the picture is of the page that each is on."""
    tasks = [task_of(world.graph, "page_1", "page_19"), task_of(world.graph, "page_25", "page_7")]
    episodes = [browser.episode(task, f"{number}/a b") for number, task in enumerate(tasks)]
    while not all(episode.done for episode in episodes):
        for episode in episodes:
            if not episode.done:
                request = episode.request()
                assert request.image == Path(browser.folder / f"{episode.state.page}.png") and request.image.is_file()
                episode.answer(request.gold())
    assert [episode.state.steps for episode in episodes] == [task.length for task in tasks] == [4, 3]
    assert all(episode.state.arrived and episode.state.declared for episode in episodes)


def test_a_click_that_gets_lost_is_a_fault(browser):
    browser.tab.evaluate("busy = true")
    with pytest.raises(RuntimeError, match=r"the browser lost the click at \(500, 500\) on page_0"):
        browser.episode(Task("page_0", "page_6", 2), "lost").answer("Action: click(start_box='(500,500)')")
    browser.tab.evaluate("busy = false")


def test_a_fault_of_the_page_is_a_fault(browser):
    browser.tab.evaluate("setTimeout(() => nothing(), 0)")
    with pytest.raises(RuntimeError, match="the page in the browser: nothing is not defined"):
        browser.episode(Task("page_0", "page_6", 2), "fault").answer("Action: click(start_box='(500,500)')")
    browser.faults.clear()


@pytest.mark.parametrize("engine", ["oracle", "random"])
def test_the_interactive_evaluation_is_the_same_in_the_browser(cli, repo, small_data, tmp_path, engine):
    found = {"PYTHONPATH": os.pathsep.join([str(repo), str(Path(playwright.__file__).parents[1])])}
    common = ["--world", small_data / "world", "--tasks", small_data / "tasks_ood.jsonl"]
    for backend in ("world", "browser"):
        run = ["--engine", engine, "--out", tmp_path / backend, "--backend", backend, "--attempts", "1", "--limit", "2"]
        done = cli("eval/gelab_interactive.py", *run, *common, **found)
        assert done.returncode == 0, done.stderr
    trips = [(tmp_path / backend / "trajectories.jsonl").read_bytes() for backend in ("world", "browser")]
    assert trips[0] == trips[1] and trips[0].count(b"\n") == 4
    records = [read_json(tmp_path / backend / "run.json") for backend in ("world", "browser")]
    assert "browser" not in records[0] and records[1].pop("browser")[0].isdigit() and records[0] == records[1]
    assert (tmp_path / "browser" / "browser" / "page_0.png").is_file()
