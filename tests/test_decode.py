"""Shared decoding by hand."""

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
REPO = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def decode(eval_module):
    return eval_module("decode")


SCORES = [[0.5, 0.25, 0.25], [0.0, 0.9, 0.1]]  # probabilities of three tokens, two rows; 0: suppressed


def tokens(decode, drafts: list[tuple[int, float, float]]) -> list[int]:
    """Of (row, temperature, draw)."""
    return decode.next_tokens(torch.tensor(SCORES).log(), [decode.Draft(r, t, [draw]) for r, t, draw in drafts])


def test_a_draw_is_a_place_in_the_cumulative_probabilities(decode):
    # row 0 at temperature 1: token 0 below 1/2, token 1 below 3/4, token 2 above
    assert tokens(decode, [(0, 1.0, u) for u in (0.0, 0.49, 0.51, 0.74, 0.76, 0.999)]) == [0, 0, 1, 1, 2, 2]
    # at 1/2 the squares: 4/6, 1/6, 1/6; at 2 the roots: 0.414, 0.293, 0.293
    assert tokens(decode, [(0, 0.5, 0.66), (0, 0.5, 0.68), (0, 2.0, 0.40), (0, 2.0, 0.43)]) == [0, 1, 0, 1]


def test_a_suppressed_token_is_never_drawn(decode):
    assert tokens(decode, [(1, 1.0, 0.0), (1, 1.0, 1 - 2**-24)]) == [1, 2]


def test_temperature_0_takes_the_best(decode):
    assert tokens(decode, [(0, 0.0, 0.99), (1, 0.0, 0.99), (1, 1.0, 0.99)]) == [0, 1, 2]


def test_even_draws_give_the_probabilities(decode):
    said = tokens(decode, [(0, 1.0, (i + 0.5) / 1000) for i in range(1000)])
    assert [said.count(token) for token in range(3)] == [500, 250, 250]
