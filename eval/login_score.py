"""Score predictions on forms, one step a line.

    python eval/login_score.py PREDICTIONS.jsonl --scoring classic|strict [--out metrics.json]

A line has "episode" (name), "step" (0, 1, ...), "scenario", "mode" (coord or som), "prediction" (the model's text), and
"truth": {"type", "x", "y", "text", "bbox": [x1, y1, x2, y2], "element"}, fractions 0..1, null where absent. classic:
the published 13 keys; strict: what it takes to fill in the form. Beside the model stand the oracle, the blind script
and the text-only one, which learn from the other episodes of the file (text-only: if the lines keep their "messages").
"""

import sys
from pathlib import Path

from common import finish, side_by_side

from data_engine.cli import Parser, command, positive
from data_engine.dataset import DataError, sha256
from data_engine.foreign import read_lines
from data_engine.login.actions import Click, Done, Pick, Type, Wait, format_answer
from data_engine.login.baselines import BASELINES, static_answers
from data_engine.login.metrics import answered, classic_metrics, strict_metrics
from data_engine.login.scoring import truth_of

SCORINGS = {"classic": classic_metrics, "strict": strict_metrics}


def oracle_answer(row: dict) -> str:
    """The truth of a row as a model would write it, coordinates to 4 decimals."""
    truth = truth_of(row)
    if truth.type == "click":
        som = row["mode"] == "som" or truth.x is None or truth.y is None
        action = Pick(truth.element or 0) if som else Click(truth.x, truth.y)
    elif truth.type == "type":
        action = Type(truth.text or "", truth.element)
    else:
        action = Wait() if truth.type == "wait" else Done()
    return format_answer("By the truth.", action, decimals=4)


def baselines(rows: list[dict], scoring: str, known: list[dict] | None = None) -> dict[str, dict | None]:
    """Metrics of the oracle, the blind script and the text-only one on the same rows; None where it cannot be told.

    The two learn from ``known``, or from these rows.
    """
    answers = {"oracle": [oracle_answer(row) for row in rows]}
    answers |= {name: static_answers(rows, name, known) for name in BASELINES}
    if not all("messages" in row for row in rows):
        answers["text_only"] = None
    return {name: given and SCORINGS[scoring](with_predictions(rows, given)) for name, given in answers.items()}


def with_predictions(rows: list[dict], answers: list[str]) -> list[dict]:
    return [row | {"prediction": answer} for row, answer in zip(rows, answers, strict=True)]


@command("login_score")
def main() -> None:
    parser = Parser(__doc__, "python eval/login_score.py runs/login/predictions.jsonl --scoring classic")
    parser.add_argument("predictions", type=Path)
    parser.add_argument("--scoring", choices=tuple(SCORINGS), default="strict", help="which rules")
    parser.add_argument("--out", type=Path, help="where to write the metrics")
    parser.add_argument("--limit", type=positive, help="only the first N rows")
    parser.add_argument("--json", action="store_true", help="print the metrics as JSON")
    args = parser.parse_args()
    rows = read_lines(args.predictions, answered, args.limit)
    if not rows:
        raise DataError(f"{args.predictions}: holds no rows; run the evaluation first")
    metrics, references = SCORINGS[args.scoring](rows), baselines(rows, args.scoring)
    run = {"kind": "login-score", "scoring": args.scoring}
    run |= {"predictions": args.predictions.name, "sha256": sha256(args.predictions)}
    text = side_by_side({"model": metrics} | {name: column for name, column in references.items() if column})
    finish(args.out, metrics, run, args.json, text, dsl_mode=rows[0]["mode"], baselines=references)


if __name__ == "__main__":
    sys.exit(main())
