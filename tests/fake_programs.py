"""Stand-ins for `python` and `swift`: they note how a recipe called them, and leave the files it looks for."""

import json
import os
import subprocess
import sys
from pathlib import Path

PROGRAM = """#!{python}
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
"""


def clean(users: tuple[str, ...], **environment: str) -> dict[str, str]:
    """The environment without what a recipe's user may have set in it."""
    return {name: value for name, value in os.environ.items() if name not in users} | environment


def run(tmp_path: Path, command: list, leaves: str, env: dict) -> tuple[list[dict], subprocess.CompletedProcess]:
    """(what a recipe starts, in order; the finished process). RUN is tmp_path/run; ``leaves``: code of the fakes."""
    (tmp_path / "bin").mkdir(exist_ok=True)
    for program in ("python", "swift"):
        (tmp_path / "bin" / program).write_text(PROGRAM.format(python=sys.executable, leaves=leaves))
        (tmp_path / "bin" / program).chmod(0o755)
    log = tmp_path / "calls.jsonl"
    log.write_text("")
    env = {"RUN": str(tmp_path / "run")} | env
    env |= {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "CALLS": str(log)}
    done = subprocess.run(["bash", *map(str, command)], env=env, cwd=tmp_path, capture_output=True, text=True)
    return [json.loads(line) for line in log.read_text().splitlines()], done


def value(call: dict, flag: str) -> str:
    """What follows a flag; of equal flags the last one wins."""
    last = len(call["argv"]) - 1 - call["argv"][::-1].index(flag)
    return call["argv"][last + 1]


def programs(calls: list[dict]) -> list[str]:
    return [Path(call["argv"][1]).stem if call["argv"][1] != "-m" else call["argv"][2] for call in calls]
