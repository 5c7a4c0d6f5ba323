"""Muon with AdamW as one optimizer: each parameter once, schedules and checkpoints reach both."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from swift_plugins import gui_optimizer

ARGS = SimpleNamespace(learning_rate=0.01, weight_decay=0.1, adam_beta1=0.9, adam_beta2=0.99, adam_epsilon=1e-8)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(7, 4)
        self.patch = nn.Conv3d(1, 4, (1, 2, 2))
        self.norm = nn.LayerNorm(4)
        self.linear = nn.Linear(4, 3)
        self.frozen = nn.Linear(4, 4).requires_grad_(False)

    def forward(self, ids, picture):
        return self.linear(self.norm(self.embed(ids) + self.patch(picture).flatten(1)))


def net() -> Net:
    torch.manual_seed(0)
    return Net()


def made(model) -> gui_optimizer.Chain:
    return gui_optimizer.muon_with_adamw(*gui_optimizer.split(model), ARGS)


def train(model, optimizer, steps) -> list[float]:
    losses = []
    for step in steps:
        generator = torch.Generator().manual_seed(step)
        ids, picture = torch.randint(7, (5,), generator=generator), torch.randn(5, 1, 1, 2, 2, generator=generator)
        loss = (model(ids, picture) - ids[:, None]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def test_each_parameter_has_one_place():
    model = net()
    matrices, others, vectors = gui_optimizer.split(model)
    assert [id(p) for p in matrices] == [id(model.linear.weight)]
    assert {id(p) for p in others} == {id(model.embed.weight), id(model.patch.weight)}
    assert {id(p) for p in vectors} == {id(p) for p in (model.patch.bias, *model.norm.parameters(), model.linear.bias)}


def test_matrices_take_muons_steps_and_the_rest_adamws():
    """Muon's first step is orthogonal: on 3 x 4 singular values near 1, times 0.2 * sqrt(4), the rate and 2."""
    model = net()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer = made(model)
    optimizer.param_groups[0]["weight_decay"] = 0.0
    train(model, optimizer, [0])
    moved = {name: p.detach() - before[name] for name, p in model.named_parameters()}
    singular = torch.linalg.svdvals(moved["linear.weight"])
    assert ((singular > 0.6 * 0.008) & (singular < 1.3 * 0.008)).all()  # five Newton-Schulz steps are coarse
    assert moved["linear.bias"].abs().numpy() == pytest.approx(0.01, rel=1e-3)  # AdamW's first step is the rate
    assert moved["frozen.weight"].abs().max() == 0


def test_a_schedule_reaches_both_parts():
    model = net()
    optimizer = made(model)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.0)
    before = [p.detach().clone() for p in model.parameters()]
    train(model, optimizer, range(2))
    schedule.step()
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_stopped_and_continued_equals_uninterrupted():
    model = net()
    whole = train(model, made(model), range(6))
    model = net()
    optimizer = made(model)
    first = train(model, optimizer, range(3))
    saved, weights = optimizer.state_dict(), model.state_dict()
    again = net()
    again.load_state_dict(weights)
    optimizer = made(again)
    optimizer.load_state_dict(saved)
    assert first + train(again, optimizer, range(3, 6)) == whole


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_zero_is_refused_in_one_line(stage):
    """Its optimizers hold flat shards: Muon would say no more than that it supports 2D parameters alone."""
    state = SimpleNamespace(deepspeed_plugin=SimpleNamespace(zero_stage=stage))
    trainer = SimpleNamespace(model=net(), accelerator=SimpleNamespace(state=state))
    muon = gui_optimizer.GuiMuon(ARGS, trainer)
    with pytest.raises(ValueError, match="^--optimizer gui_muon: .* ZeRO cuts; give --deepspeed '' or .*optimizer$"):
        muon.create_optimizer()
    state.deepspeed_plugin.zero_stage = 0
    assert isinstance(muon.create_optimizer(), gui_optimizer.Chain)
