"""Rows and folders on disk: atomic, hashed, and refused with file and line when broken."""

import pytest

from data_engine.dataset import (
    DataError,
    read_json,
    read_manifest,
    read_rows,
    sha256,
    verified_path,
    write_json,
    write_rows,
)
from data_engine.folder import made, make_folder

ROWS = [{"idx": 0, "text": 'TAB\t, quote ", line\nend'}, {"idx": 1, "text": "Äpfel 🍎", "box": [1, 2]}]


@pytest.fixture
def folder(tmp_path):
    """A finished folder of kind "things" with two files."""
    make_folder(tmp_path / "things", "things", {"seed": 1}, fill)
    return tmp_path / "things"


def fill(folder):
    folder.write_rows("rows.jsonl", ROWS)
    folder.write("below/note.txt", "abc")
    return {"rows": 2}


def test_rows_come_back(tmp_path):
    assert write_rows(tmp_path / "r.jsonl", iter(ROWS)) == 2
    assert read_rows(tmp_path / "r.jsonl") == ROWS
    assert (tmp_path / "r.jsonl").read_bytes().count(b"\n") == 2


@pytest.mark.parametrize("limit, count", [(None, 2), (0, 0), (1, 1), (5, 2)])
def test_limit(tmp_path, limit, count):
    write_rows(tmp_path / "r.jsonl", ROWS)
    assert read_rows(tmp_path / "r.jsonl", limit) == ROWS[:count]


@pytest.mark.parametrize("line", [b"{", b"[1, 2]", b'"text"', b'{"a": 1} x', b"\xff\xfe", b"nan"])
def test_a_broken_line_is_named(tmp_path, line):
    (tmp_path / "r.jsonl").write_bytes(b'{"idx":0}\n' + line + b'\n{"idx":2}\n')
    with pytest.raises(DataError, match=r"r\.jsonl:2: not a JSON object( \(.+\))?; write the file again"):
        read_rows(tmp_path / "r.jsonl")


def test_missing_and_broken_files_are_named(tmp_path):
    for read in (read_rows, read_json, sha256):
        with pytest.raises(DataError, match="none.json: no such file"):
            read(tmp_path / "none.json")
    (tmp_path / "half.json").write_text("{")
    with pytest.raises(DataError, match="half.json: not JSON"):
        read_json(tmp_path / "half.json")


def test_json_is_replaced_whole_or_not_at_all(tmp_path):
    write_json(tmp_path / "a.json", {"a": 1})
    with pytest.raises(TypeError):
        write_json(tmp_path / "a.json", {"a": object()})
    assert read_json(tmp_path / "a.json") == {"a": 1}
    write_json(tmp_path / "a.json", {"a": "ä"})
    assert read_json(tmp_path / "a.json") == {"a": "ä"} and [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_manifest_describes_every_file(folder):
    manifest = read_manifest(folder, "things")
    assert manifest["arguments"] == {"seed": 1} and manifest["rows"] == 2
    assert manifest["files"] == {
        "below/note.txt": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",  # SHA-256 of "abc"
        "rows.jsonl": sha256(folder / "rows.jsonl"),
    }
    assert set(manifest["versions"]) >= {"pillow", "numpy"}


def test_manifest_of_another_kind(folder):
    with pytest.raises(DataError, match="things: holds 'things', not 'others'; give the right folder"):
        read_manifest(folder, "others")


def test_a_folder_that_fails_vanishes(tmp_path):
    def fail(folder):
        folder.write("file", "x")
        assert not (tmp_path / "out").exists()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        make_folder(tmp_path / "out", "things", {}, fail)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_never_replaces_another(folder, tmp_path):
    with pytest.raises(DataError, match=r"things: was made with other arguments \(seed\)"):
        make_folder(folder, "things", {"seed": 2}, fill)
    assert read_manifest(folder, "things")["rows"] == 2 and [p.name for p in tmp_path.iterdir()] == ["things"]


def test_made(folder, tmp_path):
    assert made(folder, "things", {"seed": 1})
    assert not made(tmp_path / "free", "things", {"seed": 1})
    (tmp_path / "empty").mkdir()
    assert not made(tmp_path / "empty", "things", {"seed": 1})
    with pytest.raises(DataError, match="was made with other arguments"):
        made(folder, "things", {"seed": 2})
    with pytest.raises(DataError, match="no manifest.json"):
        made(folder / "below", "things", {"seed": 1})
    with pytest.raises(DataError, match="no manifest.json"):
        made(folder / "rows.jsonl", "things", {"seed": 1})


def test_verified_path(folder):
    path = verified_path(folder, "rows.jsonl", "things")
    assert path.is_absolute() and path.samefile(folder / "rows.jsonl")
    with pytest.raises(DataError, match="other.jsonl: not part of this folder"):
        verified_path(folder, "other.jsonl", "things")
    with open(folder / "rows.jsonl", "ab") as file:
        file.write(b"\n")
    with pytest.raises(
        DataError, match="rows.jsonl: was changed after it was written; remove the folder and write the rows again"
    ):
        verified_path(folder, "rows.jsonl", "things")
    (folder / "below" / "note.txt").unlink()
    with pytest.raises(DataError, match="note.txt: not part of this folder"):
        verified_path(folder, "below/note.txt", "things")


@pytest.mark.parametrize(
    "line, text",
    [
        (rb'{"a":"x\ud83d y"}', "x\ufffd y"),
        (rb'{"a":"\uDC00 \uD83D"}', "\ufffd \ufffd"),
        (rb'{"a":"\ud83d\ude00"}', "\U0001f600"),
        (rb'{"a":"\\ud83d"}', "\\ud83d"),
    ],
)
def test_half_a_surrogate_pair_is_read_as_a_replacement_character(tmp_path, line, text):
    """Other programs write such a line where a model's text was cut in an emoji; no tokenizer takes it."""
    (tmp_path / "r.jsonl").write_bytes(b'{"a":"first"}\n' + line + b"\n")
    assert read_rows(tmp_path / "r.jsonl")[1] == {"a": text}


@pytest.mark.parametrize(
    "line", [rb'{"a":"\ud83d","b":NaN}', rb'{"a":"\ud83d"', rb'{"a":"\ud83d","b":' + b"[" * 100_000]
)
def test_beside_half_a_pair_a_broken_line_stays_broken(tmp_path, line):
    (tmp_path / "r.jsonl").write_bytes(line + b"\n")
    with pytest.raises(DataError, match=r"r\.jsonl:1: not a JSON object \(.+\); write the file again"):
        read_rows(tmp_path / "r.jsonl")


def test_a_bom_is_no_part_of_the_first_row(tmp_path):
    (tmp_path / "r.jsonl").write_bytes(b'\xef\xbb\xbf{"a":1}\n')
    (tmp_path / "r.json").write_bytes(b'\xef\xbb\xbf{"a":1}')
    assert read_rows(tmp_path / "r.jsonl") == [{"a": 1}] and read_json(tmp_path / "r.json") == {"a": 1}
