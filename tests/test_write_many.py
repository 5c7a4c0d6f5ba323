"""Rows over many worlds: counts by hand, disjoint splits, Parquet as ms-swift reads it, every planted fault."""

import hashlib
import json
import re
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from data_engine.dataset import DataError, read_rows, write_rows
from data_engine.gelab import parquet
from data_engine.gelab.build_many import build_many
from data_engine.gelab.graph import WorldError
from data_engine.gelab.world import read_pixels
from data_engine.gelab.write_many import Options, write_many
from data_engine.geometry import Size

pq = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed: pip install pyarrow")
MODULE = "data_engine.gelab.write_many"


@pytest.fixture(scope="module")
def worlds(tmp_path_factory) -> Path:
    """Six worlds of five pages: page_0 leads to 1 and 2, these to 3 and 4."""
    out = tmp_path_factory.mktemp("many") / "worlds"
    build_many(out, 6, seed=1, options={"tree": [2, 1], "page_size": Size(112, 112)})
    return out


@pytest.fixture(scope="module")
def made(worlds, tmp_path_factory) -> Path:
    """All rows of four training worlds and of one evaluation world."""
    out = tmp_path_factory.mktemp("rows") / "made"
    write_many(worlds, out, Options(4, 1, parquet=True))
    return out


@pytest.fixture
def data(made, tmp_path) -> Path:
    """A copy to plant a fault in."""
    return Path(shutil.copytree(made, tmp_path / "data"))


@pytest.fixture
def verify(tool_module, capsys):
    """verify(folder, *flags) -> (exit code, kinds of the faults, output)."""
    tool = tool_module("verify_data")

    def verify(folder: Path, *flags: str) -> tuple[int, set[str], str]:
        code = tool.main([str(folder), "--json", *flags])
        text = capsys.readouterr().out
        return code, set(json.loads(text)["kinds"]), text

    return verify


def manifest_of(folder: Path) -> dict:
    return json.loads((folder / "manifest.json").read_text())


def edit(folder: Path, **fields: object) -> None:
    (folder / "manifest.json").write_text(json.dumps(manifest_of(folder) | fields))


