"""Long runs: whatever is left of a results file, starting again ends with the same bytes and redoes nothing else."""

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_engine import runlog
from data_engine.dataset import DataError, read_json, read_rows
from data_engine.runlog import open_run, run_chunks, run_in_order


def work(number: int, chunk: list[int]) -> list[dict]:
    """Lines that depend on the chunk, as sampled answers do; some are long, one has a line break inside."""
    return [{"item": item, "chunk": number, "mates": list(chunk), "text": "a\nb" * (item % 4)} for item in chunk]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """whole(items, size) -> (bytes of an uninterrupted run, a scratch file)."""
    folder = tmp_path_factory.mktemp("runlog")

    def whole(items: int, size: int) -> tuple[bytes, object]:
        path = folder / f"{items}-{size}.jsonl"
        if not path.exists():
            run_chunks(path, range(items), size, work, "test")
        return path.read_bytes(), folder / "cut.jsonl"

    return whole


@settings(max_examples=40)
@given(items=st.integers(1, 23), size=st.integers(1, 9), data=st.data())
def test_cut_anywhere_it_ends_the_same(whole, items, size, data):
    expected, path = whole(items, size)
    path.write_bytes(expected[: data.draw(st.integers(0, len(expected)))])
    run_chunks(path, range(items), size, work, "test")
    assert path.read_bytes() == expected


def test_at_every_single_byte(whole):
    expected, path = whole(3, 2)
    for cut in range(len(expected) + 1):
        path.write_bytes(expected[:cut])
        run_chunks(path, range(3), 2, work, "test")
        assert path.read_bytes() == expected


@pytest.mark.parametrize("tail", [b"garbage", b'{"item":', b'{"item":9}\n{"item":10}\n', b"\n\n"])
def test_what_follows_the_last_item_is_cut_off(whole, tail):
    expected, path = whole(7, 3)
    path.write_bytes(expected + tail)
    run_chunks(path, range(7), 3, work, "test")
    assert path.read_bytes() == expected


@pytest.mark.parametrize(
    "lines, redone",
    [(0, [0, 1, 2]), (1, [0, 1, 2]), (2, [0, 1, 2]), (3, [1, 2]), (5, [1, 2]), (6, [2]), (7, [])],
)
def test_only_what_is_missing_is_done(whole, lines, redone):
    expected, path = whole(7, 3)
    path.write_bytes(b"".join(expected.splitlines(keepends=True)[:lines]))
    done = []
    run_chunks(path, range(7), 3, lambda number, chunk: done.append(number) or work(number, chunk), "test")
    assert done == redone and path.read_bytes() == expected


def test_a_chunk_that_fails_keeps_the_ones_before(tmp_path):
    def fail(number, chunk):
        if number == 2:
            raise KeyboardInterrupt
        return work(number, chunk)

    with pytest.raises(KeyboardInterrupt):
        run_chunks(tmp_path / "r.jsonl", range(10), 3, fail, "test")
    assert [row["item"] for row in read_rows(tmp_path / "r.jsonl")] == [0, 1, 2, 3, 4, 5]


def test_a_lost_result_is_an_error(tmp_path):
    with pytest.raises(RuntimeError, match="test: 2 results for 3 items"):
        run_chunks(tmp_path / "r.jsonl", range(3), 3, lambda n, chunk: work(n, chunk)[1:], "test")
    assert (tmp_path / "r.jsonl").read_bytes() == b""


def test_nothing_to_do_writes_an_empty_file(tmp_path):
    run_chunks(tmp_path / "r.jsonl", [], 3, work, "test")
    assert (tmp_path / "r.jsonl").read_bytes() == b""


def test_a_run_is_continued_with_its_own_arguments_only(tmp_path):
    arguments = {"engine": "x", "seed": 0, "data": {"name": "d", "sha256": "1"}}
    open_run(tmp_path / "run", arguments)
    open_run(tmp_path / "run", dict(arguments))
    with pytest.raises(DataError, match="run: holds a run with another data, seed; give another --out or remove it"):
        open_run(tmp_path / "run", arguments | {"seed": 1, "data": {"name": "d", "sha256": "2"}})
    with pytest.raises(DataError, match="another limit"):
        open_run(tmp_path / "run", arguments | {"limit": 3})
    open_run(tmp_path / "run", arguments)


@pytest.mark.parametrize("text", ["[]", '"text"', "null", "{"])
def test_a_record_that_is_no_object_is_one_line(tmp_path, text):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(DataError, match=r"run\.json: .+; write the file again|run\.json: not JSON"):
        open_run(tmp_path, {"seed": 0})


