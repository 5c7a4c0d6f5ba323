"""Templates ``gelab_qwen2_5_vl`` and ``gelab_qwen3_vl``: ms-swift's own for that family, with GE-Lab's system prompt.
``login_qwen2_5_vl`` and ``login_qwen3_vl`` are the same with the rows' own system prompt, or none.

Three things differ from ms-swift's, all without effect on a real checkpoint with good rows and answers:

* The ids of the image and video tokens come from the tokenizer. ms-swift has Qwen's (151655, 151656) in the class and
  expands no placeholder of another vocabulary: training goes on with one token per screenshot, nearly blind.
* A row whose ``<image>`` tags and images, or image tokens and image features, do not match raises TemplateError.
  ms-swift warns or says nothing and trains on.
* A vision token in a sampled answer is blanked and left out of the loss. ms-swift takes it for a picture and fails.

Used as ``--external_plugins PATH/swift_plugins/register.py --template gelab_qwen2_5_vl``.
"""

import copy
import dataclasses

from swift.template import TEMPLATE_MAPPING, register_template
from swift.template.templates.qwen import Qwen2_5VLTemplate, Qwen3VLTemplate
from swift.template.utils import get_token_backed_response_ids

from data_engine.benchmarks import BENCHMARKS
from data_engine.gelab.prompts import IMAGE

IMAGE_TOKEN, VIDEO_TOKEN = "<|image_pad|>", "<|video_pad|>"
VISION_TOKENS = (IMAGE_TOKEN, VIDEO_TOKEN, "<|vision_start|>", "<|vision_end|>")
BLANK = "?"  # stands where a vision token stood in an answer


class TemplateError(ValueError):
    """A row that the model would not see as it was meant."""


class _CheckedQwenVL:
    """Mixin before a Qwen-VL template of ms-swift: ids from the tokenizer, the two checks, sampled vision tokens."""

    def _init_placeholder_tokens(self):
        # ms-swift turns this list into ids in place, in the class: a second tokenizer would inherit the first one's.
        self.placeholder_tokens = [IMAGE_TOKEN, VIDEO_TOKEN]
        super()._init_placeholder_tokens()

    def init_env_args(self):
        """The last call of ms-swift's ``init_processor``, the first at which the tokenizer is known."""
        super().init_env_args()
        self.image_token_id, self.video_token_id, *others = map(self._single_id, VISION_TOKENS)
        self.vision_ids = {self.image_token_id, self.video_token_id, *others}

    def _single_id(self, token: str) -> int:
        number = self.tokenizer.get_vocab().get(token)
        if number is None:
            raise TemplateError(
                f"tokenizer of {self.model_info.model_dir}: it has no {token}; use a Qwen-VL checkpoint"
            )
        return number

    def _preprocess_inputs(self, inputs):
        for message in inputs.messages:
            if message["role"] == "assistant":
                message["content"] = self._blank_vision(message["content"])
        # GRPO encodes its log here: questions alone, without their pictures
        log = self.is_training and not inputs.images and inputs.messages[-1]["role"] != "assistant"
        check_tags(inputs.system, [] if log else inputs.messages, len(inputs.images))
        super()._preprocess_inputs(inputs)

    def _blank_vision(self, content):
        """An answer given as token ids (RL), its vision tokens blanked and out of the loss; any other as it is.

        Neighbours leave the loss, too, four tokens in all. By their number ms-swift lays the rollout's
        log-probabilities on the trained tokens (``--rollout_importance_sampling_mode``): it takes a surplus of one for
        the end token's, and adds up to two tokens to an answer that was cut off. So few missing would shift the rest;
        four leave it uncorrected.
        The last token stays: ms-swift fails on an answer without a trained one.
        """
        ids = get_token_backed_response_ids(content)
        if not ids or self.vision_ids.isdisjoint(ids):
            return content
        blank = self.tokenizer.encode(BLANK, add_special_tokens=False)[0]
        scale = content.get("loss_scale") if isinstance(content, dict) else None
        vision, last = [i for i, token in enumerate(ids) if token in self.vision_ids], len(ids) - 1
        firsts = [max(0, min(i, last - 4)) for i in vision]
        untrained = {*vision, *(i for first in firsts for i in range(first, min(first + 4, last)))}
        return {
            "token_ids": [blank if token in self.vision_ids else token for token in ids],
            "loss_scale": [0 if i in untrained else weight for i, weight in enumerate(scale or [1] * len(ids))],
        }

    def _encode(self, inputs):
        encoded = super()._encode(inputs)
        merged = self.processor.image_processor.merge_size**2
        check_tokens(encoded["input_ids"], self.image_token_id, encoded.get("image_grid_thw"), merged)
        return encoded


def check_tags(system: str | None, messages: list[dict], images: int) -> None:
    """Raises TemplateError unless each image has its own ``<image>``, and the system prompt has none: ms-swift would
    put the screenshot there."""
    if IMAGE in (system or ""):
        raise TemplateError(f"system prompt: it holds a literal {IMAGE}, which would take the screenshot; reword it")
    contents = [message["content"] for message in messages]  # earlier assistant turns may be lists of token ids
    tags = sum(content.count(IMAGE) for content in contents if isinstance(content, str))
    if tags != images:
        head = next((text[:60] for text in contents if isinstance(text, str)), "")
        raise TemplateError(f"row {head!r}: {tags} {IMAGE} tags for {images} images; give each image one tag, in order")


def check_tokens(input_ids: list[int], image_token_id: int, grid_thw, merged: int) -> None:
    """Raises TemplateError unless there are as many image tokens as the tower gives features.

    ``grid_thw``: (images, 3), patches in time, height and width, or None; ``merged``: patches a feature, 2 x 2 of them.
    """
    tokens = sum(token == image_token_id for token in input_ids)
    features = 0 if grid_thw is None else int(grid_thw.prod(-1).sum()) // merged
    if tokens != features:
        raise TemplateError(
            f"encoded row: {tokens} image tokens for {features} image features; an answer that holds {IMAGE_TOKEN},"
            f" or a template of another family, does this: check --template and the row"
        )


class GelabQwen2_5VLTemplate(_CheckedQwenVL, Qwen2_5VLTemplate):
    """``gelab_qwen2_5_vl``"""


class GelabQwen3VLTemplate(_CheckedQwenVL, Qwen3VLTemplate):
    """``gelab_qwen3_vl``"""


def _register(family: str, template_cls: type) -> None:
    """ms-swift's own description of the family, with our class and system prompt."""
    for b in BENCHMARKS:
        meta = copy.deepcopy(TEMPLATE_MAPPING[family])  # its lists are filled in place when a tokenizer arrives
        ours = {"template_type": f"{b.name}_{family}", "template_cls": template_cls, "default_system": b.system}
        register_template(dataclasses.replace(meta, **ours), exist_ok=True)


_register("qwen2_5_vl", GelabQwen2_5VLTemplate)
_register("qwen3_vl", GelabQwen3VLTemplate)
