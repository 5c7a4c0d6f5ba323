"""The same numbers, curves, pictures and page in Weights & Biases; ``WANDB_MODE=offline`` needs no account."""

from pathlib import Path
from types import ModuleType

from data_engine.dataset import DataError

PICTURES = ("pictures", "examples", "plots", ".")  # folders of a run directory that hold PNG files


def log(project: str, data: dict, page: Path, run: Path) -> None:
    """Log one run named after the folder. Raises DataError where wandb is not installed, has no key or no network."""
    try:
        import wandb
    except ImportError:
        raise DataError("--wandb: the package is not installed; pip install wandb") from None
    try:
        _log(wandb, project, data, page, run)
    except wandb.Error as error:
        what = " ".join(str(error).split())[:200].rstrip(".")
        raise DataError(f"--wandb: {what}; {page} is written, and WANDB_MODE=offline logs without account") from None


def _log(wandb: ModuleType, project: str, data: dict, page: Path, run: Path) -> None:
    with wandb.init(project=project, name=data["title"], dir=page.parent, job_type="report") as made:
        made.summary.update(summary(data))
        for stage, step, values in history(data):
            made.define_metric(f"{stage}/*", step_metric=f"{stage}/step")
            made.log({f"{stage}/step": step} | {f"{stage}/{name}": value for name, value in values.items()})
        made.log({"report": wandb.Html(page.read_text(encoding="utf-8"), inject=False)})
        made.log({f"pictures/{path.stem}": wandb.Image(str(path)) for path in pictures(run)})


def summary(data: dict) -> dict[str, float | int]:
    """Every score and every count of failures, by ``agent/set/name``."""
    values = {
        "/".join(filter(None, (row["agent"], column["set"], column["name"]))): value
        for table in data["tables"]
        for row in table["rows"]
        for column, value in zip(table["columns"], row["values"], strict=True)
        if value is not None
    }
    for d in data["diagnoses"]:
        values |= {f"{d['agent']}/{d['set']}/failures/{kind}": number for kind, number in d["failures"].items()}
    return values


def history(data: dict) -> list[tuple[str, int, dict[str, float]]]:
    """(stage, step, values by panel and line) of every step that the curves show."""
    steps: dict[tuple[str, int], dict[str, float]] = {}
    for stage in data["stages"]:
        for panel in stage["panels"]:
            for line in panel["lines"]:
                for step, value in line["points"]:
                    steps.setdefault((stage["name"], step), {})[f"{panel['title']}/{line['name']}"] = value
    return [(stage, step, values) for (stage, step), values in sorted(steps.items(), key=lambda item: item[0])]


def pictures(run: Path) -> list[Path]:
    """PNG files that the run's programs drew."""
    return sorted(path for folder in PICTURES for path in (run / folder).glob("*.png"))
