"""What our templates encode equals what ms-swift and Hugging Face encode for the family, image tokens included.

ms-swift writes Qwen's image token id into its template class, so with our small vocabulary its own template is broken
(last but one test); where the ids agree, the two must agree in everything.
"""

import json
from itertools import islice
from pathlib import Path

import pytest
import torch
from PIL import Image

from data_engine.gelab.prompts import SYSTEM, navigation

FAMILIES = ("qwen2_5_vl", "qwen3_vl")
UNIT = {"qwen2_5_vl": 28, "qwen3_vl": 32}  # pixels a side of what becomes one token


@pytest.fixture(autouse=True)
def any_size(processors, monkeypatch):
    """The first model that a process loads leaves its MAX_PIXELS in qwen_vl_utils for good; another test may have."""
    from qwen_vl_utils import vision_process

    monkeypatch.setattr(vision_process, "IMAGE_MAX_TOKEN_NUM", 16384)  # the package's own default


@pytest.fixture(scope="module")
def processors(tiny_model, cli, tmp_path_factory) -> dict:
    """family -> ms-swift's processor of a tiny checkpoint."""
    from swift import get_processor

    import swift_plugins.gui_template  # noqa: F401  (importing it registers)

    qwen3 = tmp_path_factory.mktemp("models") / "tiny-qwen3_vl"
    made = cli("tools/make_tiny_model.py", qwen3, "--family", "qwen3_vl", "--size", "2m")
    assert made.returncode == 0, made.stderr
    return {"qwen2_5_vl": get_processor(str(tiny_model)), "qwen3_vl": get_processor(str(qwen3), model_type="qwen3_vl")}


@pytest.fixture(params=FAMILIES)
def family(request) -> str:
    return request.param


def template_of(processor, name: str, mode: str = "train", **options):
    from swift import get_template

    template = get_template(processor, template_type=name, **options)
    template.set_mode(mode)
    return template


@pytest.fixture
def ours(processors, family):
    return template_of(processors[family], f"gelab_{family}")


@pytest.fixture
def stock(processors, family):
    """ms-swift's own template, with our system prompt."""
    return template_of(processors[family], family, default_system=SYSTEM)


@pytest.fixture
def rows(small_data) -> list[dict]:
    """Some rows of every kind, with pictures that can be found from anywhere."""
    lines = [json.loads(line) for line in (small_data / "sft.jsonl").read_text().splitlines()]
    kinds = {row["source"]: [r for r in lines if r["source"] == row["source"]] for row in lines}
    picked = [row for of_kind in kinds.values() for row in islice(of_kind, 4)]
    return [sample(row["messages"], *(small_data / image for image in row["images"])) for row in picked]


def model_on_meta(processor):
    """A model without weights, for the positions that the collator asks it for."""
    from transformers import AutoModelForImageTextToText

    with torch.device("meta"):
        return AutoModelForImageTextToText.from_config(processor.model_info.config)


def sample(messages: list[dict], *images: Path) -> dict:
    return {"messages": messages, "images": [str(image) for image in images]}


def page(folder: Path, width: int, height: int, name: str = "page.png") -> Path:
    Image.effect_noise((width, height), 90).convert("RGB").save(folder / name)
    return folder / name


def question(path: Path) -> dict:
    return sample([{"role": "user", "content": navigation("page_0", "page_3", [])}], path)


def image_tokens(encoded: dict, processor) -> int:
    return encoded["input_ids"].count(processor.tokenizer.convert_tokens_to_ids("<|image_pad|>"))


def features(encoded: dict, processor) -> int:
    return int(encoded["image_grid_thw"].prod(-1).sum()) // processor.image_processor.merge_size**2


def assert_equal(one: dict, other: dict) -> None:
    assert one.keys() == other.keys()
    for key, value in one.items():
        same = torch.equal(value, other[key]) if isinstance(value, torch.Tensor) else value == other[key]
        assert same, key


def test_encodes_as_ms_swift_where_the_ids_agree(ours, stock, rows, monkeypatch):
    monkeypatch.setattr(type(stock), "image_token_id", ours.image_token_id)
    monkeypatch.setattr(type(stock), "video_token_id", ours.video_token_id)
    assert len(rows) >= 12
    for row in rows:
        assert_equal(ours.encode(dict(row)), stock.encode(dict(row)))


