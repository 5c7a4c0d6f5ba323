"""What is written stands apart from what it is made from, and holds nothing but what the world's manifest names."""

import json
import os
import shutil
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data_engine.dataset import DataError, read_json, sha256
from data_engine.gelab.blank import blank
from data_engine.gelab.build import build
from data_engine.gelab.build_many import build_many
from data_engine.gelab.export import export
from data_engine.gelab.graph import WorldError
from data_engine.gelab.vary import vary
from data_engine.gelab.verify import verify
from data_engine.gelab.world import World, check_apart
from data_engine.gelab.write import Options, write
from data_engine.gelab.write_many import Options as ManyOptions
from data_engine.gelab.write_many import write_many
from data_engine.geometry import Size
from data_engine.pictures import read_picture

ONE = Options(0, "union", "uniform", (1,), 1, 1, 1)
PAGE = Size(112, 112)


@pytest.fixture
def folder(tmp_path) -> Path:
    """world/ of three pages, data/ of its rows, and worlds/ of two worlds."""
    build(tmp_path / "world", tree=(2,), page_size=PAGE)
    write(tmp_path / "world", tmp_path / "data", ONE)
    build_many(tmp_path / "worlds", 2, options={"tree": [2, 1], "page_size": PAGE})
    return tmp_path


# Command -> what it reads below the folder
COMMANDS = {
    "data_engine.gelab.vary": ("world", lambda source, out: [source, out, "--position"]),
    "data_engine.gelab.write": ("world", lambda source, out: [source, out, "--sft-subtrees", 1, *SUBTREES]),
    "data_engine.gelab.blank": ("data", lambda source, out: [source, out]),
    "data_engine.gelab.export": ("data", lambda source, out: ["world", source, out]),
    "data_engine.gelab.write_many": ("worlds", lambda s, out: [s, out, "--worlds-train", 1, "--worlds-eval", 1]),
    "tools/show_world.py": ("world", lambda source, out: [source, "--out", out]),
}
SUBTREES = ["--st-rl-subtree", 1, "--mt-rl-subtree", 1, "--test-subtree", 1]


def state(folder: Path) -> dict[str, str]:
    """Path below the folder -> hash, of every file."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): sha256(path) for path in files}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    "out, words",
    [
        ("{}", "lies inside"),
        ("{}/out", "lies inside"),
        ("{}/pages/../deep/out", "lies inside"),
        ("link/out", "lies inside"),
        (".", "holds"),
        ("up", "holds"),
    ],
)
def test_no_command_writes_into_its_source_or_around_it(cli, folder, command, out, words):
    source, arguments = COMMANDS[command]
    (folder / "link").symlink_to(folder / source)
    (folder / "up").symlink_to(folder)
    before = state(folder)
    done = cli(command, *arguments(source, out.format(source)), cwd=folder)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
    assert words in done.stderr and done.stderr.endswith("choose a folder beside it\n")
    assert state(folder) == before


def test_names_that_begin_alike_are_apart(tmp_path):
    check_apart(tmp_path / "world-2", tmp_path / "world")
    check_apart(tmp_path / "world", tmp_path / "world-2")


# ---- copies


def litter(world: Path, tmp_path: Path) -> None:
    """Foreign files, folders and links in a world, the last to what is nobody's business."""
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "key.txt").write_text("hush")
    (world / "notes.txt").write_text("mine")
    (world / "pages" / "page_99.png").write_text("mine")
    (world / ".cache").mkdir()
    (world / ".cache" / "index").write_text("mine")
    (world / "link").symlink_to(tmp_path / "secret")
    (world / "pages" / "key.png").symlink_to(tmp_path / "secret" / "key.txt")
    (world / "dead").symlink_to(tmp_path / "nothing")


def make_write(folder: Path, out: Path) -> None:
    write(folder / "world", out, ONE)


def make_write_many(folder: Path, out: Path) -> None:
    write_many(folder / "worlds", out, ManyOptions(1, 1))


def make_blank(folder: Path, out: Path) -> None:
    blank(folder / "data", out)


def make_export(folder: Path, out: Path) -> None:
    export(folder / "world", folder / "data", out)


