"""Try to break what writes: ``python tools/stress.py [--rounds 25] [--commands build write ...]``

Each command that writes is started twice at once into one OUT, and killed at a random moment and started again, so
many times each; then once under each of the odd conditions. Minutes for 25 rounds of all. A line a command:

pairs    two processes, with equal or other arguments, into one OUT
kills    SIGKILL of the process, then the same or another command line at once
refused  processes that ended with one line and exit code 2
equal    rounds after which OUT held, byte for byte, what one of the command lines makes alone
broken   all other rounds: other bytes, a traceback, exit code 0 over another's output, something left beside OUT
orphans  processes that outlived a killed one by more than five seconds

Exit code 1 if anything is broken. Linux only: processes are counted in /proc.
"""

import ctypes
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from data_engine.cli import Parser, command, positive, whole

REPO = Path(__file__).resolve().parents[1]
GRACE = 5.0  # seconds
SMALL = "--tree 5 2 1 --page-size 112x112"
NOT_COMPARED = {"run.json", "metrics.json", "requests.jsonl", "merge.lock", "log.txt"}  # times, commands, commits


@dataclass(frozen=True)
class Command:
    """A command line as a function of OUT and of a variant, 0 or 1; ``only``: the file that is compared.

    ``resumes``: what a killed one has finished stays, and belongs to its command line; another one is refused.
    """

    line: Callable[[str, int], list[str]]
    only: str | None = None
    resumes: bool = False


def program(line: str) -> list[str]:
    """A command line; its first word is a script of the repository, or a module below ``data_engine``."""
    name, *arguments = line.split()
    start = [str(REPO / name)] if name.endswith(".py") else ["-m", f"data_engine.{name}"]
    return [sys.executable, *start, *arguments]


def commands(inputs: Path) -> dict[str, Command]:
    """All commands that write, over the inputs made by ``make_inputs``; no path may hold a blank."""

    def seeded(line: str) -> Callable[[str, int], list[str]]:
        return lambda out, variant: program(f"{line} --seed {variant}".replace("OUT", out))

    world, data, steps, walks = inputs / "world", inputs / "data", "predictions.jsonl", "trajectories.jsonl"
    many = "gelab.build_many OUT --worlds 8 --tree 2 1 --workers 2 --shard 1"
    tasks = f"--engine random --world {data}/world --tasks {data}/tasks_ood.jsonl --attempts 1 --out OUT"
    static = f"eval/gelab_static.py --engine oracle --data {data}/eval_ood.jsonl --out OUT"
    forms = f"eval/login_eval.py --engine oracle --closed-loop --data {inputs}/forms --out OUT"
    return {
        "build": Command(seeded(f"gelab.build OUT {SMALL}")),
        "build --workers 2": Command(seeded(f"gelab.build OUT {SMALL} --workers 2")),
        "build_many": Command(seeded(many), resumes=True),
        "vary": Command(seeded(f"gelab.vary {world} OUT --position")),
        "write": Command(seeded(f"gelab.write {world} OUT")),
        "write_many": Command(seeded(f"gelab.write_many {inputs}/many OUT --worlds-train 5 --worlds-eval 2")),
        "blank": Command(lambda out, variant: program(f"gelab.blank {[data, f'{data}1'][variant]} {out}")),
        "export": Command(lambda out, variant: program(f"gelab.export {world} {[data, f'{data}1'][variant]} {out}")),
        "login.write": Command(seeded("login.write OUT --episodes 4")),
        "sight.write": Command(seeded("sight.write OUT --stage shapes --rows 12")),
        "make_tiny_model": Command(seeded("tools/make_tiny_model.py OUT --family qwen2_5_vl --size 2m")),
        "gelab_static": Command(seeded(static), steps),
        "gelab_interactive": Command(seeded(f"eval/gelab_interactive.py {tasks}"), walks),
        "gelab_interactive --nproc 2": Command(seeded(f"eval/gelab_interactive.py {tasks} --nproc 2"), walks),
        "login_eval": Command(seeded(forms), walks),
    }


def make_inputs(folder: Path) -> None:
    for line in (
        f"gelab.build {folder}/world {SMALL}",
        f"gelab.write {folder}/world {folder}/data",
        f"gelab.write {folder}/world {folder}/data1 --seed 1",
        f"gelab.build_many {folder}/many --worlds 8 --tree 2 1 --page-size 112x112",
        f"login.write {folder}/forms --episodes 4",
    ):
        subprocess.run(program(line), env=environment(), check=True, capture_output=True)


def environment(**more: str) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if name != "MAX_PIXELS"}
    return clean | {"PYTHONPATH": str(REPO), "OMP_NUM_THREADS": "1"} | more


