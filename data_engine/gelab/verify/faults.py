"""What can be wrong with a folder: each kind, declared once with its fix."""

from ... import faults

_REBUILD = "build the world again"
_REWRITE = "write the rows again"
_FOREIGN = "write the rows again, from the world that they lie with"

KINDS = {
    **faults.FILE_KINDS,
    # a world
    "broken world": _REBUILD,
    "wrong fingerprint": _REBUILD,
    "shared place": _REWRITE,
    "page size": "build the world again with one --page-size, and write the rows again",
    "shifted screenshot": _REBUILD,
    "wrong screenshot": _REBUILD,
    "empty box": "give the icon a picture that can be seen, and build the world again",
    # a file of rows
    "other world": _FOREIGN,
    "other prompts": "write the rows again with this version of the prompt builder",
    "row count": _REWRITE,
    "row order": _REWRITE,
    "broken line": _REWRITE,
    "wrong parquet": _REWRITE,
    "duplicate row": _REWRITE,
    # a row
    "wrong column": _REWRITE,
    "wrong split": _REWRITE,
    "wrong messages": _REWRITE,
    "image tag": "leave it to the head of the user turn, and " + _REWRITE,
    "system prompt": "use prompts.system, and " + _REWRITE,
    "leaked target": "take the answer out of the prompt: " + _REWRITE,
    "missing history": "ask through prompts.navigation: " + _REWRITE,
    "wrong question": "ask through prompts.py: " + _REWRITE,
    "wrong history": _REWRITE,
    "wrong image": _REWRITE,
    "misspelt name": "use the world's spelling: " + _REWRITE,
    "wrong answer": _REWRITE,
    "wrong page": _REWRITE,
    "pixel coordinates": "convert with geometry.to_thousand: " + _REWRITE,
    "missed click": _REWRITE,
    "wrong box": _REWRITE,
    "wrong score": "grammar and scores disagree: " + _REWRITE,
}


class Fault(faults.Fault):
    """One thing that is wrong with a world or its rows."""

    KINDS = KINDS
