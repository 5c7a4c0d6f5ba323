"""The loop: places are refilled, answers belong to their episode, results come in order."""

import pytest

from data_engine.episode import Request, run_episodes


class Count:
    """An episode of ``length`` answers."""

    def __init__(self, name: str, length: int):
        self.name, self.length, self.said = name, length, []

    @property
    def done(self) -> bool:
        return len(self.said) >= self.length

    def request(self) -> Request:
        return Request("", "?", None, f"{self.name}/{len(self.said)}", lambda: "")

    def answer(self, text: str) -> None:
        self.said.append(text)


def play(lengths: list[int], places: int | None) -> tuple[list[list[str]], list[str], list[Count]]:
    """(keys of each batch, names in the order of finishing, episodes)."""
    episodes, batches, names = [Count(chr(97 + i), n) for i, n in enumerate(lengths)], [], []

    def policy(requests: list[Request]) -> list[str]:
        batches.append([request.key for request in requests])
        return [request.key.upper() for request in requests]

    run_episodes(iter(episodes), policy, places, lambda episode: names.append(episode.name))
    return batches, names, episodes


def test_a_free_place_goes_to_the_next():
    batches, names, _ = play([1, 3, 2, 1], places=2)
    assert batches == [["a/0", "b/0"], ["b/1", "c/0"], ["b/2", "c/1"], ["d/0"]]
    assert names == ["a", "b", "c", "d"]


def test_results_come_in_the_order_of_the_episodes():
    batches, names, _ = play([3, 1, 1, 1], places=2)
    assert batches == [["a/0", "b/0"], ["a/1", "c/0"], ["a/2", "d/0"]]
    assert names == ["a", "b", "c", "d"]  # b and c wait for a


@pytest.mark.parametrize("places", [None, 1, 2, 3, 5, 99])
def test_any_number_of_places_asks_the_same(places):
    lengths = [2, 0, 5, 1, 0, 0, 3, 3, 1]
    batches, names, episodes = play(lengths, places)
    assert sorted(sum(batches, [])) == sorted(f"{e.name}/{i}" for e in episodes for i in range(e.length))
    assert [e.said for e in episodes] == [[f"{e.name}/{i}".upper() for i in range(e.length)] for e in episodes]
    assert names == list("abcdefghi")
    assert max(map(len, batches)) <= (places or 6)  # six have something to say
    if places is None:
        assert len(batches) == 5  # the longest


def test_episodes_are_made_when_there_is_a_place_for_them():
    made = []

    def some():
        for i in range(6):
            made.append(i)
            yield Count(str(i), 2)

    seen = []
    run_episodes(some(), lambda asked: [seen.append(len(made)) or "" for _ in asked], places=2)
    assert seen == [2] * 4 + [4] * 4 + [6] * 4


def test_nothing_to_play():
    assert play([], 3) == ([], [], []) and play([0, 0], 1)[1] == ["a", "b"]


def test_an_answer_too_few_is_an_error():
    with pytest.raises(ValueError):
        run_episodes([Count("a", 1), Count("b", 1)], lambda asked: ["x"])
