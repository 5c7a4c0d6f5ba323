"""A small tokenizer of Qwen's kind: byte-level BPE, digits one by one, the family's special tokens and chat template.

Every byte is a token, so any text survives (after NFC, which Qwen's tokenizers apply). The merges are learned from
text made here: what the prompt builder of GE-Lab says about the built-in icons, and everyday words of user interfaces.

What GE-Lab's prompts and answers say again and again, each line of the system prompt above all, is one token more each
("phrases"). That more than halves the tokens of a row, and so the time of a training step on a CPU.
"""

import json
import re
from collections.abc import Iterator

from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import Qwen2Tokenizer
from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX

from data_engine.gelab import actions, prompts
from data_engine.gelab.icons import IconSet

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
# An untrained model samples what it likes; these would ask the host for pictures that are not there, or look like
# padding.
NEVER_SAID = "<|endoftext|> <|vision_start|> <|vision_end|> <|vision_pad|> <|image_pad|> <|video_pad|>".split()

_WORDS = """a about above accept account action add address again agent all allow also an and answer any app apply are
area arrow as ask at back bar before below birthday black blank blue both bottom box brown button by call camera can
cancel change chat check choose city clear click close code color come complete confirm contact content continue copy
count country create current dark date day default delete details device different dialog do done double down download
drag each edit eight email empty enter error every example explain false field file find first five focus folder font
for form forget forgot four found four from full game get give go goal good gray green has have height hello help here
hide history home how if image in input instruction into is it item its join key keep label language large last later
left less level light line link list loading log login long look make many mark me menu message middle mobile more
most move music my name near need new next nine no none not note now number of off ok old on one only open option
or orange order other out over page paper password paste people phone photo picture pink place play please point
position post press previous profile purple put read red register remember remove reset right row same save say
screen screenshot scroll search second see select send set settings seven share shop short show sign six size
small so some start state step still stop submit sure switch tab table take tap target task ten text than that the
their then there these they this three time title to top true try turn two type under up update use user username
value video view wait want was way web welcome what when where which white who width will window with word work
world write wrong year yellow yes you your zero zip zoom"""
_FORMS = """Log in to your account. Sign in with email and password. Create an account: first name, last name, username.
Forgot password? Remember me. Click the field, type the text and press the button. Goal: log in as the user.
CLICK(x=0.42, y=0.31) CLICK([1]) TYPE("text") WAIT() DONE() SCROLL(down) <think>\n</think>\n\n"""
_CHATML = "<|im_start|>system\nuser\nassistant\n<|im_end|>\n"

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


class VocabularyError(ValueError):
    """A vocabulary size that cannot be had."""


def corpus() -> Iterator[str]:
    """What the merges are learned from. The counts decide which words become one token: the prompts' all shall."""
    for _ in range(50):
        yield from (prompts.SYSTEM, _CHATML, actions.COMPLETE_ANSWER)
    for icon in IconSet().icons:
        past = [prompts.clicked(icon.name, "page_1"), prompts.missed("page_2"), prompts.no_action("page_3")]
        yield prompts.navigation("page_0", "page_4", past[:1])
        yield prompts.navigation("page_0", "page_4", past)
        yield prompts.captioning(12, 345) + icon.name
        yield prompts.grounding(icon.name) + actions.format_click(icon.name, "page_5", 678, 90)
    for _ in range(5):
        yield _FORMS
    for word in _WORDS.split():
        yield from (f"{word} {word.capitalize()}", f" {word}")


def _without_special(texts: Iterator[str]) -> Iterator[str]:
    """The text between special tokens: they are cut out before any merge applies."""
    special = re.compile("|".join(re.escape(token) for token in [*SPECIAL, *PLAIN_OF_FAMILY["qwen3_vl"]]))
    for text in texts:
        yield from filter(None, special.split(text))


def phrases() -> list[str]:
    """The fixed parts of system prompt and answers: lines, cut at special tokens and at what is filled in."""
    system = [part for line in prompts.SYSTEM.split("\n") for part in _without_special([line])]
    click = _without_special(re.split(r"\s*{\w+}", actions.CLICK_TEMPLATE))
    return [text for text in dict.fromkeys([*system, *click, actions.COMPLETE_ANSWER]) if len(text) > 1]


def _learn(size: int) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Vocabulary of ``size`` tokens, the 256 bytes first, and its merges. Ties go to the lower id: always the same."""
    learner = Tokenizer(models.BPE())
    learner.normalizer = normalizers.NFC()
    words = pre_tokenizers.Split(Regex(PRETOKENIZE_REGEX), behavior="isolated")
    learner.pre_tokenizer = pre_tokenizers.Sequence([words, pre_tokenizers.ByteLevel(False, use_regex=False)])
    trainer = trainers.BpeTrainer(
        vocab_size=size, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    learner.train_from_iterator(_without_special(corpus()), trainer)
    model = json.loads(learner.to_str())["model"]
    return model["vocab"], [tuple(merge) for merge in model["merges"]]


def make_tokenizer(family: str, size: int) -> Qwen2Tokenizer:
    """A tokenizer of exactly ``size`` tokens: bytes and merges, then the special ones in Qwen's order, then phrases."""
    added = [*SPECIAL, *PLAIN_OF_FAMILY[family], *phrases()]
    least = BYTES + len(added)
    if size < least:
        raise VocabularyError(f"--vocab {size}: {BYTES} bytes, phrases and special tokens need {least} or more")
    vocab, merges = _learn(size - len(added))
    if len(vocab) + len(added) < size:
        raise VocabularyError(
            f"--vocab {size}: the text to learn from gives {len(vocab) + len(added)} at most; ask for less"
        )
    tokenizer = Qwen2Tokenizer(vocab, merges, unk_token=None, model_max_length=MAX_LENGTH)
    tokenizer.add_tokens([AddedToken(token, special=token in SPECIAL, normalized=False) for token in added])
    tokenizer.add_special_tokens({"eos_token": "<|im_end|>", "extra_special_tokens": SPECIAL[1:]})
    tokenizer.chat_template = CHAT_TEMPLATE.replace("DEFAULT_SYSTEM", _DEFAULT_SYSTEM[family])
    return tokenizer
