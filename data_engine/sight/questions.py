"""What is asked of a screen: several questions about one picture make one conversation, each thing at most once.

On pages, the prompts and the answers are GE-Lab's (point at a named icon, name the icon at a point); for what is
written there are two more of the same kind. On forms they are the login benchmark's: click here, type this, and what
the goal asks for next. Gold clicks go to the middle of the box.
"""

import hashlib
from dataclasses import dataclass

import numpy as np

from ..gelab import prompts
from ..gelab.actions import format_click
from ..gelab.rows import MIDDLE
from ..geometry import Box, to_thousand
from ..login import actions as form_actions
from ..login import oracle
from ..login import prompts as form_prompts
from ..login.forms import LOGIN, SCENARIOS, Element, Form, View, drawn_credentials
from ..login.tasks import Rules, rules_of
from .screens import Screen, Thing

NOTHING, YES, NO = "none", "yes", "no"


def pointing_at_text(text: str) -> str:
    """Ask for a click on something written."""
    return f"{prompts.IMAGE}Click on text {text} in the image."


def reading(x: int, y: int) -> str:
    """Ask what is written at (x, y), 0..1000."""
    return f"{prompts.IMAGE}What is written at point <|box_start|>({x},{y})<|box_end|> in the image?"


def typing(text: str, caption: str) -> str:
    """The goal of writing ``text`` into the field that is called ``caption``."""
    return f"Type {text} into {caption}"


def cursor() -> str:
    """Ask which field of a form has the cursor; the answer is its caption, or NOTHING."""
    return f"{prompts.IMAGE}Which field has the cursor?"


def filled(caption: str) -> str:
    """Ask whether a field holds text; the answer is YES or NO."""
    return f"{prompts.IMAGE}Does {caption} hold text?"


def clicking(action: str) -> str:
    """Ask which part of a form an action would click."""
    return f"{prompts.IMAGE}What does {action} click?"


def number(place: str) -> str:
    """Ask which Set-of-Marks number stands left of a place."""
    return f"{prompts.IMAGE}Which number stands left of {place}?"


def sha256() -> str:
    """Hash of everything that rows of screens can say, beside names and coordinates."""
    texts = [prompts.sha256(), form_prompts.sha256(), pointing_at_text("TEXT"), reading(1, 2)]
    texts += [typing("TEXT", "IT"), clicking("ACTION"), number("PLACE"), cursor(), filled("IT"), NOTHING, YES, NO]
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Question:
    """A prompt with ms-swift's image tag at its head, the gold answer, and the box to hit (None: a name is asked)."""

    prompt: str
    answer: str
    box: Box | None


def system(screen: Screen) -> str:
    """The system prompt of the benchmark that the screen belongs to."""
    return form_prompts.system(screen.mode) if screen.mode else prompts.SYSTEM


def point(screen: Screen, thing: Thing) -> Question:
    """Where is it? By marks: where does it begin, and which number stands there?"""
    if screen.mode:
        thought = oracle.called(thing.name, thing.box, _rules(screen))
        answer = form_actions.format_answer(thought, _form_action(screen, thing))
        return Question(form_prompts.question(f"Click on {thing.name}"), answer, thing.box)
    prompt = (pointing_at_text if thing.written else prompts.grounding)(thing.name)
    click = format_click(thing.name, screen.page, *to_thousand(*thing.box.at(0.5, 0.5), screen.canvas))
    return Question(prompt, click, thing.box)


def _rules(screen: Screen) -> Rules:
    return rules_of("hard", screen.mode, screen.form.scenario if screen.form else LOGIN.name)


def _form_action(screen: Screen, thing: Thing) -> form_actions.Action:
    x, y = thing.box.at(0.5, 0.5)
    click = form_actions.Click(x / screen.canvas.width, y / screen.canvas.height)
    return form_actions.Pick(thing.mark) if screen.mode == "som" else click


def name(screen: Screen, thing: Thing, generator: np.random.Generator) -> Question:
    """What is there? On a form: what would this action click? By marks: which number stands there?"""
    if screen.mode == "som":
        return Question(number(form_actions.format_place(*oracle.left_edge(thing.box))), str(thing.mark), None)
    if screen.mode:
        return Question(clicking(form_actions.format_action(_form_action(screen, thing))), thing.name, None)
    at = to_thousand(*thing.box.at(*generator.uniform(*MIDDLE, 2)), screen.canvas)
    return Question((reading if thing.written else prompts.captioning)(*at), thing.name, None)


def steps(screen: Screen, generator: np.random.Generator) -> list[Question]:
    """On a form, in any order: what its goal asks for next, and its state; and typing, where a field has the cursor."""
    if screen.form is None:
        return []
    form, view = screen.form, screen.view
    rules = _rules(screen)
    asked = [_step(form.goal, *oracle.next_action(form, screen.mode, view), rules), *_state(form, view)]
    if view.focus is not None:
        field = form.element(view.focus)
        text = str(generator.choice(list(drawn_credentials(SCENARIOS[form.scenario], generator).values())))
        typed = form_actions.Type(text, field.mark if screen.mode == "som" else None)
        asked.append(_step(typing(text, field.caption), typed, field, rules))
    return [asked[i] for i in generator.permutation(len(asked))]


def _step(goal: str, action: form_actions.Action, element: Element, rules: Rules) -> Question:
    return Question(form_prompts.question(goal), oracle.answer_text(action, element, rules), None)


def _state(form: Form, view: View) -> list[Question]:
    """Which field has the cursor, and of each whether it holds text."""
    focused = form.element(view.focus).caption if view.focus is not None else NOTHING
    holds = [(field.caption, YES if text else NO) for field, text in zip(form.fields, view.texts, strict=True)]
    return [Question(cursor(), focused, None), *(Question(filled(caption), text, None) for caption, text in holds)]


def ask(screen: Screen, generator: np.random.Generator, naming: float, most: int = 6) -> list[Question]:
    """Up to ``most`` questions, each about another thing; a share ``naming`` of them asks for the name.

    On forms those of ``steps`` come before or after.
    """
    chosen = [screen.things[i] for i in generator.permutation(len(screen.things))[:most]]
    asked = [name(screen, t, generator) if generator.random() < naming else point(screen, t) for t in chosen]
    if not screen.mode:
        return asked
    rest = steps(screen, generator)
    return rest + asked if generator.random() < 0.5 else asked + rest


def conversation(system: str, questions: list[Question]) -> list[dict]:
    """Messages of one row; the picture belongs to the first question."""
    messages = [{"role": "system", "content": system}]
    for i, question in enumerate(questions):
        prompt = question.prompt if i == 0 else question.prompt.removeprefix(prompts.IMAGE)
        messages += [{"role": "user", "content": prompt}, {"role": "assistant", "content": question.answer}]
    return messages