def contents(out: Path, only: str | None) -> dict[str, bytes] | None:
    """Name -> bytes of the files below OUT; None where there is none."""
    if not out.exists():
        return None
    if only:
        return {only: (out / only).read_bytes()} if (out / only).is_file() else {}
    files = (p for p in sorted(out.rglob("*")) if p.is_file() and p.name not in NOT_COMPARED)
    return {p.relative_to(out).as_posix(): p.read_bytes() for p in files}


def start(line: list[str]) -> subprocess.Popen:
    streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(line, env=environment(), start_new_session=True, **streams)


def living(session: int) -> list[int]:
    """Processes of a session that still run; what has ended and waits for its parent is none."""
    processes = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, its_session = stat.read_text().rpartition(")")[2].split()[:4]
        except (OSError, ValueError):
            continue
        if int(its_session) == session and state not in "ZX":
            processes.append(int(stat.parent.name))
    return processes


class Trial:
    """Rounds of one command in a folder of its own; ``counts`` has the columns of the table, ``notes`` what broke."""

    def __init__(self, name: str, command: Command, folder: Path, random: random.Random):
        self.name, self.command, self.folder, self.random = name, command, folder, random
        self.counts: Counter[str] = Counter()
        self.notes: list[str] = []
        self.expected, self.seconds = {}, 0.0
        for variant in (0, 1):
            begun, out = time.monotonic(), folder / f"alone{variant}"
            subprocess.run(command.line(str(out), variant), env=environment(), check=True, capture_output=True)
            self.seconds = time.monotonic() - begun
            self.expected[variant] = contents(out, command.only)

    def pair(self) -> None:
        variants = 0, self.random.choice((0, 1))
        out = self._fresh()
        first = start(self.command.line(str(out), variants[0]))
        time.sleep(self.random.uniform(0, 0.5 * self.seconds))
        second = start(self.command.line(str(out), variants[1]))
        self._judge("pairs", out, dict(zip((first, second), variants, strict=True)), both=True)

    def kill(self) -> None:
        out = self._fresh()
        victim = start(self.command.line(str(out), 0))
        time.sleep(self.random.uniform(0, 1.1 * self.seconds))
        victim.kill()
        victim.communicate()
        # a run of an evaluation resumes, too; a folder that is not there yet belongs to nobody
        variant = 0 if self.command.only or self.command.resumes else self.random.choice((0, 1))
        again = start(self.command.line(str(out), variant))
        self._judge("kills", out, {again: variant}, both=False)
        until = time.monotonic() + GRACE
        while (left := living(victim.pid)) and time.monotonic() < until:
            time.sleep(0.1)
        self.counts["orphans"] += len(left)
        for process in left:
            os.kill(process, signal.SIGKILL)

    def _fresh(self) -> Path:
        shutil.rmtree(self.folder / "round", ignore_errors=True)
        (self.folder / "round").mkdir()
        return self.folder / "round" / "out"

    def _judge(self, kind: str, out: Path, started: dict[subprocess.Popen, int], both: bool) -> None:
        """Count a round when its processes have ended. ``both`` were started: one of them at least must succeed."""
        faults, done = [], set()
        for process, variant in started.items():
            message = process.communicate()[1].strip()
            done |= {variant} if process.returncode == 0 else set()
            self.counts["refused"] += process.returncode == 2
            if process.returncode not in (0, 2) or "Traceback" in message:
                faults.append(f"exit code {process.returncode}: {message[-300:]}")
        held = contents(out, self.command.only)
        holds = {variant for variant, files in self.expected.items() if held == files}
        if not holds or (both and not done):
            faults.append(f"OUT holds neither output ({len(held or {})} files)")
        if done - holds:
            faults.append("exit code 0, but OUT holds the other output")
        if leftovers := [p.name for p in out.parent.iterdir() if p != out]:
            faults.append(f"left beside OUT: {' '.join(leftovers)}")
        self.counts[kind] += 1
        self.counts["broken" if faults else "equal"] += 1
        self.notes += [f"{self.name}, {kind}: {fault}" for fault in faults]


COLUMNS = ("pairs", "kills", "refused", "equal", "broken", "orphans")


