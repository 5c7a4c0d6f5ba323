"""What one answer is worth, by hand: the four parts of the reward and the published row rule."""

import pytest

from data_engine.gelab.actions import COMPLETE_ANSWER, format_click, parse
from data_engine.gelab.metrics import score_prediction
from data_engine.gelab.scoring import Gold, Parts, gold_of, score, score_caption
from data_engine.geometry import Box, Size

CANVAS = Size(1179, 2556)
BOX = Box(474, 1258, 674, 1458)  # hit by x 403..571, y 493..570
CLICK = Gold(parse(format_click("umbrella", "page_3", 487, 531)), BOX, CANVAS)
COMPLETE = Gold(parse(COMPLETE_ANSWER), None, CANVAS)


def click(x: int, y: int, icon: str = "umbrella", page: str = "page_3") -> str:
    return format_click(icon, page, x, y)


@pytest.mark.parametrize(
    "text, parts",
    [  # type, coord, intent, format, step
        (click(487, 531), (1, 1, 1, 1, 1)),
        (click(403, 493), (1, 1, 1, 1, 1)),  # the first click inside
        (click(571, 570), (1, 1, 1, 1, 1)),  # the last click inside
        (click(402, 493), (1, 0, 1, 1, 0)),  # 402 * 1.179 = 473.96: just left of the box, though bbox_norm says 402
        (click(487, 571), (1, 0, 1, 1, 0)),
        (click(487, 531, page="page_9"), (1, 1, 1, 1, 1)),  # the page claimed is not scored
        (click(10, 10), (1, 0, 1, 1, 0)),  # a liar: the right name, another place
        (click(487, 531, icon="castle"), (1, 1, 0, 1, 0)),  # the right place, another name
        (click(487, 531).replace("\t", " "), (1, 1, 1, 0, 1)),  # right, but not the declared format
        (click(1500, 531), (1, 0, 1, 1, 0)),  # out of range is never clamped into a box
        (click(487, 531, page="page_3 <|vision_start|>"), (1, 1, 1, 0, 1)),  # right, but tokens in the prose
        (click(487, 531, page="<image>"), (1, 1, 1, 0, 1)),
        (COMPLETE_ANSWER, (0, 0, 0, 1, 0)),
        ("umbrella (487,531)", (0, 0, 0, 0, 0)),
        ("", (0, 0, 0, 0, 0)),
    ],
)
def test_parts_of_a_click(text, parts):
    assert score(parse(text), CLICK) == Parts(*parts)


@pytest.mark.parametrize(
    "text, parts",
    [
        (COMPLETE_ANSWER, (1, 1, 1, 1, 1)),
        ("Explain: finished.\tAction: complete", (1, 1, 0, 1, 1)),
        ("Action: complete", (1, 1, 0, 0, 1)),
        ("Action: not complete yet", (0, 0, 0, 0, 0)),
        ("Explain: this is target page.\tAction: not complete yet", (0, 0, 0, 0, 0)),
        (click(487, 531), (0, 0, 0, 1, 0)),
    ],
)
def test_parts_of_complete(text, parts):
    assert score(parse(text), COMPLETE) == Parts(*parts)


def row(**columns) -> dict:
    answer = {"role": "assistant", "content": click(487, 531)}
    return {"idx": 4, "messages": [{"role": "user", "content": "?"}, answer]} | columns


def test_gold_of_our_row_compares_on_the_canvas():
    gold = gold_of(row(bbox=list(BOX), canvas=[1179, 2556]))
    assert (gold.box, gold.canvas) == (BOX, CANVAS)


def test_gold_of_an_authors_row_compares_on_thousand():
    gold = gold_of(row(bbox=list(BOX), bbox_norm=[402, 492, 572, 570]))
    assert (gold.box, gold.canvas) == (Box(402, 492, 572, 570), Size(1000, 1000))
    assert score(parse(click(402, 492)), gold).step == 1 and score(parse(click(401, 492)), gold).step == 0


def test_gold_of_an_rl_row_is_its_solution():
    gold = gold_of({"solution": COMPLETE_ANSWER, "messages": [{"role": "user", "content": "?"}], "bbox": []})
    assert score(parse(COMPLETE_ANSWER), gold).step == 1


@pytest.mark.parametrize("broken", [row(), row(bbox=[]), row(bbox=[1, 2, 3, 4], solution="umbrella")])
def test_a_broken_gold_raises_and_names_the_row(broken):
    with pytest.raises(ValueError, match="row 4: gold is neither complete nor a click with a box"):
        gold_of(broken)


@pytest.mark.parametrize(
    "text, right",
    [("open book", 1), (" open book.\n", 1), ("open book<|im_end|>", 1), ("book", 0), ("Open book", 0), ("", 0)]
    + [("the open book", 0), ("open_book", 0)],
)
def test_captions(text, right):
    assert score_caption(text, "open book") == right


def scored(prediction: str, **columns) -> dict:
    return score_prediction(row(prediction=prediction, bbox=list(BOX), canvas=[1179, 2556], **columns))


def test_failures_and_range_are_noted():
    assert scored("hm")["failure"] == "no action" and not scored("hm")["out_of_range"]
    assert scored(click(-1, 5))["out_of_range"] and scored(click(-1, 5))["failure"] is None
    assert scored(click(1000, 0))["out_of_range"] is False


def test_kinds():
    def kind(answer: str, question: str, **columns) -> str:
        messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
        row = {"messages": messages, "prediction": "", "bbox": list(BOX), "canvas": [1179, 2556]} | columns
        return score_prediction(row)["kind"]

    assert kind(click(1, 2), "<image>Instruction: from a to b. History: Null") == "first_click"
    assert kind(click(1, 2), "<image>Instruction: from a to b. History: step1: c.") == "middle_click"
    assert kind(COMPLETE_ANSWER, "<image>Instruction: from a to b. History: Null") == "complete"
    assert kind(click(1, 2), "<image>Click on x icon in the image.", task="grounding") == "grounding"
    assert kind("x", "<image>What is the icon at point (1,2) in the image?", task="caption") == "caption"


def test_a_missing_prediction_is_an_error_that_names_the_row():
    with pytest.raises(ValueError, match="row 4: no text under 'prediction'"):
        score_prediction(row(prediction=None))
