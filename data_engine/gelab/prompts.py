"""The one prompt builder: rows, rollouts and evaluation all ask through it.

The system prompt states exactly the format of the labels, because it is built from the same templates. No text here
holds a literal ``<image>`` but the user turns, where ms-swift puts the screenshot.
"""

import hashlib
from collections.abc import Sequence

from ..answer import disarmed
from .actions import SPACE, UNREADABLE, Space, format_way

IMAGE = "<image>"  # ms-swift's placeholder; it stands once, at the head of a user turn
NO_ACTION = "no action on {page}."  # history entry of what no action tells

_SYSTEM = """You are a GUI agent. The screenshot shows one page of an app, its name on top. Icons lead to other pages.
Coordinates are integers from 0 to 1000: x from the left edge, y from the top edge.
Asked to go from one page to another, answer the next step in one of these forms:
{forms}
Asked to click an icon, use the first form. Asked what icon stands at a point, answer its name only."""


_WAY = """First, on a line of its own: the pages from the shown one up to page_0, from the goal up, and the next page:
Way:PAGE .. page_0. GOAL .. page_0. NEXT.
Asked which page is shown, answer it and the pages above it; asked what opens a page, add the click."""


def system(space: Space = SPACE, explain: str = "step") -> str:
    """The system prompt: the answers of ``space``, each as it must be written, and what stands before them."""
    return _SYSTEM.format(forms="\n".join([*space.forms, *([_WAY] if explain == "way" else [])]))


SYSTEM = system()


def navigation(source: str, target: str, history: list[str]) -> str:
    """The user turn of a navigation step; ``history`` has an ``entry`` for each answer, in order."""
    past = disarmed(" ".join(f"step{i}: {entry}" for i, entry in enumerate(history, 1))) or "Null"
    return f"{IMAGE}Instruction: from {source} to {target}. History: {past}"


def entry(outcome: str, page: str, icon: str | None = None, space: Space = SPACE) -> str:
    """History entry of an answer on ``page``: what came of it, and the icon that it hit, if any."""
    return space.history.get(outcome, NO_ACTION).format(page=page, icon=icon)


def captioning(x: int, y: int) -> str:
    """Ask the name of the icon at (x, y), 0..1000."""
    return f"{IMAGE}What is the icon at point <|box_start|>({x},{y})<|box_end|> in the image?"


def grounding(icon: str) -> str:
    """Ask for a click on a named icon."""
    return f"{IMAGE}Click on {icon} icon in the image."


def shown() -> str:
    """Ask which page is shown."""
    return f"{IMAGE}Which page is shown?"


def opening(page: str) -> str:
    """Ask what opens a page."""
    return f"{IMAGE}What opens {page}?"


def opened(pages: Sequence[str], icon: str) -> str:
    """The answer: a page, those above it up to page_0, and the icon on the second of them that opens the first."""
    return f"{' '.join(pages)}. click {icon} icon on {pages[1]}"


def sha256(space: Space = SPACE, explain: str = "step") -> str:
    """Hash of everything that this module and the grammar can say; rows carry it and loaders compare it."""
    history = [entry(outcome, f"page_{i}", "ICON", space) for i, outcome in enumerate([*space.history, UNREADABLE])]
    texts = [system(space, explain), navigation("page_0", "page_1", []), navigation("page_0", "page_1", history)]
    texts += [captioning(1, 2), grounding("ICON"), *(action.template for action in space.actions)]
    if explain == "way":
        texts += [format_way(["PAGE"], ["GOAL"], "NEXT"), shown(), opening("PAGE"), opened(["PAGE", "ABOVE"], "ICON")]
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()
