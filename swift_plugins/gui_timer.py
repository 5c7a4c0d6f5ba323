"""``--callbacks gui_timer``: what each optimizer step costs, one line of OUTPUT/timing.jsonl.

Seconds between the ends of two steps, loading included and the GPU waited for; samples; tokens, padding included, if
``--include_num_input_tokens_seen true`` is given (0 else); peak memory that torch has reserved, GiB (0: a CPU).
"""

import json
import time
from pathlib import Path

import torch
from swift.callbacks import TrainerCallback, callbacks_map


class GuiTimer(TrainerCallback):
    def on_train_begin(self, args, state, control, **kwargs):
        self.file = Path(args.output_dir) / "timing.jsonl"
        self.tokens, self.ended = state.num_input_tokens_seen, now()

    def on_step_end(self, args, state, control, **kwargs):
        if not state.is_world_process_zero:
            return
        tokens, ended = state.num_input_tokens_seen, now()
        step = {
            "step": state.global_step,
            "seconds": ended - self.ended,
            "samples": args.train_batch_size * args.gradient_accumulation_steps * args.world_size,
            "tokens": tokens - self.tokens,
            "gib": torch.cuda.max_memory_reserved() / 2**30 if torch.cuda.is_available() else 0.0,
        }
        with open(self.file, "a", encoding="utf-8") as file:
            file.write(json.dumps(step) + "\n")
        self.tokens, self.ended = tokens, ended


def now() -> float:
    """Seconds, once the GPU has done what it was given."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


callbacks_map["gui_timer"] = GuiTimer
