"""``--callbacks gui_guard``: ends an RL run that cannot learn, and says why.

GRPO learns from the differences of rewards within a group of answers to one question. Where every group of
``GUARD_STEPS`` optimizer steps in a row (default 50; 0: never) has none, the run only burns time: RewardsAreConstant.
"""

import os

from swift.callbacks import TrainerCallback, callbacks_map

PATIENCE = 50  # optimizer steps


class RewardsAreConstant(RuntimeError):
    """No group of answers differed in reward for too long; one line with the likely cause."""


class GuiGuard(TrainerCallback):
    """Raises RewardsAreConstant, on every process at the same step."""

    def __init__(self, args, trainer):
        super().__init__(args, trainer)
        self.patience = int(os.environ.get("GUARD_STEPS", PATIENCE))
        self.since: int | None = None  # the step before the first one without differences

    def on_log(self, args, state, control, logs=None, **kwargs):
        """ms-swift logs the means of ``logging_steps`` steps, the same on every process."""
        flat = (logs or {}).get("frac_reward_zero_std")
        if flat is None:
            return
        if flat < 1:
            self.since = None
            return
        if self.since is None:
            self.since = state.global_step - args.logging_steps
        if self.patience and state.global_step - self.since >= self.patience:
            raise RewardsAreConstant(why(logs, state.global_step, self.patience))


def why(logs: dict, step: int, patience: int) -> str:
    """The end and its likely cause, in one line."""
    parts = {key.split("/")[1]: value for key, value in logs.items() if key.endswith("/mean") and "rewards/" in key}
    shown = ", ".join(f"{name} {value:.3f}" for name, value in parts.items())
    if logs.get("completions/clipped_ratio") == 1:
        cause = "every answer was cut off: raise --max_completion_length, or start from a better checkpoint"
    elif not logs["reward"]:
        cause = "no answer earned anything: start from a better checkpoint, and look at completions.jsonl"
    else:
        cause = "all answers to a question earn the same: it is learnt, or --temperature is too low"
    return f"step {step}: no group of answers differed in reward for {patience} steps ({shown}); {cause}"


callbacks_map["gui_guard"] = GuiGuard
