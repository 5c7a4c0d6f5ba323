"""SFT on several processes for real, on CPUs, by the recipe: ZeRO and FSDP2 compute what one process does."""

from pathlib import Path

import on_cpu
import pytest
from on_cpu import environment, start, steps

pytestmark = [
    pytest.mark.deepspeed,
    pytest.mark.skipif(on_cpu.missing("deepspeed"), reason="deepspeed is not installed here: make test-deepspeed"),
]
BATCH = 6  # rows of a step, over all processes
SHORT = [
    *("--dataset", "gelab/sft#96", "--learning_rate", "1e-4", "--warmup_ratio", "0"),
    *("--max_steps", "4", "--save_steps", "2"),
]


@pytest.fixture(scope="module")
def train(engine_data, tmp_path_factory):
    """train(processes, *flags) -> OUTPUT of sft.sh."""
    runs = tmp_path_factory.mktemp("runs")

    def train(processes: int, *flags: str, **more: object) -> Path:
        output = runs / str(len(list(runs.iterdir())))
        env = environment(engine_data, MODEL=engine_data / "base", OUTPUT=output, **more)
        if processes > 1:  # as the user launches it
            env["NPROC_PER_NODE"] = str(processes)
        batch = ("--per_device_train_batch_size", str(BATCH // processes))
        return start("gelab/sft.sh", env, *on_cpu.GLOO, *SHORT, *batch, *flags)

    return train


@pytest.fixture(scope="module")
def alone(train) -> list[float]:
    """Losses of one process, of far more than the tolerance apart."""
    losses = [row["loss"] for row in steps(train(1, "--deepspeed", ""))]
    assert len(losses) == 4 and abs(losses[0] - losses[2]) > 0.1
    return losses


@pytest.fixture(scope="module")
def three(train) -> Path:
    return train(3, "--deepspeed", "zero3")


def test_zero3_on_two_processes(train, alone):
    losses = [row["loss"] for row in steps(train(2, "--deepspeed", "zero3"))]
    print("largest difference", max(abs(a - b) for a, b in zip(losses, alone, strict=True)))
    assert losses == pytest.approx(alone, abs=1e-5)


@pytest.mark.long
def test_zero3_on_three_processes(three, alone):
    """NPROC_PER_NODE=3: the README's own launch."""
    assert [row["loss"] for row in steps(three)] == pytest.approx(alone, abs=1e-5)


@pytest.mark.long
def test_zero3_resumed_equals_uninterrupted(train, three):
    again = steps(train(3, "--deepspeed", "zero3", RESUME=three / "checkpoint-2"))
    assert again == steps(three)[2:]


@pytest.mark.long
@pytest.mark.parametrize("flags", [("--deepspeed", "zero2"), ("--deepspeed", "", "--fsdp", "fsdp2")])
def test_other_shards_on_two_processes(train, alone, flags):
    assert [row["loss"] for row in steps(train(2, *flags))] == pytest.approx(alone, abs=1e-5)


@pytest.mark.long
def test_muon_on_two_processes_of_fsdp2(train):
    """Where ZeRO is refused, FSDP2 is what the line names."""
    muon = ("--deepspeed", "", "--optimizer", "gui_muon", "--learning_rate", "1e-3")
    one, two = (steps(train(n, *muon, *more)) for n, more in ((1, ()), (2, ("--fsdp", "fsdp2"))))
    assert [row["loss"] for row in two] == pytest.approx([row["loss"] for row in one], abs=1e-4)
