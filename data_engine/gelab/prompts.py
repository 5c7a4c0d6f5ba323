"""The one prompt builder: rows, rollouts and evaluation all ask through it.

The system prompt states exactly the format of the labels, because it is built from the same templates. No text here
holds a literal ``<image>`` but the user turns, where the host puts the screenshot.
"""

import hashlib

from ..answer import disarmed
from .actions import CLICK_TEMPLATE, COMPLETE_ANSWER, format_click

FORMS = f"{format_click('NAME', 'PAGE', 'x', 'y')}\n{COMPLETE_ANSWER}"
IMAGE = "<image>"  # the host's placeholder; it stands once, at the head of a user turn

SYSTEM = f"""You are a GUI agent. The screenshot shows one page of an app, its name on top. Icons lead to other pages.
Coordinates are integers from 0 to 1000: x from the left edge, y from the top edge.
Asked to go from one page to another, answer the next step in one of these forms:
{FORMS}
Asked to click an icon, use the first form. Asked what icon stands at a point, answer its name only."""


def navigation(source: str, target: str, history: list[str]) -> str:
    """The user turn of a navigation step; ``history`` has the entries of ``clicked`` and its siblings, in order."""
    past = disarmed(" ".join(f"step{i}: {entry}" for i, entry in enumerate(history, 1))) or "Null"
    return f"{IMAGE}Instruction: from {source} to {target}. History: {past}"


def clicked(icon: str, page: str) -> str:
    """History entry of a click that hit ``icon`` on ``page``."""
    return f"click {icon} icon on {page}."


def missed(page: str) -> str:
    """History entry of a click on ``page`` that hit nothing."""
    return f"click missed on {page}."


def no_action(page: str) -> str:
    """History entry of an answer that could not be read."""
    return f"no action on {page}."


def captioning(x: int, y: int) -> str:
    """Ask the name of the icon at (x, y), 0..1000."""
    return f"{IMAGE}What is the icon at point <|box_start|>({x},{y})<|box_end|> in the image?"


def grounding(icon: str) -> str:
    """Ask for a click on a named icon."""
    return f"{IMAGE}Click on {icon} icon in the image."


def sha256() -> str:
    """Hash of everything that this module and the grammar can say; rows carry it and loaders compare it."""
    history = [clicked("ICON", "page_0"), missed("page_1"), no_action("page_2")]
    said = [SYSTEM, navigation("page_0", "page_1", []), navigation("page_0", "page_1", history)]
    said += [captioning(1, 2), grounding("ICON"), CLICK_TEMPLATE, COMPLETE_ANSWER]
    return hashlib.sha256("\n".join(said).encode()).hexdigest()
