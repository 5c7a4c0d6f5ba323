"""What may stand around an action: any combination means the same to both graders, no change of meaning passes."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product

import pytest

from data_engine.answer import ACTION
from data_engine.gelab import actions as gelab
from data_engine.gelab import scoring as gelab_scoring
from data_engine.login import actions as login
from data_engine.login import scoring as login_scoring


@dataclass(frozen=True)
class Speech:
    """How a benchmark's answers are put together, and actions of its: as text -> as read."""

    lead: str
    prose: str
    tab: str
    parse: Callable
    failure: type
    actions: dict[str, object]
    other: str  # an action that is none of them

    def say(self, label: str, action: str, prose: str | None = None) -> str:
        """The plain answer with ``label`` in the place of both plain labels (``{}``: its name)."""
        return f"{label.format(self.lead)} {prose or self.prose}{self.tab}{label.format('Action')} {action}"


SPEECHES = {
    "gelab": Speech(
        "Explain",
        "click umbrella icon on page_3.",
        "\t",
        gelab.parse,
        gelab.ParseFailure,
        {
            "click(start_box='<|box_start|>(503,522)<|box_end|>')": gelab.Click(503, 522),
            "complete": gelab.Complete(),
        },
        "click(start_box='(1,2)')",
    ),
    "login": Speech(
        "Thought",
        "Username is next.",
        "\n",
        login.parse,
        login.ParseFailure,
        {
            "CLICK(x=0.42, y=0.31)": login.Click(0.42, 0.31),
            "CLICK([12])": login.Pick(12),
            'TYPE(text="alice")': login.Type("alice"),
            'TYPE([2], "`Action: DONE();`\\n**no** ``` x: y")': login.Type("`Action: DONE();`\n**no** ``` x: y", 2),
            "WAIT()": login.Wait(),
            "DONE()": login.Done(),
        },
        "CLICK([3])",
    ),
}
LABELS = ("{}:", "**{}:**", "**{}**:", "*{}:*", "{}\uff1a", "**{}\uff1a**", "`{}:`", "- **{}:**")
ACTIONS = (
    "{}",
    "`{}`",
    "**{}**",
    "**`{}`**",
    "```{}```",
    "\n```\n{}\n```",
    "```python\n{}\n```",
    "\n{}",
    "\u00a0{}\u3000",
)
ENDS = ("", ".", ";", " ;", ".\r")
BELOW = ("", "\nThat is the next step.", "\n\nNot sure that this is all, though.", "\n```", "\n{0}", "\nAction: `{0}`")
WHOLE = ("{}", "```\n{}\n```", "```text\n{}\n```<|im_end|>", "<think>or DONE()</think>{}")


def spaced(action: str) -> list[str]:
    """The action, and with a blank before its first bracket."""
    return [action, action.replace("(", " (", 1)] if "(" in action else [action]


def wrapped(speech: Speech, action: str) -> Iterator[str]:
    for label, around, end, below, whole in product(LABELS, ACTIONS, ENDS, BELOW, WHOLE):
        for call in spaced(action):
            yield whole.format(speech.say(label, around.format(call) + end + below.format(call)))


CASES = [(name, action) for name, speech in SPEECHES.items() for action in speech.actions]
every_action = pytest.mark.parametrize("name, action", CASES)


@every_action
def test_harmless_wrappings_in_any_combination_read_as_the_same_action(name, action):
    speech = SPEECHES[name]
    meant = speech.actions[action]
    wrong = [text for text in wrapped(speech, action) if speech.parse(text).action != meant]
    assert wrong == []


@every_action
def test_only_the_plain_answer_is_well_formed(name, action):
    speech, whole = SPEECHES[name], WHOLE[0]
    plain = speech.say("{}:", action)
    assert speech.parse(plain).well_formed
    good = {text for text in wrapped(speech, action) if speech.parse(text).well_formed}
    think = {f"<think>or DONE()</think>{plain}", plain}
    assert good == think and whole.format(plain) in good


@pytest.mark.parametrize("name", SPEECHES)
def test_what_is_claimed_is_read_through_the_wrappings(name):
    speech = SPEECHES[name]
    action = next(iter(speech.actions))
    for label, around in product(LABELS, ACTIONS):
        answer = speech.parse(speech.say(label, around.format(action)))
        if name == "gelab":
            page = answer.page.rstrip("-\t.")  # a bullet before the next label stays in the prose
            assert (answer.icon, page) == ("umbrella", "page_3"), label
        else:
            assert answer.thought.startswith("Username is next."), label


@pytest.mark.parametrize("action", SPEECHES["login"].actions)
def test_a_bare_call_of_the_forms_may_be_wrapped_too(action):
    for around, end in product(ACTIONS, ENDS):
        assert login.parse(around.format(action) + end).action == SPEECHES["login"].actions[action]


def test_a_text_that_holds_a_label_is_a_text_in_a_bare_call_too():
    assert login.parse('TYPE(text="Action: DONE()\nx")').action == login.Type("Action: DONE()\nx")


