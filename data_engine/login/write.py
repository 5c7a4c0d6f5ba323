"""Write the episodes of a form: ``python -m data_engine.login.write OUT --scenario login --mode coord ...``

rows.jsonl       one row a step: the screenshot, the question, the oracle's answer
tasks.jsonl      one row an episode: its first question, what rebuilds it, and the form with all boxes (canvas pixels)
images/          one picture a state that is seen
manifest.json    arguments, prompt hash, page size, MAX_PIXELS, counts, hashes, fingerprint
"""

import hashlib
import sys
from dataclasses import asdict
from pathlib import Path

from ..cli import Parser, command, positive, size, whole
from ..dataset import DataError
from ..folder import NewFolder, make_folder
from ..geometry import fits_patches
from ..shapes import Forms, manifest_kind
from . import prompts
from .forms import SCENARIOS, View
from .rows import Step, episode_rows, script, seen, task_row
from .tasks import MODES, PAGE_SIZE, PROTOCOLS, SPLITS, Options, Task, tasks

KIND = manifest_kind("login-rows", Forms)
ROWS, TASKS = "rows.jsonl", "tasks.jsonl"


def write(out: Path, options: Options, system: bool = True) -> dict:
    """Write the folder ``out`` and return its manifest; does nothing if it is there already. Raises DataError."""
    _check(options)
    arguments = asdict(options) | {"page_size": list(options.page_size), "system": system}

    def fill(folder: NewFolder) -> dict:
        counts = _write_files(folder, tasks(options), system)
        return {
            "fingerprint": fingerprint(folder.hashes),
            "prompt_sha256": prompts.sha256(),
            "page_size": list(options.page_size),
            "max_pixels": options.page_size.width * options.page_size.height,
            "rows": counts,
        }

    return make_folder(out, KIND, arguments, fill)


def _check(options: Options) -> None:
    """Pages must pass the model's resize untouched: sides in merged patches of 28 (Qwen2.5-VL) or 32 (Qwen3-VL)."""
    if not fits_patches(options.page_size):
        raise DataError(f"--page-size {options.page_size}: sides must be multiples of 28 or of 32; e.g. {PAGE_SIZE}")
    if options.episodes < 1:
        raise DataError(f"--episodes {options.episodes}: must be 1 or more")


def fingerprint(hashes: dict[str, str]) -> str:
    """Hash of rows, forms and pictures, from the hashes of their files."""
    lines = "".join(f"{name} {digest}\n" for name, digest in sorted(hashes.items()))
    return hashlib.sha256(lines.encode()).hexdigest()


def _write_files(folder: NewFolder, episodes: list[Task], system: bool) -> dict[str, int]:
    """Counts of rows."""
    rows, forms = [], []
    for task in episodes:
        steps = list(script(task))
        pictures = _write_pictures(folder, task, steps)
        rows += episode_rows(task, steps, pictures, system)
        forms.append(task_row(task, pictures, system))
    return {
        ROWS: folder.write_rows(ROWS, ({"idx": i} | row for i, row in enumerate(rows))),
        TASKS: folder.write_rows(TASKS, forms),
    }


def _write_pictures(folder: NewFolder, task: Task, steps: list[Step]) -> dict[View, str]:
    """A picture for each state that the script shows: state -> path below the folder."""
    screen, pictures = task.screen(), {}
    for step in steps:
        view = seen(task, step.view)
        if view not in pictures:
            pictures[view] = f"images/{task.index:04d}_{len(pictures):02d}.png"
            folder.write(pictures[view], screen.png(view))
    return pictures


def parser() -> Parser:
    default = Options()
    example = "python -m data_engine.login.write data/login --scenario login --mode som --split eval"
    parser = Parser(__doc__, example, prog="python -m data_engine.login.write")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder to write")
    parser.add_argument("--scenario", choices=tuple(SCENARIOS), default=default.scenario, help="which form")
    parser.add_argument("--mode", choices=MODES, default=default.mode, help="coordinates, or Set-of-Marks numbers")
    parser.add_argument("--protocol", choices=PROTOCOLS, default=default.protocol, help="what varies, what is asked")
    parser.add_argument("--episodes", type=positive, default=default.episodes, metavar="N", help="forms")
    parser.add_argument("--seed", type=whole(), default=default.seed, help="of the forms")
    parser.add_argument("--split", choices=SPLITS, default=default.split, help="hard: other forms for equal seeds")
    parser.add_argument(
        "--page-size", type=size, default=PAGE_SIZE, metavar="WxH", help="pixels, multiples of 28 or 32"
    )
    parser.add_argument(
        "--no-system", action="store_true", help="no system prompt in the rows, as in the published training"
    )
    return parser


@command("login.write")
def main(argv: list[str] | None = None) -> None:
    given = vars(parser().parse_args(argv))
    out, system = given.pop("out"), not given.pop("no_system")
    manifest = write(out, Options(**given), system)
    for name, count in manifest["rows"].items():
        print(f"{name:16} {count:7,} rows")


if __name__ == "__main__":
    sys.exit(main())
