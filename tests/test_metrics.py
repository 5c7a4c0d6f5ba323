"""Metrics of a few rows and episodes worked by hand, and the paper's own arithmetic."""

import pytest

from data_engine.dataset import read_rows
from data_engine.gelab.actions import COMPLETE_ANSWER, format_click
from data_engine.gelab.metrics import interactive_metrics, static_metrics, unbiased
from data_engine.intervals import interval

BOX = [200, 200, 400, 400]  # of a 1000 x 1000 canvas: (300,300) hits
HIT = format_click("key", "page_0", 300, 300)
MISS = format_click("key", "page_0", 500, 500)
OUT = format_click("key", "page_0", 1200, 300)
OTHER = format_click("car", "page_0", 300, 300)


def row(task: str, path: int, gold: str, prediction: str, history: str = "", **columns) -> dict:
    history = history or ("step1: c. to the end." if gold == COMPLETE_ANSWER else "step1: c.")
    question = f"<image>Instruction: from a to b. History: {history}"
    return {
        "task": task,
        "path": path,
        "messages": [{"role": "user", "content": question}, {"role": "assistant", "content": gold}],
        "bbox": [] if gold == COMPLETE_ANSWER else BOX,
        "canvas": [1000, 1000],
        "prediction": prediction,
    } | columns


STATIC = [
    # A: one click, all right
    row("A", 1, HIT, HIT, "Null"),
    row("A", 1, COMPLETE_ANSWER, COMPLETE_ANSWER),
    # B: two clicks, the second misses
    row("B", 2, HIT, HIT, "Null"),
    row("B", 2, HIT, MISS),
    row("B", 2, COMPLETE_ANSWER, COMPLETE_ANSWER),
    # C: one click, never said to be complete
    row("C", 1, HIT, OTHER, "Null"),
    row("C", 1, COMPLETE_ANSWER, "Action: not complete yet"),
    # D: three clicks, two rows missing: no task
    row("D", 3, HIT, OUT, "Null"),
    row("D", 3, HIT, HIT),
    # E: one click, its first row twice: no task either
    row("E", 1, HIT, HIT, "Null"),
    row("E", 1, HIT, HIT, "Null"),
    row("E", 1, COMPLETE_ANSWER, "hm"),
    # rows that are no steps of a task
    row("A", 1, HIT, MISS, "Null", source="sub1_edge"),
    row("grounding", 0, HIT, HIT, source="icon"),
    row("grounding", 0, HIT, MISS, source="icon"),
    row("caption", 0, "key", "key.", source="icon"),
    row("caption", 0, "key", "car", source="icon"),
    row("caption", 0, "key", "kex", source="icon"),
]


def test_static_metrics_by_hand():
    # steps: 12 of tasks and 1 edge row = 13; right: A 2, B 2, C 0, D 1, E 2, edge 0 = 7
    # first clicks: A B C D E E edge, right A B E E = 4 of 7; middle: B D, right D = 1 of 2
    # complete: A B C E, right A B = 2 of 4; of length-1 tasks: A C E, right A
    # edge_paper: 7 first clicks + 3 completes, right 4 + 1
    metrics = static_metrics(STATIC)
    intervals = metrics.pop("intervals")
    assert metrics == {
        "rows": 18,
        "overall_paper": 7 / 13,
        "edge_paper": 5 / 10,
        "path_paper": 1 / 2,
        "first_click": 4 / 7,
        "middle_click": 1 / 2,
        "complete": 2 / 4,
        "step_all": 7 / 13,
        "grounding": 1 / 2,
        "caption": 1 / 3,
        "tasks": 3,
        "tasks_incomplete": 2,
        "task_all": 1 / 3,
        "by_length": {
            "1": {"tasks": 2, "task": 1 / 2, "step": 4 / 7},
            "2": {"tasks": 1, "task": 0.0, "step": 2 / 3},
            "3": {"tasks": 0, "task": None, "step": 1 / 2},
        },
        # type: all but two unread (C's and E's complete): 11; coord: A2 B2 C1 D1 E2 = 8; intent: all clicks but C's,
        # and A's and B's complete: A2 B2 B1 D2 E2 edge1 = 10; format: all but the two unread
        "parts": {"type": 11 / 13, "coord": 8 / 13, "intent": 10 / 13, "format": 11 / 13},
        "rows_by_kind": {"caption": 3, "complete": 4, "first_click": 7, "grounding": 2, "middle_click": 2},
        "parse_failures": {"malformed action": 1, "no action": 1},
        "out_of_range": 1,
    }
    # step_all: right of rows are 2 of 2 (A; its edge row is A's too: 2 of 3), 2 of 3, 0 of 2, 1 of 2 and 2 of 3 (A..E)
    assert intervals["step_all"] == interval([(2, 3), (2, 3), (0, 2), (1, 2), (2, 3)]) == intervals["overall_paper"]
    assert intervals["path_paper"] == interval([(0, 1), (1, 1)]) == pytest.approx([0.0945, 0.9055], abs=1e-4)  # B and D
    # A B C, Wilson: (1/3 + 0.64027) / 2.28053 = 0.42692 -+ 0.85945 * sqrt(0.074074 + 0.106711)
    assert intervals["task_all"] == interval([(1, 1), (0, 1), (0, 1)]) == pytest.approx([0.0615, 0.7923], abs=1e-4)
    # edge: A's first click, its complete and the edge row; B's first click; C's two; D's one; E's two and its complete
    assert intervals["edge_paper"] == interval([(2, 3), (1, 1), (0, 2), (0, 1), (2, 3)])


