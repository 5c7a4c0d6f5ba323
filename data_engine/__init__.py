"""The core: worlds, rows and scores. Needs numpy, pillow, gymnasium; never torch, transformers or swift."""

__version__ = "0.1.0"
