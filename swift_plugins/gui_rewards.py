"""Rewards by name, for ``--reward_funcs``: thin adapters over data_engine.gelab.scoring and the environment's record.

Single turn, each part 0 or 1 (paper A.4: their sum, equal weights); the gold is in the row's ``solution`` and ``bbox``:

    gelab_type gelab_coord gelab_intent gelab_format      the parts
    gelab_way                                             1 if the way is said right (rows of --explain way)
    gelab_coord_smooth                                    gelab_coord with a slope outside the box, for ablations

Multi-turn; what happened is in ``rollout_infos``, written by gui_multiturn from the environment's state:

    gelab_a2b              1 for the goal, 0 otherwise (the paper's sparse A2B)
    gelab_progress         share of the way that was covered, 0..1, for ablations

    gelab_parse_rate       either stage, weight 0: share of a sample's answers that could be read, for the log

ms-swift logs each under its class name. Model text never raises and never gives None or NaN; a broken row raises
DataError.
"""

from swift.rewards import ORM, orms

from data_engine.answer import cleaned
from data_engine.dataset import DataError
from data_engine.gelab.actions import Answer, ParseFailure, parse
from data_engine.gelab.scoring import Gold, closeness, gold_of, score

GOLD_COLUMNS = ("idx", "solution", "bbox", "bbox_norm", "canvas")  # of our rows and of the authors'


def golds(columns: dict, count: int) -> list[Gold]:
    """The gold of each sample. Never from ``messages``: there ms-swift keeps the model's own answer."""
    if "solution" not in columns:
        raise DataError("the rows have no column 'solution': single-turn rewards need --dataset gelab/st_rl")
    present = [name for name in GOLD_COLUMNS if name in columns]
    return [gold_of({name: columns[name][i] for name in present}) for i in range(count)]


class StepReward(ORM):
    """A reward of one answer, from the answer and its row's gold."""

    def __call__(self, completions: list[str], **columns) -> list[float]:
        asked = zip(map(cleaned, completions), golds(columns, len(completions)), strict=True)
        return [float(self.worth(parse(text), gold)) for text, gold in asked]

    def worth(self, answer: Answer, gold: Gold) -> float:
        raise NotImplementedError


class GelabType(StepReward):
    def worth(self, answer, gold):
        return score(answer, gold).type


class GelabCoord(StepReward):
    def worth(self, answer, gold):
        return score(answer, gold).coord


class GelabIntent(StepReward):
    def worth(self, answer, gold):
        return score(answer, gold).intent


class GelabFormat(StepReward):
    def worth(self, answer, gold):
        return score(answer, gold).format


class GelabWay(StepReward):
    def worth(self, answer, gold):
        return answer.way == gold.answer.way


class GelabCoordSmooth(StepReward):
    def worth(self, answer, gold):
        return closeness(answer, gold)


class GelabA2B(ORM):
    def __call__(self, completions: list[str], **columns) -> list[float]:
        return [float(record["total_reward"]) for record in records(columns)]


class GelabProgress(ORM):
    def __call__(self, completions: list[str], **columns) -> list[float]:
        walks = [record["distances"] for record in records(columns)]
        return [max(0.0, (walk[0] - walk[-1]) / walk[0]) for walk in walks]


class GelabParseRate(ORM):
    def __call__(self, completions: list[str], **columns) -> list[float]:
        if any("parse_failures" in (infos or {}) for infos in columns.get("rollout_infos", [])):
            return [1 - record["parse_failures"] / len(record["step_rewards"]) for record in records(columns)]
        actions = [parse(cleaned(text)).action for text in completions]
        return [float(not isinstance(action, ParseFailure)) for action in actions]


def records(columns: dict, field: str = "distances", scheduler: str = "gelab_click") -> list[dict]:
    """What the environment recorded of each trajectory; ``field`` tells a record of it, ``scheduler`` makes them."""
    given = columns.get("rollout_infos", [])
    if not all(field in (record or {}) for record in given) or not given:
        raise DataError(f"no record of an environment: multi-turn rewards need --multi_turn_scheduler {scheduler}")
    return given


orms["gelab_type"] = GelabType
orms["gelab_coord"] = GelabCoord
orms["gelab_intent"] = GelabIntent
orms["gelab_format"] = GelabFormat
orms["gelab_way"] = GelabWay
orms["gelab_coord_smooth"] = GelabCoordSmooth
orms["gelab_a2b"] = GelabA2B
orms["gelab_progress"] = GelabProgress
orms["gelab_parse_rate"] = GelabParseRate
