"""Make a tiny Qwen-VL checkpoint, which ms-swift treats as the real family.

    python tools/make_tiny_model.py OUT --family qwen2_5_vl|qwen3_vl --size 2m|4m|10m|50m [--seed 0] [--vocab 768]
    python tools/make_tiny_model.py OUT --family qwen2_5_vl|qwen3_vl --tokenizer real [--seed 0]
    python tools/make_tiny_model.py OUT --from-base [pages|forms|marks|words] [--explain way]

The first two have random weights ("from scratch"); around those of the second is what a checkpoint of the family has:
the vocabulary of 151,936 rows with its ids, the chat template and the limits of a picture (`make test-real` fetches the
packages that hold them). The third is a copy of a shipped model that sees: assets/tiny-base GE-Lab's pages, tiny-forms
login forms, tiny-marks login forms with Set-of-Marks numbers, tiny-words words.
Same arguments, same bytes. The folder appears whole or not at all. ms-swift needs two flags with it, because it goes
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
from collections.abc import Callable
from functools import partial
from pathlib import Path

from data_engine.cli import Parser, command, positive, whole
from data_engine.dataset import MANIFEST, DataError, changed_file, read_json, read_manifest, sha256, verified_path
from data_engine.files import write_file
from data_engine.folder import is_free, only_writer
from data_engine.gelab.actions import EXPLAIN

os.environ["TOKENIZERS_PARALLELISM"] = "false"

ASSETS = Path(__file__).resolve().parents[1] / "assets"
# made by recipes/tiny_base/pretrain.sh
BASES = {"pages": ASSETS / "tiny-base"} | {name: ASSETS / f"tiny-{name}" for name in ("forms", "marks", "words")}
MARK = "tiny_model.json"  # what the folder was made from
KIND = "tiny-base"  # of the manifest beside the base's files
SIZES = {"2m": 2_000_000, "4m": 3_500_000, "10m": 10_000_000, "50m": 50_000_000}  # parameters, +-25 %
FAMILIES = ("qwen2_5_vl", "qwen3_vl")
PIXELS = {"shortest_edge": 56 * 56, "longest_edge": 12_845_056}  # tiny: of a picture; MAX_PIXELS rules in ms-swift
VOCAB = 768  # tokens: phrases and names are one each, and the merges are few


def make(out: Path, family: str, size: str, seed: int = 0, vocab: int = VOCAB) -> dict:
    """Write the checkpoint ``out`` unless it is there already, and return its mark."""
    from tiny_model import vocabulary

    text = hashlib.sha256("\n".join(vocabulary.corpus()).encode()).hexdigest()
    arguments = {"family": family, "size": size, "seed": seed, "vocab": vocab, "text_sha256": text}
    tokenizer = partial(vocabulary.make_tokenizer, family, vocab)
    return _make(out, arguments, tokenizer, vocab, PIXELS, vocabulary.NEVER_SAID)


def make_real(out: Path, family: str, seed: int = 0) -> dict:
    """The same around the family's own tokenizer, whose model says any token."""
    from tiny_model import real

    arguments = {"family": family, "size": "real", "seed": seed, "files_sha256": real.hashes(family)}
    return _make(out, arguments, partial(real.make_tokenizer, family), real.ROWS, real.PIXELS[family], [])


def _make(
    out: Path, arguments: dict, make_tokenizer: Callable, rows: int, pixels: dict[str, int], never_said: list[str]
) -> dict:
    """``rows`` of the embedding, ``pixels`` of a picture."""
    from tiny_model import shapes

    family = arguments["family"]
    if (mark := _mark_of(out)) is not None:
        if mark["arguments"] != arguments:
            raise DataError(
                f"{out}: made with other arguments, {_differences(mark['arguments'], arguments)}; remove it"
            )
        return mark | {"new": False}
    tokenizer = make_tokenizer()
    config = shapes.make_config(family, arguments["size"], tokenizer.get_vocab(), rows, tokenizer.model_max_length)
    model = shapes.make_model(family, config, arguments["seed"])
    mark = {"arguments": arguments, "parameters": model.num_parameters()}
    with only_writer(out) as scratch, scratch() as folder:
        save(folder, family, model, tokenizer, pixels, never_said)
        mark = _marked(folder, mark)
    return mark | {"new": True}


def save(folder: Path, family: str, model, tokenizer, pixels: dict[str, int], never_said: list[str]) -> None:
    """Write what a checkpoint of the family has: weights, configs, tokenizer and processor."""
    from tiny_model import shapes

    model.generation_config = _generation_config(tokenizer, never_said)
    model.save_pretrained(folder)
    processor = _processor(family, tokenizer, shapes.PATCH[family], pixels)
    processor.save_pretrained(folder)
    processor.image_processor.save_pretrained(folder)  # preprocessor_config.json, for readers older than the pin


def copy_base(out: Path, base: Path, explain: str = "step") -> dict:
    """Copy a shipped base model to ``out`` unless it is there already; every file's hash is checked first.

    ``explain`` ``way``: what rows of that kind say again and again becomes one token each, as the rest of the prompts
    is: a row has a third fewer tokens. A new token begins as the mean of those that spelled it.
    """
    if not base.exists():
        raise DataError(f"{base}: no base model is here; recipes/tiny_base/pretrain.sh makes one, or use --scratch")
    manifest = read_manifest(base, KIND)
    arguments = {"base_sha256": sha256(base / MANIFEST)}
    arguments |= {} if explain == "step" else {"explain": explain}
    if (mark := _mark_of(out)) is not None:
        if mark["arguments"] != arguments:
            raise DataError(f"{out}: is another tiny model; remove it")
        return mark | {"new": False}
    files = [verified_path(base, name, manifest=manifest) for name in manifest["files"]]
    mark = {"arguments": arguments, **manifest["arguments"]}
    with only_writer(out) as scratch, scratch() as folder:
        for path in files:
            shutil.copyfile(path, folder / path.name)
        if explain == "way":
            _add_way(folder)
        mark = _marked(folder, mark)
    return mark | {"new": True}


