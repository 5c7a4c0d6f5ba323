"""A small tokenizer of Qwen's kind: byte-level BPE, digits one by one, the family's special tokens and chat template.

Every byte is a token, so any text survives (after NFC, which Qwen's tokenizers apply). There are few merges: words are
spelled, so that a model which has learned to read some words can read others.

What the benchmarks' prompts and answers say again and again, each line of a system prompt above all, is one token each
("phrases"). That more than halves the tokens of a row, and so the time of a training step on a CPU. So is each name of
a thing that models are pointed at ("names"), where it stands as a word of its own.
"""

import json
import re
from collections.abc import Iterator

from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import Qwen2Tokenizer
from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX

from data_engine.dataset import DataError
from data_engine.gelab import actions, graph, prompts
from data_engine.gelab.icons import IconSet
from data_engine.login import actions as login_actions
from data_engine.login import forms
from data_engine.login import prompts as login_prompts
from data_engine.sight import questions, words
from data_engine.sight.shapes import SHAPES

# In the order, and with the `special` mark, of the families' own tokenizers.
SPECIAL = (
    "<|endoftext|> <|im_start|> <|im_end|> <|object_ref_start|> <|object_ref_end|> <|box_start|> <|box_end|> "
    "<|quad_start|> <|quad_end|> <|vision_start|> <|vision_end|> <|vision_pad|> <|image_pad|> <|video_pad|>"
).split()
PLAIN = (
    "<tool_call> </tool_call> <|fim_prefix|> <|fim_middle|> <|fim_suffix|> <|fim_pad|> <|repo_name|> <|file_sep|>"
).split()
PLAIN_OF_FAMILY = {
    "qwen2_5_vl": PLAIN,
    "qwen3_vl": [*PLAIN, *"<tool_response> </tool_response> <think> </think>".split()],
}
BYTES = 256
MAX_LENGTH = 8192  # tokens; some hundred screenshots of 224 x 224
# An untrained model samples what it likes; these would ask ms-swift for pictures that are not there, or look like
# padding.
NEVER_SAID = "<|endoftext|> <|vision_start|> <|vision_end|> <|vision_pad|> <|image_pad|> <|video_pad|>".split()

ROLES = ("system", "user", "assistant")  # of the chat template
FILLED = "\0"  # stands for what differs between prompts

CHAT_TEMPLATE = """{%- set default_system = DEFAULT_SYSTEM -%}
{%- if default_system and messages[0]['role'] != 'system' -%}
{{- '<|im_start|>system\\n' + default_system + '<|im_end|>\\n' -}}
{%- endif -%}
{%- for message in messages -%}
{{- '<|im_start|>' + message['role'] + '\\n' -}}
{%- if message['content'] is string -%}
{{- message['content'] -}}
{%- else -%}
{%- for part in message['content'] -%}
{%- if part['type'] == 'image' or 'image' in part or 'image_url' in part -%}
{{- '<|vision_start|><|image_pad|><|vision_end|>' -}}
{%- elif part['type'] == 'video' or 'video' in part -%}
{{- '<|vision_start|><|video_pad|><|vision_end|>' -}}
{%- elif 'text' in part -%}
{{- part['text'] -}}
{%- endif -%}
{%- endfor -%}
{%- endif -%}
{{- '<|im_end|>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{- '<|im_start|>assistant\\n' -}}
{%- endif -%}
"""
_DEFAULT_SYSTEM = {"qwen2_5_vl": "'You are a helpful assistant.'", "qwen3_vl": "''"}


def corpus() -> Iterator[str]:
    """What the merges are learned from: everyday words, each with a blank before it and without."""
    for word in words.EVERYDAY:
        yield from (f"{word} {word.capitalize()}", f" {word}")


def names() -> list[str]:
    """What a thing on a screen may be called: icons, shapes, and what stands on the parts of forms."""
    icons = [icon.name for icon in IconSet().icons]
    fields = [field.caption for scenario in forms.SCENARIOS.values() for field in scenario.fields]
    buttons = [scenario.button for scenario in forms.SCENARIOS.values()]
    return list(dict.fromkeys([*icons, graph.BACK, graph.HOME, *SHAPES, *fields, *buttons, *forms.DECOYS]))


def phrases() -> list[str]:
    """The fixed parts of prompts and answers: lines, cut at special tokens and at what is filled in."""
    return _parts(*ROLES, *_of_gelab(), *_of_sight(), *_of_login())