def conditions(inputs: Path, folder: Path) -> Iterator[tuple[str, str | None]]:
    """(condition, what is wrong or None) of one run each under odd circumstances."""
    known = commands(inputs)
    for name, more in ("TQDM_DISABLE=1", {"TQDM_DISABLE": "1"}), ("LC_ALL=C", {"LC_ALL": "C", "PYTHONUTF8": "0"}):
        for some in "build_many", "login.write", "gelab_static", "gelab_interactive":
            out = folder / f"{name}-{some}"
            yield f"{name} {some}", _odd(known[some].line(str(out), 0), 0, env=environment(**more))
    locked = folder / "locked"
    locked.mkdir()
    locked.chmod(0o555)
    for some in known:
        yield f"read-only OUT {some}", _odd(known[some].line(str(locked / "out"), 0), 2, preexec_fn=_no_privilege)
    for some in "build", "write", "login.write", "sight.write", "gelab_static":
        out = folder / f"full-{some}"
        yield f"full disk {some}", _odd(known[some].line(str(out), 0), 2, preexec_fn=_small_files)
        if some != "gelab_static" and [p for p in folder.iterdir() if p.name.startswith((out.name, f".{out.name}"))]:
            yield f"full disk {some}: leftovers", "something is left"
    bom = folder / "bom.jsonl"
    data = (inputs / "data" / "eval_ood.jsonl").read_text(encoding="utf-8")
    rows = [line[:-1] + ',"prediction":"x"}' for line in data.splitlines()]
    bom.write_bytes(b"\xef\xbb\xbf" + "\n".join(rows).encode())
    yield "BOM gelab_score", _odd(program(f"eval/gelab_score.py {bom}"), 0)
    names = folder / "names.tsv"
    icons = REPO / "data_engine" / "gelab" / "synonyms.tsv"
    first = icons.read_text(encoding="utf-8").splitlines()[1].split("\t")[0]
    names.write_bytes(b"\xef\xbb\xbf" + f"{first}\tsomething_else\n".encode())
    vary = program(f"gelab.vary {inputs}/world {folder}/n --name --names {names}")
    yield "BOM vary --names", _odd(vary, (0, 2))
    two = environment(CUDA_VISIBLE_DEVICES="0,1")
    line = known["gelab_interactive --nproc 2"].line(str(folder / "two"), 0)
    yield "two GPUs, --nproc 2", _odd(line, 0, env=two)


def _no_privilege() -> None:
    """Root may write everywhere; without CAP_DAC_OVERRIDE (1) it asks a folder's permissions as others do."""
    ctypes.CDLL(None).prctl(24, 1, 0, 0, 0)  # PR_CAPBSET_DROP: lost at exec


def _small_files() -> None:
    """A file of more than 4 KiB cannot be written: what a full disk does, without filling one."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))


def _odd(line: list[str], code: int | tuple[int, ...], **options: object) -> str | None:
    """What is wrong with a run that must end with ``code``, and with one line on stderr where that is 2."""
    options = {"env": environment()} | options
    done = subprocess.run(line, capture_output=True, text=True, errors="replace", **options)
    lines = [line for line in done.stderr.splitlines() if line and not re.search(r"\d/\d+ \[", line)]  # but the bar
    if done.returncode not in (code if isinstance(code, tuple) else (code,)) or "Traceback" in done.stderr:
        return f"exit code {done.returncode}: {done.stderr[-300:]}"
    return f"{len(lines)} lines: {done.stderr[-300:]}" if done.returncode == 2 and len(lines) != 1 else None


@command("stress")
def main(argv: list[str] | None = None) -> int:
    parser = Parser(__doc__, "python tools/stress.py --rounds 3 --commands build write")
    parser.add_argument("--rounds", type=positive, default=25, metavar="N", help="pairs, and kills, of each command")
    parser.add_argument("--commands", nargs="+", metavar="NAME", help="only these; default: all")
    parser.add_argument("--seed", type=whole(), default=0, help="of delays and moments")
    parser.add_argument("--no-conditions", action="store_true", help="leave out the odd conditions")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        inputs = Path(folder) / "inputs"
        make_inputs(inputs)
        known = commands(inputs)
        unknown = [name for name in args.commands or () if name not in known]
        if unknown:
            parser.error(f"--commands {unknown[0]}: unknown; known are {', '.join(known)}")
        trials = run_trials({name: known[name] for name in args.commands or known}, Path(folder), args)
        faults = [] if args.no_conditions else run_conditions(inputs, Path(folder))
    notes = [note for trial in trials for note in trial.notes]
    print(*notes, sep="\n", end="\n" * bool(notes))
    return int(bool(faults) or any(trial.counts["broken"] or trial.counts["orphans"] for trial in trials))


def run_trials(known: dict[str, Command], folder: Path, args: object) -> list["Trial"]:
    print(f"{'command':30}" + "".join(f"{column:>9}" for column in COLUMNS), flush=True)
    trials = []
    for number, (name, one) in enumerate(known.items()):
        (folder / str(number)).mkdir()
        trial = Trial(name, one, folder / str(number), random.Random(f"{args.seed} {name}"))
        for _ in range(args.rounds):
            trial.pair()
            trial.kill()
        shutil.rmtree(folder / str(number))
        print(f"{name:30}" + "".join(f"{trial.counts[column]:9}" for column in COLUMNS), flush=True)
        trials.append(trial)
    return trials


def run_conditions(inputs: Path, folder: Path) -> list[str]:
    """Print a line a condition; returns those that went wrong."""
    (folder / "odd").mkdir()
    faults = []
    for name, fault in conditions(inputs, folder / "odd"):
        print(f"{name:50} {'right' if fault is None else 'BROKEN ' + ' '.join(fault.split())}", flush=True)
        faults += [name] if fault else []
    return faults


if __name__ == "__main__":
    sys.exit(main())
