"""The core: worlds, rows and scores. Needs numpy, pillow, gymnasium; never torch, transformers or swift.

geometry, seeds      coordinates and random streams, the ground that everything stands on
dataset              rows on disk: JSONL, manifest, verified load
episode              the one loop in which a policy meets environments
failures             the kinds of wrong answers, each defined once
gelab/               the GE-Lab benchmark: page-graph worlds, rows, environment, scores
"""

__version__ = "0.1.0"