def test_static_metrics_of_nothing_are_not_zero():
    metrics = static_metrics([])
    assert metrics["rows"] == 0 and metrics["overall_paper"] is None and metrics["task_all"] is None


def test_static_metrics_by_subtree_by_hand(eval_module):
    # sub2: A, both right, and the edge row, which is not; sub10: B, the second click misses; C has no subtree
    a, b, c, edge = STATIC[:2], STATIC[2:5], STATIC[5:7], STATIC[12]
    rows = [r | {"source": "sub10"} for r in b] + [r | {"source": "sub2"} for r in a] + [edge | {"source": "sub2_edge"}]
    metrics = static_metrics([*rows, *c, *STATIC[13:]])
    printed = eval_module("common").table(metrics).splitlines()
    assert "  sub2: steps 3  overall_paper 66.67 %  edge_paper 66.67 %  path_paper n/a" in printed
    by_subtree = metrics.pop("by_subtree")
    assert list(by_subtree) == ["sub2", "sub10"]  # by number
    assert by_subtree == {
        "sub2": {"steps": 3, "overall_paper": 2 / 3, "edge_paper": 2 / 3, "path_paper": None},
        "sub10": {"steps": 3, "overall_paper": 2 / 3, "edge_paper": 1.0, "path_paper": 0.0},
    }
    plain = [{k: v for k, v in r.items() if k != "source" or v.endswith("_edge")} for r in rows]
    assert metrics == static_metrics([*plain, *c, *STATIC[13:]])  # no other number knows of subtrees
    assert "by_subtree" not in static_metrics([r | {"source": "sub1"} for r in STATIC])


def test_held_in_by_subtree(paper_data):
    # sub1 right in all, sub2 only in saying complete
    metrics = static_metrics(
        answered(paper_data / "eval_id.jsonl", lambda r: gold(r) if r["source"] == "sub1" else COMPLETE_ANSWER)
    )
    whole = {"steps": 12439, "overall_paper": 1.0, "edge_paper": 1.0, "path_paper": 1.0}
    part = {"steps": 12439, "overall_paper": 2162 / 12439, "edge_paper": 137 / 2299, "path_paper": 0.0}
    assert metrics["by_subtree"] == {"sub1": whole, "sub2": pytest.approx(part, abs=1e-12)}


def test_a_row_of_the_system_prompt_changes_no_number():
    with_system = [r | {"messages": [{"role": "system", "content": "You are."}, *r["messages"]]} for r in STATIC]
    assert static_metrics(with_system) == static_metrics(STATIC)


def test_a_doubled_row_does_not_stand_in_for_a_missing_one():
    rows = [row("A", 1, HIT, HIT, "Null"), row("A", 1, HIT, HIT, "Null")]  # two rows, but no complete
    assert static_metrics(rows)["tasks"] == 0 and static_metrics(rows)["tasks_incomplete"] == 1


