"""Stand-ins for `python`, `swift` and `make`: they note how a recipe called them, and leave the files it looks for."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
# Where recipes look for rows, and the pixels of a page there.
ROWS = {"gelab/data": 448 * 448, "tiny_base/rows": 160 * 352}
ROWS |= {f"login/{name}_data": 800 * 608 for name in ("coord", "som", "registration_som", "rl")}
# -S: what is installed on this machine is not seen, for recipes ask the Python of `swift` for packages
PROGRAM = """#!{python} -S
import json, os, sys
from pathlib import Path
argv = [Path(sys.argv[0]).name, *sys.argv[1:]]
with open(os.environ["CALLS"], "a") as file:
    print(json.dumps({{"argv": argv, "env": dict(os.environ)}}), file=file)
def value(flag):
    return argv[argv.index(flag) + 1]
if os.environ.get("FAIL", "nothing") in argv:
    sys.exit("no such luck")
{leaves}
if argv[1].endswith("make_tiny_model.py"):
    Path(argv[2]).mkdir(parents=True, exist_ok=True)
if argv[1] == "-m" and argv[2].endswith((".write", ".blank")):
    folder = Path(argv[4 if argv[2].startswith("data_engine.gelab.") else 3])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "manifest.json").write_text('{{"max_pixels": %s}}' % os.environ.get("MAX_PIXELS", 0))
    for name in ("sft", "st_rl", "mt_rl", "rows"):
        (folder / (name + ".jsonl")).touch()
"""


def page(recipe: Path) -> Path:
    """The recipe itself, or the one that an old path starts."""
    moved = re.search(r'exec bash .*/([\w.]+)" "\$@"', recipe.read_text())
    return recipe.with_name(moved[1]) if moved else recipe


def without_notice(recipe: Path, stderr: str) -> str:
    """What a recipe says, without the one line of an old path that names the new one."""
    if page(recipe) == recipe:
        return stderr
    notice, _, rest = stderr.partition("\n")
    room = page(recipe).relative_to(page(recipe).parents[2])
    assert re.fullmatch(rf"{recipe.name}: moved; [A-Z]+=\w+ bash {room} does the same.*", notice), stderr
    return rest


def write_rows(folder: Path, max_pixels: int) -> None:
    """What a recipe looks at in a folder of rows."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "manifest.json").write_text(
        f'{{\n  "kind": "rows",\n  "max_pixels": {max_pixels},\n  "files": {{}}\n}}\n'
    )
    for name in ("sft", "st_rl", "mt_rl", "rows", "tasks", "train", "eval"):
        (folder / f"{name}.jsonl").touch()


def clone(tmp_path: Path, rows: bool = True) -> Path:
    """The project as a user has it who went on from stage to stage: recipes, plugins, rows and a checkpoint each."""
    home = tmp_path / "clone"
    shutil.copytree(REPO / "recipes", home / "recipes")
    (home / "swift_plugins").symlink_to(REPO / "swift_plugins")
    for folder in ("gelab/sft/checkpoint-5080", "gelab/st_rl/checkpoint-1944", "tiny_base/scratch"):
        (home / "runs" / folder).mkdir(parents=True)
    for folder, max_pixels in ROWS.items() if rows else ():
        write_rows(home / "runs" / folder, max_pixels)
    return home


def packages(tmp_path: Path) -> str:
    """A folder for PYTHONPATH with what requirements-gpu.txt installs, by name."""
    for name in ("deepspeed", "vllm", "flash_attn"):
        (tmp_path / "packages" / name).mkdir(parents=True, exist_ok=True)
    return str(tmp_path / "packages")


def clean(users: tuple[str, ...], **environment: str) -> dict[str, str]:
    """The environment without what a recipe's user may have set in it."""
    return {name: value for name, value in os.environ.items() if name not in users} | environment


def install(folder: Path, leaves: str, *programs: str) -> None:
    """Put the fakes into a folder of programs."""
    folder.mkdir(parents=True, exist_ok=True)
    for program in programs or ("python", "swift", "make"):
        (folder / program).write_text(PROGRAM.format(python=sys.executable, leaves=leaves))
        (folder / program).chmod(0o755)


def run(tmp_path: Path, command: list, leaves: str, env: dict) -> tuple[list[dict], subprocess.CompletedProcess]:
    """(what a recipe starts, in order; the finished process). RUN is tmp_path/run; ``leaves``: code of the fakes."""
    install(tmp_path / "bin", leaves)
    log = tmp_path / "calls.jsonl"
    log.write_text("")
    env = {"RUN": str(tmp_path / "run")} | env
    env |= {"PATH": f"{tmp_path / 'bin'}:{env['PATH']}", "CALLS": str(log)}
    done = subprocess.run(["bash", *map(str, command)], env=env, cwd=tmp_path, capture_output=True, text=True)
    return [json.loads(line) for line in log.read_text().splitlines()], done


def value(call: dict, flag: str) -> str:
    """What follows a flag; of equal flags the last one wins."""
    last = len(call["argv"]) - 1 - call["argv"][::-1].index(flag)
    return call["argv"][last + 1]


def programs(calls: list[dict]) -> list[str]:
    return [Path(call["argv"][1]).stem if call["argv"][1] != "-m" else call["argv"][2] for call in calls]
