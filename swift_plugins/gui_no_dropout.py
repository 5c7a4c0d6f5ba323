"""``--callbacks gui_no_dropout``: RL without dropout, whatever an adapter was trained with before.

ms-swift loads an adapter with the dropout of its own adapter_config.json and ignores ``--lora_dropout``. With dropout
the policy that is trained is not the one that sampled, and KL to its own reference is above 0 from the start.
"""

from swift.callbacks import TrainerCallback, callbacks_map
from trl.trainer import disable_dropout_in_model


class NoDropout(TrainerCallback):
    def on_train_begin(self, args, state, control, model=None, **kwargs):
        """Sets it to 0 in the adapter's configuration too, which checkpoints save."""
        disable_dropout_in_model(model)
        for config in getattr(model, "peft_config", {}).values():
            config.lora_dropout = 0.0


callbacks_map["gui_no_dropout"] = NoDropout