def turn(outcome: str, point: tuple[int, int] | None = None, failure: str | None = None) -> dict:
    said = {"page": "page_0", "answer": "", "outcome": outcome, "element": None}
    return said | ({"point": list(point)} if point else {}) | ({"failure": failure} if failure else {})


def trip(task: str, path: int, attempt: int, arrived: bool, declared: bool = False, ended: str = "", turns=()) -> dict:
    ended = ended or ("arrived" if arrived else "step limit")
    return {
        "task": task,
        "path": path,
        "attempt": attempt,
        "arrived": arrived,
        "declared": declared,
        "ended": ended,
        "turns": list(turns),
    }


TRIPS = [
    # task A, length 1: greedy arrives and says so; two of three samples arrive, one says so
    trip("A", 1, 0, True, True, turns=[turn("hit", (300, 300)), turn("complete")]),
    trip("A", 1, 1, True, True, turns=[turn("hit", (300, 300)), turn("complete")]),
    trip("A", 1, 2, True, False, turns=[turn("hit", (300, 300)), turn("unreadable", failure="no action")]),
    trip("A", 1, 3, False, ended="premature complete", turns=[turn("complete")]),
    # task B, length 2: greedy does not arrive; one of three samples does, without saying so
    trip("B", 2, 0, False, turns=[turn("miss", (1001, 5)), turn("unreadable", failure="malformed action")]),
    trip("B", 2, 1, False, turns=[turn("miss", (7, -1))]),
    trip("B", 2, 2, True, False, turns=[turn("hit", (1, 1)), turn("hit", (1000, 0)), turn("miss", (5, 5))]),
    trip("B", 2, 3, False, ended="premature complete", turns=[turn("complete")]),
    # task C, length 2: nobody arrives
    trip("C", 2, 0, False),
    trip("C", 2, 1, False),
    trip("C", 2, 2, False),
    trip("C", 2, 3, False),
]


def test_interactive_metrics_by_hand():
    metrics = interactive_metrics(TRIPS)
    intervals, unbiased = metrics.pop("intervals"), metrics.pop("pass_at_k_unbiased")
    lengths = {n: (row.pop("intervals"), row.pop("pass_at_k_unbiased")) for n, row in metrics["by_length"].items()}
    assert metrics == {
        "tasks": 3,
        "k": 3,
        "pass_at_1": 3 / 9,  # A 2, B 1, C 0 of nine samples: the mean, not the first
        "pass_at_k": 2 / 3,  # A and B
        "declared": 1 / 9,
        "greedy": 1 / 3,
        "greedy_declared": 1 / 3,
        "by_length": {
            "1": {"tasks": 1, "pass_at_1": 2 / 3, "pass_at_k": 1.0, "declared": 1 / 3, "greedy": 1.0},
            "2": {"tasks": 2, "pass_at_1": 1 / 6, "pass_at_k": 1 / 2, "declared": 0.0, "greedy": 0.0},
        },
        "outcomes": {"complete": 4, "hit": 5, "miss": 3, "unreadable": 2},
        "parse_failures": {"malformed action": 1, "no action": 1},
        "out_of_range": 2,
        "premature_complete": 2,
    }
    # of three attempts A has 2 successes, B 1, C 0. Two of the three hold one: A always, B in 2 of 3 draws, C never
    assert unbiased == pytest.approx({"1": 1 / 3, "2": 5 / 9, "3": 2 / 3})
    assert lengths["1"][1] == pytest.approx({"1": 2 / 3, "2": 1, "3": 1})
    assert lengths["2"][1] == pytest.approx({"1": 1 / 6, "2": 1 / 3, "3": 1 / 2})
    assert intervals["pass_at_1"] == interval([(2, 3), (1, 3), (0, 3)])
    assert intervals["pass_at_k"] == interval([(1, 1), (1, 1), (0, 1)])
    assert intervals["declared"] == interval([(1, 3), (0, 3), (0, 3)])
    assert intervals["greedy"] == interval([(1, 1), (0, 1), (0, 1)])
    # one task, 2/3 of one trial: (2/3 + 1.9208) / 4.8416 = 0.53443 -+ 0.40483 * sqrt(0.222222 + 0.9604)
    assert lengths["1"][0]["pass_at_1"] == interval([(2, 3)]) == pytest.approx([0.0942, 0.9747], abs=1e-4)
    assert lengths["2"][0]["pass_at_1"] == interval([(1, 3), (0, 3)])


