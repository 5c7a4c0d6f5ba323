"""The right next move in the model's own terms: a click in 0..1000, an answer in text."""

from .actions import COMPLETE_ANSWER, Click, format_way
from .graph import ROOT, Element, PageGraph


def gold_click(graph: PageGraph, page: str, element: Element) -> Click:
    """A click in the middle of an element of ``page``."""
    x1, y1, x2, y2 = next(entry[:4] for entry in graph.click_table[page] if entry[4] == element.name)
    return Click((x1 + x2) // 2, (y1 + y2) // 2)


def gold_way(graph: PageGraph, page: str, goal: str, explain: str) -> str:
    """What stands before the right answer on ``page``: nothing, or with ``way`` the line that says the way."""
    if explain == "step":
        return ""
    to_open = goal if page == goal else graph.next_element(page, goal).target
    return format_way(pages_above(graph, page), pages_above(graph, goal), to_open)


def pages_above(graph: PageGraph, page: str) -> list[str]:
    """A page and all pages above it, up to page_0."""
    chain = [page]
    while chain[-1] != ROOT:
        chain.append(graph.parents[chain[-1]])
    return chain


def gold_answer(graph: PageGraph, page: str, goal: str, explain: str = "step") -> str:
    """What a perfect agent on ``page`` says on its way to ``goal``."""
    way = gold_way(graph, page, goal, explain)
    if page == goal:
        return way + COMPLETE_ANSWER
    element = graph.next_element(page, goal)
    return way + gold_click(graph, page, element).written(icon=element.name, page=page)
