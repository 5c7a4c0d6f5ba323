"""``--callbacks gui_cpu``: on CPUs, patches of pictures are embedded by a matrix product instead of a convolution.

The patches do not overlap, so both are the same sum. The convolution in bfloat16 takes two thirds of a tiny model's
training step (measured with PyTorch 2.14). The replacement is ms-swift's own, which it installs by itself for PyTorch
2.9 alone.
"""

import torch
from swift.callbacks import TrainerCallback, callbacks_map
from swift.model.utils import _patch_conv3d


class GuiCpu(TrainerCallback):
    def on_train_begin(self, args, state, control, **kwargs):
        if not torch.cuda.is_available():
            _patch_conv3d()


callbacks_map["gui_cpu"] = GuiCpu
