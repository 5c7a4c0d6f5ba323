"""A benchmark of one question: where is a square? To be data_engine/toy/benchmark.py in a copy of the tree."""

import hashlib
import io
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from PIL import Image

from ..benchmark import Benchmark, Dataset, Protocol, row_request
from ..dataset import DataError, read_manifest, read_rows
from ..faults import Fault, Report, check_files
from ..folder import NewFolder, make_folder
from ..shapes import ScoredRows, manifest_kind

KIND = manifest_kind("toy-rows", ScoredRows)
ROWS, SIDE = "rows.jsonl", 224  # pixels
SYSTEM = "Answer left or right."
PROMPT = "<image>Where is the square?"
ANSWERS = ("left", "right")


def sha256() -> str:
    return hashlib.sha256(f"{SYSTEM}\n{PROMPT}".encode()).hexdigest()


def row(i: int) -> dict:
    messages = [{"role": "user", "content": PROMPT}, {"role": "assistant", "content": ANSWERS[i % 2]}]
    return {"idx": i, "messages": messages, "images": [f"pictures/{i % 2}.png"]}


def picture(i: int) -> bytes:
    page = Image.new("RGB", (SIDE, SIDE), "white")
    page.paste("black", (20 + 100 * i, 60, 100 + 100 * i, 140))
    page.save(file := io.BytesIO(), "PNG")
    return file.getvalue()


def write(out: Path, count: int) -> dict:
    def fill(folder: NewFolder) -> dict:
        for i in range(2):
            folder.write(f"pictures/{i}.png", picture(i))
        rows = {ROWS: folder.write_rows(ROWS, map(row, range(count)))}
        return {"prompt_sha256": sha256(), "max_pixels": SIDE * SIDE, "fingerprint": "toy", "rows": rows}

    return make_folder(out, KIND, {"count": count}, fill)


class ToyFault(Fault):
    KINDS = Fault.KINDS | {"wrong row": "write the folder again"}


def nothing(*_: object) -> None: ...


def verify(folder: Path, limit: int | None = None, done: Callable = nothing, step: Callable = nothing) -> Report:
    report, rows = Report(), read_rows(folder / ROWS, limit)
    report.faults += check_files(folder, read_manifest(folder, KIND)["files"], fault=ToyFault)
    for i, found in enumerate(rows):
        step()
        if found != row(i):
            report.faults.append(ToyFault(ROWS, i + 1, "wrong row", f"{found['messages'][-1]['content']!r}"))
    report.checked[ROWS] = len(rows)
    done(ROWS, len(rows))
    return report


def answered(found: dict) -> dict:
    if not isinstance(found.get("prediction"), str):
        raise DataError(f"row {found.get('idx')}: no text under 'prediction'")
    return found


def right(found: dict) -> bool:
    return found["prediction"] == found["messages"][-1]["content"]


def metrics(rows: Sequence[dict]) -> dict:
    return {"accuracy": sum(map(right, rows)) / len(rows) if rows else None, "rows": len(rows)}


STEPS = Protocol(
    kind="toy-steps",
    answers_file="answers.jsonl",
    script="eval/toy_eval.py",
    read=answered,
    metrics=metrics,
    headline=metrics,
    unit="squares",
    sentence="{agent} finds {good} of {count} squares",
    whole_walks=False,
)
TOY = Benchmark(
    name="toy",
    title="squares",
    rows_kind=KIND,
    gold_file=ROWS,
    datasets=(
        Dataset(
            name="toy/rows",
            file=ROWS,
            variable="TOY_DATA",
            kind=KIND,
            command="toy.benchmark",
            prompt_hash=lambda arguments: sha256(),
        ),
    ),
    system=SYSTEM,
    tuner="lora",
    verify=verify,
    prompt_hash=lambda arguments: sha256(),
    request=lambda found, folder: row_request(found, folder, SYSTEM),
    lost=lambda found, text: None if right(found | {"prediction": text}) else "score 0",
    protocols=(STEPS,),
)

if __name__ == "__main__":
    write(Path(sys.argv[1]), int(sys.argv[2]))