def seal(folder: Path) -> None:
    """Repair hashes and counts, as a careful forger would; the Parquet files stay as they are."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "manifest.json"]
    rows = {path.name: len(path.read_bytes().splitlines()) for path in folder.glob("*.jsonl")}
    hashes = {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    edit(folder, files=hashes, rows=rows)


def test_counts_by_hand(made):
    # Distances: from page_0 1+1+2+2; from page_1 and page_2 1+1+2+3 each; from 3 and 4 (back, home) 1+1+2+3 each.
    steps = 6 + 4 * 7
    paths = steps + 20  # the 20 ordered pairs end with a `complete` each
    edges, names = 4 + 4 + 2, 4 + 2  # icons, back, home; back and home are names, too
    assert manifest_of(made)["rows"] == {"train.jsonl": 4 * (paths + edges + 2 * names), "eval.jsonl": paths}
    kinds = Counter(row["source"] if row["source"] == "icon" else row["source"][4:] for row in rows(made, "train"))
    assert kinds == {"": 4 * paths, "_edge": 4 * edges, "icon": 4 * 2 * names}


def rows(folder: Path, split: str) -> list[dict]:
    return read_rows(folder / f"{split}.jsonl")


def shown(folder: Path, split: str) -> set[str]:
    return {row["images"][0].split("/")[1] for row in rows(folder, split)}


def test_training_takes_the_first_worlds_evaluation_the_last(made):
    assert shown(made, "train") == {"000000", "000001", "000002", "000003"}
    assert shown(made, "eval") == {"000005"}
    assert sorted(path.name for path in (made / "worlds").iterdir()) == [f"00000{i}" for i in (0, 1, 2, 3, 5)]


def test_tasks_are_drawn_apart_and_alike_for_any_number_of_training_worlds(worlds, tmp_path):
    few, more = tmp_path / "few", tmp_path / "more"
    write_many(worlds, few, Options(2, 2, tasks_per_world=3))
    write_many(worlds, more, Options(3, 2, tasks_per_world=3))
    for name in ("000000", "000005"):
        split = "train" if name == "000000" else "eval"
        tasks = {row["task"] for row in rows(few, split) if name in row["images"][0] and row["source"][4:] == ""}
        assert len(tasks - {"caption", "grounding"}) == 3
    assert (few / "eval.jsonl").read_bytes() == (more / "eval.jsonl").read_bytes()
    assert (more / "train.jsonl").read_bytes().startswith((few / "train.jsonl").read_bytes())


def test_same_arguments_same_bytes(worlds, made, tmp_path):
    write_many(worlds, tmp_path / "again", Options(4, 1, parquet=True))
    for path in made.rglob("*"):
        if path.is_file():
            assert path.read_bytes() == (tmp_path / "again" / path.relative_to(made)).read_bytes(), path
    write_many(worlds, tmp_path / "other", Options(4, 1, seed=1, parquet=True))
    assert (tmp_path / "other" / "train.parquet").read_bytes() != (made / "train.parquet").read_bytes()


def test_as_a_user_starts_it(worlds, tmp_path, cli):
    command = [worlds, tmp_path / "out", "--worlds-train", 4, "--worlds-eval", 2, "--tasks-per-world", 5]
    done = cli(MODULE, *command, "--clicks", "center", "--system-in-rows")
    assert done.returncode == 0, done.stderr
    assert "rows of 4 worlds" in done.stdout and "equal rows merged" in done.stdout and "world/s" in done.stderr
    assert {row["messages"][0]["role"] for row in rows(tmp_path / "out", "train")} == {"system"}
    assert not list((tmp_path / "out").glob("*.parquet"))
    assert cli("tools/verify_data.py", tmp_path / "out").returncode == 0
    assert cli(MODULE, *command, "--clicks", "center").returncode == 2  # made with other arguments


@pytest.mark.parametrize(
    "options, said",
    [
        (Options(5, 2), "--worlds-train 5 and --worlds-eval 2 are more than the 6 worlds"),
        (Options(0, 2), "--worlds-train 0: must be 1 or more"),
        (Options(2, 0), "--worlds-eval 0: must be 1 or more"),
        (Options(2, 1, tasks_per_world=0), "--tasks-per-world 0: must be 1 or more"),
    ],
)
def test_what_does_not_fit_is_refused(worlds, tmp_path, options, said):
    with pytest.raises(DataError, match=f"^{said}"):
        write_many(worlds, tmp_path / "out", options)
    assert list(tmp_path.iterdir()) == []


def test_worlds_that_were_spoilt_are_refused(worlds, tmp_path):
    copy = Path(shutil.copytree(worlds, tmp_path / "worlds"))
    with pytest.raises(DataError, match="lies inside"):
        write_many(copy, copy / "rows", Options(2, 1))
    with open(copy / "000001" / "pages" / "page_0.png", "ab") as file:
        file.write(b"x")
    with pytest.raises(DataError, match="page_0.png: missing or changed"):
        write_many(copy, tmp_path / "out", Options(2, 1))
    with open(copy / "000001" / "manifest.json", "a") as file:
        file.write("\n")
    with pytest.raises(DataError, match="000001: was changed after it was built"):
        write_many(copy, tmp_path / "out", Options(2, 1))
    made = manifest_of(copy)["worlds"]
    edit(copy, worlds=made | {"000005": made["000005"] | {"fingerprint": made["000000"]["fingerprint"]}})
    with pytest.raises(DataError, match="worlds 000000 and 000005 are the same, but of two splits"):
        write_many(copy, tmp_path / "out", Options(2, 1))
    edit(copy, worlds=made, arguments=manifest_of(copy)["arguments"] | {"page_size": [100, 100]})
    with pytest.raises(WorldError, match="sides must be multiples"):
        write_many(copy, tmp_path / "out", Options(2, 1))
    assert not (tmp_path / "out").exists()


def test_without_pyarrow(worlds, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    with pytest.raises(DataError, match="^--parquet: pyarrow is not installed here; run: pip install pyarrow$"):
        write_many(worlds, tmp_path / "out", Options(2, 1, parquet=True))
    write_many(worlds, tmp_path / "out", Options(2, 1))


# The Parquet file


def test_a_screenshot_lies_in_the_file_once(made):
    """304 rows show four worlds' 20 pages: the file has room for each row's text and each page once, not for more."""
    written = rows(made, "train")
    size = {name: (made / name).stat().st_size for row in written for name in row["images"]}
    once, each = sum(size.values()), sum(size[name] for row in written for name in row["images"])
    assert len(written) == 304 and len(size) == 20 and each > 15 * once
    assert (made / "train.parquet").stat().st_size < once + (made / "train.jsonl").stat().st_size / 2 < each / 4


def test_groups_are_whole_worlds(made, tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "LEAST", 100)
    parquet.write_parquet(made / "train.jsonl", made / "train.jsonl.groups")
    with pq.ParquetFile(made / "train.jsonl.groups") as file:  # 76 rows a world: two and two
        assert [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)] == [152, 152]
    monkeypatch.setattr(parquet, "MOST", 50)
    parquet.write_parquet(made / "train.jsonl", made / "train.jsonl.groups")
    with pq.ParquetFile(made / "train.jsonl.groups") as file:
        assert [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)] == [50] * 6 + [4]
    (made / "train.jsonl.groups").unlink()


@pytest.mark.parametrize("streaming", [False, True])
def test_ms_swift_reads_it_without_a_plugin(made, tmp_path, monkeypatch, streaming):
    """By ms-swift's own loader, to the pixels that its template opens. Elsewhere: no path of a row leads anywhere."""
    from swift.dataset import load_dataset
    from swift.template import Template

    monkeypatch.setenv("MODELSCOPE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    shipped = Path(shutil.copy(made / "train.parquet", tmp_path / "shipped.parquet"))
    loaded = list(load_dataset([str(shipped)], strict=True, streaming=streaming)[0])
    written = rows(made, "train")
    assert [row["messages"] for row in loaded] == [row["messages"] for row in written]
    for row, origin in zip(loaded, written, strict=True):
        (image,) = [np.asarray(Template._load_image(image, True)) for image in row["images"]]
        assert np.array_equal(image, read_pixels(made / origin["images"][0]))
    unpacked = sum(path.stat().st_size for path in (tmp_path / "cache").rglob("*.arrow"))  # as the page says of it
    each = sum((made / row["images"][0]).stat().st_size for row in written)
    assert unpacked == 0 if streaming else unpacked > 2 * each


@pytest.mark.parametrize("split", ["train", "eval"])
def test_ms_swift_reads_the_rows_by_name(made, tmp_path, monkeypatch, split):
    from swift.dataset import load_dataset

    import swift_plugins.gui_datasets  # noqa: F401  (importing it registers)

    monkeypatch.setenv("WORLDS_DATA", str(made))
    monkeypatch.setenv("MAX_PIXELS", "12544")
    monkeypatch.setenv("MODELSCOPE_CACHE", str(tmp_path / "cache"))
    loaded = load_dataset([f"worlds/{split}"])[0]
    assert [row["images"][0]["path"] for row in loaded] == [str(made / row["images"][0]) for row in rows(made, split)]
    monkeypatch.delenv("WORLDS_DATA")
    with pytest.raises(DataError, match="WORLDS_DATA is not set: .*data_engine.gelab.write_many's OUT"):
        load_dataset([f"worlds/{split}"])


# The proof


def test_what_was_written_is_proven(worlds, made, verify):
    code, kinds, text = verify(worlds)
    assert (code, kinds) == (0, set()) and json.loads(text)["checked"] == {"*/pages": 30}
    code, kinds, text = verify(made)
    checked = json.loads(text)["checked"]
    assert (code, kinds) == (0, set())
    assert checked == {"train.jsonl": 304, "train.parquet": 304, "eval.jsonl": 54, "eval.parquet": 54}
    code, kinds, text = verify(made, "--limit", "100")
    assert (code, kinds) == (0, set()) and json.loads(text)["checked"]["train.parquet"] == 100


def spoil_a_page(folder: Path) -> None:
    (folder / "000002" / "pages" / "page_1.png").write_bytes((folder / "000002" / "pages" / "page_2.png").read_bytes())


def swap_worlds(folder: Path) -> None:
    shutil.rmtree(folder / "000002")
    shutil.copytree(folder / "000003", folder / "000002")


WORLD_FAULTS = [
    (spoil_a_page, {"edited file", "wrong screenshot", "empty box", "wrong fingerprint"}),
    (swap_worlds, {"edited file", "other world"}),
    (lambda folder: shutil.rmtree(folder / "000004"), {"missing file"}),
    (lambda folder: (folder / "notes").mkdir(), {"extra file"}),
    (lambda folder: (folder / "manifest.json").write_text('{"kind": "gelab-worlds"}'), {"broken manifest"}),
]


@pytest.mark.parametrize("plant, found", WORLD_FAULTS)
def test_a_fault_among_the_worlds_is_found(worlds, tmp_path, verify, plant, found):
    copy = Path(shutil.copytree(worlds, tmp_path / "worlds"))
    plant(copy)
    code, kinds, text = verify(copy)
    assert (code, kinds) == (1, found), text


def change_rows(folder: Path, split: str, change) -> None:
    written = rows(folder, split)
    write_rows(folder / f"{split}.jsonl", change(written) or written)
    seal(folder)


def of(written: list[dict], world: str) -> list[dict]:
    return [row for row in written if f"/{world}/" in row["images"][0]]


def numbered(written: list[dict]) -> list[dict]:
    return [row | {"idx": i} for i, row in enumerate(written)]


def world_of_other_split(folder: Path) -> None:
    split = manifest_of(folder)["split"]
    edit(folder, split={"train": split["train"] | split["eval"], "eval": split["eval"]})


def picture_of_another_page(folder: Path) -> None:
    table = list(parquet.read_parquet(folder / "eval.parquet"))
    table[7]["images"][0]["bytes"] = (folder / "worlds" / "000005" / "pages" / "page_4.png").read_bytes()
    assert table[7]["images"][0]["path"] != "worlds/000005/pages/page_4.png"
    pq.write_table(parquet.pyarrow().Table.from_pylist(table, parquet._schema()), folder / "eval.parquet")
    seal(folder)


def short_parquet(folder: Path) -> None:
    table = pq.read_table(folder / "eval.parquet")
    pq.write_table(table.slice(0, len(table) - 1), folder / "eval.parquet")
    seal(folder)


def broken_parquet(folder: Path) -> None:
    (folder / "eval.parquet").write_bytes(b"PAR1")
    seal(folder)


def wrong_click(written: list[dict]) -> None:
    row = next(row for row in written if "(start_box" in row["messages"][-1]["content"])
    row["messages"][-1]["content"] = re.sub(r"\(\d+,\d+\)", "(0,0)", row["messages"][-1]["content"])


def same_file(name: str, other: str):
    return lambda folder: (
        (folder / name).write_bytes((folder / other).read_bytes()),
        seal(folder),
    )


ROW_FAULTS = [
    (lambda d: change_rows(d, "eval", lambda w: w[:-1]), {"row count", "wrong parquet"}),
    (lambda d: change_rows(d, "train", lambda w: numbered(w[:76] + w[152:])), {"row count", "wrong parquet"}),
    (lambda d: change_rows(d, "train", lambda w: w[76:] + w[:76]), {"row order", "wrong parquet"}),
    (lambda d: change_rows(d, "train", lambda w: numbered(w[:50] + w[76:152] + w[50:76])), {"row order", "row count"}),
    (lambda d: change_rows(d, "train", wrong_click), {"missed click", "wrong parquet"}),
    (same_file("train.jsonl", "eval.jsonl"), {"wrong image", "wrong parquet"}),
    (same_file("train.parquet", "eval.parquet"), {"wrong parquet"}),
    (same_file("worlds/000001/pages/page_1.png", "worlds/000001/pages/page_2.png"), {"wrong screenshot"}),
    (world_of_other_split, {"wrong split"}),
    (picture_of_another_page, {"wrong parquet"}),
    (short_parquet, {"wrong parquet"}),
    (broken_parquet, {"wrong parquet"}),
    (lambda d: ((d / "eval.parquet").unlink(), seal(d)), {"broken manifest"}),
    (lambda d: (d / "notes.txt").write_text("x"), {"extra file"}),
    (lambda d: edit(d, prompt_sha256="0" * 64), {"other prompts"}),
    (lambda d: edit(d, max_pixels=1), {"page size"}),
]


@pytest.mark.parametrize("plant, found", ROW_FAULTS)
def test_a_fault_among_the_rows_is_found(data, verify, plant, found):
    plant(data)
    code, kinds, text = verify(data)
    assert code == 1 and found <= kinds, text
