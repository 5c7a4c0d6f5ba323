"""Make a tiny Qwen-VL checkpoint, which ms-swift treats as the real family.

    python tools/make_tiny_model.py OUT --family qwen2_5_vl|qwen3_vl --size 2m|4m|10m|50m [--seed 0] [--vocab 768]
    python tools/make_tiny_model.py OUT --from-base [pages|forms|marks|words]

The first has random weights ("from scratch"); the second is a copy of a shipped model that sees: assets/tiny-base
GE-Lab's pages, tiny-forms login forms, tiny-marks login forms with Set-of-Marks numbers, tiny-words words.
Same arguments, same bytes. The folder appears whole or not at all. The host needs two flags with it, because it goes
by folder names and by Qwen's own token ids:

    --template gelab_qwen2_5_vl
    --template gelab_qwen3_vl --model_type qwen3_vl
"""

import argparse
import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

os.environ["TOKENIZERS_PARALLELISM"] = "false"

ASSETS = Path(__file__).resolve().parents[1] / "assets"
# made by recipes/tiny_base/pretrain.sh
BASES = {"pages": ASSETS / "tiny-base"} | {name: ASSETS / f"tiny-{name}" for name in ("forms", "marks", "words")}
MARK = "tiny_model.json"  # what the folder was made from
KIND = "tiny-base"  # of the manifest beside the base's files
SIZES = {"2m": 2_000_000, "4m": 3_500_000, "10m": 10_000_000, "50m": 50_000_000}  # parameters, +-25 %
FAMILIES = ("qwen2_5_vl", "qwen3_vl")
PIXELS = {"shortest_edge": 56 * 56, "longest_edge": 12_845_056}  # of a picture; MAX_PIXELS rules in ms-swift
VOCAB = 768  # tokens: phrases and names are one each, and the merges are few


class UsageError(ValueError):
    """One line for the user."""


def make(out: Path, family: str, size: str, seed: int = 0, vocab: int = VOCAB) -> dict:
    """Write the checkpoint ``out`` unless it is there already, and return its mark."""
    from tiny_model import shapes, vocabulary

    text = hashlib.sha256("\n".join(vocabulary.corpus()).encode()).hexdigest()
    arguments = {"family": family, "size": size, "seed": seed, "vocab": vocab, "text_sha256": text}
    if (mark := _mark_of(out)) is not None:
        if mark["arguments"] != arguments:
            raise UsageError(
                f"{out}: made with other arguments, {_differences(mark['arguments'], arguments)}; remove it"
            )
        return mark | {"new": False}
    tokenizer = vocabulary.make_tokenizer(family, vocab)
    config = shapes.make_config(family, size, tokenizer.get_vocab(), len(tokenizer))
    model = shapes.make_model(family, config, seed)
    mark = {"arguments": arguments, "parameters": model.num_parameters()}
    with _new_folder(out) as folder:
        model.generation_config = _generation_config(tokenizer, vocabulary.NEVER_SAID)
        model.save_pretrained(folder)
        processor = _processor(family, tokenizer, shapes.PATCH[family])
        processor.save_pretrained(folder)
        processor.image_processor.save_pretrained(folder)  # preprocessor_config.json, for readers older than the pin
        (folder / MARK).write_text(json.dumps(mark, indent=1) + "\n", encoding="utf-8")
    return mark | {"new": True}


def copy_base(out: Path, base: Path) -> dict:
    """Copy a shipped base model to ``out`` unless it is there already; every file's hash is checked first."""
    from data_engine.dataset import MANIFEST, read_manifest, sha256, verified_path

    if not base.exists():
        raise UsageError(f"{base}: no base model is here; recipes/tiny_base/pretrain.sh makes one, or use --scratch")
    manifest = read_manifest(base, KIND)
    arguments = {"base_sha256": sha256(base / MANIFEST)}
    if (mark := _mark_of(out)) is not None:
        if mark["arguments"] != arguments:
            raise UsageError(f"{out}: is another tiny model; remove it")
        return mark | {"new": False}
    files = [verified_path(base, name, manifest=manifest) for name in manifest["files"]]
    mark = {"arguments": arguments, **manifest["arguments"]}
    with _new_folder(out) as folder:
        for path in files:
            shutil.copyfile(path, folder / path.name)
        (folder / MARK).write_text(json.dumps(mark, indent=1) + "\n", encoding="utf-8")
    return mark | {"new": True}


