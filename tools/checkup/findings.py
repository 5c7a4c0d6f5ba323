"""What a check found: ok, a warning, or a fault; the last two with a fix."""

from dataclasses import dataclass

OK, NOTE, WARNING, FAULT = "ok", "note", "warning", "FAULT"


@dataclass(frozen=True, slots=True)
class Finding:
    """``check`` is the short name of what was looked at, ``what`` one line, ``fix`` what to do (empty if ok)."""

    level: str
    check: str
    what: str
    fix: str = ""

    def __str__(self) -> str:
        line = f"{self.level:8}{self.check:20}{' '.join(self.what.split())}"
        return f"{line}\n{'':28}-> {self.fix}" if self.fix else line


def ok(check: str, what: str) -> Finding:
    return Finding(OK, check, what)


def note(check: str, what: str) -> Finding:
    """A number to know, such as an estimate."""
    return Finding(NOTE, check, what)


def warning(check: str, what: str, fix: str) -> Finding:
    return Finding(WARNING, check, what, fix)


def fault(check: str, what: str, fix: str) -> Finding:
    return Finding(FAULT, check, what, fix)
