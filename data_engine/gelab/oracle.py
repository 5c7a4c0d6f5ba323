"""The right next move in the model's own terms: a click in 0..1000, an answer in text."""

from .actions import COMPLETE_ANSWER, Click
from .graph import Element, PageGraph


def gold_click(graph: PageGraph, page: str, element: Element) -> Click:
    """A click in the middle of an element of ``page``."""
    x1, y1, x2, y2 = next(entry[:4] for entry in graph.click_table[page] if entry[4] == element.name)
    return Click((x1 + x2) // 2, (y1 + y2) // 2)


def gold_answer(graph: PageGraph, page: str, goal: str) -> str:
    """What a perfect agent on ``page`` says on its way to ``goal``."""
    if page == goal:
        return COMPLETE_ANSWER
    element = graph.next_element(page, goal)
    return gold_click(graph, page, element).written(icon=element.name, page=page)
