"""Same arguments, same bytes: with another PYTHONHASHSEED, other workers, another working directory."""

from pathlib import Path

import pytest

BUILD, WRITE = "data_engine.gelab.build", "data_engine.gelab.write"
TREE = ["--tree", 5, 2, 1, "--seed", 3, "--page-size", "112x112"]


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def made(cli, tmp_path_factory):
    """made(name, workers, **environment): world and rows, by the command line, in a folder of their own."""
    base = tmp_path_factory.mktemp("determinism")

    def made(name: str, workers: int, **environment: str) -> dict[str, bytes]:
        folder = base / name
        folder.mkdir()
        for script, args in [(BUILD, ["w", *TREE, "--workers", workers]), (WRITE, ["w", "rows", "--seed", 5])]:
            done = cli(script, *args, cwd=folder, **environment)
            assert done.returncode == 0, done.stderr
        return contents(folder)

    return made


@pytest.fixture(scope="module")
def first(made) -> dict[str, bytes]:
    return made("first", workers=1, PYTHONHASHSEED="0")


def test_what_is_made(first):
    names = {name for name in first if not name.endswith(".png")}
    rows = {"sft", "st_rl", "mt_rl", "eval_id", "eval_ood", "tasks_id", "tasks_ood"}
    assert names == {f"rows/{name}.jsonl" for name in rows} | {
        f"{world}/{name}.json" for world in ("w", "rows/world") for name in ("manifest", "ui_structure")
    } | {"rows/manifest.json"}
    assert sum(name.endswith(".png") for name in first) == 2 * 26


@pytest.mark.parametrize("hash_seed, workers", [("1", 1), ("4242", 3), ("random", 2)])
def test_hash_seed_workers_and_folder_change_no_byte(made, first, hash_seed, workers):
    again = made(f"again-{hash_seed}", workers, PYTHONHASHSEED=hash_seed)
    assert again.keys() == first.keys()
    assert [name for name in first if again[name] != first[name]] == []


def test_another_seed_does(cli, tmp_path, first):
    """Without this the test above could pass on constants."""
    done = cli(BUILD, "w", "--tree", 5, 2, 1, "--seed", 4, "--page-size", "112x112", cwd=tmp_path)
    assert done.returncode == 0
    again = contents(tmp_path)
    assert again["w/ui_structure.json"] != first["w/ui_structure.json"]
    assert again["w/pages/page_0.png"] != first["w/pages/page_0.png"]
