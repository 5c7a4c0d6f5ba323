"""Patches by a matrix product: the same embedding as the convolution's, in the forward pass and in its gradient."""

import pytest

pytest.importorskip("swift")


@pytest.fixture
def convolution(monkeypatch):
    """A patch embedding of Qwen-VL's kind; what the plugin changes is undone after the test."""
    from torch import nn

    original = nn.Conv3d.forward
    yield nn.Conv3d(3, 8, kernel_size=(2, 4, 4), stride=(2, 4, 4), bias=True)
    nn.Conv3d.forward = original
    if hasattr(nn.Conv3d, "_original_forward"):
        del nn.Conv3d._original_forward


def test_the_product_is_the_convolution(convolution):
    import torch
    from swift.callbacks.mapping import callbacks_map

    import swift_plugins.register  # noqa: F401  (importing it registers)

    patches = torch.randn(5, 3, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    results = []
    for _ in range(2):
        embedded = convolution(patches)
        embedded.square().sum().backward()
        results.append((embedded.detach(), convolution.weight.grad.clone()))
        convolution.zero_grad()
        callbacks_map["gui_cpu"](None, None).on_train_begin(None, None, None)
    assert hasattr(torch.nn.Conv3d, "_original_forward") or torch.cuda.is_available()
    for before, after in zip(*results, strict=True):
        torch.testing.assert_close(before, after)
