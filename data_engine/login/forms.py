"""What a form is: its fields, button, decoys, credentials and goal. One description each for login and registration.

A ``Scenario`` is the description; a ``Form`` is one form of an episode, with credentials, boxes and colours. Names of
elements (``username``, ``login``, ``help``) are the same in every form of a scenario.
"""

import re
import string
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..dataset import DataError
from ..geometry import Box, Size
from .style import Style

CANVAS = Size(800, 600)  # pixels; the published canvas
FIELD, BUTTON, DECOY = "field", "button", "decoy"


@dataclass(frozen=True, slots=True)
class Field:
    """A text field. ``value_of`` names the credential that it takes; ``secret`` text is drawn as dots."""

    name: str
    caption: str
    value_of: str
    secret: bool = False


@dataclass(frozen=True, slots=True)
class Scenario:
    """A kind of form. ``published`` gives the credentials of episode i; the goals and ``success`` are templates.

    The published goal of a registration does not state the password, so nobody can know it.
    """

    name: str
    title: str
    fields: tuple[Field, ...]
    button: str
    decoy: str
    goal: str
    published_goal: str
    success: tuple[str, ...]
    published: Mapping[str, str]

    def numbered(self, i: int) -> dict[str, str]:
        """The published credentials of episode ``i``."""
        return {name: text.format(i=i) for name, text in self.published.items()}

    def read_goal(self, text: str) -> dict[str, str]:
        """The credentials that a text states in the words of a goal; empty if it states none."""
        for goal in (self.goal, self.published_goal):
            match = re.search(re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^']*)", re.escape(goal)), text)
            if match:
                return match.groupdict()
        return {}


LOGIN = Scenario(
    name="login",
    title="Welcome Back!",
    fields=(Field("username", "Username", "username"), Field("password", "Password", "password", secret=True)),
    button="Login",
    decoy="Help",
    goal="Log in with username '{username}' and password '{password}'",
    published_goal="Log in with username '{username}' and password '{password}'",
    success=("Welcome, {username}!",),
    published={"username": "user{i}", "password": "pass{i}123"},  # pragma: allowlist secret
)
REGISTRATION = Scenario(
    name="registration",
    title="Create Account",
    fields=(
        Field("first_name", "First Name", "first_name"),
        Field("last_name", "Last Name", "last_name"),
        Field("email", "Email", "email"),
        Field("password", "Password", "password", secret=True),
        Field("confirm_password", "Confirm Password", "password", secret=True),
    ),
    button="Register",
    decoy="Clear",
    goal="Register with first name '{first_name}', last name '{last_name}', email '{email}' and password '{password}'",
    published_goal="Register with first name '{first_name}', last name '{last_name}', email '{email}', and password",
    success=("Welcome, {first_name}!", "Confirmation sent to {email}"),
    published={
        "first_name": "John{i}",
        "last_name": "Doe{i}",
        "email": "john{i}@example.com",
        "password": "SecurePass{i}!",  # pragma: allowlist secret
    },
)
SCENARIOS = {scenario.name: scenario for scenario in (LOGIN, REGISTRATION)}
DECOYS = ("Help", "Clear", "Cancel", "Back", "Settings")  # captions that a decoy of a hard form may have


def scenario_of(name: str) -> Scenario:
    """A scenario by name. Raises DataError that lists the known ones."""
    if name not in SCENARIOS:
        raise DataError(f"scenario {name!r}: unknown; known are {', '.join(SCENARIOS)}")
    return SCENARIOS[name]


@dataclass(frozen=True, slots=True)
class Element:
    """A part of a form that can be clicked.

    ``kind`` is FIELD, BUTTON or DECOY; ``box`` its rectangle in canvas pixels. ``label`` is where the caption of a
    field stands (canvas pixels; None: the caption stands in the box); ``mark`` its Set-of-Marks number, or None.
    """

    name: str
    kind: str
    caption: str
    box: Box
    label: Box | None = None
    mark: int | None = None


@dataclass(frozen=True, slots=True)
class Form:
    """One form: ``values`` has the text that each field must get, ``said`` the credentials behind it."""

    scenario: str
    goal: str
    said: dict[str, str]
    title: Box
    elements: tuple[Element, ...]
    style: Style

    @property
    def fields(self) -> tuple[Element, ...]:
        return tuple(element for element in self.elements if element.kind == FIELD)

    @property
    def button(self) -> Element:
        return next(element for element in self.elements if element.kind == BUTTON)

    @property
    def values(self) -> dict[str, str]:
        return {field.name: self.said[field.value_of] for field in SCENARIOS[self.scenario].fields}

    def element(self, name: str) -> Element:
        return next(element for element in self.elements if element.name == name)

    def hit(self, x: float, y: float) -> Element | None:
        """The element at a canvas point, edges included."""
        return next((element for element in self.elements if element.box.contains(x, y)), None)

    def marked(self, mark: int) -> Element | None:
        return next((element for element in self.elements if element.mark == mark), None)


@dataclass(frozen=True, slots=True)
class View:
    """What can be seen of a form's state: the text in each field, in order; the field in focus; or that it is done."""

    texts: tuple[str, ...]
    focus: str | None = None
    accepted: bool = False


_SYLLABLES = ("ba", "do", "ka", "le", "li", "ma", "mi", "na", "no", "ra", "ri", "sa", "ta", "to", "va", "ze")
_SIGNS = [sign for sign in string.ascii_letters + string.digits if sign not in "iloIO01"]  # those look alike


def drawn_credentials(scenario: Scenario, generator: np.random.Generator) -> dict[str, str]:
    """Random credentials: names of syllables, passwords of 6 to 8 signs."""
    names = ["".join(generator.choice(_SYLLABLES, generator.integers(2, 4))) for _ in range(2)]
    number = int(generator.integers(10, 100))
    password = "".join(generator.choice(_SIGNS, generator.integers(6, 9)))
    every = {
        "username": f"{names[0]}{number}",
        "first_name": names[0].capitalize(),
        "last_name": names[1].capitalize(),
        "email": f"{names[0]}{number}@mail.com",
        "password": password,
    }
    return {name: every[name] for name in scenario.published}
