"""Datasets by name: ``--dataset gelab/sft`` reads GELAB_DATA/sft.jsonl, checked against the manifest beside it.

    gelab/...    GELAB_DATA    python -m data_engine.gelab.write WORLD OUT
    worlds/...   WORLDS_DATA   python -m data_engine.gelab.write_many WORLDS OUT
    login/...    LOGIN_DATA    python -m data_engine.login.write OUT
    sight/rows   SIGHT_DATA    python -m data_engine.sight.write OUT

Each variable names the folder OUT that its command wrote. ``gelab/sft_chat`` has the path rows of ``gelab/sft`` joined,
each task one chat: what multi-turn RL goes on from. A model that saw only single questions may lose the format on its
second turn.

A name is registered without a path: ms-swift lets a registered path capture every other file of that name, and ours
would capture any ``sft.jsonl``.
"""

import dataclasses
import os
from pathlib import Path, PurePosixPath

from datasets import Dataset, IterableDataset
from swift.dataset import DatasetLoader, DatasetMeta, RowPreprocessor, register_dataset

from data_engine.benchmark import Dataset as Source
from data_engine.benchmarks import BENCHMARKS
from data_engine.dataset import DataError, read_manifest, verified_path
from data_engine.gelab.rows import SINGLE_STEPS
from data_engine.sight import questions as sight_questions
from data_engine.sight.write import KIND as SIGHT

SIGHT_ROWS = Source(
    name="sight/rows",
    file="rows.jsonl",
    variable="SIGHT_DATA",
    kind=SIGHT,
    command="sight.write",
    prompt_hash=lambda arguments: sight_questions.sha256(),
)
SOURCES = {source.name: source for b in BENCHMARKS for source in b.datasets} | {SIGHT_ROWS.name: SIGHT_ROWS}


def data_folder(source: Source) -> Path:
    """The folder that the source's variable names."""
    folder = os.environ.get(source.variable)
    if not folder:
        fix = f"export {source.variable}=FOLDER (data_engine.{source.command}'s OUT)"
        raise DataError(f"dataset {source.name}: {source.variable} is not set: {fix}")
    return Path(folder).resolve()


def checked_manifest(folder: Path, source: Source) -> dict:
    """The folder's manifest. Pictures fit one MAX_PIXELS and rows one prompt builder: ours must be the same."""
    manifest = read_manifest(folder, source.kind)
    wanted, given = str(manifest["max_pixels"]), os.environ.get("MAX_PIXELS", "unset")
    if given != wanted:
        raise DataError(f"{folder}: rows are for MAX_PIXELS={wanted}, here it is {given}: export MAX_PIXELS={wanted}")
    if manifest["prompt_sha256"] != source.prompt_hash(manifest["arguments"]):
        raise DataError(f"{folder}: rows were written by another prompt builder: write them again")
    return manifest


class AbsolutePaths(RowPreprocessor):
    """Paths relative to the rows' folder -> absolute; ms-swift would look for them in the working directory."""

    def __init__(self, folder: Path, pictures: dict[str, str]):
        super().__init__()
        self.folder = folder
        self.pictures = pictures

    def preprocess(self, row):
        row = {**row, "images": [self.picture(image) for image in row["images"]]}
        if "world" in (row.get("env_config") or {}):
            row["env_config"] = {**row["env_config"], "world": str(self.folder / row["env_config"]["world"])}
        return row

    @staticmethod
    def name(image: str | dict) -> str:
        return image["path"] if isinstance(image, dict) else image

    def picture(self, image: str | dict) -> str:
        name = self.name(image)
        if name not in self.pictures:
            raise DataError(f"{self.folder}: picture {name} of a row is not part of the folder: write the rows again")
        return self.pictures[name]


class Chats(AbsolutePaths):
    """The same for the path rows, those of a task on one world joined in their order. Of a stream, all rows are read at
    once."""

    def __call__(self, dataset, **kwargs):
        chats: dict[tuple[str, PurePosixPath], dict] = {}
        for row in dataset:
            if row["task"].startswith("From ") and not row["source"].endswith(SINGLE_STEPS):
                key = row["task"], PurePosixPath(self.name(row["images"][0])).parent
                chat = chats.setdefault(key, {"messages": [], "images": [], "turns": row["path"] + 1})
                chat["messages"] += [m for m in row["messages"] if m["role"] != "system" or not chat["messages"]]
                chat["images"] += row["images"]
        for (task, _), chat in chats.items():
            if len(chat["images"]) != chat["turns"]:
                raise DataError(f"{self.folder}: {task} has {len(chat['images'])} rows, not {chat['turns']}")
        joined = Dataset.from_list(list(chats.values()))
        streaming = isinstance(dataset, IterableDataset)
        return super().__call__(joined.to_iterable_dataset() if streaming else joined, **kwargs)


def pictures(manifest: dict) -> list[str]:
    return [file for file in manifest["files"] if file.endswith(".png")]


class CheckedLoader(DatasetLoader):
    """Finds the file when the dataset is asked for, verifies it and its pictures, and never drops a row."""

    def __init__(self, **kwargs):
        super().__init__(**{**kwargs, "strict": True})

    def load(self, dataset_syntax=None, dataset_meta=None, *, use_hf=None):
        source = SOURCES[dataset_meta.dataset_name]
        folder = data_folder(source)
        manifest = checked_manifest(folder, source)
        # all of them now: ms-swift caches what a preprocessor made, and then would not ask it again
        paths = {f: str(verified_path(folder, f, manifest)) for f in {source.file, *pictures(manifest)}}
        dataset_syntax.dataset = paths[source.file]
        dataset_syntax.dataset_type = "path"
        rows_to_rows = Chats if source.chat else AbsolutePaths
        meta = dataclasses.replace(dataset_meta, preprocess_func=rows_to_rows(folder, paths))
        rows = super().load(dataset_syntax, meta, use_hf=use_hf)
        dataset_syntax.dataset = source.name  # ms-swift writes it into a column of that name
        return rows


for _name in SOURCES:
    register_dataset(DatasetMeta(dataset_name=_name, loader=CheckedLoader), exist_ok=True)
