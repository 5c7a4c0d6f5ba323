"""Proof of a written folder of form episodes: each file, form, picture and row.

faults    what can be wrong, each kind with its fix
episode   an episode replayed: its form, its rows and its pictures
folder    a whole folder: manifest, hashes, counts, and every episode
"""

from .folder import verify

__all__ = ["verify"]