def make_variant(folder: Path, out: Path) -> None:
    vary(folder / "world", out, "position")


MAKERS = {
    make_write: "world",
    make_write_many: "worlds/000000",
    make_blank: "data/world",
    make_export: "world",
    make_variant: "world",
}


@pytest.mark.parametrize("make, world", MAKERS.items())
def test_nothing_foreign_is_copied(folder, tmp_path, make, world):
    make(folder, tmp_path / "clean")
    litter(folder / world, tmp_path)
    make(folder, tmp_path / "out")
    assert state(tmp_path / "out") == state(tmp_path / "clean")
    assert not any(path.is_symlink() for path in (tmp_path / "out").rglob("*"))
    assert make is make_export or verify(tmp_path / "out").faults == []


def test_a_world_of_links_is_copied_as_files(folder, tmp_path):
    """As caches keep files: each a link to a store. What they hold is proven by its hash, so it is the world's."""
    shutil.move(folder / "world" / "pages", tmp_path / "store")
    (folder / "world" / "pages").mkdir()
    for path in (tmp_path / "store").iterdir():
        (folder / "world" / "pages" / path.name).symlink_to(path)
    make_write(folder, tmp_path / "out")
    assert not any(path.is_symlink() for path in (tmp_path / "out").rglob("*"))
    assert sha256(tmp_path / "out" / "manifest.json") == sha256(folder / "data" / "manifest.json")


def test_a_link_to_something_else_is_no_page(folder, tmp_path):
    (tmp_path / "key.txt").write_text("hush")
    (folder / "world" / "pages" / "page_1.png").unlink()
    (folder / "world" / "pages" / "page_1.png").symlink_to(tmp_path / "key.txt")
    with pytest.raises(DataError, match="page_1.png: missing or changed after the world was built; build it again, or"):
        make_write(folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def edited(path: Path, change) -> None:
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))


def test_a_manifest_takes_no_file_along(folder, tmp_path):
    (tmp_path / "key.txt").write_text("hush")
    edited(
        folder / "world" / "manifest.json", lambda m: m["files"].update({"../key.txt": sha256(tmp_path / "key.txt")})
    )
    with pytest.raises(DataError, match="manifest.json: names '../key.txt', which is of no page; build it again, or"):
        make_write(folder, tmp_path / "out")


def test_a_manifest_of_rows_names_no_path(folder, tmp_path):
    (folder / "rows.jsonl").write_text("mine")

    def name_it(manifest: dict) -> None:
        manifest["rows"]["../rows.jsonl"] = 1
        manifest["files"]["../rows.jsonl"] = sha256(folder / "rows.jsonl")

    edited(folder / "data" / "manifest.json", name_it)
    with pytest.raises(DataError, match="data/manifest.json: '../rows.jsonl' is no file of rows; write the rows again"):
        blank(folder / "data", tmp_path / "a" / "b")
    edited(folder / "data" / "manifest.json", lambda manifest: manifest.pop("merged"))
    with pytest.raises(DataError, match="data/manifest.json: 'merged' is not there; write the rows again"):
        blank(folder / "data", tmp_path / "a" / "b")
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("name", ["../../x", "000000/../x", "0", "x"])
def test_a_manifest_of_worlds_names_no_path(folder, tmp_path, name):
    edited(folder / "worlds" / "manifest.json", lambda m: m["worlds"].update({name: m["worlds"]["000000"]}))
    with pytest.raises(DataError, match="manifest.json: a name in worlds: Expected .* regex .*; make the folder again"):
        write_many(folder / "worlds", tmp_path / "out", ManyOptions(1, 1))


# ---- other names from a table


def table(tmp_path: Path, text: str, encoding: str = "utf-8") -> Path:
    (tmp_path / "names.tsv").write_text(text, encoding=encoding)
    return tmp_path / "names.tsv"


def test_a_table_may_begin_with_a_mark(folder, tmp_path):
    first, second = read_json(folder / "world" / "manifest.json")["icons"]
    names = table(tmp_path, f"{first}\tred box\r\n\r\n{second}\tblue box\r\n", "utf-8-sig")
    assert set(vary(folder / "world", tmp_path / "out", "name", names=names)["icons"]) == {"red box", "blue box"}


