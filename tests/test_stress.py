"""The stress script in small: each kind of round once, every odd condition; and it finds a broken command."""

import random
import sys

import pytest


@pytest.fixture(scope="module")
def stress(tool_module):
    return tool_module("stress")


@pytest.mark.slow
def test_nothing_breaks(stress, capsys):
    commands = ["build --workers 2", "build_many", "write", "login.write", "gelab_interactive --nproc 2"]
    code = stress.main(["--rounds", "1", "--commands", *commands])
    out = capsys.readouterr().out
    assert code == 0, out
    lines = {line[:30].strip(): line[30:].split() for line in out.splitlines()}
    assert lines["command"] == ["pairs", "kills", "refused", "equal", "broken", "orphans"]
    for name in commands:
        pairs, kills, _, equal, broken, orphans = map(int, lines[name])
        assert (pairs, kills, equal, broken, orphans) == (1, 1, 2, 0, 0)
    assert sum(line.endswith(" right") for line in out.splitlines()) >= 27 and "BROKEN" not in out


@pytest.mark.slow
def test_it_finds_what_is_broken(stress, tmp_path):
    """A command that writes in place, byte by byte, and exits with 0 whatever another one does there."""
    code = (
        "import os, sys, time\n"
        "os.makedirs(sys.argv[1], exist_ok=True)\n"
        "for i in range(40):\n"
        "    open(f'{sys.argv[1]}/{i}', 'w').write(sys.argv[2])\n"
        "    time.sleep(0.01)\n"
    )
    bad = stress.Command(lambda out, variant: [sys.executable, "-c", code, out, str(variant)])
    trial = stress.Trial("bad", bad, tmp_path, random.Random(1))
    for _ in range(4):
        trial.pair()
        trial.kill()
    assert trial.counts["broken"] >= 1 and any("exit code 0, but OUT holds" in note for note in trial.notes), (
        trial.notes
    )
