"""Independent random streams from a stable hash: the same on any machine, in any order, with any number of workers."""

import hashlib

import numpy as np


def rng(seed: int, *names: object) -> np.random.Generator:
    """A generator for the stream named by ``names`` under ``seed``.

    The stream depends on the seed and the names alone (SHA-256 of their text), so drawing one more number in one
    place changes nothing in another, and PYTHONHASHSEED plays no part.
    """
    key = "\x1f".join(str(part) for part in (seed, *names))
    return np.random.Generator(np.random.PCG64(int.from_bytes(hashlib.sha256(key.encode()).digest(), "big")))