def _mark_of(out: Path) -> dict | None:
    """The mark of an existing checkpoint; None where nothing is. Raises UsageError where something else is."""
    if (out / MARK).is_file():
        return json.loads((out / MARK).read_text(encoding="utf-8"))
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise UsageError(f"{out}: exists and is no tiny model; remove it or name another folder")
    return None


def _differences(old: dict, new: dict) -> str:
    return ", ".join(f"{key} {old.get(key)} instead of {new[key]}" for key in new if old.get(key) != new[key])


@contextmanager
def _new_folder(out: Path) -> Iterator[Path]:
    """A temporary folder beside ``out`` that takes its name when all is written, and goes away if anything fails."""
    out.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        yield folder
        for path in (folder, *folder.iterdir()):
            path.chmod(0o755 if path.is_dir() else 0o644)
        folder.replace(out)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _generation_config(tokenizer, never_said: list[str]):
    from transformers import GenerationConfig

    ids = tokenizer.convert_tokens_to_ids
    return GenerationConfig(
        bos_token_id=ids("<|endoftext|>"),
        eos_token_id=ids("<|im_end|>"),
        pad_token_id=ids("<|endoftext|>"),
        suppress_tokens=ids(never_said),
    )


def _processor(family: str, tokenizer, patch: int):
    """The family's own processor, with our tokenizer; no picture of 56 x 56 or more is scaled up."""
    import transformers as hf

    pictures = {"patch_size": patch, "merge_size": 2, "temporal_patch_size": 2, "size": PIXELS}
    if family == "qwen2_5_vl":
        image, video, joint = hf.Qwen2VLImageProcessor, hf.Qwen2VLVideoProcessor, hf.Qwen2_5_VLProcessor
    else:
        image, video, joint = hf.Qwen2VLImageProcessor, hf.Qwen3VLVideoProcessor, hf.Qwen3VLProcessor
        pictures |= {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    return joint(image(**pictures), tokenizer, video(**pictures), chat_template=tokenizer.chat_template)


class OneLineParser(argparse.ArgumentParser):
    """Says what is wrong in one line, without the usage."""

    def error(self, message: str):
        self.exit(2, f"make_tiny_model: {message} (--help tells more)\n")


def parser() -> argparse.ArgumentParser:
    parser = OneLineParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, metavar="OUT", help="folder to write")
    start = parser.add_mutually_exclusive_group()
    start.add_argument("--scratch", action="store_true", help="random weights (the default)")
    start.add_argument(
        "--from-base", nargs="?", const="pages", choices=tuple(BASES), help="a copy of a shipped one; default: pages"
    )
    parser.add_argument("--family", choices=FAMILIES)
    parser.add_argument("--size", choices=tuple(SIZES), help="parameters, about")
    parser.add_argument("--seed", type=int, default=0, help="of the weights; default: %(default)s")
    parser.add_argument("--vocab", type=int, default=VOCAB, help="tokens, special ones included; default: %(default)s")
    return parser


def main(argv: list[str] | None = None) -> int:
    given = parser().parse_args(argv)
    if not given.from_base and not (given.family and given.size):
        parser().error("--family and --size are needed, or --from-base")
    if given.from_base and (given.family or given.size):
        parser().error("--from-base has the family and size of the shipped model; leave out --family and --size")
    from transformers.utils import logging

    from data_engine.dataset import DataError

    logging.disable_progress_bar()
    try:
        print(copied(given.out, BASES[given.from_base]) if given.from_base else made(given))
    except (UsageError, DataError, OSError) as error:
        print(f"make_tiny_model: {error}", file=sys.stderr)
        return 2
    return 0


def copied(out: Path, base: Path) -> str:
    mark = copy_base(out, base)
    what = f"{out}: the base model, stage {mark['stage']}, commit {mark['commit'][:7]}: "
    return what + ("copied" if mark["new"] else "is there already")


def made(given: argparse.Namespace) -> str:
    from tiny_model.vocabulary import VocabularyError

    try:
        mark = make(given.out, given.family, given.size, given.seed, given.vocab)
    except VocabularyError as error:
        raise UsageError(str(error)) from None
    what = f"{given.family}, {mark['parameters']:,} parameters, {given.vocab:,} tokens, seed {given.seed}"
    return f"{given.out}: {what}: " + ("made" if mark["new"] else "is there already, made with the same arguments")


if __name__ == "__main__":
    sys.exit(main())
