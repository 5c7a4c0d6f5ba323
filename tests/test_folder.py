"""Folders are finished or not there: one writer at a time, nothing of others touched, killed ones leave no trace."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from data_engine import folder as folder_module
from data_engine.dataset import DataError, read_manifest
from data_engine.files import write_file
from data_engine.folder import make_folder, only_writer

FORK = multiprocessing.get_context("fork")


def fill(folder):
    folder.write("a/one.txt", "one")
    folder.write("two.txt", b"two")
    return {"count": 2}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def make(out: Path, seed: int = 0) -> dict:
    return make_folder(out, "things", {"seed": seed}, fill)


def wait_for(condition) -> None:
    until = time.monotonic() + 20
    while not condition() and time.monotonic() < until:
        time.sleep(0.01)
    assert condition()


def hold(out: Path) -> multiprocessing.Process:
    """A process that writes ``out`` and does not come to an end."""

    def fill_for_ever(folder):
        folder.write("half.txt", "half")
        time.sleep(60)

    process = FORK.Process(target=lambda: make_folder(out, "things", {"seed": 9}, fill_for_ever))
    process.start()
    wait_for(lambda: list(out.parent.glob("out.part-*/half.txt")))
    return process


def test_a_second_writer_is_refused_and_the_first_one_ends_well(tmp_path, monkeypatch):
    monkeypatch.setattr(folder_module, "_PATIENCE", 0.2)
    first = hold(tmp_path / "out")
    with pytest.raises(DataError, match=r"out: another process is writing it; wait for it or end it, then run this"):
        make(tmp_path / "out")
    assert first.is_alive() and list(tmp_path.glob("out.part-*/half.txt"))
    first.kill()
    first.join()
    assert make(tmp_path / "out")["count"] == 2 and names(tmp_path) == ["out"], "what was killed is swept away"


def test_who_waited_for_another_writer_takes_what_that_one_made(tmp_path):
    """Equal arguments: nothing is done. Other arguments: refused."""

    def slowly(folder):
        time.sleep(0.5)
        return fill(folder)

    first = FORK.Process(target=lambda: make_folder(tmp_path / "out", "things", {"seed": 0}, slowly))
    first.start()
    wait_for(lambda: list(tmp_path.glob("out.part-*")))
    with pytest.raises(DataError, match=r"was made with other arguments \(seed\)"):
        make(tmp_path / "out", seed=1)
    assert make_folder(tmp_path / "out", "things", {"seed": 0}, lambda folder: 1 / 0)["count"] == 2
    first.join()


def test_what_is_not_ours_stays(tmp_path):
    """Folders of the user's that look like scratch folders; a lock file that names something else."""
    for name in "out.part", "out.part-mine", "other.part-0123456789ab", "precious":
        write_file(tmp_path / name / "file", "mine")
    for written in (
        "precious",
        "../precious",
        "other.part-0123456789ab",
        "out.part-mine",
        "",
        "out.part-0123456789ab/..",
    ):
        (tmp_path / ".out.lock").write_text(written)
        make(tmp_path / "out")
        (tmp_path / "out" / "a" / "one.txt").unlink()
        (tmp_path / "out" / "a").rmdir()
        (tmp_path / "out" / "two.txt").unlink()
        (tmp_path / "out" / "manifest.json").unlink()
    (tmp_path / "out").rmdir()
    assert names(tmp_path) == ["other.part-0123456789ab", "out.part", "out.part-mine", "precious"]


DAMAGES = {
    "changed": lambda out: (out / "two.txt").write_bytes(b"twO"),
    "cut": lambda out: (out / "a" / "one.txt").write_bytes(b"on"),
    "gone": lambda out: (out / "two.txt").unlink(),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_made_means_that_every_byte_is_right_and_the_fix_fixes(tmp_path, damage):
    make(tmp_path / "out")
    DAMAGES[damage](tmp_path / "out")
    changed = "a/one.txt" if damage == "cut" else "two.txt"
    with pytest.raises(DataError, match=f"out: {changed} was changed after it was written; remove .*out and run this"):
        make(tmp_path / "out")
    os.rename(tmp_path / "out", tmp_path / "removed")
    assert make(tmp_path / "out")["count"] == 2


def test_the_place_may_be_a_link_or_the_folder_where_one_stands(tmp_path, monkeypatch):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    make(tmp_path / "link")
    assert (tmp_path / "link").is_symlink() and read_manifest(tmp_path / "real", "things")["count"] == 2
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    make(Path("."))
    assert names(tmp_path) == ["here", "link", "real"] and read_manifest(tmp_path / "here", "things")["count"] == 2


def test_a_lock_outlives_its_file(tmp_path):
    """The first writer removes the lock file at its end; who had opened it before that must not believe in it."""
    with only_writer(tmp_path / "out"):
        early = os.open(tmp_path / ".out.lock", os.O_RDWR)
    assert not (tmp_path / ".out.lock").exists()
    assert not folder_module._same(early, tmp_path / ".out.lock")
    os.close(early)
    with only_writer(tmp_path / "out"):
        assert names(tmp_path) == [".out.lock"]
    assert names(tmp_path) == []


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_writer_that_is_killed_leaves_no_folder_of_that_name(tmp_path, how):
    first = hold(tmp_path / "out")
    os.kill(first.pid, how)
    first.join()
    assert not (tmp_path / "out").exists()
    make(tmp_path / "out", seed=3)
    assert names(tmp_path) == ["out"]


def test_files_are_whole_or_the_old_ones(tmp_path, monkeypatch):
    assert write_file(tmp_path / "new" / "a.txt", "abc").startswith("ba7816bf")  # SHA-256 of "abc"
    monkeypatch.setattr(Path, "replace", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_file(tmp_path / "new" / "a.txt", "def")
    assert names(tmp_path / "new") == ["a.txt"] and (tmp_path / "new" / "a.txt").read_text() == "abc"


def test_a_process_ends_with_the_one_that_started_it(tmp_path):
    """Killed, too: else a shard would write on beside the run that resumes."""
    child = (
        "import time; from data_engine.shards import end_with_starter; end_with_starter(); print('up'); time.sleep(60)"
    )
    parent = (
        "import os, subprocess, sys, time; from data_engine.shards import starter\n"
        "tie, handle = starter()\n"
        f"child = subprocess.Popen([sys.executable, '-uc', {child!r}], env=os.environ | tie, pass_fds=[handle])\n"
        "os.close(handle); print(child.pid, flush=True); time.sleep(60)"
    )
    started = subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True)
    pid = int(started.stdout.readline())
    assert started.stdout.readline() == "up\n" and Path(f"/proc/{pid}").exists()
    started.kill()
    started.wait()
    wait_for(lambda: not Path(f"/proc/{pid}").exists() or " Z " in Path(f"/proc/{pid}/stat").read_text())
