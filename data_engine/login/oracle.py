"""The right next action on a form, and the sentence that goes with it."""

from ..geometry import Box
from .actions import Action, Click, Done, Pick, Type, Wait, format_answer, format_place
from .forms import CANVAS, Element, Form, View
from .tasks import Rules

THOUGHTS = {  # {it}: the element that the action is about
    Click: "{it} is next, so I click it.",
    Type: "The cursor is in {it}, so I type its text.",
    Wait: "The form may still be loading, so I wait.",
    Done: "The form was accepted, so the goal is reached.",
}


def next_action(form: Form, mode: str, view: View) -> tuple[Action, Element | None]:
    """What a perfect agent does, and with which element: fill in the first field that is not right, then submit."""
    if view.accepted:
        return Done(), None
    for field, text in zip(form.fields, view.texts, strict=True):
        if text != form.values[field.name]:
            if view.focus != field.name:
                return press(field, mode), field
            return Type(form.values[field.name], field.mark if mode == "som" else None), field
    return press(form.button, mode), form.button


def press(element: Element, mode: str) -> Click | Pick:
    """A click on the middle of an element, or on its number."""
    return Pick(element.mark) if mode == "som" else Click(*centre(element.box))


def centre(box: Box) -> tuple[float, float]:
    """The middle of a canvas box as fractions of the canvas; whole pixels, as the published code computes it."""
    x, y = box.x1 + (box.x2 - box.x1) // 2, box.y1 + (box.y2 - box.y1) // 2
    return x / CANVAS.width, y / CANVAS.height


def answer_text(action: Action, element: Element | None, rules: Rules) -> str:
    """The answer in full: thought and action."""
    it = element and called(element.caption, element.box, rules)
    kind = Click if isinstance(action, Pick) else type(action)
    return format_answer(THOUGHTS[kind].format(it=it), action, rules.decimals)


def called(name: str, box: Box, rules: Rules) -> str:
    """A thing in the words of a thought: its name and, if the rules want that, where its left edge is."""
    return f"{name} at {format_place(*left_edge(box), rules.decimals)}" if rules.places else name


def left_edge(box: Box) -> tuple[float, float]:
    """The middle of the left edge of a canvas box, beside which the mark stands, as fractions of the canvas."""
    return box.x1 / CANVAS.width, centre(box)[1]
