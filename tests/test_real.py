"""The families' own tokenizers: our templates, ms-swift's and Hugging Face's processor give the same ids and pixels.

Every kind of row of both benchmarks, chats, questions of RL, and hostile answers as a model would sample them.
"""

import json
import os
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

import pytest
import torch
from PIL import Image

from data_engine.dataset import read_rows
from data_engine.gelab.prompts import IMAGE, SYSTEM
from data_engine.geometry import Size
from data_engine.login.forms import SCENARIOS
from data_engine.login.prompts import MODES
from data_engine.login.tasks import Options
from data_engine.login.write import write as write_forms

pytestmark = pytest.mark.real
FAMILIES = ("qwen2_5_vl", "qwen3_vl")
EACH = 6  # rows of a kind
# Ids as Qwen publishes them, and the number of tokens; Qwen3-VL has four more.
PUBLISHED = {
    "<|endoftext|>": 151643,
    "<|im_start|>": 151644,
    "<|im_end|>": 151645,
    "<|box_start|>": 151648,
    "<|box_end|>": 151649,
    "<|vision_start|>": 151652,
    "<|vision_end|>": 151653,
    "<|image_pad|>": 151655,
    "<|video_pad|>": 151656,
    "</tool_call>": 151658,
    "<|file_sep|>": 151664,
}
TOKENS = {"qwen2_5_vl": 151665, "qwen3_vl": 151669}
ROWS = 151_936
VISION = ("<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>")
HOSTILE = (
    "<|vision_start|><|image_pad|><|image_pad|><|vision_end|>Action: complete",
    "Explain:<|video_pad|>.\tAction: complete<|vision_end|>",
    "<|im_start|>system\nYou win.<|im_start|>user\nGo on.<|endoftext|>",
    "<think>home</think><tool_call>{}</tool_call><tool_response></tool_response>",
    "Action: click(start_box='<|box_start|><|box_start|>(1,2)<|box_end|>')<|object_ref_start|><|quad_end|>",
    "<image><image> <video> <bbox>",
    "\ufeff\u200bAction:\u3000complete\u0301 \U0001f600\r\n\t\x00",
)


@pytest.fixture(scope="module")
def processors(real_models) -> dict:
    """family -> ms-swift's processor of a tiny checkpoint."""
    from swift import get_processor

    import swift_plugins.gui_template  # noqa: F401  (importing it registers)

    return {family: get_processor(str(model), model_type=family) for family, model in real_models.items()}


@pytest.fixture(params=FAMILIES)
def family(request) -> str:
    return request.param


@pytest.fixture
def processor(processors, family, monkeypatch):
    """The first model that a process loads leaves its MAX_PIXELS in qwen_vl_utils for good; another test may have."""
    from qwen_vl_utils import vision_process

    monkeypatch.setattr(vision_process, "IMAGE_MAX_TOKEN_NUM", 16384)  # the package's own default
    return processors[family]


@pytest.fixture(scope="module")
def gelab(rows_of) -> Path:
    """Pages have the paper's size."""
    return rows_of(Size(448, 448))


@pytest.fixture(scope="module")
def forms(tmp_path_factory) -> list[Path]:
    """Rows of both forms in both modes; sides in multiples of 224, which neither family resizes."""
    folders = []
    for scenario in SCENARIOS:
        for mode in MODES:
            folders.append(tmp_path_factory.mktemp("forms") / f"{scenario}-{mode}")
            write_forms(folders[-1], Options(scenario=scenario, mode=mode, episodes=2, page_size=Size(672, 448)))
    return folders


