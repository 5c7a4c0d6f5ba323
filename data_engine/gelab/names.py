"""Names where they enter a world: page ids become files, icon names stand in questions, histories and answers.

Every door asks here: an imported structure, a folder of icons, a table of other names. What passes can be said in the
grammar and read back from it, and holds nothing that ms-swift or a file system would act on.
"""

import re
import unicodedata
from functools import lru_cache

from . import prompts
from .actions import HIT, Click, format_click, parse
from .graph import WorldError
from .page import BACK, HOME, ROOT
from .scoring import score_caption

_PAGE_ID = re.compile(r"[A-Za-z0-9_]{1,100}")
_TOKEN = re.compile(r"<[^<>\s][^<>]*>|<\||\|>")  # <image>, <|box_end|>, </think>, and half of one
_STEP = re.compile(r" (?=step\d+: )")  # where a history is cut into its entries
_UNSEEN = ("Cc", "Cf", "Cs", "Zl", "Zp")  # control, format, half a surrogate pair, line and paragraph separators
_JOINERS = "\u200c\u200d"  # format characters that spell words and draw emoji


def check_page_id(name: str, where: str) -> str:
    """The id of a page, 1 to 100 letters (ASCII), digits and underscores. Raises WorldError if it is none."""
    if _PAGE_ID.fullmatch(name):
        return name
    raise WorldError(f"{where}: page id {short(name)} is not made of A-Z, a-z, 0-9 and _ (1 to 100 of them); rename it")


def check_icon_name(name: str, where: str) -> str:
    """The name of an icon. Raises WorldError if it cannot stand in questions, histories and answers."""
    if fault := icon_fault(name):
        raise WorldError(f"{where}: icon name {short(name)} {fault}; rename it")
    return name


def short(name: str, most: int = 60) -> str:
    """A name for a message: quoted, on one line, cut where it is long."""
    return repr(name) if len(name) <= most else f"{name[:most]!r}..."


@lru_cache(maxsize=4096)
def icon_fault(name: str) -> str | None:
    """Why an icon cannot have a name; None if it can."""
    if name in (BACK, HOME):
        return "is that of a button"
    if any(unicodedata.category(letter) in _UNSEEN and letter not in _JOINERS for letter in name):
        return "holds a control character"
    if _TOKEN.search(name):
        return "holds a token of chats"
    return None if name and _reads_back(name) else "does not read back as it is written"


def _reads_back(name: str) -> bool:
    """True if the name is the same in every answer, in a history and as a caption."""
    answer = parse(format_click(name, ROOT, 1, 2))
    entry = prompts.entry(HIT, ROOT, name)
    past = prompts.navigation(ROOT, ROOT, [entry, entry]).partition("History: ")[2]
    return (
        (answer.icon, answer.page, answer.action, answer.well_formed) == (name, ROOT, Click(1, 2), True)
        and _STEP.split(past) == [f"step1: {entry}", f"step2: {entry}"]
        and score_caption(name, name) == 1
    )
