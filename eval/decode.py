"""Decoding of many requests at once: what they have in common is computed once.

A *draft* is one answer in the making. Drafts of the same question share one row of the batch until their tokens differ;
then the row splits, and a row without drafts leaves the batch. A draft's token is the one at which
the cumulative probability passes the draft's next draw, so an answer depends on its question and its draws alone,
and not on who shares the batch (but for the rounding of the model's own sums).

``decode`` is given to ``model.generate`` as ``custom_generate``: it takes the place of the sampling loop, all
preparation is transformers' own.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch


@dataclass
class Draft:
    """One answer: ``row`` of the batch, ``temperature`` (0: greedy), and a draw in [0, 1) for each token."""

    row: int
    temperature: float
    draws: Sequence[float]
    tokens: list[int] = field(default_factory=list)


@torch.inference_mode()
def decode(
    model, input_ids, logits_processor, stopping_criteria, generation_config, *, drafts: list[Draft], stop, **state
) -> dict:
    """Fill ``tokens`` of each draft, the token of ``stop`` that ends it included; at most ``max_new_tokens``.

    ``input_ids``: (rows, tokens), one row a question; several drafts may share a row. Returns ``sequences``, (rows,
    tokens), as ``generate`` does: the prompts, each with the tokens of its first draft, padded.
    """
    prompts, live = input_ids, drafts
    first = {draft.row: draft for draft in reversed(drafts)}
    for step in range(generation_config.max_new_tokens):
        inputs = model.prepare_inputs_for_generation(
            input_ids, next_sequence_length=1 if step else None, is_first_iteration=not step, **state
        )
        outputs = model(**inputs, return_dict=True)
        state = model._update_model_kwargs_for_generation(outputs, state)
        state.pop("mm_encoder_outputs", None)  # the pictures are in the cache now
        scores = logits_processor(input_ids, outputs.logits[:, -1].float())
        tokens = next_tokens(scores, live)
        for draft, token in zip(live, tokens, strict=True):
            draft.tokens.append(token)
        going = [(draft, token) for draft, token in zip(live, tokens, strict=True) if token not in stop]
        if not going:
            break
        live = [draft for draft, _ in going]
        input_ids, state = _split(going, input_ids, state)
    rows = [first[row].tokens for row in range(len(prompts))]
    longest, pad = max(map(len, rows)), generation_config.pad_token_id
    written = prompts.new_tensor([row + [pad] * (longest - len(row)) for row in rows])
    return {"sequences": torch.cat([prompts, written], dim=1)}


def next_tokens(scores: torch.Tensor, drafts: Sequence[Draft]) -> list[int]:
    """The next token of each draft from ``scores``, (rows, vocabulary)."""
    best = scores.argmax(-1).tolist()
    tokens = [best[draft.row] for draft in drafts]
    for temperature in {draft.temperature for draft in drafts} - {0.0}:
        some = [i for i, draft in enumerate(drafts) if draft.temperature == temperature]
        passed = (scores.double() / temperature).softmax(-1).cumsum(-1)[[drafts[i].row for i in some]]
        draws = passed.new_tensor([[drafts[i].draws[len(drafts[i].tokens)]] for i in some]) * passed[:, -1:]
        drawn = torch.searchsorted(passed, draws, right=True)[:, 0].tolist()  # right: never one of probability 0
        for i, token in zip(some, drawn, strict=True):
            tokens[i] = token
    return tokens


def _split(going: list[tuple[Draft, int]], input_ids: torch.Tensor, state: dict) -> tuple[torch.Tensor, dict]:
    """The next batch: one row for each (row, token) that has drafts."""
    branches = sorted({(draft.row, token) for draft, token in going})
    place = {branch: row for row, branch in enumerate(branches)}
    for draft, token in going:
        draft.row = place[draft.row, token]
    parents = [row for row, _ in branches]
    if parents != list(range(len(input_ids))):
        index = input_ids.new_tensor(parents)
        input_ids = input_ids[index]
        state["past_key_values"].batch_select_indices(index)
        for name in ("attention_mask", "mm_token_type_ids", "position_ids"):  # (..., rows, tokens)
            if state.get(name) is not None:
                state[name] = state[name].index_select(-2, index)
    return torch.cat([input_ids, input_ids.new_tensor([[token] for _, token in branches])], dim=1), state
