"""Tiny checkpoints are what they say, the same every time, and ms-swift takes them for the real family."""

import hashlib
import json
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_engine.gelab.actions import format_click
from data_engine.gelab.prompts import SYSTEM, navigation

FAMILIES = ("qwen2_5_vl", "qwen3_vl")
ARCHITECTURES = {
    "qwen2_5_vl": "Qwen2_5_VLForConditionalGeneration",
    "qwen3_vl": "Qwen3VLForConditionalGeneration",
}
SIZES = {"2m": 2e6, "10m": 10e6, "50m": 50e6}
NEVER_SAID = "<|endoftext|> <|vision_start|> <|vision_end|> <|vision_pad|> <|image_pad|> <|video_pad|>".split()
TOKENS_OF_CONFIG = {
    "image_token_id": "<|image_pad|>",
    "video_token_id": "<|video_pad|>",
    "vision_start_token_id": "<|vision_start|>",
    "vision_end_token_id": "<|vision_end|>",
}


@pytest.fixture(scope="module")
def models(tiny_model, cli, tmp_path_factory) -> dict[str, Path]:
    """family -> a checkpoint of two million parameters."""
    qwen3 = tmp_path_factory.mktemp("models") / "tiny-qwen3_vl"
    made = cli("tools/make_tiny_model.py", qwen3, "--family", "qwen3_vl", "--size", "2m")
    assert made.returncode == 0, made.stderr
    assert made.stdout.count("\n") == 1 and "parameters" in made.stdout
    return {"qwen2_5_vl": tiny_model, "qwen3_vl": qwen3}


@pytest.fixture(scope="module")
def tokenizers(models) -> dict:
    from transformers import AutoTokenizer

    return {family: AutoTokenizer.from_pretrained(folder) for family, folder in models.items()}


@pytest.fixture(scope="module")
def tokenizer(tokenizers):
    return tokenizers["qwen2_5_vl"]


@pytest.fixture
def parts(repo, monkeypatch):
    """The tool's parts, importable as the tool imports them."""
    monkeypatch.syspath_prepend(repo / "tools")
    from tiny_model import shapes, vocabulary

    return shapes, vocabulary


def round_trip(tokenizer, text: str) -> str:
    ids = tokenizer.encode(text, add_special_tokens=False)
    return tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)


def hashes(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


# The tokenizer


def test_every_row_survives(tokenizer, small_data):
    texts = {
        message["content"]
        for path in small_data.glob("*.jsonl")
        for line in path.read_text(encoding="utf-8").splitlines()
        for message in json.loads(line).get("messages", [])
    }
    assert len(texts) > 300
    assert [text for text in texts if round_trip(tokenizer, text) != text] == []


@given(text=st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_survives(tokenizer, text):
    """Up to NFC, which the families' real tokenizers apply too."""
    normal = unicodedata.normalize("NFC", text)
    assert round_trip(tokenizer, text) == normal


@given(number=st.integers(0, 10**9))
def test_digits_are_read_one_by_one(tokenizer, number):
    assert len(tokenizer.encode(str(number))) == len(str(number))


def test_prompts_are_short(tokenizer):
    assert len(tokenizer.encode(SYSTEM)) < 25
    assert len(tokenizer.encode(navigation("page_0", "page_13", []))) < 25
    assert len(tokenizer.encode(format_click("umbrella", "page_7", 123, 456))) < 25


@pytest.mark.parametrize("family", FAMILIES)
def test_special_tokens_and_the_ids_of_the_configs(models, tokenizers, parts, family):
    _, vocabulary = parts
    tokenizer = tokenizers[family]
    tokens = [*vocabulary.SPECIAL, *vocabulary.PLAIN_OF_FAMILY[family]]
    ids = {token: tokenizer.encode(token, add_special_tokens=False) for token in tokens}
    first = ids["<|endoftext|>"][0]
    assert list(ids.values()) == [[number] for number in range(first, first + len(tokens))]
    config = json.loads((models[family] / "config.json").read_text())
    generation = json.loads((models[family] / "generation_config.json").read_text())
    assert {key: config[key] for key in TOKENS_OF_CONFIG} == {k: ids[t][0] for k, t in TOKENS_OF_CONFIG.items()}
    assert config["text_config"]["vocab_size"] == len(tokenizer)
    for said in (config["text_config"], generation):
        assert [said["eos_token_id"]] == ids["<|im_end|>"] == [tokenizer.eos_token_id]
        assert [said["pad_token_id"]] == ids["<|endoftext|>"] == [tokenizer.pad_token_id]
    assert generation["suppress_tokens"] == [ids[token][0] for token in NEVER_SAID]


# The model


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("size", SIZES)
def test_size_is_what_its_name_says(parts, tokenizers, family, size):
    import torch

    shapes, _ = parts
    config = shapes.make_config(family, size, tokenizers[family].get_vocab(), len(tokenizers[family]))
    with torch.device("meta"):
        model = shapes.MODELS[family](config)
    assert abs(model.num_parameters() - SIZES[size]) <= 0.25 * SIZES[size]


@pytest.mark.parametrize("family", FAMILIES)
def test_same_arguments_same_bytes(models, cli, tmp_path, family):
    again, other = tmp_path / "again", tmp_path / "other"
    arguments = ("--family", family, "--size", "2m")
    assert cli("tools/make_tiny_model.py", again, *arguments, PYTHONHASHSEED="7", OMP_NUM_THREADS="1").returncode == 0
    assert cli("tools/make_tiny_model.py", other, *arguments, "--seed", "1").returncode == 0
    assert hashes(again) == hashes(models[family])
    changed = {name for name, value in hashes(other).items() if value != hashes(again)[name]}
    assert changed == {"model.safetensors", "tiny_model.json"}
    assert {path.name for path in tmp_path.iterdir()} == {"again", "other"}  # no temporary folder is left


def test_made_again_it_is_kept_or_refused(models, cli):
    folder = models["qwen2_5_vl"]
    before = hashes(folder)
    same = cli("tools/make_tiny_model.py", folder, "--family", "qwen2_5_vl", "--size", "2m")
    assert same.returncode == 0 and "is there already" in same.stdout
    other = cli("tools/make_tiny_model.py", folder, "--family", "qwen2_5_vl", "--size", "2m", "--seed", "3")
    assert other.returncode == 2 and "seed 0 instead of 3" in other.stderr and other.stderr.count("\n") == 1
    assert hashes(folder) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--family", "qwen2_5_vl", "--size", "2m", "--vocab", "200"],
            "256 bytes, phrases, names and special tokens need",
        ),
        (["--family", "qwen2_5_vl", "--size", "2m", "--vocab", "90000"], "at most; ask for less"),
        (["--family", "gpt", "--size", "2m"], "invalid choice: 'gpt'"),
        (["--family", "qwen3_vl", "--size", "7b"], "invalid choice: '7b'"),
        (["--family", "qwen3_vl"], "--size"),
        (["--family", "qwen3_vl", "--size", "2m", "--tokenizer", "real"], "has one size"),
        (["--from-base", "--tokenizer", "real"], "of the shipped model; leave these flags out"),
    ],
)
def test_bad_arguments_are_refused_in_one_line(cli, tmp_path, arguments, message):
    result = cli("tools/make_tiny_model.py", tmp_path / "out", *arguments)
    assert result.returncode == 2
    assert message in result.stderr and result.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("there, message", [(False, "not there; pip install"), (True, "another file than")])
