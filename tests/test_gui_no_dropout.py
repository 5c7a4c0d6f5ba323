"""RL without dropout: an adapter that was trained with it loses it, in the model and in what checkpoints say."""

import pytest

pytest.importorskip("swift")


@pytest.fixture
def adapted():
    """A model with an adapter whose dropout is 0.5."""
    from peft import LoraConfig, get_peft_model
    from torch import nn

    return get_peft_model(nn.Sequential(nn.Linear(8, 8)), LoraConfig(r=2, lora_dropout=0.5, target_modules=["0"]))


def test_dropout_is_off_in_the_model_and_in_its_config(adapted, tmp_path):
    import torch
    from swift.callbacks.mapping import callbacks_map

    import swift_plugins.register  # noqa: F401  (importing it registers)

    torch.nn.init.ones_(adapted.base_model.model[0].lora_B.default.weight)  # as fresh, 0: dropout would not show
    adapted.train()
    picture = torch.ones(64, 8)
    assert not torch.equal(adapted(picture), adapted(picture))
    callbacks_map["gui_no_dropout"](None, None).on_train_begin(None, None, None, model=adapted)
    assert torch.equal(adapted(picture), adapted(picture))
    adapted.save_pretrained(tmp_path)
    assert '"lora_dropout": 0.0,' in (tmp_path / "adapter_config.json").read_text()