@pytest.mark.parametrize(
    "n, c, k, chance",
    [
        (5, 0, 3, 0),
        (5, 2, 3, 9 / 10),  # of the 10 threes of five attempts, one has neither success
        (5, 3, 3, 1),
        (5, 1, 1, 1 / 5),
        (5, 1, 5, 1),
        (3, 1, 2, 2 / 3),
    ],
)
def test_the_unbiased_estimator(n, c, k, chance):
    assert unbiased(n, c, k) == pytest.approx(chance)


def test_pass_at_5_of_the_paper_is_any_of_five():
    # Table 2, MT-RL at length 7: 5 x 384 attempts, 384 tasks; 56 arrivals in 32 tasks give its 2.92 and 8.33
    arrivals = [1] * 16 + [2] * 8 + [3] * 8 + [0] * 352
    trips = [trip(str(i), 7, a, a <= n) for i, n in enumerate(arrivals) for a in range(1, 6)]
    row = interactive_metrics(trips)["by_length"]["7"]
    assert (round(100 * row["pass_at_1"], 2), round(100 * row["pass_at_k"], 2)) == (2.92, 8.33)
    assert row["pass_at_k_unbiased"]["1"] == pytest.approx(row["pass_at_1"])
    assert row["pass_at_k_unbiased"]["5"] == row["pass_at_k"]


def test_greedy_alone_has_no_pass():
    metrics = interactive_metrics([t for t in TRIPS if t["attempt"] == 0])
    assert metrics["k"] == 0 and metrics["pass_at_1"] is None and metrics["pass_at_k"] is None
    assert metrics["greedy"] == 1 / 3


LENGTHS = {"1": 137, "2": 147, "3": 222, "4": 324, "5": 492, "6": 456, "7": 384}  # the paper's Table 6


def answered(path, answer) -> list[dict]:
    return [r | {"prediction": answer(r)} for r in read_rows(path)]


def gold(r: dict) -> str:
    return r["messages"][-1]["content"]


def test_the_papers_composition_of_a_subtree(paper_data):
    rows = answered(paper_data / "eval_ood.jsonl", gold)
    metrics = static_metrics(rows)
    # 12,439 = 8,115 middle clicks + 2,162 first clicks + 2,162 completes
    assert metrics["rows_by_kind"] == {"complete": 2162, "first_click": 2162, "middle_click": 8115}
    assert {n: v["tasks"] for n, v in metrics["by_length"].items()} == LENGTHS
    assert metrics["tasks"] == 2162 and metrics["tasks_incomplete"] == 0
    for name in ("overall_paper", "edge_paper", "path_paper", "task_all"):
        assert metrics[name] == 1.0


def test_the_papers_denominators(paper_data):
    # an agent that only ever says complete: 2,162 of 12,439 rows, and 137 of edge's 2,162 + 137 = 2,299
    metrics = static_metrics(answered(paper_data / "eval_ood.jsonl", lambda r: COMPLETE_ANSWER))
    assert metrics["overall_paper"] == pytest.approx(2162 / 12439, abs=1e-12)
    assert metrics["edge_paper"] == pytest.approx(137 / 2299, abs=1e-12)
    assert (metrics["path_paper"], metrics["complete"], metrics["task_all"]) == (0.0, 1.0, 0.0)


def test_the_papers_table_1_is_made_of_whole_rows():
    # SFT, ST-RL, MT-RL: overall hits = edge + path + complete, as the columns are decoded
    for overall, edge, path, complete in [(55.45, 64.55, 41.76, 2162), (63.06, 68.68, 52.25, 2162)]:
        hits = round(edge / 100 * 2299) + round(path / 100 * 8115) + complete - 137
        assert round(100 * hits / 12439, 2) == pytest.approx(overall, abs=0.011)
