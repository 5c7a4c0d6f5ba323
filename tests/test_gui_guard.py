"""The guard: constant rewards end a run, with the cause; a difference now and then does not."""

from types import SimpleNamespace

import pytest

pytest.importorskip("swift")


@pytest.fixture
def guard(monkeypatch):
    """guard(fractions, ...) logs one row a step; the run has GUARD_STEPS=3."""
    from swift.callbacks.mapping import callbacks_map

    import swift_plugins.register  # noqa: F401  (importing it registers)

    monkeypatch.setenv("GUARD_STEPS", "3")

    def run(fractions: list[float], every: int = 1, **logs) -> int:
        args = SimpleNamespace(logging_steps=every)
        made = callbacks_map["gui_guard"](args, None)
        for i, flat in enumerate(fractions, 1):
            row = {"frac_reward_zero_std": flat, "reward": 1.0, "rewards/GelabA2B/mean": 1.0} | logs
            made.on_log(args, SimpleNamespace(global_step=i * every), None, logs=row)
            made.on_log(args, SimpleNamespace(global_step=i * every), None, logs={"train_runtime": 1.0})
        return len(fractions)

    return run


def test_differences_let_a_run_go_on(guard):
    assert guard([1, 1, 0.9, 1, 1, 0.5, 0, 1, 1]) == 9


def test_the_third_constant_step_ends_it(guard):
    with pytest.raises(RuntimeError, match="^step 5: no group of answers differed in reward for 3 steps"):
        guard([0.5, 0.5, 1, 1, 1, 1])


def test_it_can_be_switched_off(guard, monkeypatch):
    monkeypatch.setenv("GUARD_STEPS", "0")
    assert guard([1] * 9) == 9


def test_rows_that_stand_for_several_steps_count_as_such(guard):
    with pytest.raises(RuntimeError, match="^step 4: "):
        guard([1, 1], every=2)


@pytest.mark.parametrize(
    "logs, cause",
    [
        ({"reward": 0.0, "rewards/GelabA2B/mean": 0.0}, "(GelabA2B 0.000); no answer earned anything"),
        ({}, "(GelabA2B 1.000); all answers to a question earn the same"),
        ({"completions/clipped_ratio": 1}, "every answer was cut off: raise --max_completion_length"),
    ],
)
def test_it_says_why_in_one_line(guard, logs, cause):
    with pytest.raises(RuntimeError) as error:
        guard([1, 1, 1], **logs)
    assert cause in str(error.value) and "\n" not in str(error.value)