def test_the_familys_own_tokenizer_without_its_package_is_one_line(cli, tmp_path, there, message):
    packages, out = tmp_path / "packages", tmp_path / "out"
    (packages / "dashscope" / "resources").mkdir(parents=True)
    if there:
        (packages / "dashscope" / "resources" / "qwen.tiktoken").write_text("IQ== 0\n")
    arguments = ["--family", "qwen3_vl", "--tokenizer", "real"]
    result = cli("tools/make_tiny_model.py", out, *arguments, GUI_SWIFT_REAL=str(packages))
    assert (result.returncode, result.stderr.count("\n")) == (2, 1) and message in result.stderr
    assert f"--target {packages} -r" in result.stderr and not out.exists()


def test_a_folder_of_something_else_is_left_alone(cli, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    result = cli("tools/make_tiny_model.py", tmp_path, "--family", "qwen2_5_vl", "--size", "2m")
    assert result.returncode == 2 and "is no tiny model" in result.stderr
    assert hashes(tmp_path).keys() == {"notes.txt"}


# ms-swift


@pytest.mark.parametrize("family", FAMILIES)
def test_ms_swift_takes_it_for_the_family_and_it_never_says_vision_tokens(models, tokenizers, small_data, family):
    """Untrained, sampled at temperature 1: of 2,000 tokens about eight would be among the suppressed six."""
    import torch
    from swift import InferRequest, RequestConfig, TransformersEngine

    import swift_plugins.gui_template  # noqa: F401  (importing it registers)

    engine = TransformersEngine(
        str(models[family]),
        model_type=family,
        template_type=f"gelab_{family}",
        torch_dtype=torch.float32,
        device_map="cpu",
        attn_impl="sdpa",
        max_batch_size=32,
    )
    assert type(engine.model).__name__ == ARCHITECTURES[family]
    assert engine.template.template_meta.default_system == SYSTEM
    row = json.loads((small_data / "sft.jsonl").read_text().splitlines()[0])
    request = InferRequest(messages=row["messages"][:1], images=[str(small_data / row["images"][0])])
    config = RequestConfig(max_tokens=64, temperature=1.0, seed=0, return_details=True)
    torch.manual_seed(0)
    answers = engine.infer([request] * 32, config, use_tqdm=False)
    said = [token for answer in answers for token in answer.choices[0].token_ids]
    never = set(tokenizers[family].convert_tokens_to_ids(NEVER_SAID))
    assert len(said) > 1500 and len(set(said)) > 100
    assert never.isdisjoint(said)
