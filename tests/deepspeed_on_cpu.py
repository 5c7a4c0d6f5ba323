"""TESTS ONLY, a plugin of ms-swift: ``--use_cpu true`` starts gloo for torch alone; DeepSpeed has to join."""

import os

if int(os.environ.get("WORLD_SIZE", "1")) > 1:
    import deepspeed

    deepspeed.init_distributed(dist_backend="gloo", auto_mpi_discovery=False)
