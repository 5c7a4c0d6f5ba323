"""Make a checkpoint with the shape of a published model and random weights: for speed and memory, not for answers.

    python tools/real_shapes.py OUT --shape qwen3_vl-2b|qwen2_5_vl-3b|qwen2_5_vl-7b|tiny [--device cuda]

Widths are those of the published config.json; bfloat16 weights, made on the device: nothing is downloaded. The
tokenizer is the small one of tools/make_tiny_model.py under an embedding of the real height, so a text has more tokens
than with Qwen's own, and memory and arithmetic of a token are the real ones.
"""

import sys
from pathlib import Path

from data_engine.cli import Parser, command
from data_engine.folder import is_free, only_writer

# hidden, intermediate, layers, heads, key heads, vocabulary, tied head
TEXT = {
    "qwen2_5_vl-7b": (3584, 18944, 28, 28, 4, 152064, False),
    "qwen2_5_vl-3b": (2048, 11008, 36, 16, 2, 151936, True),
    "qwen3_vl-2b": (2048, 6144, 28, 16, 8, 151936, True),
    "tiny": (128, 256, 2, 1, 1, 1024, True),  # of Qwen3-VL's family, for a CPU
}
HEAD = 128  # of all of them
ROPE = {
    "qwen2_5_vl": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [16, 24, 24]},
    "qwen3_vl": {"rope_type": "default", "rope_theta": 5e6, "mrope_section": [24, 20, 20], "mrope_interleaved": True},
}
# layers, hidden, intermediate, heads; the rest by family
TOWER = {"qwen2_5_vl": (32, 1280, 3420, 16), "qwen3_vl": (24, 1024, 4096, 16), "tiny": (2, 64, 128, 1)}
TOWER_OF_FAMILY = {
    "qwen2_5_vl": {"patch_size": 14, "window_size": 112, "fullatt_block_indexes": [7, 15, 23, 31]},
    "qwen3_vl": {"patch_size": 16, "num_position_embeddings": 2304, "deepstack_visual_indexes": [5, 11, 17]},
}


def family_of(shape: str) -> str:
    return "qwen3_vl" if shape == "tiny" else shape.rpartition("-")[0]


def make_config(shape: str, ids: dict[str, int]):
    """The model's config; ``ids``: token -> id of the tokenizer."""
    from tiny_model.shapes import CONFIGS, text_ids, vision_ids

    family = family_of(shape)
    hidden, intermediate, layers, heads, key_heads, vocabulary, tied = TEXT[shape]
    depth, width, mlp, tower_heads = TOWER.get(shape) or TOWER[family]
    tower = TOWER_OF_FAMILY[family] | ({"deepstack_visual_indexes": [0]} if shape == "tiny" else {})
    tower |= {"depth": depth, "hidden_size": width, "intermediate_size": mlp, "num_heads": tower_heads}
    text = {
        "vocab_size": vocabulary,
        "hidden_size": hidden,
        "intermediate_size": intermediate,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": key_heads,
        "max_position_embeddings": 32768,
        "rms_norm_eps": 1e-6,
        "rope_parameters": ROPE[family],
        "tie_word_embeddings": tied,
        **text_ids(ids),
        "dtype": "bfloat16",
    }
    return CONFIGS[family](
        text_config=text | ({"head_dim": HEAD} if family == "qwen3_vl" else {}),
        vision_config=tower | {"out_hidden_size": hidden, "in_channels": 3},
        **vision_ids(ids),
        tie_word_embeddings=tied,
        dtype="bfloat16",
    )


def make_model(shape: str, ids: dict[str, int], device: str):
    """Weights as the library first sets them, on a torch device; "meta": shapes alone."""
    import torch
    from tiny_model.shapes import MODELS

    usual = torch.get_default_dtype()
    torch.manual_seed(0)
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device(device):
            return MODELS[family_of(shape)](make_config(shape, ids)).eval()
    finally:
        torch.set_default_dtype(usual)


@command("real_shapes")
def main() -> None:
    parser = Parser(__doc__, "python tools/real_shapes.py models/7b --shape qwen2_5_vl-7b")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder to write")
    parser.add_argument("--shape", choices=tuple(TEXT), required=True, help="published model whose widths it has")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="where the weights are made")
    args = parser.parse_args()
    if not is_free(args.out):
        parser.error(f"{args.out} exists; remove it or name another folder")
    from make_tiny_model import PIXELS, VOCAB, save
    from tiny_model import vocabulary

    family = family_of(args.shape)
    tokenizer = vocabulary.make_tokenizer(family, VOCAB)
    model = make_model(args.shape, tokenizer.get_vocab(), args.device)
    with only_writer(args.out) as scratch, scratch() as folder:
        save(folder, family, model, tokenizer, PIXELS, vocabulary.NEVER_SAID)
    print(f"{args.out}: {args.shape}, {model.num_parameters():,} parameters, random weights")


if __name__ == "__main__":
    sys.exit(main())