@pytest.mark.parametrize(
    "text, words",
    [
        ("{0}\tred box\n{0}z\tblue box\n", "{0}z' is no icon of the world, and no category; fix the line"),
        ("{0}\tred box\n\n{0}\tblue box\n", ":3: '{0}' has another name already; keep one of the two"),
        ("{0} \tred box\n", "{0} ' is no icon of the world"),
        ("{0}\tred box \n", "icon name 'red box ' does not read back as it is written; rename it"),
        ("\n{0} red box\n", ":2: not NAME<tab>OTHER; fix the line"),
    ],
)
def test_a_line_that_does_nothing_is_refused(folder, tmp_path, text, words):
    name = next(iter(read_json(folder / "world" / "manifest.json")["icons"]))
    with pytest.raises(ValueError) as error:  # DataError or WorldError
        vary(folder / "world", tmp_path / "out", "name", names=table(tmp_path, text.format(name)))
    assert "--names " in str(error.value) and words.format(name) in str(error.value)
    assert len(str(error.value).splitlines()) == 1 and not (tmp_path / "out").exists()


def test_a_subtree_that_is_not_is_named_by_its_flag(folder, tmp_path):
    for field, flag in (("st_rl_subtree", "--st-rl-subtree"), ("test_subtree", "--test-subtree")):
        options = {"sft_subtrees": (1,), "st_rl_subtree": 1, "mt_rl_subtree": 1, "test_subtree": 1} | {field: 5}
        with pytest.raises(
            WorldError, match=f"^{flag} 5: no subtree 5: page_0 leads to page_1, page_2; give the number"
        ):
            write(folder / "world", tmp_path / "out", Options(**options))


# ---- pictures that are none


def bomb(path: Path, side: int) -> None:
    """A PNG of a few bytes that says it is ``side`` pixels wide and high."""
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 100)), (b"IEND", b""))
    parts = (struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


BROKEN = {
    "bomb": lambda path: bomb(path, 60_000),
    "large": lambda path: bomb(path, 10_000),  # where Pillow warns, two lines of it
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-40]),
    "text": lambda path: path.write_text("no picture"),
    "empty": lambda path: path.write_bytes(b""),
    "folder": lambda path: (path.unlink(), path.mkdir()),
    "broken chunk": lambda path: path.write_bytes(path.read_bytes()[:33] + b"\xff" * 60),
}


@pytest.fixture
def icons(tmp_path) -> Path:
    """Two icons of noise."""
    (tmp_path / "icons" / "Toys" / "PNG").mkdir(parents=True)
    for i in range(2):
        pixels = np.random.default_rng(i).integers(0, 255, (40, 40, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "icons" / "Toys" / "PNG" / f"{i}.png")
    return tmp_path / "icons"


@pytest.mark.parametrize("damage", BROKEN.values(), ids=BROKEN)
def test_an_icon_that_is_no_picture_is_one_line(cli, icons, tmp_path, damage):
    damage(icons / "Toys" / "PNG" / "1.png")
    done = cli("data_engine.gelab.build", "w", "--tree", 2, "--icons", icons, "--page-size", "112x112", cwd=tmp_path)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
    assert "1.png: " in done.stderr and not (tmp_path / "w").exists()


@pytest.mark.parametrize("damage", [d for name, d in BROKEN.items() if name != "folder"])
def test_a_page_that_is_no_picture_is_one_fault(folder, damage):
    page = folder / "world" / "pages" / "page_1.png"
    damage(page)
    edited(folder / "world" / "manifest.json", lambda m: m["files"].update({"pages/page_1.png": sha256(page)}))
    faults = verify(folder / "world").faults
    assert {fault.kind for fault in faults} == {"wrong screenshot", "wrong fingerprint"}
    assert (
        str(faults[0]).startswith("pages/page_1.png: wrong screenshot: is no picture (")
        and os.sep not in faults[0].what
    )
    with pytest.raises(DataError, match="page_1.png: is no picture"):
        World(folder / "world").screenshot("page_1")


def test_a_missing_picture_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_picture(tmp_path / "none.png", "RGB")
