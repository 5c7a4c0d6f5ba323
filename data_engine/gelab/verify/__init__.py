"""Proof of a written folder: each file, page and row against world, pixels and prompt builder.

faults    what can be wrong, each kind with its fix
text      a row's messages on their own: columns, roles, image tags, system prompt, leaks
rows      a row against its world: replayed in the graph, not written again
lines     a file of rows, line by line
pages     a world folder: structure, screenshots against a new drawing, fingerprint
folder    a rows folder: manifest, hashes, counts, and all of the above
many      a folder of many worlds, and of rows over many worlds
"""

from .folder import Report, verify

__all__ = ["Report", "verify"]