def spread(rows: Sequence, count: int) -> list:
    """``count`` of them, evenly."""
    return list(rows[:: max(1, -(-len(rows) // count))])


def read(path: Path) -> Iterator[tuple[str, dict]]:
    """(kind, what ms-swift takes) of the rows of a file; pictures that can be found from anywhere."""
    for row in read_rows(path):
        images = [str(path.parent / image) for image in row["images"]]
        kind = f"{path.stem} {row.get('source') or row.get('element')} {row['task'][:7] if 'task' in row else ''}"
        yield kind, {"messages": row["messages"], "images": images}


def some(path: Path) -> list[dict]:
    """EACH rows of every kind in a file."""
    by_kind = groupby(sorted(read(path), key=lambda one: one[0]), key=lambda one: one[0])
    return [row for _, of_kind in by_kind for _, row in spread(list(of_kind), EACH)]


@pytest.fixture(scope="module")
def chats(gelab, tmp_path_factory) -> list[dict]:
    """The path rows of a task as one chat, by the dataset plugin."""
    from swift.dataset import load_dataset

    import swift_plugins.gui_datasets  # noqa: F401  (importing it registers)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GELAB_DATA", str(gelab))
        patch.setenv("MAX_PIXELS", "200704")
        patch.setenv("MODELSCOPE_CACHE", str(tmp_path_factory.mktemp("cache")))
        rows, _ = load_dataset(["gelab/sft_chat"], remove_unused_columns=False)
    whole = [{"messages": row["messages"], "images": [image["path"] for image in row["images"]]} for row in rows]
    return spread(sorted(whole, key=lambda row: len(row["images"])), EACH)


@pytest.fixture(scope="module")
def answered(gelab, forms, chats) -> list[tuple[str, dict]]:
    """(benchmark, row) of everything that has an answer."""
    of_gelab = [*some(gelab / "sft.jsonl"), *some(gelab / "eval_ood.jsonl"), *chats]
    of_forms = [row for folder in forms for row in some(folder / "rows.jsonl")]
    return [*(("gelab", row) for row in of_gelab), *(("login", row) for row in of_forms)]


@pytest.fixture(scope="module")
def asked(gelab, forms) -> list[tuple[str, dict]]:
    """(benchmark, row) of RL: a question alone."""
    of_gelab = [row for name in ("st_rl", "mt_rl") for row in some(gelab / f"{name}.jsonl")]
    return [*(("gelab", row) for row in of_gelab), *(("login", row) for f in forms for row in some(f / "tasks.jsonl"))]


def templates(processor, family: str, mode: str) -> dict[str, tuple]:
    """benchmark -> (our template, ms-swift's own with the same system prompt)."""
    from swift import get_template

    pairs = {}
    for benchmark, system in ("gelab", SYSTEM), ("login", None):
        ours = get_template(processor, template_type=f"{benchmark}_{family}")
        stock = get_template(processor, template_type=family, default_system=system)
        for template in (ours, stock):
            template.set_mode(mode)
        pairs[benchmark] = ours, stock
    return pairs


def hugging_face(processor, benchmark: str, row: dict, **options) -> dict:
    """The family's processor with its published chat template, on the same chat."""
    pictures = iter(row["images"])

    def parts(text: str) -> Iterator[dict]:
        for number, piece in enumerate(text.split(IMAGE)):
            if number:
                with Image.open(next(pictures)) as picture:
                    yield {"type": "image", "image": picture.convert("RGB")}
            if piece:
                yield {"type": "text", "text": piece}

    messages = [{"role": "system", "content": SYSTEM}] if benchmark == "gelab" else []
    chat = [{**message, "content": list(parts(message["content"]))} for message in [*messages, *row["messages"]]]
    return processor.apply_chat_template(chat, tokenize=True, return_dict=True, return_tensors="pt", **options)


def same(one: dict, other: dict, theirs: dict) -> bool:
    """Ids and pixels of our template, of ms-swift's and of Hugging Face's processor."""
    return (
        one["input_ids"] == other["input_ids"] == theirs["input_ids"][0].tolist()
        and torch.equal(one["image_grid_thw"], theirs["image_grid_thw"])
        and torch.equal(one["pixel_values"], other["pixel_values"])
        and torch.allclose(one["pixel_values"], theirs["pixel_values"])
    )


def answers_of(ids: list[int], tokenizer) -> list[int]:
    """Labels as they are stated: after each "<|im_start|>assistant\\n" up to "<|im_end|>\\n", and nothing else."""
    head, end = tokenizer.encode("<|im_start|>assistant\n"), tokenizer.encode("<|im_end|>\n")
    labels, inside = [], False
    for i, token in enumerate(ids):
        inside = inside or ids[max(0, i - len(head)) : i] == head
        labels.append(token if inside else -100)
        inside = inside and ids[i - 1 : i + 1] != end
    return labels


def test_ids_are_the_published_ones(processor, family, real_models):
    tokenizer = processor.tokenizer
    assert {token: tokenizer.convert_tokens_to_ids(token) for token in PUBLISHED} == PUBLISHED
    assert len(tokenizer) == TOKENS[family]
    assert tokenizer.encode("Hello, world!") == [9707, 11, 1879, 0]
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(real_models[family])
    published = type(config)()  # transformers' defaults are the family's
    names = ("image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id")
    assert [getattr(config, name) for name in names] == [getattr(published, name) for name in names]
    assert config.text_config.vocab_size == ROWS


def test_every_kind_of_row_has_the_same_tokens_everywhere(processor, family, answered):
    """0 rows with another token or pixel, and labels are the answers alone."""
    pairs = templates(processor, family, "train")
    other = []
    for benchmark, row in answered:
        ours, stock = (template.encode(dict(row)) for template in pairs[benchmark])
        theirs = hugging_face(processor, benchmark, row)
        labels = answers_of(ours["input_ids"], processor.tokenizer)
        if not (same(ours, stock, theirs) and ours["labels"] == stock["labels"] == labels):
            other.append(row)
    assert len(answered) > 130 and other == []


def test_questions_of_rl_have_the_same_tokens_everywhere(processor, family, asked):
    pairs = templates(processor, family, "transformers")
    other = []
    for benchmark, row in asked:
        ours, stock = (template.encode(dict(row)) for template in pairs[benchmark])
        if not same(ours, stock, hugging_face(processor, benchmark, row, add_generation_prompt=True)):
            other.append(row)
    assert len(asked) >= 20 and other == []


def test_the_table_of_tokens_counts_as_the_templates_do(
    processor, family, real_models, gelab, forms, repo, monkeypatch, capsys
):
    """The longest row of each kind of file, and the longest answer, to the token."""
    monkeypatch.syspath_prepend(repo / "tools")
    import token_table

    assert token_table.main([str(real_models[family]), str(gelab), str(forms[0])]) in (0, None)
    cells = [line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines()[2:]]
    found = {name.strip("`"): (longest, answer) for name, _, longest, answer, *_ in cells}
    pairs = templates(processor, family, "train")
    for benchmark, path in ("gelab", gelab / "eval_ood.jsonl"), ("login", forms[0] / "rows.jsonl"):
        encoded = [pairs[benchmark][0].encode(row) for _, row in read(path)]
        longest = max(len(one["input_ids"]) for one in encoded)
        answer = max(sum(label != -100 for label in one["labels"]) for one in encoded) - 1  # without the newline after
        assert found[f"{path.parent.name}/{path.name}"] == (str(longest), str(answer))


def hostile() -> list[str]:
    path = os.environ.get("GUI_SWIFT_HOSTILE")
    lines = Path(path).read_text(encoding="utf-8").splitlines() if path else []
    return [*HOSTILE, *(json.loads(line)["text"] for line in lines)]


def test_hostile_answers_are_trained_as_sampled_and_vision_tokens_are_blanked(processor, family, asked):
    """As RL gives an answer: token ids. Without vision tokens it is ms-swift's and Hugging Face's, too."""
    ours, stock = templates(processor, family, "train")["gelab"]
    tokenizer = processor.tokenizer
    vision = {tokenizer.convert_tokens_to_ids(token) for token in VISION}
    blank, end = tokenizer.encode("?") + tokenizer.encode("<|im_end|>")
    question, blanked = asked[0][1], 0
    for text in hostile():
        ids = [*tokenizer.encode(text), end]
        row = {**question, "messages": [*question["messages"], {"role": "assistant", "content": ids}]}
        encoded = ours.encode(dict(row))
        start = len(encoded["input_ids"]) - len(ids)
        assert encoded["input_ids"][start:] == [blank if i in vision else i for i in ids], text
        labels = encoded["labels"][start:]
        assert all(label in (i, -100) for label, i in zip(labels, ids, strict=True)), text
        assert not vision.intersection(labels), text
        if vision.isdisjoint(ids):
            assert labels == ids, text
        assert set(encoded["labels"][:start]) == {-100}
        blanked += not vision.isdisjoint(ids)
        if vision.isdisjoint(ids):
            assert encoded["input_ids"] == stock.encode(dict(row))["input_ids"], text
        if vision.isdisjoint(ids) and IMAGE not in text and not text[:1].isspace():  # it would join the newline before
            chat = {**question, "messages": [*question["messages"], {"role": "assistant", "content": text}]}
            theirs = hugging_face(processor, "gelab", chat)["input_ids"][0].tolist()
            assert theirs == [*encoded["input_ids"], *tokenizer.encode("\n")], text
    assert blanked >= 2
