"""The grammar of the forms: what is read, what is refused and why, and that no text makes the parser slow."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_engine.login import prompts
from data_engine.login.actions import (
    FAILURES,
    Click,
    Done,
    ParseFailure,
    Pick,
    Type,
    Wait,
    escape,
    format_action,
    format_answer,
    parse,
    unescape,
)

fractions = st.integers(-300, 300).map(lambda n: n / 100)
marks = st.integers(0, 9999)
actions = st.one_of(
    st.builds(Click, fractions, fractions),
    st.builds(Pick, marks),
    st.builds(Type, st.text()),
    st.builds(Type, st.text(), marks),
    st.just(Wait()),
    st.just(Done()),
)


@given(actions)
def test_what_is_formatted_reads_back(action):
    answer = parse(format_answer("the next field.", action))
    assert (answer.action, answer.thought, answer.well_formed) == (action, "the next field.", True)
    assert parse(format_action(action)).action == action


@given(st.text())
def test_escaping_round_trips(text):
    assert unescape(escape(text)) == text and "\n" not in escape(text)


HARD_TEXTS = [
    '"',
    "\\",
    '\\"',
    "a\nAction: DONE()\nb",
    "</think>",
    "<think>",
    "<\\/",
    'x") DONE()',
    "\\n",
    "\r\n",
    "<|im_end|>",
]


@pytest.mark.parametrize("text", HARD_TEXTS)
@pytest.mark.parametrize("mark", [None, 3])
def test_texts_that_look_like_grammar(text, mark):
    assert parse(format_answer("t", Type(text, mark))).action == Type(text, mark)


def test_the_forms_to_the_letter():
    said = [Click(0.475, 0.34), Pick(1), Type('a "b"'), Type("x\\y", 2), Wait(), Done()]
    assert [format_action(action) for action in said] == [
        "CLICK(x=0.47, y=0.34)",  # the spec's: C rounding of the binary double
        "CLICK([1])",
        r'TYPE(text="a \"b\"")',
        r'TYPE([2], "x\\y")',
        "WAIT()",
        "DONE()",
    ]
    assert format_action(Click(0.475, 0.34), 4) == "CLICK(x=0.4750, y=0.3400)"


READ = [
    ("Thought: t\nAction: CLICK([1])", Pick(1), True),
    ("Thought: t\nAction: CLICK(x=0.4750, y=0.3400)", Click(0.475, 0.34), True),
    ("Thought: t\nAction: CLICK([1])<|im_end|>\n", Pick(1), True),
    ("<think>CLICK([2])? Action: DONE()</think>\nThought: t\nAction: CLICK([1])", Pick(1), True),
    ("thought: t action: click([ 1 ])", Pick(1), False),
    ("CLICK(x=.5,y=1)", Click(0.5, 1.0), False),
    ("Action: CLICK(x=-0.2, y=484)", Click(-0.2, 484.0), False),  # kept, never clamped
    ('Action: TYPE("it\'s")', Type("it's"), False),
    ("Action: TYPE(text='a\\'b')", Type("a'b"), False),
    ('Action: TYPE([1], text="a")', Type("a", 1), False),
    ('Action: TYPE(text="two\nlines")', Type("two\nlines"), False),
    (r'Action: TYPE(text="C:\temp")', Type(r"C:\temp"), False),
    ("Action: WAIT( ).\n", Wait(), False),
    ("Action: DONE()\nThe form was accepted.", Done(), False),
    ("Thought: I will emit DONE() later\nAction: CLICK([1])", Pick(1), True),
    ("Thought: t\nAction: CLICK([1])\nThought: t\nAction: CLICK([1])", Pick(1), False),  # said twice
]


@pytest.mark.parametrize("text, action, well_formed", READ)
def test_read(text, action, well_formed):
    answer = parse(text)
    assert (answer.action, answer.well_formed) == (action, well_formed)


REFUSED = [
    ("", "no action"),
    ("I am not sure.", "no action"),
    ("Thought: I will emit DONE()", "no action"),
    ("Action: none", "malformed action"),
    ("Action: CLICK(0.4, 0.3)", "malformed action"),
    ("Action: CLICK(x=50%, y=0.3)", "malformed action"),
    ("Action: CLICK(x=1e-1, y=0.3)", "malformed action"),
    ("Action: CLICK([٣])", "malformed action"),  # digits are ASCII
    ("Action: XCLICK([1])", "malformed action"),
    ("Action: CLICK([1]) on the field", "malformed action"),
    ("Action: TYPE([1])", "malformed action"),
    ("Action: DONE() WAIT()", "several actions"),
    ("Action: CLICK([1])\nAction: CLICK([2])", "several actions"),
    ('Action: CLICK([1])\nthen TYPE([1], "a")', "several actions"),
    ("Action:", "truncated answer"),
    ("Thought: t\nAction: CLI", "truncated answer"),
    ("Action: CLICK(x=0.4, y", "truncated answer"),
    ('Action: TYPE(text="use', "truncated answer"),
    ('Action: TYPE([1], "a)b\\', "truncated answer"),
    ("<think>Action: DONE()", "unclosed think"),
]


@pytest.mark.parametrize("text, reason", REFUSED)
def test_refused(text, reason):
    assert parse(text).action == ParseFailure(reason)
    assert reason in FAILURES


def test_every_failure_has_an_example():
    assert {reason for _, reason in REFUSED} == set(FAILURES)


@given(st.text(alphabet='ACTYPE():"\\[]1, x=.\n', max_size=60))
def test_never_raises(text):
    parse(text)
    parse("Action: TYPE([1], " + text)


BAD = [
    'TYPE([1], "' + "\\" * 2,
    'TYPE(text="',
    "TYPE(text='",
    "Action: ",
    "CLICK(x=0.1,y=",
    "CLICK([1])",
    '\\"',
    "<think>",
    " ",
]


@pytest.mark.parametrize("piece", BAD)
@pytest.mark.parametrize("head", ["", "Action: ", 'Action: TYPE([1], "'])
def test_linear(piece, head):
    """The published parser takes 0.6 s for 32 backslashes; four times the text may take about four times as long."""

    def seconds(size: int) -> float:
        text = head + piece * (size // len(piece))
        start = time.process_time()
        parse(text)
        return time.process_time() - start

    seconds(1000)
    assert min(seconds(200_000) for _ in range(2)) < 10 * min(seconds(50_000) for _ in range(2)) + 0.05


def test_the_system_prompt_states_the_format_of_the_labels():
    coord, som = prompts.system("coord"), prompts.system("som")
    assert "CLICK(x=0.00, y=0.00)" in coord and 'TYPE(text="TEXT")' in coord and "[N]" not in coord
    assert "CLICK([N])" in som and 'TYPE([N], "TEXT")' in som and "x=" not in som
    assert "CLICK(x=0.0000, y=0.0000)" in prompts.system("coord", 4)
    assert all("WAIT()" in text and "DONE()" in text and "Thought: " in text for text in (coord, som))
    assert "<image>" not in coord + som


def test_the_escapes_of_the_system_prompt_are_those_of_the_grammar():
    assert r"write \\ for a backslash, \" for a quote and \n for a new line" in prompts.system("coord")


def test_questions():
    assert prompts.question("G") == "<image>Goal: G\nWhat is the next action?"
    assert prompts.question("G", [], 6) == "<image>Goal: G\nDone so far: nothing\nStep 1 of 6. What is the next action?"
    assert prompts.question("G", ["CLICK([1])", "WAIT()"], 6) == (
        "<image>Goal: G\nDone so far: 1. CLICK([1]) 2. WAIT()\nStep 3 of 6. What is the next action?"
    )
