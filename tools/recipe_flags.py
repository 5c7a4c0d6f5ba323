"""Parse the flags of all recipes that train or generate by the installed ms-swift: ``python tools/recipe_flags.py``

Each recipe runs against a `swift` that prints its arguments; ms-swift's argument classes then say which flags they do
not know, and which values they refuse. Needs no rows, no weights and no GPU. Exit code 1 if there is one.
"""

import argparse
import contextlib
import io
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from data_engine.cli import Parser, command
from data_engine.dataset import DataError

RECIPES = Path(__file__).resolve().parents[1] / "recipes"
CALLS_SWIFT = re.compile(r"^(swift \w+|[A-Z]+=\w+ .*exec bash) ", re.MULTILINE)  # itself, or through its new page
# No word of Python in the first line: the recipes then leave open which packages are installed.
FAKE_SWIFT = "#!/bin/sh\nprintf '%s\\0' \"$@\"\n"
MAX_PIXELS = "200704"


def recipes() -> list[Path]:
    return [path for path in sorted(RECIPES.rglob("*.sh")) if CALLS_SWIFT.search(path.read_text(encoding="utf-8"))]


def calls() -> dict[str, list[str]]:
    """Recipe -> the arguments that it gives to `swift`, the sub-command first. Raises DataError if a recipe stops."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "swift").write_text(FAKE_SWIFT)
        (place / "swift").chmod(0o755)
        (place / "manifest.json").write_text(f'{{"max_pixels": {MAX_PIXELS}}}')
        for name in ("sft", "st_rl", "mt_rl", "rows", "tasks", "train"):
            (place / f"{name}.jsonl").touch()
        env = dict.fromkeys(("GELAB_DATA", "LOGIN_DATA", "SIGHT_DATA"), folder)
        env |= {
            "PATH": f"{folder}:/usr/bin:/bin",
            "MODEL": "a/model",
            "MAX_PIXELS": MAX_PIXELS,
            "OUTPUT": f"{folder}/out",
        }
        return {path.relative_to(RECIPES).as_posix(): _arguments(path, env) for path in recipes()}


def _arguments(recipe: Path, env: dict[str, str]) -> list[str]:
    done = subprocess.run(["bash", str(recipe)], env=env, capture_output=True, text=True)
    if done.returncode:
        raise DataError(f"{recipe}: {done.stderr.strip() or f'exit code {done.returncode}'}")
    return done.stdout.split("\0")[:-1]


def parse(arguments: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """(what ms-swift's class of this sub-command reads, the words that it does not know). Exits on a wrong value."""
    from swift import RLHFArguments, SftArguments
    from swift.arguments import RolloutArguments
    from transformers import HfArgumentParser

    classes = {"sft": SftArguments, "rlhf": RLHFArguments, "rollout": RolloutArguments}
    return HfArgumentParser([classes[arguments[0]]], allow_abbrev=False).parse_known_args(arguments[1:])


def refused(arguments: list[str]) -> list[str]:
    """The flags that ms-swift does not know, or its one line about a value."""
    errors = io.StringIO()
    try:
        with contextlib.redirect_stderr(errors):
            _, unknown = parse(arguments)
    except SystemExit:
        return [errors.getvalue().strip().rpartition("error: ")[2]]
    return [word for word in unknown if word.startswith("--")]


def parser() -> Parser:
    return Parser(__doc__, "python tools/recipe_flags.py")


@command("recipe_flags")
def main(argv: list[str] | None = None) -> int:
    parser().parse_args(argv)
    faults: dict[str, list[str]] = {}
    known = calls()
    for recipe, arguments in known.items():
        for fault in refused(arguments):
            faults.setdefault(fault, []).append(recipe)
    for fault, names in faults.items():
        print(f"{fault}: {' '.join(names)}")
    print(f"{len(known)} recipes, refused: {'; '.join(faults) or 'none'}")
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
