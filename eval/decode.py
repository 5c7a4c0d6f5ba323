"""Decoding of many requests at once: what they have in common is computed once.

A *rider* is one answer in the making. Riders with the same question ride on one row of the batch until their tokens
differ; then the row splits, and a row that nobody rides any more leaves the batch. A rider's token is the one at which
the cumulative probability passes the rider's next draw, so an answer depends on its question and its draws alone,
and not on who shares the batch (but for the rounding of the model's own sums).

``decode`` is given to ``model.generate`` as ``custom_generate``: it takes the place of the sampling loop, all
preparation is transformers' own.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch


@dataclass
class Rider:
    """One answer: ``row`` of the batch, ``temperature`` (0: greedy), and a draw in [0, 1) for each token."""

    row: int
    temperature: float
    draws: Sequence[float]
    said: list[int] = field(default_factory=list)


@torch.inference_mode()
def decode(
    model, input_ids, logits_processor, stopping_criteria, generation_config, *, riders: list[Rider], stop, **state
) -> dict:
    """Fill ``said`` of each rider, the token of ``stop`` that ends it included; at most ``max_new_tokens``.

    Returns ``sequences`` as ``generate`` does: the prompts, each with what its first rider said, padded.
    """
    prompts, live = input_ids, riders
    first = {rider.row: rider for rider in reversed(riders)}
    for step in range(generation_config.max_new_tokens):
        inputs = model.prepare_inputs_for_generation(
            input_ids, next_sequence_length=1 if step else None, is_first_iteration=not step, **state
        )
        outputs = model(**inputs, return_dict=True)
        state = model._update_model_kwargs_for_generation(outputs, state)
        state.pop("mm_encoder_outputs", None)  # the pictures are in the cache now
        scores = logits_processor(input_ids, outputs.logits[:, -1].float())
        tokens = next_tokens(scores, live)
        for rider, token in zip(live, tokens, strict=True):
            rider.said.append(token)
        going = [(rider, token) for rider, token in zip(live, tokens, strict=True) if token not in stop]
        if not going:
            break
        live = [rider for rider, _ in going]
        input_ids, state = _split(going, input_ids, state)
    rows = [first[row].said for row in range(len(prompts))]
    longest, pad = max(map(len, rows)), generation_config.pad_token_id
    said = prompts.new_tensor([row + [pad] * (longest - len(row)) for row in rows])
    return {"sequences": torch.cat([prompts, said], dim=1)}


def next_tokens(scores: torch.Tensor, riders: Sequence[Rider]) -> list[int]:
    """The next token of each rider from ``scores``, (rows, vocabulary)."""
    best = scores.argmax(-1).tolist()
    tokens = [best[rider.row] for rider in riders]
    for temperature in {rider.temperature for rider in riders} - {0.0}:
        some = [i for i, rider in enumerate(riders) if rider.temperature == temperature]
        passed = (scores.double() / temperature).softmax(-1).cumsum(-1)[[riders[i].row for i in some]]
        draws = passed.new_tensor([[riders[i].draws[len(riders[i].said)]] for i in some]) * passed[:, -1:]
        drawn = torch.searchsorted(passed, draws, right=True)[:, 0].tolist()  # right: never one of probability 0
        for i, token in zip(some, drawn, strict=True):
            tokens[i] = token
    return tokens


def _split(going: list[tuple[Rider, int]], input_ids: torch.Tensor, state: dict) -> tuple[torch.Tensor, dict]:
    """The next batch: one row for each (row, token) that somebody rides."""
    branches = sorted({(rider.row, token) for rider, token in going})
    place = {branch: row for row, branch in enumerate(branches)}
    for rider, token in going:
        rider.row = place[rider.row, token]
    parents = [row for row, _ in branches]
    if parents != list(range(len(input_ids))):
        index = input_ids.new_tensor(parents)
        input_ids = input_ids[index]
        state["past_key_values"].batch_select_indices(index)
        for name in ("attention_mask", "mm_token_type_ids", "position_ids"):  # (..., rows, tokens)
            if state.get(name) is not None:
                state[name] = state[name].index_select(-2, index)
    return torch.cat([input_ids, input_ids.new_tensor([[token] for _, token in branches])], dim=1), state
