"""The probe as a user runs it: model-free engines give the known scores, runs resume, blank screens are blank."""

import json
import sys

import pytest
from PIL import Image


@pytest.fixture
def probe(repo, monkeypatch):
    monkeypatch.syspath_prepend(repo / "eval")
    import probe

    yield probe
    sys.modules.pop("probe")


def run(cli, out, engine, *more):
    done = cli("eval/probe.py", "--engine", engine, "--out", out, "--rows", "6", *more)
    assert done.returncode == 0, done.stderr
    return json.loads((out / "metrics.json").read_text())


def test_the_oracle_is_always_right(cli, tmp_path):
    metrics = run(cli, tmp_path / "out", "oracle")["metrics"]
    assert metrics.pop("mean") == 1.0
    assert len(metrics) == 16 and {one["right"] for one in metrics.values()} == {1.0}
    assert {one["rows"] for one in metrics.values()} == {6}
    rows = [json.loads(line) for line in (tmp_path / "out/predictions.jsonl").read_text().splitlines()]
    assert len(rows) == 16 * 6
    sizes = {(row["mode"] != "", Image.open(tmp_path / "out" / row["image"]).size) for row in rows}
    assert sizes == {(False, (160, 352)), (False, (128, 64)), (True, (256, 192))}


def test_random_clicks_name_nothing(cli, tmp_path):
    metrics = run(cli, tmp_path / "out", "random")["metrics"]
    assert all(metrics[name]["right"] == 0 for name in metrics if name.startswith(("name", "read", "number")))


def test_blank_screens_are_white_and_the_questions_stay(cli, tmp_path):
    run(cli, tmp_path / "seen", "oracle", "--sets", "read a word")
    run(cli, tmp_path / "blank", "oracle", "--sets", "read a word", "--blank")
    both = [(tmp_path / name / "predictions.jsonl").read_text() for name in ("seen", "blank")]
    assert both[0] == both[1]
    for path in (tmp_path / "blank/screens").iterdir():
        assert Image.open(path).getcolors() == [(160 * 352, (255, 255, 255))]
    assert all(len(Image.open(p).getcolors(9999)) > 3 for p in (tmp_path / "seen/screens").iterdir())


def test_a_started_probe_goes_on_and_another_is_refused(cli, tmp_path):
    out = tmp_path / "out"
    run(cli, out, "oracle", "--batch-size", "4")
    whole = (out / "predictions.jsonl").read_bytes()
    (out / "predictions.jsonl").write_bytes(b"".join(whole.splitlines(keepends=True)[:20]))
    run(cli, out, "oracle", "--batch-size", "4")
    assert (out / "predictions.jsonl").read_bytes() == whole
    other = cli("eval/probe.py", "--engine", "oracle", "--out", out, "--rows", "5")
    assert other.returncode == 2 and other.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--engine", "blind"), "use --blank"),
        (("--engine", "oracle", "--page-size", "7"), "WIDTHxHEIGHT"),
        (("--engine", "oracle", "--sets", "smell"), "invalid choice: 'smell'"),
        (("--engine", "transformers"), "needs --model"),
    ],
)
def test_wrong_use(cli, tmp_path, flags, message):
    done = cli("eval/probe.py", "--out", tmp_path / "out", *flags)
    assert done.returncode == 2 and message in done.stderr
    assert not (tmp_path / "out").exists()
