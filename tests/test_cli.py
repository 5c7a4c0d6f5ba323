"""Every command alike: its help shows defaults and an example, its numbers are checked, its errors are one line."""

import argparse
import ast
import errno
import importlib
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from data_engine import cli
from data_engine.dataset import DataError

REPO = Path(__file__).resolve().parents[1]


def scripts() -> list[Path]:
    """Whatever can be started: a file that ends in ``if __name__ == "__main__"``."""
    files = [p for room in ("data_engine", "eval", "tools") for p in sorted((REPO / room).rglob("*.py"))]
    return [path for path in files if 'if __name__ == "__main__":' in path.read_text(encoding="utf-8")]


SCRIPTS = scripts()
NAMES = [path.relative_to(REPO).as_posix() for path in SCRIPTS]


def test_there_are_commands():
    assert {"data_engine/gelab/build.py", "eval/report.py", "tools/doctor.py"} < set(NAMES) and len(NAMES) >= 30


@pytest.fixture(params=SCRIPTS, ids=NAMES)
def main(request, monkeypatch):
    """main(): a command's ``main``, loaded as its script is, without arguments."""
    path: Path = request.param
    known = set(sys.modules)
    request.addfinalizer(lambda: forget(set(sys.modules) - known))
    monkeypatch.syspath_prepend(str(path.parent))
    monkeypatch.setattr(sys, "argv", [str(path)])
    if path.is_relative_to(REPO / "data_engine"):
        module = importlib.import_module(".".join(path.relative_to(REPO).with_suffix("").parts))
    else:
        spec = importlib.util.spec_from_file_location(f"{path.stem}_command", path)
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, spec.name, module)
        spec.loader.exec_module(module)
    return module.main


def forget(names: set[str]) -> None:
    """Scripts know each other by bare names and put their folders on the path: other tests load them anew."""
    rooms = str(REPO / "eval"), str(REPO / "tools")
    for name in names:
        if (getattr(sys.modules[name], "__file__", None) or "").startswith(rooms):
            del sys.modules[name]


class Caught(BaseException):
    """Carries a parser out of a ``main``."""


@pytest.fixture
def parser(main, monkeypatch) -> argparse.ArgumentParser:
    """The command's parser, as it is when it reads the flags."""

    def catch(self, *_):
        caught = Caught()
        caught.parser = self
        raise caught

    for reading in "parse_args", "parse_known_args":
        monkeypatch.setattr(cli.Parser, reading, catch)
    with pytest.raises(Caught) as caught:
        main()
    monkeypatch.undo()
    return caught.value.parser