def test_the_forms_template_adds_no_system_prompt(ours, processors, family, rows):
    login = template_of(processors[family], f"login_{family}")
    for row in rows[:2]:
        bare = [message for message in row["messages"] if message["role"] != "system"]
        said, taught = (t.tokenizer.decode(t.encode({**row, "messages": bare})["input_ids"]) for t in (login, ours))
        assert taught == f"<|im_start|>system\n{SYSTEM}<|im_end|>\n{said}" and said.startswith("<|im_start|>user")
        own = {**row, "messages": [{"role": "system", "content": "Of the row."}, *bare]}
        assert_equal(login.encode(dict(own)), ours.encode(dict(own)))


def test_labels_are_the_answer_and_nothing_else(ours, rows):
    for row in rows:
        encoded = ours.encode(dict(row))
        said = [token for token in encoded["labels"] if token != -100]
        assert ours.tokenizer.decode(said) == row["messages"][-1]["content"] + "<|im_end|>\n"


def test_asks_as_the_familys_own_processor(processors, family, rows):
    """The prompt of inference, token for token and pixel for pixel, is Hugging Face's for the same chat."""
    template = template_of(processors[family], f"gelab_{family}", mode="transformers")
    for row in rows:
        text = row["messages"][0]["content"].removeprefix("<image>")
        with Image.open(row["images"][0]) as picture:
            content = [{"type": "image", "image": picture.convert("RGB")}, {"type": "text", "text": text}]
        chat = [{"role": "system", "content": [{"type": "text", "text": SYSTEM}]}, {"role": "user", "content": content}]
        theirs = processors[family].apply_chat_template(
            chat, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
        )
        encoded = template.encode(sample(row["messages"][:1], *row["images"]))
        assert encoded["input_ids"] == theirs["input_ids"][0].tolist()
        assert torch.equal(encoded["image_grid_thw"], theirs["image_grid_thw"])
        torch.testing.assert_close(encoded["pixel_values"], theirs["pixel_values"])


@pytest.mark.parametrize("size", [(224, 224), (448, 448), (224, 448), (896, 224)])
def test_one_image_token_for_each_merged_patch(ours, processors, family, tmp_path, size):
    encoded = ours.encode(question(page(tmp_path, *size)))
    wanted = (size[0] // UNIT[family]) * (size[1] // UNIT[family])
    assert image_tokens(encoded, processors[family]) == features(encoded, processors[family]) == wanted


def test_a_batch_keeps_tokens_and_features_row_by_row(ours, processors, family, tmp_path):
    sizes = [(224, 224), (448, 448), (448, 224)]
    answer = {"role": "assistant", "content": "x"}
    asked = [question(page(tmp_path, *size, name=f"{i}.png")) for i, size in enumerate(sizes)]
    encoded = [ours.encode({**row, "messages": [*row["messages"], answer]}) for row in asked]
    wanted = [features(row, processors[family]) for row in encoded]
    ours.dummy_model = model_on_meta(processors[family])  # ms-swift's own way to one forgets --model_type
    batch = ours.data_collator(encoded)
    assert (batch["input_ids"] == ours.image_token_id).sum(-1).tolist() == wanted
    assert len(batch["pixel_values"]) == 4 * sum(wanted)


def test_two_tokenizers_in_one_process_keep_their_own_ids(processors):
    one, other = (template_of(processors[family], f"gelab_{family}") for family in FAMILIES)
    assert one.image_token_id != other.image_token_id  # the larger family's special tokens begin earlier
    for template in (one, other):
        assert template.placeholder_tokens[:2] == [template.image_token_id, template.video_token_id]


def test_ms_swifts_template_is_still_broken_on_another_vocabulary(stock, processors, family, tmp_path):
    """When this fails, ms-swift has fixed it: our class can go."""
    encoded = stock.encode(question(page(tmp_path, 224, 224)))
    assert image_tokens(encoded, processors[family]) == 1
    assert features(encoded, processors[family]) == (224 // UNIT[family]) ** 2


ANSWER = {"role": "assistant", "content": "Action: complete"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda row: row["images"].append(row["images"][0]), "1 <image> tags for 2 images"),
        (lambda row: (row["images"].clear(), row["messages"].append(ANSWER)), "1 <image> tags for 0 images"),
        (lambda row: row["messages"].insert(0, {"role": "system", "content": "See <image>."}), "system prompt"),
        (lambda row: row["messages"].append({"role": "assistant", "content": "<|image_pad|>"}), "image tokens"),
    ],
    ids=["image without tag", "tag without image", "tag in the system prompt", "answer with an image token"],
)
def test_a_row_the_model_would_not_see_as_meant_is_refused(ours, tmp_path, change, message):
    from swift_plugins.gui_template import TemplateError

    row = question(page(tmp_path, 224, 224))
    change(row)
    with pytest.raises(TemplateError, match=message) as error:
        ours.encode(row)
    assert "\n" not in str(error.value)