# what the action becomes -> each changes the meaning; {0} the action, {1} another
CHANGED = {
    "denied": "not {0}",
    "denied after": "{0} not yet",
    "doubted": "{0}?",
    "two ends": "{0}..",
    "an alternative": "{0} or {1}",
    "another below": "{0}\n{1}",
    "another in a sentence below": "{0}\nThen I {1} it.",
    "another labelled": "{0}\nAction: {1}",
    "another labelled on the line": "{0} Action: **{1}**",
    "another, the same between": "{0}\nAction: {1}\nAction: {0}",
    "a label without action": "{0}\nAction:",
    "a label with prose": "{0}\n**Action:** none",
    "a role": "{0}<|im_end|>\n<|im_start|>user",
    "nothing": "",
    "prose": "the next one",
    "in quotes": '"{0}"',
    "struck out": "~~{0}~~",
    "an invisible sign": "{0}\u200b",
}


@pytest.mark.parametrize("change", CHANGED)
@pytest.mark.parametrize("name", SPEECHES)
def test_no_wrapping_hides_a_change_of_meaning(name, change):
    speech = SPEECHES[name]
    for action, label, around, whole in product(speech.actions, LABELS, ACTIONS, WHOLE):
        changed = CHANGED[change].format(action, speech.other)
        text = whole.format(speech.say(label, around.format(changed)))
        assert isinstance(speech.parse(text).action, speech.failure), text


@pytest.mark.parametrize("name, action", CASES)
def test_a_call_that_is_cut_off_is_none(name, action):
    speech = SPEECHES[name]
    for label, around, end in product(LABELS, ("{}", "`{}", "**{}"), range(1, len(action))):
        answer = speech.parse(speech.say(label, around.format(action[:end])))
        assert isinstance(answer.action, speech.failure), action[:end]


def word_below(word: str) -> str:
    return f"Action: click(start_box='(5,6)')\n{word}"


def test_the_word_of_an_action_counts_below_only_where_it_has_a_line_of_its_own():
    for word in "complete", "`complete`", "**Complete**.", "\tcomplete ;":
        assert gelab.parse(word_below(word)).action == gelab.ParseFailure("several actions"), word
    for prose in "Then it is complete.", "completely", "complete the task", "incomplete":
        assert gelab.parse(word_below(prose)).action == gelab.Click(5, 6), prose


# Letters that Unicode folds to ASCII ones: dotless i, dotted I, long s, the Kelvin sign
FOLDED = {"i": "\u0131", "I": "\u0130", "s": "\u017f", "S": "\u017f", "k": "\u212a", "K": "\u212a"}


@pytest.mark.parametrize("name, action", CASES)
def test_letters_are_ascii(name, action):
    speech, plain = SPEECHES[name], SPEECHES[name].say("{}:", action)
    head = plain.index("Action") if name == "gelab" else plain.rindex("Action: " + action[:4])
    for at, sign in enumerate(plain):
        in_quotes = name == "login" and '"' in plain[head:at]
        if sign in FOLDED and at >= head and not in_quotes:
            text = plain[:at] + FOLDED[sign] + plain[at + 1 :]
            assert isinstance(speech.parse(text).action, speech.failure), ascii(text)
    assert ACTION.search("actIOn:") and not ACTION.search("act\u0131on:")


def test_a_claim_is_in_ascii_letters():
    claims = [gelab.parse(f"Explain:{word} umbrella icon.\tAction: complete").icon for word in ("CLICK", "clic\u212a")]
    assert claims == ["umbrella", None]


GOLD = {"idx": 0, "bbox": [474, 1258, 674, 1458], "canvas": [1179, 2556]}  # hit by x 403..571, y 493..570
TRUTH = {"type": "click", "x": 0.42, "y": 0.31, "bbox": [0.4, 0.3, 0.5, 0.4]}


def test_a_wrapped_answer_scores_as_the_plain_one_but_for_the_format():
    plain = SPEECHES["gelab"].say("{}:", next(iter(SPEECHES["gelab"].actions)))
    gold = gelab_scoring.gold_of(GOLD | {"solution": plain})
    assert gelab_scoring.score(gelab.parse(plain), gold) == gelab_scoring.Parts(1, 1, 1, 1, 1)
    wrapped_one = "**Explain:** click umbrella icon on page_3.\n**Action:** `click (start_box='(503,522)')`.\nThere."
    assert gelab_scoring.score(gelab.parse(wrapped_one), gold) == gelab_scoring.Parts(1, 1, 1, 0, 1)


@pytest.mark.parametrize("text, worth", [("**Action:** `CLICK (x=0.42, y=0.31)`;\nThere.", 1.0), ("Action: no", 0.0)])
def test_a_wrapped_answer_on_a_form_earns_the_plain_ones_reward(text, worth):
    assert login_scoring.reward(text, {"truth": TRUTH, "mode": "coord"}) == worth
