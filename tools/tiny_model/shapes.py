"""Shapes of the tiny models, and their first weights.

Most of the time of a training step on a CPU goes into the text layers, which see every token of the system prompt; so
these are slim, and the parameters are in the tower's merger and the embedding, which few tokens pass.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from transformers import (
    PreTrainedConfig,
    PreTrainedModel,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
)

from data_engine.seeds import rng

MODELS = {"qwen2_5_vl": Qwen2_5_VLForConditionalGeneration, "qwen3_vl": Qwen3VLForConditionalGeneration}
CONFIGS = {"qwen2_5_vl": Qwen2_5_VLConfig, "qwen3_vl": Qwen3VLConfig}
PATCH = {"qwen2_5_vl": 14, "qwen3_vl": 16}  # pixels; 2 x 2 patches make one token
MAX_POSITIONS = 8192  # tokens


@dataclass(frozen=True)
class Shape:
    """Widths and depths; heads are 64 wide in text and tower: on a CPU, many narrow heads cost more."""

    text: int
    text_layers: int
    text_mlp: int
    key_heads: int
    vision: int
    vision_layers: int
    vision_mlp: int


SHAPES = {
    ("qwen2_5_vl", "2m"): Shape(128, 4, 384, 1, 128, 2, 256),
    ("qwen3_vl", "2m"): Shape(128, 4, 384, 1, 128, 2, 256),
    ("qwen2_5_vl", "4m"): Shape(192, 4, 576, 3, 128, 2, 256),
    ("qwen3_vl", "4m"): Shape(192, 4, 576, 3, 128, 2, 256),
    ("qwen2_5_vl", "10m"): Shape(384, 5, 1024, 3, 192, 4, 512),
    ("qwen3_vl", "10m"): Shape(384, 4, 1024, 3, 192, 4, 512),
    ("qwen2_5_vl", "50m"): Shape(768, 7, 2048, 6, 320, 6, 896),
    ("qwen3_vl", "50m"): Shape(768, 6, 2048, 6, 320, 6, 896),
    ("qwen2_5_vl", "real"): Shape(64, 2, 128, 1, 64, 2, 128),  # nearly all is the embedding of 151,936 rows
    ("qwen3_vl", "real"): Shape(64, 2, 128, 1, 64, 2, 128),
}
HEAD = 64
# Sections (time, y, x) in the proportion of the real models', which have heads of 128. Qwen2.5-VL's lie one after the
# other, x last: with its own theta of 1e6 and our 32 frequencies x would turn by less than 0.0002 rad a token. 100
# suits screens. Qwen3-VL's are interleaved, so each axis has quick frequencies with its own theta too.
ROPE = {
    "qwen2_5_vl": {"rope_type": "default", "rope_theta": 100.0, "mrope_section": [8, 12, 12]},
    "qwen3_vl": {"rope_type": "default", "rope_theta": 5e6, "mrope_section": [12, 10, 10], "mrope_interleaved": True},
}


def make_config(
    family: str, size: str, ids: dict[str, int], vocab: int, length: int = MAX_POSITIONS
) -> PreTrainedConfig:
    """``ids``: token -> id; ``vocab``: rows of the embedding; ``length``: tokens that a sequence may have."""
    shape = SHAPES[family, size]
    return CONFIGS[family](
        text_config=_text(family, shape, ids, vocab, length),
        vision_config=_vision(family, shape),
        **vision_ids(ids),
        tie_word_embeddings=True,
        dtype="float32",
    )


def vision_ids(ids: dict[str, int]) -> dict[str, int]:
    """Of a config: where pictures stand. ``ids``: token -> id."""
    names = {"image": "<|image_pad|>", "video": "<|video_pad|>"}
    names |= {name: f"<|{name}|>" for name in ("vision_start", "vision_end")}
    return {f"{name}_token_id": ids[token] for name, token in names.items()}


def text_ids(ids: dict[str, int]) -> dict[str, int]:
    """Of a config of the language model: where texts begin and end. ``ids``: token -> id."""
    end = ids["<|endoftext|>"]
    return {"bos_token_id": end, "eos_token_id": ids["<|im_end|>"], "pad_token_id": end}


def _text(family: str, shape: Shape, ids: dict[str, int], vocab: int, length: int) -> dict:
    text = {
        "vocab_size": vocab,
        "hidden_size": shape.text,
        "intermediate_size": shape.text_mlp,
        "num_hidden_layers": shape.text_layers,
        "num_attention_heads": shape.text // HEAD,
        "num_key_value_heads": shape.key_heads,
        "max_position_embeddings": length,
        "tie_word_embeddings": True,
        **text_ids(ids),
        "dtype": "float32",
        "rope_parameters": ROPE[family],
    }
    return text | ({"head_dim": HEAD} if family == "qwen3_vl" else {})


def _vision(family: str, shape: Shape) -> dict:
    vision = {
        "hidden_size": shape.vision,
        "intermediate_size": shape.vision_mlp,
        "depth": shape.vision_layers,
        "num_heads": shape.vision // HEAD,
        "out_hidden_size": shape.text,
        "patch_size": PATCH[family],
        "in_channels": 3,
    }
    if family == "qwen2_5_vl":  # windows of 112 pixels, as the real model, and full attention in every second layer
        return vision | {"window_size": 112, "fullatt_block_indexes": list(range(1, shape.vision_layers, 2))}
    return vision | {"num_position_embeddings": 32 * 32, "deepstack_visual_indexes": [0]}


def make_model(family: str, config: PreTrainedConfig, seed: int) -> PreTrainedModel:
    """A model whose weights depend on nothing but the config, ``seed`` and the parameters' names."""
    model = MODELS[family](config)
    with torch.no_grad():
        for owner, module in model.named_modules():
            for name, parameter in module.named_parameters(recurse=False):
                _fill(module, name, parameter, rng(seed, "weights", f"{owner}.{name}"))
    model.tie_weights()
    return model.eval()


def _fill(module: nn.Module, name: str, parameter: torch.Tensor, generator: np.random.Generator) -> None:
    """Fan-in scaled: unit variance goes in, unit variance comes out.

    With the families' fixed 0.02, which suits widths in the thousands, the features of a narrow tower are faint beside
    the text, and the model learns the prompts by heart long before it looks (issue 3 measured it).
    """
    if isinstance(module, (nn.Linear, nn.Conv3d)) and name == "weight":
        std = 1 / math.sqrt(parameter[0].numel())
    elif isinstance(module, nn.Embedding):
        std = 1 / math.sqrt(parameter.shape[1])
    else:  # biases 0, scales of norms 1
        parameter.fill_(1.0 if name == "weight" else 0.0)
        return
    values = generator.standard_normal(tuple(parameter.shape), dtype=np.float32)
    parameter.copy_(torch.from_numpy(values).mul_(std))
