"""How every command meets its user: flags that show their defaults, one line for what went wrong, and an exit code.

0 done   1 faults were found, or a goal was missed   2 wrong use, or data that cannot be used
130 Ctrl-C   141 the reader of the output has gone (``| head``)

A traceback is a bug of this project.
"""

import argparse
import errno
import functools
import json
import math
import os
import re
import sys
from collections.abc import Callable
from typing import Any

from .dataset import DataError
from .geometry import Size
from .shards import end_with_starter

Main = Callable[..., int | None]
_FIXES = {
    errno.ENOSPC: "free some disk and run this again",
    errno.EDQUOT: "free some disk and run this again",
    errno.EFBIG: "raise the limit of a file's size and run this again",
    errno.EACCES: "choose a place that you may use",
    errno.EPERM: "choose a place that you may use",
    errno.EROFS: "choose a place that you may write",
    errno.ENOTDIR: "name a folder below a folder",
    errno.EISDIR: "name a file",
    errno.EEXIST: "choose another name",
    errno.ENOTEMPTY: "choose another folder or remove it",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ENOENT: "check the path",
}


def command(name: str) -> Callable[[Main], Callable[..., int]]:
    """Decorator of a script's ``main``: it returns the exit code, and what went wrong is one line on stderr."""

    def decorate(main: Main) -> Callable[..., int]:
        @functools.wraps(main)
        def run(*args: Any, **named: Any) -> int:
            end_with_starter()
            try:
                code = main(*args, **named) or 0
                sys.stdout.flush()
                return code
            except BrokenPipeError:
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nothing is flushed at exit
                return 141
            except KeyboardInterrupt:
                return _ended(name, "interrupted", 130)
            except (DataError, OSError) as error:
                return _ended(name, os_line(error) if isinstance(error, OSError) else str(error), 2)

        return run

    return decorate


def _ended(name: str, line: str, code: int) -> int:
    print(f"{name}: {' '.join(line.split())}", file=sys.stderr)
    return code


def os_line(error: OSError) -> str:
    """What the system refused, where, and how to fix it."""
    where = f"{error.filename}: " if error.filename is not None else ""
    fix = f"; {_FIXES[error.errno]}" if error.errno in _FIXES else ""
    return f"{where}{error.strerror or error}{fix}"


class Parser(argparse.ArgumentParser):
    """A parser whose help shows every default and one example, and whose errors are one line.

    ``doc``: the script's docstring; what stands before its first colon or line break is the description.
    ``example``: a command line that works.
    """

    def __init__(self, doc: str | None, example: str, **options: Any):
        description = (doc or "").strip().split("\n")[0].split(": ``")[0]
        super().__init__(description=description, epilog=f"example:\n  {example}", formatter_class=_Help, **options)

    def error(self, message: str) -> None:
        name = self.prog.removesuffix(".py").removeprefix("python -m data_engine.").removeprefix("gelab.")
        flag = re.match(r"argument (-[^:/]*)(?:/[^:]*)?: (?!not allowed|expected|ignored)", message)
        self.exit(2, f"{name}: {f'{flag[1]} {message[flag.end() :]}' if flag else message} (--help lists the flags)\n")


class _Help(argparse.RawDescriptionHelpFormatter):
    """Adds the default to the help of each flag that has one."""

    def _get_help_string(self, action: argparse.Action) -> str:
        text = action.help or ""
        hidden = action.default in (None, argparse.SUPPRESS, []) or action.default is False
        if hidden or not action.option_strings or "default" in text:
            return text
        value = " ".join(map(str, action.default)) if type(action.default) in (list, tuple) else "%(default)s"
        return f"{text}{'; ' if text else ''}default: {value}"


def whole(least: float = -math.inf, most: float | None = None) -> Callable[[str], int]:
    """An argument type: a whole number of ``least`` to ``most``."""

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = math.nan
        return _within(text, value, least, most, "whole number")

    return read


def real(least: float = -math.inf, most: float | None = None) -> Callable[[str], float]:
    """An argument type: a finite number of ``least`` to ``most``."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        return _within(text, value if math.isfinite(value) else math.nan, least, most, "number")

    return read


def _within(text: str, value: Any, least: float, most: float | None, what: str) -> Any:
    if value >= least and (most is None or value <= most):
        return value
    limits = f"{least:g} or more" if most is None else f"{least:g} to {most:g}"
    if math.isnan(value) or not math.isfinite(least):
        limits = f"a {what}" + (f", {limits}" if math.isfinite(least) else "")
    raise argparse.ArgumentTypeError(f"{text}: must be {limits}")


positive = whole(1)


def size(text: str) -> Size:
    """An argument type: WIDTHxHEIGHT in pixels."""
    try:
        return Size.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def json_object(text: str) -> dict:
    """An argument type: a JSON object."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(f"{text}: must be a JSON object")
    return value
