"""Observations and actions of the Gymnasium environments: a screenshot with its prompt, and an answer in text."""

import gymnasium
import numpy as np

from .geometry import Size


def spaces(page_size: Size) -> tuple[gymnasium.spaces.Dict, gymnasium.spaces.Text]:
    """(observations, actions): ``image`` (height, width, 3) uint8 and ``prompt``, up to 4096 characters; up to 2048."""
    width, height = page_size
    characters = frozenset(map(chr, range(9, 0x3000)))
    image = gymnasium.spaces.Box(0, 255, (height, width, 3), np.uint8)
    prompt, answer = (gymnasium.spaces.Text(most, min_length=0, charset=characters) for most in (4096, 2048))
    return gymnasium.spaces.Dict({"image": image, "prompt": prompt}), answer
