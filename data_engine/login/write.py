"""Write the episodes of a form: ``python -m data_engine.login.write OUT --scenario login --mode coord ...``

rows.jsonl       one row a step: the screenshot, the question, the oracle's answer
tasks.jsonl      one row an episode: its first question, what rebuilds it, and the form with all boxes (canvas pixels)
images/          one picture a state that is seen
manifest.json    arguments, prompt hash, page size, MAX_PIXELS, counts, hashes, fingerprint
"""

import argparse
import hashlib
import sys
from dataclasses import asdict
from pathlib import Path

from ..dataset import DataError, is_made, new_folder, read_manifest, sha256, write_manifest, write_rows
from ..geometry import Size, fits_patches
from . import prompts
from .forms import SCENARIOS, View
from .rows import Step, episode_rows, script, seen, task_row
from .tasks import MODES, PAGE_SIZE, PROTOCOLS, SPLITS, Options, Task, tasks

KIND = "login-rows"
ROWS, TASKS = "rows.jsonl", "tasks.jsonl"


def write(out: Path, options: Options, system: bool = True) -> dict:
    """Write the folder ``out`` and return its manifest; does nothing if it is there already. Raises DataError."""
    _check(options)
    arguments = asdict(options) | {"page_size": list(options.page_size), "system": system}
    if not is_made(out, KIND, arguments):
        episodes = tasks(options)
        with new_folder(out) as folder:
            counts, hashes = _write_files(folder, episodes, system)
            write_manifest(
                folder,
                KIND,
                arguments,
                hashes,
                fingerprint=fingerprint(hashes),
                prompt_sha256=prompts.sha256(),
                page_size=list(options.page_size),
                max_pixels=options.page_size.width * options.page_size.height,
                rows=counts,
            )
    return read_manifest(out, KIND)


def _check(options: Options) -> None:
    """Pages must pass the model's resize untouched: sides in merged patches of 28 (Qwen2.5-VL) or 32 (Qwen3-VL)."""
    if not fits_patches(options.page_size):
        raise DataError(f"--page-size {options.page_size}: sides must be multiples of 28 or of 32; e.g. {PAGE_SIZE}")
    if options.episodes < 1:
        raise DataError(f"--episodes {options.episodes}: must be 1 or more")


def fingerprint(hashes: dict[str, str]) -> str:
    """Hash of rows, forms and pictures, from the hashes of their files."""
    said = "".join(f"{name} {found}\n" for name, found in sorted(hashes.items()))
    return hashlib.sha256(said.encode()).hexdigest()


def _write_files(folder: Path, episodes: list[Task], system: bool) -> tuple[dict[str, int], dict[str, str]]:
    """Counts of rows, and the hash of every file."""
    (folder / "images").mkdir()
    rows, forms, hashes = [], [], {}
    for task in episodes:
        steps = list(script(task))
        pictures = _write_pictures(folder, task, steps, hashes)
        rows += episode_rows(task, steps, pictures, system)
        forms.append(task_row(task, pictures, system))
    counts = {
        ROWS: write_rows(folder / ROWS, ({"idx": i} | row for i, row in enumerate(rows))),
        TASKS: write_rows(folder / TASKS, forms),
    }
    return counts, hashes | {name: sha256(folder / name) for name in counts}


def _write_pictures(folder: Path, task: Task, steps: list[Step], hashes: dict[str, str]) -> dict[View, str]:
    """A picture for each state that the script shows: state -> path below the folder. Adds the files' hashes."""
    screen, pictures = task.screen(), {}
    for step in steps:
        view = seen(task, step.view)
        if view not in pictures:
            name, file = f"images/{task.index:04d}_{len(pictures):02d}.png", screen.png(view)
            (folder / name).write_bytes(file)
            pictures[view], hashes[name] = name, hashlib.sha256(file).hexdigest()
    return pictures


def parser() -> argparse.ArgumentParser:
    default = Options()
    parser = argparse.ArgumentParser(prog="python -m data_engine.login.write", description=__doc__.split(":")[0])
    parser.add_argument("out", type=Path, metavar="OUT", help="folder to write")
    parser.add_argument("--scenario", choices=tuple(SCENARIOS), default=default.scenario)
    parser.add_argument("--mode", choices=MODES, default=default.mode, help="coordinates, or Set-of-Marks numbers")
    parser.add_argument("--protocol", choices=PROTOCOLS, default=default.protocol)
    parser.add_argument("--episodes", type=int, default=default.episodes, metavar="N")
    parser.add_argument("--seed", type=int, default=default.seed)
    parser.add_argument("--split", choices=SPLITS, default=default.split, help="hard: other forms for equal seeds")
    parser.add_argument("--page-size", default=str(PAGE_SIZE), metavar="WxH", help="pixels, multiples of 28 or 32")
    parser.add_argument("--no-system", action="store_true", help="no system prompt in the rows, as the peer trains")
    return parser


def main(argv: list[str] | None = None) -> int:
    given = vars(parser().parse_args(argv))
    out, system, page_size = given.pop("out"), not given.pop("no_system"), given.pop("page_size")
    try:
        manifest = write(out, Options(**given, page_size=Size.parse(page_size)), system)
    except (DataError, ValueError, OSError) as error:
        print(f"write: {error}", file=sys.stderr)
        return 2
    for name, count in manifest["rows"].items():
        print(f"{name:16} {count:7,} rows")
    return 0


if __name__ == "__main__":
    sys.exit(main())