def way_phrases() -> list[str]:
    """Those that ``--explain way`` has besides."""
    chain = [f"page_{FILLED}"] * 2
    texts = [prompts.system(explain="way"), actions.format_way(chain, chain, chain[0])]
    texts += [prompts.shown(), prompts.opening(chain[0]), prompts.opened(chain, FILLED)]
    known = phrases()
    return [part for part in _parts(*texts) if part not in known]


def _parts(*texts: str) -> list[str]:
    cuts = [*SPECIAL, *PLAIN_OF_FAMILY["qwen3_vl"], prompts.IMAGE, FILLED, "\n"]
    cut = "|".join(map(re.escape, cuts))
    return [part for part in dict.fromkeys(part for text in texts for part in re.split(cut, text)) if len(part) > 1]


def _of_gelab() -> Iterator[str]:
    page = f"page_{FILLED}"
    past = [prompts.entry(outcome, page, FILLED) for outcome in (*actions.SPACE.history, actions.UNREADABLE)]
    yield from (prompts.SYSTEM, prompts.navigation(page, page, []), prompts.navigation(page, page, past))
    yield from (prompts.captioning(FILLED, FILLED), prompts.grounding(FILLED), page)
    yield from (actions.format_click(FILLED, page, FILLED, FILLED), actions.COMPLETE_ANSWER)


def _of_sight() -> Iterator[str]:
    yield from (questions.pointing_at_text(FILLED), questions.reading(FILLED, FILLED))


def _of_login() -> Iterator[str]:
    yield from (login_prompts.system(mode) for mode in login_prompts.MODES)
    yield from (login_prompts.question(FILLED), login_prompts.question(FILLED, [FILLED], FILLED))
    yield login_actions.ANSWER.format(thought=FILLED, action=FILLED)
    filled = dict.fromkeys(("x", "y", "mark", "text"), FILLED)
    yield from (call.format(**filled) for call in login_actions.SPACE.templates)


def _learn(size: int) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Vocabulary of ``size`` tokens, the 256 bytes first, and its merges. Ties go to the lower id: always the same."""
    learner = Tokenizer(models.BPE())
    learner.normalizer = normalizers.NFC()
    words = pre_tokenizers.Split(Regex(PRETOKENIZE_REGEX), behavior="isolated")
    learner.pre_tokenizer = pre_tokenizers.Sequence([words, pre_tokenizers.ByteLevel(False, use_regex=False)])
    trainer = trainers.BpeTrainer(
        vocab_size=size, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    learner.train_from_iterator(corpus(), trainer)
    model = json.loads(learner.to_str())["model"]
    return model["vocab"], [tuple(merge) for merge in model["merges"]]


def add_special(tokenizer: Qwen2Tokenizer, family: str) -> None:
    """Add the family's special tokens, in Qwen's order."""
    own = [*SPECIAL, *PLAIN_OF_FAMILY[family]]
    tokenizer.add_tokens([AddedToken(token, special=token in SPECIAL, normalized=False) for token in own])
    tokenizer.add_special_tokens({"eos_token": "<|im_end|>", "extra_special_tokens": SPECIAL[1:]})


def add_phrases(tokenizer: Qwen2Tokenizer, more: list[str]) -> list[list[int]]:
    """Make each of these phrases a token of its own; returns the tokens that it was before."""
    before = tokenizer(more, add_special_tokens=False)["input_ids"]
    tokenizer.add_tokens([AddedToken(phrase, special=False, normalized=False) for phrase in more])
    return before


def make_tokenizer(family: str, size: int) -> Qwen2Tokenizer:
    """A tokenizer of exactly ``size`` tokens: bytes and merges, special ones in Qwen's order, phrases, names."""
    fixed = [*SPECIAL, *PLAIN_OF_FAMILY[family], *phrases()]
    words = [name for name in names() if name not in fixed]
    added = [*fixed, *words]
    least = BYTES + len(added)
    if size < least:
        raise DataError(f"--vocab {size}: {BYTES} bytes, phrases, names and special tokens need {least} or more")
    vocab, merges = _learn(size - len(added))
    if len(vocab) + len(added) < size:
        raise DataError(f"--vocab {size}: the text to learn from gives {len(vocab) + len(added)} at most; ask for less")
    tokenizer = Qwen2Tokenizer(vocab, merges, unk_token=None, model_max_length=MAX_LENGTH)
    add_special(tokenizer, family)
    add_phrases(tokenizer, phrases())
    tokenizer.add_tokens([AddedToken(word, single_word=True, normalized=False) for word in words])
    tokenizer.chat_template = CHAT_TEMPLATE.replace("DEFAULT_SYSTEM", _DEFAULT_SYSTEM[family])
    return tokenizer
