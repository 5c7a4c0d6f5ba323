"""``--optimizer gui_muon``: Muon for weight matrices, AdamW for all else; with it a small model learns to see.

Both are torch's own. ms-swift's ``--optimizer muon`` clones a repository, which needs a network. Muon: Jordan et al.
2024, https://kellerjordan.github.io/posts/muon; its steps have the size of AdamW's (Liu et al. 2025, arXiv 2502.16982).
"""

from collections.abc import Iterable

from swift.optimizers import OptimizerCallback, optimizers_map
from torch import nn
from torch.optim import AdamW, Muon, Optimizer

MUON_RATE = 2.0  # times --learning_rate
SHARDS = "it needs whole matrices, which ZeRO cuts; give --deepspeed '' or --fsdp fsdp2, or another --optimizer"
EMBEDDINGS = nn.Embedding  # rows of which a step sees few: AdamW's, though they are matrices


class Chain(Optimizer):
    """Several optimizers, each with parameters of its own, as one: the same groups, one state, one step."""

    def __init__(self, *parts: Optimizer):
        super().__init__([group for part in parts for group in part.param_groups], {})
        self.parts = parts
        self._share()

    def _share(self) -> None:
        """The parts work on this object's groups and state, so that schedules and checkpoints need to know only it."""
        groups = iter(self.param_groups)
        for part in self.parts:
            part.param_groups = [next(groups) for _ in part.param_groups]
            part.state = self.state

    def load_state_dict(self, state_dict: dict) -> None:
        super().load_state_dict(state_dict)
        self._share()

    def step(self, closure=None):
        loss = closure() if closure else None
        for part in self.parts:
            part.step()
        return loss


def split(model: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter], list[nn.Parameter]]:
    """(weight matrices, other tensors that decay, vectors) of what is trained; each parameter stands in one list."""
    embedded = {id(p) for module in model.modules() if isinstance(module, EMBEDDINGS) for p in module.parameters()}
    lists: tuple[list, list, list] = ([], [], [])
    for parameter in model.parameters():
        if parameter.requires_grad:
            matrix = parameter.ndim == 2 and id(parameter) not in embedded
            lists[0 if matrix else 1 if parameter.ndim > 1 else 2].append(parameter)
    return lists


def muon_with_adamw(matrices: Iterable, others: Iterable, vectors: Iterable, args) -> Chain:
    """The three lists of ``split`` and ms-swift's training arguments; the matrices' learning rate is MUON_RATE times
    ``--learning_rate``, and vectors have no weight decay."""
    rate, decay = args.learning_rate, args.weight_decay
    groups = [{"params": list(others), "weight_decay": decay}, {"params": list(vectors), "weight_decay": 0.0}]
    betas = (args.adam_beta1, args.adam_beta2)
    adamw = AdamW([group for group in groups if group["params"]], lr=rate, betas=betas, eps=args.adam_epsilon)
    muon = Muon(list(matrices), lr=rate * MUON_RATE, weight_decay=decay, adjust_lr_fn="match_rms_adamw")
    return Chain(muon, adamw)


class GuiMuon(OptimizerCallback):
    """Raises ValueError under DeepSpeed's ZeRO 1 to 3, whose shards of flattened weights are no matrices."""

    def create_optimizer(self, model=None) -> Optimizer:
        deepspeed = self.trainer.accelerator.state.deepspeed_plugin
        if deepspeed and deepspeed.zero_stage:
            raise ValueError(f"--optimizer gui_muon: {SHARDS}")
        return muon_with_adamw(*split(model or self.trainer.model), self.args)


optimizers_map["gui_muon"] = GuiMuon
