"""tools/recipe_flags.py names what ms-swift refuses; tools/swift_versions.py tells which version fails, and why."""

import time

import pytest


@pytest.fixture
def recipe_flags(tool_module):
    return tool_module("recipe_flags")


@pytest.fixture
def versions(tool_module, monkeypatch, tmp_path):
    """The script; its temporary folder lies in tmp_path, and versions are not fetched: the installed one stays."""
    module = tool_module("swift_versions")
    monkeypatch.setattr(module.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(module, "install", lambda version, folder, limit: "no such version" if version == "9" else None)
    return module


def test_calls_are_those_of_the_recipes(recipe_flags):
    calls = recipe_flags.calls()
    assert {"gelab/sft.sh", "gelab/mt_rl_server.sh", "login/rl.sh", "tiny_base/stage.sh"} < set(calls)
    assert {arguments[0] for arguments in calls.values()} == {"sft", "rlhf", "rollout"}
    assert calls["gelab/mt_rl_train.sh"][calls["gelab/mt_rl_train.sh"].index("--vllm_mode") + 1] == "server"
    assert all(arguments[arguments.index("--model") + 1] == "a/model" for arguments in calls.values())


def test_what_is_refused_is_named(recipe_flags, monkeypatch, tmp_path, capsys):
    for name, flags in (("good", "--seed 1"), ("bad", "--sed 1"), ("worse", "--sed 2"), ("value", "--seed one")):
        (tmp_path / f"{name}.sh").write_text(f"swift sft --model m {flags}\n")
    monkeypatch.setattr(recipe_flags, "RECIPES", tmp_path)
    assert recipe_flags.main([]) == 1
    *lines, last = capsys.readouterr().out.splitlines()
    assert "--sed: bad.sh worse.sh" in lines
    assert last == "4 recipes, refused: --sed; argument --seed: invalid int value: 'one'"


def test_a_recipe_that_stops_is_one_line(recipe_flags, monkeypatch, tmp_path, capsys):
    (tmp_path / "sad.sh").write_text("echo no rows >&2; exit 2\nswift sft --seed 1\n")
    monkeypatch.setattr(recipe_flags, "RECIPES", tmp_path)
    assert recipe_flags.main([]) == 2
    assert capsys.readouterr().err == f"recipe_flags: {tmp_path}/sad.sh: no rows\n"


def test_the_newest_patch_of_each_minor_version(versions, monkeypatch):
    monkeypatch.setattr(versions, "pinned", lambda: "4.5.1")
    listed = "4.10.0 4.5.2 4.5.1 4.5.10 4.3.0 4.2.3 3.12.6"
    assert versions.chosen(listed.split()) == ["4.3.0", "4.5.1", "4.5.10", "4.10.0"]


def test_the_first_error_is_the_cause(versions):
    log = "loading\nTraceback\nkeys.KeyError: 'a' (/tmp/x/a.py)\n\nDuring handling\nValueError: b\nended\n"
    assert versions.cause(log) == "keys.KeyError: 'a'"
    assert versions.cause("one\n two  words\n\n") == "two words"
    assert versions.cause("") == "ended without a word"


def test_a_check_ends_at_its_limit_with_all_that_it_started(versions, tmp_path):
    begun = time.monotonic()
    line = ["bash", "-c", f"(sleep 3; touch {tmp_path}/late) & sleep 60"]
    assert versions.run(line, versions.environment(tmp_path), tmp_path / "log", 1) == "not done in 1 s"
    assert time.monotonic() - begun < 3
    time.sleep(3.5)
    assert not (tmp_path / "late").exists()


@pytest.mark.parametrize("bad, code", [("4.0.0", 0), ("9", 0), ("pinned", 1)])
def test_only_the_pinned_version_must_pass(versions, monkeypatch, capsys, tmp_path, bad, code):
    bad = versions.pinned() if bad == "pinned" else bad

    def commands(version: str) -> dict[str, list[str]]:
        fail = ["bash", "-c", "echo 'OSError: a|b' >&2; exit 1"]
        return dict.fromkeys(versions.COLUMNS, ["true"]) | ({"imports": fail, "flags": fail} if version == bad else {})

    monkeypatch.setattr(versions, "commands", commands)
    monkeypatch.setattr(versions, "make_inputs", lambda *_: None)
    names = sorted({bad, versions.pinned()})
    assert versions.main(names) == code
    rows = [line for line in capsys.readouterr().out.splitlines()[2:]]
    shown = {
        "9": "| 9 | no: no such version | - | - | - |",
        "4.0.0": r"| 4.0.0 | no: OSError: a\|b | no: OSError: a\|b | - | - |",
        versions.pinned(): rf"| {versions.pinned()}, pinned | no: OSError: a\|b | no: OSError: a\|b | - | - |",
    }
    passed = f"| {versions.pinned()}, pinned | yes | yes | yes | yes |"
    assert rows == [shown[name] if name == bad else passed for name in names]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_pinned_version_for_real(versions, monkeypatch, capsys, tmp_path):
    """Imports and flags; its steps are tests/test_sft_resume.py and tests/test_rl.py."""
    checks = versions.commands
    fast = {name: line for name, line in checks(versions.pinned()).items() if "step" not in name}
    monkeypatch.setattr(versions, "commands", lambda version: fast)
    monkeypatch.setattr(versions, "make_inputs", lambda *_: None)
    assert versions.main([versions.pinned()]) == 0
    assert capsys.readouterr().out.endswith(f"| {versions.pinned()}, pinned | yes | yes | - | - |\n")


def test_a_wrong_version_is_one_line(cli):
    done = cli("tools/swift_versions.py", "newest")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "invalid Version value: 'newest'" in done.stderr
