"""The answer grammar: what is read, what is refused and why, and that no text makes the parser slow."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_engine.gelab import prompts
from data_engine.gelab.actions import (
    COMPLETE_ANSWER,
    FAILURES,
    Click,
    Complete,
    ParseFailure,
    format_click,
    parse,
)

GOLD = "Explain:click umbrella icon on page_3.\tAction: click(start_box='<|box_start|>(503,522)<|box_end|>')"
ACTION = "Action: click(start_box='<|box_start|>(503,522)<|box_end|>')"

# Names as icon folders may give them: any letters, digits, blanks inside, punctuation of file names.
names = st.from_regex(r"[^\W_](?:[\w \-'&+,()]{0,30}[\w)])?", fullmatch=True)
pages = st.integers(0, 9999).map("page_{}".format)
numbers = st.integers(-99_999, 999_999)


@given(names, pages, numbers, numbers)
def test_what_is_formatted_reads_back(icon, page, x, y):
    answer = parse(format_click(icon, page, x, y))
    assert (answer.action, answer.icon, answer.page) == (Click(x, y), icon, page)


@given(names, pages, st.integers(0, 1000), st.integers(0, 1000))
def test_formatted_clicks_are_well_formed(icon, page, x, y):
    assert parse(format_click(icon, page, x, y)).well_formed


def test_the_templates_are_the_authors_to_the_letter():
    assert format_click("umbrella", "page_3", 503, 522) == GOLD
    assert COMPLETE_ANSWER == "Explain: this is target page.\tAction: complete"


def test_gold_read_in_full():
    answer = parse(GOLD)
    assert answer.action == Click(503, 522) and answer.well_formed
    assert (answer.explain, answer.icon, answer.page) == ("click umbrella icon on page_3.", "umbrella", "page_3")


def test_complete_read_in_full():
    answer = parse(COMPLETE_ANSWER)
    assert answer.action == Complete() and answer.well_formed
    assert (answer.explain, answer.icon, answer.page) == ("this is target page.", None, None)


# text, whether it has exactly the declared format
SAME_CLICK = [
    (GOLD, True),
    (GOLD.replace("Explain", "explain"), True),  # the authors' st_rl.json
    (GOLD.replace("503,522", "503, 522"), True),
    (GOLD.replace("<|box_start|>", "").replace("<|box_end|>", ""), True),  # an engine that skips special tokens
    (GOLD + "<|im_end|>", True),
    (GOLD + "<|im_end|>\n<|endoftext|>", True),
    ("\n" + GOLD + " \n", True),
    ("<think>umbrella is below.</think>" + GOLD, True),
    ("<think>first Action: complete, no:\nclick(1,2)</think>\n\n" + GOLD + "<|im_end|>", True),
    ("no opening tag</think>" + GOLD, True),  # a template that puts <think> into the prompt
    (GOLD.replace("Explain:", "Explain: "), True),
    (GOLD.replace("\t", " "), False),
    (GOLD.replace("\t", "\n"), False),
    (GOLD.replace("503,522", " 503 , 522 "), False),
    (GOLD.replace("Action", "ACTION"), False),
    (GOLD.replace("'", '"'), False),
    (GOLD.replace("'", ""), False),
    (GOLD + "\n" + ACTION, False),  # the same action twice is one action
    (GOLD.replace("page_3.", "page_3, a transaction: done."), True),  # no "action:" but part of another word
    (ACTION, False),
]


@pytest.mark.parametrize("text, well_formed", SAME_CLICK)
def test_harmless_differences_read_as_the_same_click(text, well_formed):
    answer = parse(text)
    assert answer.action == Click(503, 522)
    assert answer.well_formed is well_formed


@pytest.mark.parametrize(
    "text",
    [
        "Explain: this is target page.\tAction: complete",
        "explain: This is target page.\tAction: complete",
        "Explain: done.\tAction: complete.",
        "Action: Complete<|im_end|>",
        "<think>is it?</think>Action: complete",
    ],
)
def test_harmless_differences_read_as_the_same_complete(text):
    assert parse(text).action == Complete()


# reason -> texts that are refused with it
REFUSED = {
    "no action": [
        "",
        "complete",
        "not complete yet",
        "I click umbrella icon on page_3 (503,522)",  # icon and point, but in prose: the published scorer takes it
        "click(start_box='(503,522)')",
        "Explain:click umbrella icon on page_3.",
        "<think>Action: complete</think> hm",
        "\x00\ufffd",
    ],
    "malformed action": [
        "Action:",
        "Action: not complete yet",  # the published scorer counts it as complete
        "Explain: this is target page.\tAction: completed",
        "Action: complete the task",
        "Action: click",
        "Action: click umbrella (503,522)",
        "Action: click(503,522)",
        "Action: click(start_box='(503)')",
        "Action: click(start_box='(503,522,600)')",
        "Action: click(start_box='(0.503,0.522)')",
        "Action: click(start_box='(503.0,522.0)')",
        "Action: click(start_box='(5e2,522)')",
        "Action: click(start_box='(x,y)')",
        "Action: click(start_box='(1234567,5)')",
        "Action: click(start_box='(\u0665\u0660\u0663,522)')",  # digits, but not ASCII ones
        "Action: click(start_box=\"(503,522)')",
        "Action: click(start_box='(503,522)') now",
        "Action: type(content='x')",
        "Action: Action: complete",
        "Explain: Action: none.\tAction: complete",
    ],
    "several actions": [
        GOLD + "\n" + COMPLETE_ANSWER.partition("\t")[2],
        "Action: complete " + ACTION,
        ACTION + " " + ACTION.replace("503", "504"),
    ],
    "unclosed think": ["<think>" + GOLD, " \n<think>", "<think>a<think>b"],
}


@pytest.mark.parametrize("reason, text", [(reason, text) for reason, texts in REFUSED.items() for text in texts])
def test_what_means_something_else_is_refused_with_its_reason(reason, text):
    answer = parse(text)
    assert answer.action == ParseFailure(reason)
    assert not answer.well_formed


def test_two_whole_answers_are_refused():
    assert isinstance(parse(GOLD + "\n" + COMPLETE_ANSWER).action, ParseFailure)


def test_every_reason_is_declared_and_shown():
    assert set(REFUSED) == set(FAILURES)


@pytest.mark.parametrize(
    "explain, icon, page",
    [
        ("click umbrella icon on page_3.", "umbrella", "page_3"),
        ("click umbrella icon on page_3", "umbrella", "page_3"),
        ("Click umbrella icon.", "umbrella", None),
        ("click open book icon on page_12.", "open book", "page_12"),
        ("click a icon on b icon on page_1.", "a icon on b", "page_1"),
        ("click umbrella on page_3.", None, None),
        ("I click umbrella icon on page_3.", None, None),
        ("this is target page.", None, None),
        ("click umbrella icon which opens page_7", None, None),
    ],
)
def test_claims(explain, icon, page):
    answer = parse(f"Explain:{explain}\t{ACTION}")
    assert (answer.icon, answer.page) == (icon, page)


def test_out_of_range_numbers_are_kept_as_written():
    assert parse("Action: click(start_box='(-5,2378)')").action == Click(-5, 2378)


def test_examples_of_the_system_prompt_are_read():
    lines = prompts.SYSTEM.splitlines()
    shown = [line for line in lines if line.startswith("Explain:")]
    assert len(shown) == 2
    click = parse(shown[0].replace("(x,y)", "(12,34)"))
    assert click.action == Click(12, 34) and click.well_formed and (click.icon, click.page) == ("NAME", "PAGE")
    complete = parse(shown[1])
    assert complete.action == Complete() and complete.well_formed


fragments = st.sampled_from(
    ["<think>", "</think>", "<|im_end|>", "<|box_start|>", "<|box_end|>", "Action:", "action: ", "Explain:", "\t", " "]
    + ["click(", "click(start_box='", "(1,2)", "')", "complete", "click ", " icon on ", " icon", ".", "\n", "-", "9"]
)


@given(st.one_of(st.text(max_size=200), st.lists(fragments, max_size=40).map("".join)))
def test_any_text_gives_an_answer(text):
    answer = parse(text)
    assert isinstance(answer.action, Click | Complete | ParseFailure)
    if isinstance(answer.action, ParseFailure):
        assert answer.action.reason in FAILURES
    if answer.well_formed:
        assert isinstance(answer.action, Click | Complete)


def seconds(text: str) -> float:
    """Best of several: what the parser needs, not what the machine does beside it."""
    best = float("inf")
    for _ in range(5):
        start = time.process_time()
        parse(text)
        best = min(best, time.process_time() - start)
    return best


EVIL = ["<think>", "</think>", "<|im_end|>", " ", "\n", "\t", "Action:", "action: complete ", "Explain:", "Explain:a\t"]
EVIL += ["click ", " icon on ", "Explain:click a icon on ", "Action: click(start_box='(1,2)')", "9", "(1,"]
EVIL += [" \n<|im_end|>"]
HEADS = ["", "Explain:click ", "Explain:a\tAction: click(start_box='", "Action: click(start_box='(1", "<think>"]


@pytest.mark.parametrize("fragment", EVIL)
def test_time_is_linear_in_the_length(fragment):
    for head in HEADS:
        small, large = (head + fragment * (size // len(fragment)) for size in (8_000, 64_000))
        # 8 times the text may take 8 times as long; quadratic would be 64
        assert seconds(large) <= 24 * seconds(small) + 2e-3, (head, fragment)
        assert seconds(large) <= 64_000 * 1e-6, (head, fragment)  # a microsecond per character, 20 times what is usual


@given(st.lists(st.tuples(fragments, st.integers(1, 400)), max_size=8))
def test_time_per_byte_is_bounded_for_mixed_repetitions(parts):
    text = "".join(fragment * times for fragment, times in parts)
    assert seconds(text) <= 1e-6 * len(text) + 2e-3
