"""A row against its world: what it asks, shows and answers must follow from the graph and the prompt builder.

A row is read back from its own text and replayed in the graph; the code that wrote it is not called. Pure: no files.
Findings are ``(kind, what)``; the kinds are those of faults.py.
"""

import re
from collections.abc import Iterator
from functools import cache

from msgspec import UNSET

from ...geometry import THOUSAND, Box, clickable, to_thousand
from .. import prompts
from ..actions import COMPLETE_ANSWER, Answer, Click, format_click, parse
from ..graph import ROOT, Element, PageGraph
from ..prompts import IMAGE
from ..rows import MIDDLE, SINGLE_STEPS
from ..scoring import gold_of, score, score_caption
from ..tasks import subtree_of
from ..world import picture_path
from .text import EpisodeRow, Exchange, Faults, StepRow, TaskRow, columns, leak, loose, odd_question, read_messages

# A wall: these patterns are written a second time on purpose; taken from actions.py, they would share its faults.
_NAVIGATION = re.compile(re.escape(IMAGE) + r"Instruction: from (\S+) to (\S+)\. History: (.+)", re.DOTALL)
_PAST = re.compile(r" (?=step\d+: )")
_ENTRY = re.compile(r"step(\d+): (?:click (?:(?P<icon>.+) icon|missed)|no action) on (?P<page>\S+?)\.")
_CAPTION = re.compile(
    re.escape(IMAGE) + r"What is the icon at point <\|box_start\|>\(([0-9]{1,6}),([0-9]{1,6})\)<\|box_end\|>.*"
)
_OPENING = re.compile(re.escape(IMAGE) + r"What opens (\S+)\?")
_GROUNDING = re.compile(re.escape(IMAGE) + r"Click on (.+) icon in the image\.")

Step = tuple[str, Element | None]  # (page, what was clicked there; None for a step that did nothing)


