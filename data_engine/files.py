"""Files that are whole or not there: each is written beside its place and renamed; and locks on files."""

import fcntl
import hashlib
import uuid
from pathlib import Path


def write_file(path: Path, content: bytes | str) -> str:
    """Write a file, its folder too; a reader sees the old bytes or the new ones. Returns their SHA-256, hexadecimal.

    Text is written as UTF-8. Raises OSError; nothing is left behind then.
    """
    path, data = Path(path), content.encode() if isinstance(content, str) else content
    path.parent.mkdir(parents=True, exist_ok=True)
    half = scratch_name(path)
    try:
        with open(half, "xb") as file:
            file.write(data)
        half.replace(path)
    except BaseException:
        half.unlink(missing_ok=True)
        raise
    return hashlib.sha256(data).hexdigest()


def scratch_name(path: Path) -> Path:
    """A name beside ``path`` that nobody else has: NAME.part-TOKEN."""
    return path.with_name(f"{path.name}.part-{uuid.uuid4().hex[:12]}")


def try_lock(handle: int) -> bool:
    """Lock an open file or folder exclusively, without waiting; False if another handle holds a lock on it."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, hexadecimal; a large file is read piece by piece. Raises OSError."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