def one_by_one(todo, write) -> None:
    for item in todo:
        write({"item": item, "text": "a\nb" * (item % 4)})


@settings(max_examples=40)
@given(items=st.integers(0, 23), data=st.data())
def test_in_order_cut_anywhere_it_ends_the_same(tmp_path_factory, items, data):
    path = tmp_path_factory.mktemp("in_order") / "r.jsonl"
    run_in_order(path, range(items), one_by_one, "test")
    expected = path.read_bytes()
    assert expected.count(b"\n") == items
    cut = data.draw(st.integers(0, len(expected)))
    path.write_bytes(expected[:cut] + data.draw(st.sampled_from([b"", b'{"item":'])))
    todo = []
    run_in_order(path, range(items), lambda some, write: todo.extend(some) or one_by_one(some, write), "test")
    assert path.read_bytes() == expected
    assert todo == list(range(expected[:cut].count(b"\n"), items))  # and nothing is done twice


def test_in_order_a_line_is_there_when_it_is_written(tmp_path):
    path, seen = tmp_path / "r.jsonl", []

    def look(todo, write):
        for item in todo:
            write({"item": item})
            seen.append(len(read_rows(path)))

    run_in_order(path, range(4), look, "test")
    assert seen == [1, 2, 3, 4]


def test_in_order_a_lost_result_is_an_error(tmp_path):
    with pytest.raises(RuntimeError, match="test: 2 results for 3 items"):
        run_in_order(tmp_path / "r.jsonl", range(3), lambda todo, write: one_by_one(todo[:2], write), "test")


def test_a_file_has_one_writer(tmp_path):
    """A second process on the same folder, as after a kill that left a child alive, must not double a row."""
    path = tmp_path / "r.jsonl"

    def again(todo, write):
        with pytest.raises(DataError, match="r.jsonl: another process writes it; wait for it or end it"):
            run_in_order(path, range(3), one_by_one, "test")
        with pytest.raises(DataError, match="r.jsonl: another process writes it"):
            run_chunks(path, range(3), 3, work, "test")
        one_by_one(todo, write)

    run_in_order(path, range(3), again, "test")
    assert [row["item"] for row in read_rows(path)] == [0, 1, 2]


def test_a_run_without_results_gives_way_to_another(tmp_path):
    """A wrong --model that shows only when it loads must not keep the folder from the right one."""
    code = (
        "import sys; from pathlib import Path; from data_engine.runlog import open_run\n"
        "open_run(Path(sys.argv[1]), {'model': sys.argv[2]}); print('open', flush=True); sys.stdin.read()"
    )

    def start(model: str) -> subprocess.Popen:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "run"), model], text=True, **pipes)

    wrong = start("wrong")
    assert wrong.stdout.readline() == "open\n"
    same, other = start("wrong"), start("right")
    assert same.stdout.readline() == "open\n", "shards of one run share its folder"
    assert "holds a run with another model; give another --out" in other.communicate()[1], "it is at work there"
    for process in wrong, same:
        process.communicate("")
    right = start("right")
    assert right.stdout.readline() == "open\n" and read_json(tmp_path / "run" / "run.json") == {"model": "right"}
    right.communicate("")
    (tmp_path / "run" / "results.jsonl").write_text("{}\n")
    assert "holds a run with another model" in start("wrong").communicate("")[1]


@pytest.mark.parametrize("chunked", [True, False])
def test_the_clock_starts_when_all_is_ready_and_nothing_is_made_ready_in_vain(tmp_path, chunked, monkeypatch):
    """A model takes a minute to load: counted in, the first estimate is several times too long."""
    events, path = [], tmp_path / "r.jsonl"

    def run():
        if chunked:
            run_chunks(path, range(2), 2, lambda n, chunk: events.append("work") or [{}, {}], "x", ready)
        else:
            run_in_order(
                path, range(2), lambda todo, write: events.append("work") or [write({}), write({})], "x", ready
            )

    def ready():
        events.append("ready")

    class Bar:
        def __enter__(self):
            events.append("bar")
            return self

        def __exit__(self, *_):
            pass

        def update(self, *_):
            pass

    monkeypatch.setattr(runlog, "_bar", lambda *_: Bar())
    run()
    assert events == ["ready", "bar", "work"]
    run()
    assert events == ["ready", "bar", "work", "bar"], "what is finished needs no model"