class RowChecker:
    """Proves the rows of one file, in order. ``graphs``: path of each world below the folder -> its graph; they differ
    in places alone. ``pages`` are the sets of pages whose pairs this file's tasks may join. ``pairs``: edges have rows
    of `complete` too. ``held_out``: the subtree of which only edges may be trained."""

    def __init__(
        self,
        graphs: dict[str, PageGraph],
        clicks: str,
        pages: list[set[str]],
        rl: bool,
        explain: str = "step",
        pairs: bool = False,
        held_out: int | None = None,
    ):
        self.graphs, self.clicks, self.pages, self.rl = graphs, clicks, pages, rl
        self.explain, self.pairs, self.held_out = explain, pairs, held_out
        self.system = prompts.system(explain=explain)
        self.world, self.here = next(iter(graphs.items()))  # what the row shows
        self.graph = self.here  # whose ways are those of all
        self.next_idx = 0
        # (world, start, goal, steps behind) of every proven path row
        self.steps: set[tuple[str, str, str, int]] = set()
        self._seen: dict[tuple, int] = {}
        self._replay, self._gold_path = cache(self._replay_text), cache(self.graph.shortest_path)
        self._spelling = {loose(name): name for name in self.graph.places}

    def check(self, row: StepRow | EpisodeRow | TaskRow, line: int) -> Faults:
        """Everything that is wrong with the next row."""
        faults = columns(row, "row order", idx=self.next_idx)
        self.next_idx = row.idx + 1
        if isinstance(row, TaskRow):
            faults += self._placement(row.world)
            return faults + self._once(line, row.start, row.goal) + self._task(row, row.start, row.goal)
        faults += self._placement(row.images[0].partition("/pages/")[0] if row.images else "")
        texts = [message.content for message in row.messages]
        if isinstance(row, EpisodeRow):
            return faults + self._once(line, *texts, *row.images) + self._episode(row)
        if self.clicks == "uniform" and row.source.endswith("_edge") and texts and texts[-1].endswith(COMPLETE_ANSWER):
            return faults + self._step(row)  # repeated on purpose, and there is no other point to click
        return faults + self._once(line, *texts, *row.images, row.solution) + self._step(row)

    def _placement(self, world: str) -> Faults:
        """Take the world that a row shows for its own."""
        self.world = world if world in self.graphs else next(iter(self.graphs))
        self.here = self.graphs[self.world]
        return [] if world in self.graphs else [("wrong image", f"shows {world!r}, which is no world of this file")]

    def _once(self, line: int, *key: object) -> Faults:
        first = self._seen.setdefault(key, line)
        return [] if first == line else [("duplicate row", f"equals line {first}")]

    def _task(self, row: StepRow | EpisodeRow | TaskRow, start: str, goal: str, kind: str = "") -> Faults:
        """Start and goal exist and belong to this file; task, path and source follow from them."""
        if not self._can_replay(start, goal):
            lost = [page for page in (start, goal) if page not in self.graph.pages]
            faults = [("other world", f"{page!r} is no page of this world") for page in lost]
            return faults or [("wrong column", f"start and goal are one page, {start}")]
        faults, edge = [], kind.startswith("_edge")
        if not edge and not any(start in pages and goal in pages for pages in self.pages):
            faults.append(("wrong split", f"the task from {start} to {goal} belongs to no subtree of this file"))
        distance = 1 if edge else self.graph.distances_to(goal)[start]
        faults += columns(row, task=f"From {start} to {goal}", path=distance)
        if not isinstance(row, TaskRow):
            number = subtree_of(self.graph, start if goal == ROOT else goal)
            faults += columns(row, source=f"sub{number}{kind}")
        return faults

    def _can_replay(self, start: str, goal: str) -> bool:
        return start != goal and start in self.graph.pages and goal in self.graph.pages

    def _image(self, row: StepRow | EpisodeRow, page: str, why: str) -> Faults:
        wanted = f"{self.world}/{picture_path(page)}"
        return [] if row.images[:1] == [wanted] else [("wrong image", f"shows {row.images[:1]}, but {why} {page}")]

    # Rows of multi-turn RL

    def _episode(self, row: EpisodeRow) -> Faults:
        start, goal = row.env_config.start, row.env_config.goal
        task, (faults, exchange) = self._task(row, start, goal), read_messages(row, True, self.system)
        task += columns(row.env_config, world=self.world, explain=self.explain)
        if not exchange or not self._can_replay(start, goal):
            return task + faults
        if exchange.question != prompts.navigation(start, goal, []):
            element = self._gold_path(start, goal)[0][1]
            faults = faults + odd_question(exchange.question, format_click(element.name, start, -1, -1))
        return task + faults + self._image(row, start, "the task starts on")

    # Rows of one step

    def _step(self, row: StepRow) -> Faults:
        faults, exchange = read_messages(row, self.rl, self.system)
        if not exchange:
            return faults
        kinds = {"caption": self._caption, "grounding": self._grounding, "opening": self._opening, "page": self._page}
        return faults + kinds.get(row.task, self._navigation)(row, exchange)

    def _navigation(self, row: StepRow, exchange: Exchange) -> Faults:
        match = _NAVIGATION.fullmatch(exchange.question)
        if not match:
            return odd_question(*exchange)
        start, goal, past = match.groups()
        kind = next((end for end in SINGLE_STEPS if row.source.endswith(end)), "")
        faults = self._task(row, start, goal, kind)
        if not self._can_replay(start, goal):
            return faults
        behind, page, broken = self._replay(start, past)
        if broken:
            return faults + (leak(*exchange) or broken)
        if kind == "_edge" and behind and not (self.pairs and len(behind) == 1 and page == goal):
            return faults + [("wrong history", "an edge row has a history")]
        if any(step is None for _, step in behind) and not kind.endswith("_recovery"):
            return faults + [("wrong history", "holds a step that did nothing")]
        way = self._way(page, goal)
        if not exchange.answer.startswith(way):
            faults = faults + [("wrong answer", f"{exchange.answer[:120]!r} does not begin with {way!r}")]
        faults += self._here(row, exchange.answer.removeprefix(way), kind, start, goal, behind, page)
        return faults if faults or kind else self._first_time(start, goal, len(behind))

    def _way(self, page: str, goal: str) -> str:
        """What stands before the answer."""
        if self.explain == "step":
            return ""
        following = goal if page == goal else self._gold_path(page, goal)[0][1].target
        return "Way:" + " ".join(self._up(page)) + ". " + " ".join(self._up(goal)) + f". {following}.\n"

    def _up(self, page: str) -> Iterator[str]:
        yield page
        if page != ROOT:
            yield from self._up(self.graph.parents[page])

    def _replay_text(self, start: str, past: str) -> tuple[list[Step], str, Faults]:
        """(the steps of a history, the page they lead to, what leaves this unknown)."""
        behind, page = [], start
        for number, text in enumerate([] if past == "Null" else _PAST.split(past), 1):
            entry = _ENTRY.fullmatch(text)
            if not entry or entry[1] != str(number):
                return behind, page, [("wrong history", f"{text[:120]!r} is not step {number} as prompts.py writes it")]
            if entry["page"] != page:
                what = f"step {number} is on {entry['page']}, the agent was on {page}"
                return behind, page, [("wrong history", what)]
            if entry["icon"] is None:
                behind.append((page, None))
                continue
            if misnamed := self._name(entry["icon"], page):
                return behind, page, misnamed
            step = self.graph.pages[page].element(entry["icon"])
            behind.append((page, step))
            page = step.target or page
        return behind, page, []

    def _here(self, row: StepRow, text: str, kind: str, start: str, goal: str, behind: list[Step], page: str) -> Faults:
        """Picture, way so far and answer, on the page that the history leads to."""
        answer = parse(text)
        last = [(step.name, clicked) for clicked, step in behind[-1:] if step]
        if (answer.icon, answer.page) in last:
            return [("leaked target", "the history already holds the click that is the answer")]
        faults = self._image(row, page, "the history ends on" if behind else "the task starts on")
        if kind == "_edge" and not behind:  # any element that leads there is an edge
            there = [e.name for e in self.graph.pages[page].elements if e.target == goal]
            if not there:
                return faults + [("wrong split", f"nothing on {page} leads to {goal}, so this is no edge")]
            return faults + self._click(row, text, answer, page, answer.icon if answer.icon in there else there[0])
        on_path = behind == self._gold_path(start, goal)[: len(behind)]
        if kind.endswith("_recovery") and on_path:
            return faults + [("wrong history", "shows no mishap")]
        if kind == "_edge_recovery" and page != start and row.source.startswith(f"sub{self.held_out}_"):
            return faults + [
                ("wrong history", f"leads from the edge's page, {start}, to {page}: a step of another task")
            ]
        if not kind and not on_path:
            return faults + [("wrong history", f"leaves the shortest path from {start} to {goal}")]
        if page == goal:
            return faults + self._complete(row, text)
        return faults + self._click(row, text, answer, page, self._gold_path(page, goal)[0][1].name)

    def _first_time(self, start: str, goal: str, behind: int) -> Faults:
        if (self.world, start, goal, behind) in self.steps:
            return [("duplicate row", f"step {behind + 1} from {start} to {goal} has a row already")]
        self.steps.add((self.world, start, goal, behind))
        return []

    # Answers

    def _complete(self, row: StepRow, text: str) -> Faults:
        if text != COMPLETE_ANSWER:
            return [("wrong answer", f"at the goal, right is {COMPLETE_ANSWER!r}, not {text[:120]!r}")]
        return self._box(row, []) or _score(row)

    def _box(self, row: StepRow, box: list[int]) -> Faults:
        return columns(row, "wrong box", bbox=box, canvas=list(self.graph.canvas))

    def _click(self, row: StepRow, text: str, answer: Answer, page: str, right: str) -> Faults:
        """The answer clicks the element ``right`` of ``page``, at a point and with a bbox that are the world's."""
        if not isinstance(answer.action, Click):
            return [("wrong answer", f"on {page}, right is a click on {right!r}, not {text[:120]!r}")]
        x, y = answer.action.x, answer.action.y
        faults = self._name(answer.icon or "", page)
        if faults and faults[0][0] == "other world":
            return faults  # point and box cannot be right either
        if not faults and answer.icon != right:
            faults = [("wrong answer", f"on {page}, right is a click on {right!r}, not on {answer.icon!r}")]
        if answer.page != page:
            faults.append(("wrong page", f"the answer claims {answer.page!r}, the screenshot is of {page}"))
        boxes = {element.name: element.box for element in self.here.pages[page].elements}
        box = boxes.get(answer.icon, boxes[right])
        faults += self._point(x, y, box, self.clicks) + self._box(row, list(box))
        if not faults and text != format_click(right, page, x, y):
            faults = [("wrong answer", f"{text[:120]!r} is not written as the grammar writes it")]
        return faults or _score(row)

    def _point(self, x: int, y: int, box: Box, clicks: str) -> Faults:
        """A point in 0..1000 lies in the box, and where ``clicks`` puts points."""
        canvas = self.graph.canvas
        if not clickable(box, canvas).contains(x, y):
            if max(x, y) > THOUSAND or box.contains(x, y):
                return [("pixel coordinates", f"({x},{y}) is in pixels, the field is 0..1000")]
            return [("missed click", f"({x},{y}) is outside of the box {tuple(clickable(box, canvas))}, in 0..1000")]
        low, high = MIDDLE if clicks == "uniform" else (0.5, 0.5)
        where = Box(*to_thousand(*box.at(low, low), canvas), *to_thousand(*box.at(high, high), canvas))
        return [] if where.contains(x, y) else [("missed click", f"({x},{y}) is not where {clicks!r} clicks are")]

    def _name(self, name: str, page: str) -> Faults:
        """The page has an element of exactly this name."""
        if any(element.name == name for element in self.graph.pages[page].elements):
            return []
        right = self._spelling.get(loose(name))
        if right is None:
            return [("other world", f"{name!r} is nowhere in this world")]
        if right != name:
            return [("misspelt name", f"{name!r} is written {right!r} in the world")]
        return [("other world", f"{name!r} stands on {self.graph.places[name][0][0]}, not on {page}")]

    # Rows of one icon

    def _shown(self, row: StepRow) -> str | None:
        """The page whose screenshot an icon row shows."""
        page = row.images[0].removeprefix(f"{self.world}/pages/").removesuffix(".png") if row.images else ""
        return page if page in self.graph.pages and not self._image(row, page, "") else None

    def _caption(self, row: StepRow, exchange: Exchange) -> Faults:
        faults = columns(row, path=0, source="icon") + self._box(row, [])
        match, page, name = _CAPTION.fullmatch(exchange.question), self._shown(row), exchange.answer
        if not match or exchange.question != prompts.captioning(int(match[1]), int(match[2])):
            return faults + (leak(*exchange) or [("wrong question", f"{exchange.question[:120]!r} asks for no name")])
        if not page:
            return faults + [("wrong image", f"{row.images[:1]} is no page of this world")]
        if misnamed := self._name(name, page):
            return faults + misnamed
        faults += self._point(int(match[1]), int(match[2]), self.here.pages[page].element(name).box, "uniform")
        return faults if score_caption(name, name) else faults + [("wrong score", f"{name!r} scores 0 as a caption")]

    def _page(self, row: StepRow, exchange: Exchange) -> Faults:
        faults = columns(row, path=0, source="page") + self._box(row, [])
        page = self._shown(row)
        if exchange.question != f"{IMAGE}Which page is shown?":
            return faults + [("wrong question", f"{exchange.question[:120]!r} asks for no page")]
        if not page:
            return faults + [("wrong image", f"{row.images[:1]} is no page of this world")]
        right = " ".join(self._up(page))
        return faults if exchange.answer == right else faults + [("wrong answer", f"right is {right!r}")]

    def _opening(self, row: StepRow, exchange: Exchange) -> Faults:
        faults = columns(row, path=0, source="opening") + self._box(row, [])
        match, shown = _OPENING.fullmatch(exchange.question), self._shown(row)
        if not match or match[1] not in self.graph.parents:
            return faults + [("wrong question", f"{exchange.question[:120]!r} asks for no page of this world")]
        if not shown:
            return faults + [("wrong image", f"{row.images[:1]} is no page of this world")]
        above = self.graph.parents[match[1]]
        icons = [e.name for e in self.graph.pages[above].elements if e.target == match[1]]
        right = [f"{' '.join(self._up(match[1]))}. click {icon} icon on {above}" for icon in icons[:1]]
        return faults if [exchange.answer] == right else faults + [("wrong answer", f"right is {right[0]!r}")]

    def _grounding(self, row: StepRow, exchange: Exchange) -> Faults:
        faults = columns(row, path=0, source="icon")
        match, page = _GROUNDING.fullmatch(exchange.question), self._shown(row)
        if not match:
            leaked = leak(*exchange, named=True)
            return faults + (leaked or [("wrong question", f"{exchange.question[:120]!r} asks for no click")])
        if not page:
            return faults + [("wrong image", f"{row.images[:1]} is no page of this world")]
        misnamed = self._name(match[1], page)
        return faults + (misnamed or self._click(row, exchange.answer, parse(exchange.answer), page, match[1]))


def _score(row: StepRow) -> Faults:
    """The gold, scored as if a model had said it, gets every point."""
    text = row.messages[-1].content if row.solution is UNSET else row.solution
    gold = {"idx": row.idx, "solution": text, "bbox": row.bbox, "canvas": row.canvas}
    parts = score(parse(text), gold_of(gold))
    lost = [name for name in parts.__slots__ if getattr(parts, name) != 1]
    return [("wrong score", f"the gold answer scores 0 in {', '.join(lost)}")] if lost else []
