"""A backend of the environment: screenshots of a real browser, and clicks in it.

Chromium (Debian's: ``apt-get install chromium``) shows the page of ``server.py`` in the size of the world's
screenshots, driven by Playwright (the extra ``browser``), which is imported only when a browser is opened. A click goes
as a mouse event into the page, from there to the server, and there to the episode's state: the same ``Navigation`` as
without a browser. Icons are drawn pixel for pixel as in the world; text, in the row of the title, by the browser.
"""

import shutil
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from threading import Thread

from ...dataset import DataError
from ...episode import Request
from ...files import write_file
from ...geometry import THOUSAND, in_range
from ..actions import Click, Complete, ParseFailure
from ..env import MAX_STEPS, NavigationEpisode
from ..tasks import Task
from ..world import World
from .game import Game
from .server import PlayServer

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ("--hide-scrollbars", "--force-color-profile=srgb", "--font-render-hinting=none")


class Browser:
    """One tab that shows the episodes of a world in turn. Use it as a context: ``with Browser(world, folder) as b``.

    ``folder`` gets the screenshots, ``PAGE.png``, ``page_size`` pixels: what a page shows depends on nothing else, so
    it is taken when the page is first asked for. ``version`` is the browser's. Entering raises DataError where
    Playwright or Chromium is absent. Only the thread that opened it may use it, and a thread has one at a time.
    """

    def __init__(self, world: World, folder: Path):
        self.world, self.folder = world, Path(folder)
        self.faults: list[str] = []  # what the page wrote to its console
        self._shown: tuple[Game, int] | None = None  # in the tab: an episode, and its number of events

    def __enter__(self) -> "Browser":
        program, playwright = _program(), _playwright()
        width, height = self.world.page_size
        window = {"width": width + 1, "height": height + 1}  # a click at 1000 is on the edge, not outside
        with ExitStack() as stack:
            self.server = stack.enter_context(PlayServer(self.world))
            Thread(target=self.server.serve_forever, daemon=True).start()
            stack.callback(self.server.shutdown)
            browser = stack.enter_context(playwright()).chromium.launch(executable_path=program, args=FLAGS)
            stack.callback(browser.close)
            self.version: str = browser.version
            self.tab = browser.new_page(viewport=window, device_scale_factor=1)
            self.tab.on("console", lambda message: self.faults.append(message.text))
            self.tab.on("pageerror", lambda error: self.faults.append(str(error)))
            self.tab.goto(f"{self.server.url}?bare")
            self._open = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def episode(self, task: Task, key: str, max_steps: int = MAX_STEPS, explain: str = "step") -> "BrowserEpisode":
        return BrowserEpisode(self, task, key, max_steps, explain)

    def screenshot(self, game: Game, key: str) -> Path:
        """The file that shows the page on which an episode is."""
        path = self.folder / f"{game.state.page}.png"
        if not path.is_file():
            self._show(game, key)
            width, height = self.world.page_size
            write_file(path, self.tab.screenshot(clip={"x": 0, "y": 0, "width": width, "height": height}))
        return path

    def click(self, game: Game, key: str, x: int, y: int) -> None:
        """Click at (x, y), 0..1000, on the page on which an episode is; the state has taken it on return."""
        before = len(game.state.events)
        self._show(game, key)
        width, height = self.world.page_size
        self.tab.mouse.click(x * width / THOUSAND, y * height / THOUSAND)
        self.tab.evaluate("settled")
        self._check()
        if len(game.state.events) != before + 1:
            raise RuntimeError(f"the browser lost the click at ({x}, {y}) on {game.state.page}")
        self._shown = game, before + 1

    def _show(self, game: Game, key: str) -> None:
        """Show an episode as it is now, unless the tab does already."""
        now = game, len(game.state.events)
        if now != self._shown:
            self.server.games = {key: game}
            self.tab.evaluate("key => show(key)", key)
            self._check()
            self._shown = now

    def _check(self) -> None:
        if self.faults:
            raise RuntimeError(f"the page in the browser: {self.faults[0]}")


class BrowserEpisode(NavigationEpisode):
    """An episode whose screenshots come from a browser and whose clicks go through it.

    A click outside 0..1000 has no place in the window: the state takes it as the miss that it is.
    """

    def __init__(self, browser: Browser, task: Task, key: str, max_steps: int = MAX_STEPS, explain: str = "step"):
        super().__init__(browser.world, task, key, max_steps, explain=explain)
        self.browser, self.game = browser, Game(browser.world, task, self.state)

    def request(self) -> Request:
        return replace(super().request(), image=self.browser.screenshot(self.game, self.key))

    def _act(self, action: Click | Complete | ParseFailure) -> str:
        if not isinstance(action, Click) or not in_range(action.x, action.y):
            return super()._act(action)
        self.browser.click(self.game, self.key, action.x, action.y)
        return self.state.events[-1][0]


def _program() -> str:
    for name in PROGRAMS:
        if path := shutil.which(name):
            return path
    raise DataError(f"browser: none of {', '.join(PROGRAMS)} on PATH; on Debian: apt-get install chromium")


def _playwright():
    """What gives the context in which Playwright runs."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise DataError("browser: the package playwright is missing; pip install -e '.[browser]'") from None
    return sync_playwright