def flags(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    return [action for action in parser._actions if action.option_strings and action.dest != "help"]


def test_help_shows_each_default_and_an_example(parser):
    text = parser.format_help()
    example = text.partition("example:\n  ")[2].splitlines()[0]
    assert example.startswith("python ") and parser.prog.rpartition(".")[0].removesuffix(".py") in example
    assert parser.description and len(parser.description) < 200
    for action in flags(parser):
        assert action.help, f"{action.option_strings[0]} has no help"
        if action.default not in (None, []) and action.default is not False:
            shown = parser._get_formatter()._get_help_string(action)
            assert "default" in shown, f"{action.option_strings[0]}: {shown}"


def test_numbers_are_checked_at_the_door(parser):
    """No flag takes Python's own int or float: these let -1, 0 and nan in."""
    open_doors = [action.option_strings[0] for action in flags(parser) if action.type in (int, float)]
    assert open_doors == []


ERRORS = [
    (KeyboardInterrupt(), 130, "interrupted"),
    (DataError("what\nwhere; how"), 2, "what where; how"),
    (OSError(errno.ENOSPC, "No space left on device", "out/x"), 2, "out/x: No space left on device; free some disk"),
    (PermissionError(errno.EACCES, "Permission denied", "out"), 2, "out: Permission denied; choose a place"),
    (NotADirectoryError(errno.ENOTDIR, "Not a directory", "a/b"), 2, "a/b: Not a directory; name a folder"),
]


@pytest.mark.parametrize("error, code, line", ERRORS, ids=lambda value: type(value).__name__)
def test_what_goes_wrong_is_one_line(main, monkeypatch, capsys, error, code, line):
    def fail(*_):
        raise error

    for reading in "parse_args", "parse_known_args":
        monkeypatch.setattr(cli.Parser, reading, fail)
    assert main() == code
    out, err = capsys.readouterr()
    assert (
        out == "" and err.count("\n") == 1 and line in err and err.split(":")[0] in str(sys.argv[0]).replace("/", ".")
    )


def test_wrong_flags_are_one_line(main, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [sys.argv[0], "--no-such-flag"])
    with pytest.raises(SystemExit) as ended:
        sys.exit(main())
    assert ended.value.code == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "--help lists the flags" in err


def test_every_script_ends_alike():
    """``main`` is decorated by ``command`` and the script exits with its code: no script has a handler of its own."""
    for path in SCRIPTS:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        mains = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "main"]
        assert len(mains) == 1, path
        assert [ast.unparse(d).split("(")[0] for d in mains[0].decorator_list] == ["command"], path
        assert ast.unparse(tree.body[-1].body[0]) == "sys.exit(main())", path


NUMBERS = [
    (cli.whole(), ["0", "-7", "123456789"], ["", "1.5", "abc", "nan", "1e3"]),
    (cli.whole(0), ["0", "7"], ["-1", "x"]),
    (cli.positive, ["1", "64"], ["0", "-3", "1.0"]),
    (cli.whole(0, 10), ["0", "10"], ["11", "-1"]),
    (cli.real(0), ["0", "0.5", "1e3"], ["-0.1", "nan", "inf", "-inf", "x", ""]),
    (cli.real(0.1), ["0.1", "30"], ["0", "nan"]),
    (cli.size, ["448x448", "4096x4096"], ["448", "0x9", "-1x5", "100000x100000", "x", "4096x4097"]),
    (cli.json_object, ["{}", '{"a": 1}'], ["[]", "1", "", "{", "[" * 100_000]),
]


@pytest.mark.parametrize("read, good, bad", NUMBERS)
def test_argument_types(read, good, bad):
    for text in good:
        read(text)
    for text in bad:
        with pytest.raises(argparse.ArgumentTypeError):
            read(text)


def test_what_is_said_of_a_number(capsys):
    parser = cli.Parser("Do it: ``python x.py``", "python x.py", prog="x.py")
    parser.add_argument("--rows", type=cli.positive, default=3, help="rows")
    parser.add_argument("--heat", type=cli.real(0, 2), help="heat")
    for given, line in (
        (["--rows", "0"], "x: --rows 0: must be 1 or more (--help lists the flags)\n"),
        (["--rows", "x"], "x: --rows x: must be a whole number, 1 or more (--help lists the flags)\n"),
        (["--heat", "nan"], "x: --heat nan: must be a number, 0 to 2 (--help lists the flags)\n"),
        (["--heat", "3"], "x: --heat 3: must be 0 to 2 (--help lists the flags)\n"),
    ):
        with pytest.raises(SystemExit):
            parser.parse_args(given)
        assert capsys.readouterr().err == line
    assert "rows; default: 3" in parser.format_help() and parser.description == "Do it"


def test_a_reader_that_goes_away_is_no_error():
    code = (
        "import sys; from data_engine.cli import command\n"
        "@command('x')\n"
        "def main():\n    for i in range(100_000): print(i)\n"
        "sys.exit(main())"
    )
    line = f"{sys.executable} -c '{code}' | head -1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", line.replace("'x'", '"x"')], capture_output=True, text=True, cwd=REPO)
    assert done.stdout.split() == ["0", "141"] and done.stderr == ""