def _add_way(folder: Path) -> None:
    """Add the phrases of ``--explain way`` to the vocabulary of a model."""
    import torch
    from tiny_model import vocabulary
    from transformers import AutoModelForImageTextToText, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForImageTextToText.from_pretrained(folder, dtype="auto")
    spelled = vocabulary.add_phrases(tokenizer, vocabulary.way_phrases())
    rows = model.get_input_embeddings().weight.detach().clone()
    model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    with torch.no_grad():
        for row, tokens in enumerate(spelled, len(rows)):
            model.get_input_embeddings().weight[row] = rows[tokens].mean(dim=0)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _marked(folder: Path, mark: dict) -> dict:
    """Write the mark of a finished checkpoint, with the hash of each of its files."""
    mark |= {"files": {path.name: sha256(path) for path in sorted(folder.iterdir())}}
    write_file(folder / MARK, json.dumps(mark, indent=1) + "\n")
    for path in folder.iterdir():
        path.chmod(0o644)
    return mark


def _mark_of(out: Path) -> dict | None:
    """The mark of an existing checkpoint; None where nothing is. Raises DataError where something else is."""
    if is_free(out):
        return None
    if not (out / MARK).is_file():
        raise DataError(f"{out}: exists and is no tiny model; remove it or name another folder")
    mark = read_json(out / MARK)
    if changed := changed_file(out, mark.get("files", {})):
        raise DataError(f"{out}: {changed} was changed after it was written; remove {out} and run this again")
    return mark


def _differences(old: dict, new: dict) -> str:
    return ", ".join(f"{key} {old.get(key)} instead of {new[key]}" for key in new if old.get(key) != new[key])


def _generation_config(tokenizer, never_said: list[str]):
    from transformers import GenerationConfig

    ids = tokenizer.convert_tokens_to_ids
    return GenerationConfig(
        bos_token_id=ids("<|endoftext|>"),
        eos_token_id=ids("<|im_end|>"),
        pad_token_id=ids("<|endoftext|>"),
        suppress_tokens=ids(never_said) or None,
    )


def _processor(family: str, tokenizer, patch: int, pixels: dict[str, int]):
    """The family's own processor, with this tokenizer and these limits of a picture."""
    import transformers as hf

    pictures = {"patch_size": patch, "merge_size": 2, "temporal_patch_size": 2, "size": pixels}
    if family == "qwen2_5_vl":
        image, video, joint = hf.Qwen2VLImageProcessor, hf.Qwen2VLVideoProcessor, hf.Qwen2_5_VLProcessor
    else:
        image, video, joint = hf.Qwen2VLImageProcessor, hf.Qwen3VLVideoProcessor, hf.Qwen3VLProcessor
        pictures |= {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    return joint(image(**pictures), tokenizer, video(**pictures), chat_template=tokenizer.chat_template)


def parser() -> Parser:
    parser = Parser(__doc__, "python tools/make_tiny_model.py models/tiny --family qwen3_vl --size 2m")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder to write")
    start = parser.add_mutually_exclusive_group()
    start.add_argument("--scratch", action="store_true", help="random weights (the default)")
    start.add_argument(
        "--from-base", nargs="?", const="pages", choices=tuple(BASES), help="a copy of a shipped one; default: pages"
    )
    parser.add_argument("--explain", choices=EXPLAIN, default="step", help="pages: of the rows that it will train on")
    parser.add_argument("--family", choices=FAMILIES, help="architecture")
    parser.add_argument("--size", choices=tuple(SIZES), help="parameters, about")
    parser.add_argument("--seed", type=whole(), default=0, help="of the weights")
    parser.add_argument("--vocab", type=positive, default=VOCAB, help="tiny: tokens, special ones included")
    parser.add_argument("--tokenizer", choices=("tiny", "real"), default="tiny", help="ours, or the family's own")
    return parser


@command("make_tiny_model")
def main(argv: list[str] | None = None) -> None:
    given = parser().parse_args(argv)
    real = given.tokenizer == "real"
    if given.from_base and (given.family or given.size or real):
        parser().error("--from-base has family, size and tokenizer of the shipped model; leave these flags out")
    if given.explain != "step" and given.from_base != "pages":
        parser().error(f"--explain {given.explain}: is for --from-base pages")
    if real and given.size:
        parser().error("--tokenizer real has one size, 10 million parameters; leave out --size")
    if not given.from_base and not (given.family and (given.size or real)):
        parser().error("--family and --size are needed, or --from-base")
    from transformers.utils import logging

    logging.disable_progress_bar()
    print(copied(given.out, BASES[given.from_base], given.explain) if given.from_base else made(given))


def copied(out: Path, base: Path, explain: str) -> str:
    mark = copy_base(out, base, explain)
    what = f"{out}: the base model, stage {mark['stage']}, commit {mark['commit'][:7]}: "
    return what + ("copied" if mark["new"] else "is there already")


def made(given: argparse.Namespace) -> str:
    if given.tokenizer == "real":
        mark, tokens = make_real(given.out, given.family, given.seed), "the family's own tokenizer"
    else:
        mark = make(given.out, given.family, given.size, given.seed, given.vocab)
        tokens = f"{given.vocab:,} tokens"
    what = f"{given.family}, {mark['parameters']:,} parameters, {tokens}, seed {given.seed}"
    return f"{given.out}: {what}: " + ("made" if mark["new"] else "is there already, made with the same arguments")


if __name__ == "__main__":
    sys.exit(main())
