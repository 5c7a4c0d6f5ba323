"""Many worlds: shards, workers, Ray and a kill change no byte; what lies in the way is refused in one line."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from data_engine import folder, shards
from data_engine.dataset import DataError
from data_engine.folder import only_writer
from data_engine.gelab.build import build
from data_engine.gelab.build_many import build_many, world_name, world_seed
from data_engine.geometry import Size

MODULE = "data_engine.gelab.build_many"
OPTIONS = {"tree": [2, 1], "page_size": Size(112, 112)}  # five pages a world
FLAGS = ["--tree", "2", "1", "--page-size", "112x112"]
WORLDS = 9


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def assert_same(folder: Path, other: dict[str, bytes]) -> None:
    found = contents(folder)
    assert found.keys() == other.keys()
    assert [name for name in found if found[name] != other[name]] == []


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """Nine worlds, built one after the other in this process."""
    out = tmp_path_factory.mktemp("many") / "made"
    build_many(out, WORLDS, seed=3, options=OPTIONS)
    return out


@pytest.fixture(scope="module")
def bytes_made(made) -> dict[str, bytes]:
    return contents(made)


def test_what_is_made(made, bytes_made):
    assert sorted(path.name for path in made.iterdir()) == [f"00000{i}" for i in range(9)] + ["manifest.json"]
    assert len(bytes_made) == 9 * (5 + 2) + 1
    manifest = json.loads(bytes_made["manifest.json"])
    assert manifest["arguments"] == {"worlds": 9, "seed": 3, "tree": [2, 1], "page_size": [112, 112], "icons": None}
    assert len({world["fingerprint"] for world in manifest["worlds"].values()}) == 9


@pytest.mark.parametrize("workers, shard", [(1, 1), (2, 2), (3, 100), (4, 4)])
def test_workers_and_shards_change_no_byte(tmp_path, bytes_made, workers, shard):
    build_many(tmp_path / "again", WORLDS, seed=3, workers=workers, shard=shard, options=OPTIONS)
    assert_same(tmp_path / "again", bytes_made)


def test_a_world_is_what_build_makes_of_its_seed(tmp_path, made):
    build(tmp_path / "one", seed=world_seed(3, 4), **OPTIONS)
    assert_same(tmp_path / "one", contents(made / world_name(4)))


def test_collections_of_near_seeds_share_no_world():
    seeds = [world_seed(seed, number) for seed in range(20) for number in range(200)]
    assert len(set(seeds)) == 4000 and 0 <= min(seeds) and max(seeds) < 2**53


def test_more_worlds_begin_with_the_same_ones(tmp_path, bytes_made):
    build_many(tmp_path / "more", WORLDS + 2, seed=3, options=OPTIONS)
    more = contents(tmp_path / "more")
    assert [name for name in bytes_made if name != "manifest.json" and more[name] != bytes_made[name]] == []


def start(out: Path, *flags: object) -> subprocess.Popen:
    command = [sys.executable, "-m", MODULE, str(out), *map(str, flags)]
    env = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finished(out: Path) -> dict[str, int]:
    """Finished worlds, and when each was finished."""
    whole = (path for path in out.glob("*/manifest.json") if path.parent.suffix != ".part")
    return {path.parent.name: path.stat().st_mtime_ns for path in whole}


@pytest.mark.parametrize("workers", [1, 2])
def test_killed_and_resumed_it_ends_with_the_same_bytes(tmp_path, workers):
    flags = ["--worlds", 60, "--seed", 5, "--workers", workers, "--shard", 2, *FLAGS]
    out, whole = tmp_path / "out", tmp_path / "whole"
    build_many(whole, 60, seed=5, options=OPTIONS)
    run = start(out, *flags)
    until = time.monotonic() + 60
    while len(finished(out)) < 7 and time.monotonic() < until:
        time.sleep(0.005)
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    with only_writer(out):  # free as soon as the workers have ended, too
        before = finished(out)
    assert 7 <= len(before) < 60 and not (out / "manifest.json").exists()
    left = out / "000059.part-0123456789ab"  # a world that was cut off, in any case
    (left / "pages").mkdir(parents=True)
    (left / "pages" / "page_0.png").write_bytes(b"half")
    (out / ".000059.lock").write_text(left.name)

    again = start(out, *flags)
    said, complaints = again.communicate()
    assert again.returncode == 0, complaints
    assert f"60 worlds, 60 of them different; {60 - len(before)} built now" in said and "worlds/s" in said
    assert "world/s" in complaints  # the progress bar: rate and remaining time
    assert_same(out, contents(whole))
    after = finished(out)
    assert {name: after[name] for name in before} == before, "a finished world was built again"


def test_the_first_ones_now_the_others_later(tmp_path, bytes_made, cli):
    first = cli(MODULE, tmp_path / "out", "--worlds", WORLDS, "--seed", 3, "--limit", 4, *FLAGS)
    assert first.returncode == 0 and "4 worlds, 4 built now" in first.stdout and "without --limit" in first.stdout
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["000000", "000001", "000002", "000003"]
    rest = cli(MODULE, tmp_path / "out", "--worlds", WORLDS, "--seed", 3, *FLAGS)
    assert "9 worlds, 9 of them different; 5 built now" in rest.stdout
    assert_same(tmp_path / "out", bytes_made)
    nothing = cli(MODULE, tmp_path / "out", "--worlds", WORLDS, "--seed", 3, *FLAGS)
    assert nothing.returncode == 0 and "0 built now" in nothing.stdout


def test_two_runs_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(folder, "_PATIENCE", 0.2)
    with only_writer(tmp_path / "out"), pytest.raises(DataError, match="out: another process is writing it"):
        build_many(tmp_path / "out", 2, options=OPTIONS)
    build_many(tmp_path / "out", 2, options=OPTIONS)


REFUSED = [
    (["--worlds", "8"], "holds world 000008, beyond --worlds 8"),
    (["--worlds", "10"], "was made with other arguments"),
    (["--worlds", "9", "--tree", "2", "2"], "000000: was made with other arguments"),
    (["--worlds", "9", "--seed", "4"], "000000: was made with other arguments"),
    (["--worlds", "0"], "--worlds 0: must be 1 or more"),
    (["--worlds", "9", "--workers", "0"], "--workers 0: must be 1 or more"),
    (["--worlds", "9", "--shard", "0"], "--shard 0: must be 1 or more"),
    (["--worlds", "9", "--limit", "0"], "--limit 0: must be 1 or more"),
]


@pytest.mark.parametrize("flags, said", REFUSED)
def test_what_does_not_fit_is_refused(made, bytes_made, cli, flags, said):
    done = cli(MODULE, made, "--seed", 3, *FLAGS, *flags)
    lines = [line for line in done.stderr.splitlines() if "world/s" not in line]
    assert done.returncode == 2 and len(lines) == 1 and said in lines[0], done.stderr
    assert_same(made, bytes_made)


def test_another_folder_is_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(DataError, match="holds notes.txt, which is no world"):
        build_many(tmp_path, 2, options=OPTIONS)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_fault_in_a_worker_is_one_line(tmp_path, cli, workers):
    (tmp_path / "out" / "000005").mkdir(parents=True)
    (tmp_path / "out" / "000005" / "x").touch()
    done = cli(MODULE, tmp_path / "out", "--worlds", 9, "--workers", workers, "--shard", 1, *FLAGS)
    assert done.returncode == 2 and not (tmp_path / "out" / "manifest.json").exists()
    assert done.stderr.splitlines()[-1].endswith("000005: no manifest.json; this is not a finished gelab-world folder")


@pytest.mark.parametrize(
    "change, said",
    [
        ({"versions": {"pillow": "1"}}, "drawn by other package versions"),
        ({"arguments": {"tree": [3]}}, "was made with other arguments"),
    ],
)
def test_a_world_of_other_making_is_found_at_the_end(tmp_path, change, said):
    build_many(tmp_path / "out", 3, limit=2, options=OPTIONS)
    path = tmp_path / "out" / "000001" / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(DataError, match=f"000001: {said}|000001: was {said}"):
        build_many(tmp_path / "out", 3, options=OPTIONS)


def test_only_a_few_shards_wait_at_a_time():
    flying, most = [], []

    def submit(shard: int) -> int:
        flying.append(shard)
        most.append(len(flying))
        return shard

    def first(running: list[int]) -> tuple[list[int], list[int]]:
        flying.remove(running[0])
        return [running[0] * 10], running[1:]

    results = shards._bounded(submit, first, iter(range(1000)), 4)
    assert list(results) == [10 * i for i in range(1000)]
    assert max(most) == 4


def test_without_ray(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(DataError, match="^--ray: Ray is not installed here; run: pip install ray$"):
        build_many(tmp_path / "out", 2, ray="local", options=OPTIONS)


@pytest.fixture
def ray_cli(cli, tmp_path):
    """ray_cli(out, address): the command with Ray, whose own files go to a home of this test."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install ray")
    path = os.pathsep.join(folder for folder in sys.path if folder)

    def run(out: Path, address: str) -> subprocess.CompletedProcess:
        flags = ["--worlds", WORLDS, "--seed", 3, "--shard", 2, "--ray", address, *FLAGS]
        for _ in range(3):  # Ray gives its own start 30 seconds, which a busy machine may need
            done = cli(MODULE, out, *flags, PYTHONPATH=path, HOME=str(tmp_path))
            if "timed out during startup" not in done.stderr:
                break
        return done

    return run


@pytest.mark.slow  # Ray takes tens of seconds to start
def test_ray_gives_the_same_bytes(tmp_path, bytes_made, ray_cli):
    done = ray_cli(tmp_path / "out", "local")
    assert done.returncode == 0, done.stderr
    assert "different" in done.stdout and "worlds/s" in done.stdout
    assert_same(tmp_path / "out", bytes_made)


@pytest.mark.slow
def test_a_fault_on_ray_is_one_line(tmp_path, ray_cli):
    (tmp_path / "out" / "000005").mkdir(parents=True)
    (tmp_path / "out" / "000005" / "x").touch()
    done = ray_cli(tmp_path / "out", "local")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].endswith("000005: no manifest.json; this is not a finished gelab-world folder")


@pytest.mark.slow
def test_a_cluster_that_is_not_there(tmp_path, ray_cli):
    done = ray_cli(tmp_path / "out", "127.0.0.1:1")
    assert done.returncode == 2
    assert "build_many: --ray 127.0.0.1:1: [Errno 111] Connection refused; is a cluster there" in done.stderr