def answered_in_ids(processor, tmp_path, answer: str) -> tuple[dict, list[int]]:
    """A row whose answer is given as sampled token ids, as GRPO gives it; and those ids."""
    ids = processor.tokenizer.encode(answer, add_special_tokens=False)
    row = question(page(tmp_path, 224, 224))
    row["messages"].append({"role": "assistant", "content": ids})
    return row, ids


@pytest.mark.parametrize("token", ["<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>"])
def test_sampled_vision_tokens_are_blanked_and_not_trained(ours, processors, family, tmp_path, token):
    row, ids = answered_in_ids(processors[family], tmp_path, f"Explain:{token}click it<|im_end|>")
    plain, _ = answered_in_ids(processors[family], tmp_path, "Explain:?click it<|im_end|>")
    encoded, expected = ours.encode(row), ours.encode(plain)
    assert encoded["input_ids"] == expected["input_ids"]
    vision = ids.index(ours.tokenizer.convert_tokens_to_ids(token))
    trained = [label for label in encoded["labels"] if label != -100]
    assert trained == ids[:vision] + ids[vision + 4 :] != ids[:vision]  # and not its neighbours


def test_a_mask_of_the_rollout_is_kept(ours, processors, family, tmp_path):
    row, ids = answered_in_ids(processors[family], tmp_path, "ab<|image_pad|>cdefg<|im_end|>")
    vision = ids.index(ours.image_token_id)
    row["messages"][-1]["content"] = {"token_ids": ids, "loss_scale": [0] + [1] * (len(ids) - 1)}
    assert [label for label in ours.encode(row)["labels"] if label != -100] == ids[1:vision] + ids[vision + 4 :]


@pytest.mark.parametrize("text", ["<|image_pad|><|im_end|>", "<|image_pad|><|image_pad|>a<|im_end|>", "<|image_pad|>"])
def test_a_short_answer_keeps_a_trained_token(ours, processors, family, tmp_path, text):
    """An answer without any would end ms-swift's GRPO."""
    row, _ = answered_in_ids(processors[family], tmp_path, text)
    assert any(label != -100 for label in ours.encode(row)["labels"])


CUT_OFF = ["abcd<|image_pad|>", "<|image_pad|>abcd", "ab<|image_pad|><|image_pad|>cd"]


@pytest.mark.parametrize("text", ["ab<|image_pad|>cd<|im_end|>", "abcde<|image_pad|><|im_end|>", *CUT_OFF])
def test_a_blanked_token_shifts_no_log_probability_of_the_rollout(ours, processors, family, tmp_path, text):
    """ms-swift lays the rollout's log-probabilities on the trained tokens, where their numbers fit."""
    from swift.rlhf_trainers.utils import build_rollout_logps

    def laid(answer: str) -> tuple[list[int], list | None]:
        row, ids = answered_in_ids(processors[family], tmp_path, answer)
        mask = torch.tensor([[label != -100 for label in ours.encode(row)["labels"]]])
        logps = build_rollout_logps([[[float(i) for i in ids]]], mask, "cpu")  # each token's is its id
        return ids, None if logps is None else logps[mask].tolist()

    assert laid(text)[1] is None
    ids, logps = laid("abcd<|im_end|>")
    assert logps == ids


def test_a_question_without_answer_and_picture_is_only_for_the_log_of_training(ours, family, processors):
    from swift_plugins.gui_template import TemplateError

    chat = {"messages": [{"role": "user", "content": "<image>Where?"}]}
    assert "<image>Where?" in ours.tokenizer.decode(ours.encode(chat)["input_ids"])
    asking = template_of(processors[family], f"gelab_{family}", mode="transformers")
    with pytest.raises(TemplateError, match="1 <image> tags for 0 images"):
        asking.encode(chat)
