"""Try this project with other versions of ms-swift: ``python tools/swift_versions.py [VERSION ...]``

Each version is laid into a temporary folder, without its dependencies, and goes before the installed one. Then, each
within a time limit: the plugins are imported, the flags of the recipes are parsed (tools/recipe_flags.py), and the
recipes of SFT and MT-RL make one step each with a tiny model in a tiny world, on the CPU. Prints a Markdown table;
a failure is shown with its first cause. Exit code 1 if the pinned version fails. Needs the package index.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from checkup.machine import pins
from packaging.version import Version

from data_engine.cli import Parser, command, positive
from data_engine.dataset import DataError

REPO = Path(__file__).resolve().parents[1]
OLDEST = (4, 3)  # of the versions that are tried if none is named
PAGE = 112  # pixels, each side
ON_CPU = "--use_cpu true --torch_dtype float32 --attn_impl sdpa --dataloader_num_workers 1 --dataset_num_proc 1"
ONE_STEP = "--max_steps 1 --save_strategy no --gradient_accumulation_steps 1 --report_to none"
GROUP = "--num_generations 2 --per_device_train_batch_size 2 --max_turns 2 --max_completion_length 16"
IMPORTS = """
import sys
import swift_plugins.register
from swift.version import __version__
sys.exit(__version__ != sys.argv[1] and f"ms-swift {__version__} was imported")
"""
COLUMNS = ("imports", "flags", "SFT step", "MT-RL step")
FIRST_ERROR = re.compile(r"^(?:\w+\.)*\w*(?:Error|Exception)\b.*", re.MULTILINE)
PLACE = re.compile(r" \(/[^)]*\)")  # of the file that was imported
LONGEST = 110  # characters of a cause


def pinned() -> str:
    return pins((REPO / "requirements.txt").read_text(encoding="utf-8"))["ms-swift"]


def versions() -> list[str]:
    """The newest patch of each minor version on the index from OLDEST on, and the pinned version."""
    done = subprocess.run([*PIP, "index", "versions", "ms-swift"], capture_output=True, text=True)
    listed = re.search(r"^Available versions: (.+)", done.stdout, re.MULTILINE)
    if not listed:
        raise DataError(f"pip index versions ms-swift: {cause(done.stderr)}; name the versions")
    return chosen(listed[1].split(", "))


def chosen(listed: list[str]) -> list[str]:
    series = {version.release[:2]: version for version in sorted(map(Version, listed))}
    return [str(v) for v in sorted({*(v for minor, v in series.items() if minor >= OLDEST), Version(pinned())})]


PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-cache-dir"]


def install(version: str, folder: Path, limit: int) -> str | None:
    """Lay a version into ``folder``. The cause of a failure, or None."""
    line = [*PIP, "install", "--quiet", "--no-deps", "--target", str(folder), f"ms-swift=={version}"]
    return run(line, dict(os.environ), folder.parent / "install.log", limit)


def make_inputs(folder: Path, env: dict[str, str], limit: int) -> None:
    """World, rows and model of the steps. Raises DataError."""
    for line in (
        f"-m data_engine.gelab.build {folder}/world --tree 5 2 1 --page-size {PAGE}x{PAGE}",
        f"-m data_engine.gelab.write {folder}/world {folder}/data",
        f"{REPO}/tools/make_tiny_model.py {folder}/model --family qwen2_5_vl --size 2m",
    ):
        if fault := run([sys.executable, *line.split()], env, folder / "inputs.log", limit):
            raise DataError(f"{line.split()[1]}: {fault}")


def environment(folder: Path, swift: Path | None = None) -> dict[str, str]:
    """Nothing of the user's but programs; all that is written goes below ``folder``. ``swift``: goes first."""
    places = (str(swift), str(REPO)) if swift else (str(REPO),)
    return {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(places),
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "MODEL": str(folder / "model"),
        "GELAB_DATA": str(folder / "data"),
        "MAX_PIXELS": str(PAGE * PAGE),
        "ENGINE": "transformers",
    }


def commands(version: str) -> dict[str, list[str]]:
    """Column -> command line."""
    on_cpu = [*f"{ON_CPU} {ONE_STEP}".split(), "--deepspeed", ""]
    return {
        "imports": [sys.executable, "-c", IMPORTS, version],
        "flags": [sys.executable, f"{REPO}/tools/recipe_flags.py"],
        "SFT step": ["bash", f"{REPO}/recipes/gelab/sft.sh", *on_cpu],
        "MT-RL step": ["bash", f"{REPO}/recipes/gelab/mt_rl.sh", *on_cpu, *GROUP.split()],
    }


def run(line: list[str], env: dict[str, str], log: Path, limit: int) -> str | None:
    """Run a command in a session of its own, which ends with it or after ``limit`` seconds. The cause, or None."""
    with open(log, "w") as file:
        process = subprocess.Popen(line, env=env, stdout=file, stderr=file, cwd=log.parent, start_new_session=True)
    try:
        code = process.wait(limit)
    except subprocess.TimeoutExpired:
        return f"not done in {limit} s"
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return cause(log.read_text(errors="replace")) if code else None


def cause(log: str) -> str:
    """The first error in a log, else its last line."""
    lines = [" ".join(line.split()) for line in log.splitlines() if line.strip()]
    first = FIRST_ERROR.search("\n".join(lines))
    line = PLACE.sub("", first[0] if first else (lines or ["ended without a word"])[-1])
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 3]}..."


def check(version: str, folder: Path, limit: int) -> dict[str, str | None]:
    """Column -> the cause of its failure, or None; the steps of plugins that cannot be imported are left out."""
    swift = folder / f"swift-{version}"
    if fault := install(version, swift, limit):
        return {"imports": fault}
    faults: dict[str, str | None] = {}
    for column, line in commands(version).items():
        if "step" in column and faults["imports"]:
            continue
        output = folder / f"{swift.name}-{column.split()[0]}"
        faults[column] = run(line, environment(folder, swift) | {"OUTPUT": str(output)}, folder / "check.log", limit)
    return faults


def cells(faults: dict[str, str | None]) -> list[str]:
    return [
        f"no: {faults[column]}".replace("|", "\\|") if faults.get(column) else "yes" if column in faults else "-"
        for column in COLUMNS
    ]


def parser() -> Parser:
    parser = Parser(__doc__, "python tools/swift_versions.py 4.5.3 4.6.0")
    versions_help = "of ms-swift; default: the newest patch of each minor version from 4.3 on, and the pinned one"
    parser.add_argument("versions", nargs="*", type=Version, metavar="VERSION", help=versions_help)
    parser.add_argument("--seconds", type=positive, default=300, help="time limit of each check")
    return parser


@command("swift_versions")
def main(argv: list[str] | None = None) -> int:
    given = parser().parse_args(argv)
    names, pin = [str(version) for version in given.versions] or versions(), pinned()
    code = 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        make_inputs(folder, environment(folder), given.seconds)
        print(f"| ms-swift | {' | '.join(COLUMNS)} |\n|---|{'---|' * len(COLUMNS)}")
        for name in names:
            faults = check(name, folder, given.seconds)
            print(f"| {name}{', pinned' * (name == pin)} | {' | '.join(cells(faults))} |", flush=True)
            code |= name == pin and any(faults.values())
    return int(code)


if __name__ == "__main__":
    sys.exit(main())
