"""What can be wrong with a folder of form episodes: each kind, declared once with its fix."""

from ... import faults

_REWRITE = "write the folder again"

KINDS = {
    **faults.FILE_KINDS,
    "other prompts": "write the folder again with this version of the prompt builder",
    "page size": "write the folder again with one --page-size",
    "wrong fingerprint": _REWRITE,
    "row count": _REWRITE,
    "row order": _REWRITE,
    "broken line": _REWRITE,
    "wrong column": _REWRITE,
    # a form
    "other form": "keep forms and arguments together: " + _REWRITE,
    "bad layout": "correct layout.py (a box is outside of the canvas or overlaps another), and " + _REWRITE,
    # a row
    "wrong messages": _REWRITE,
    "system prompt": "use prompts.system, and " + _REWRITE,
    "wrong question": "ask through prompts.question: " + _REWRITE,
    "wrong picture": _REWRITE,
    "wrong answer": _REWRITE,
    "wrong truth": _REWRITE,
    "lost episode": "its answers do not fill in the form: " + _REWRITE,
}


class Fault(faults.Fault):
    """One thing that is wrong with a folder of form episodes."""

    KINDS = KINDS
