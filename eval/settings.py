"""What the flags of a run say, as one record that is built once (common.py) and handed to all that need some of it."""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Self

from dialects import DIALECTS

CACHE = Path(__file__).resolve().parents[1] / "runs" / "api_cache"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The flags that every script has which asks a model; a script's own are fields of a subclass.

    engine          who answers: a name of engines.ENGINES, or one of the script's own
    model           checkpoint folder or hub name; for replay a results file; a server's name of it
    template        ms-swift template; None: ours for the model's family
    out             folder of the run; None: nothing is written
    train_rows      rows that the blind engine reads; None: sft.jsonl beside the data
    max_new_tokens  of an answer, 1 or more
    batch_size      requests or episodes together, at a server those under way at once; 1 or more
    gpu_memory_utilization  of vllm: share of the GPU's memory that it takes, 0.01 to 1
    enforce_eager   of vllm: no compilation and no CUDA graphs, so it starts sooner and answers more slowly
    seed            of the samples, 0 or more
    limit           only the first rows or tasks; None: all
    json            print the metrics as JSON
    price           of a server: US dollars for a million input and output tokens
    cache           of a server: folder of all replies so far
    extra           of a server: fields of the request; null takes one out
    shard           (number from 0, how many): this process does that part of the tasks
    nproc           processes that share the tasks, 1 or more
    """

    engine: str
    model: str | None = None
    template: str | None = None
    out: Path | None = None
    train_rows: Path | None = None
    max_new_tokens: int = 256
    batch_size: int = 16
    gpu_memory_utilization: float = 0.9
    enforce_eager: bool = False
    seed: int = 0
    limit: int | None = None
    json: bool = False
    price: Sequence[float] | None = None
    cache: Path = CACHE
    extra: Mapping[str, object] | None = None
    shard: tuple[int, int] | None = None
    nproc: int = 1

    @classmethod
    def of(cls, args: argparse.Namespace) -> Self:
        """The record of parsed flags. A server has its own opinion on how many requests it wants at once."""
        given = {field.name: getattr(args, field.name) for field in fields(cls) if hasattr(args, field.name)}
        return cls(**given | {"batch_size": args.batch_size or (16 if args.engine in DIALECTS else 64)})

    @property
    def requests(self) -> Path | None:
        """What a server was asked, in the folder of the run."""
        return self.out and self.out / "requests.jsonl"
