"""`swift deploy` of a checkpoint on loopback, for as long as a test needs it."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

REPO = Path(__file__).resolve().parents[1]


@contextmanager
def deployed(model: Path, template: str, folder: Path, max_pixels: int = 200704) -> Iterator[str]:
    """Yields the address; the model is named `tiny`. ``folder`` gets the log."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = folder / "log.txt"
    command = [sys.executable, "-m", "swift.cli.deploy", "--model", str(model), "--host", "127.0.0.1"]
    command += ["--port", str(port), "--external_plugins", str(REPO / "swift_plugins" / "register.py")]
    command += ["--model_type", template.partition("_")[2], "--template", template]
    command += ["--torch_dtype", "float32", "--attn_impl", "sdpa"]
    command += ["--infer_backend", "transformers", "--served_model_name", "tiny"]
    env = os.environ | {"CUDA_VISIBLE_DEVICES": "", "MAX_PIXELS": str(max_pixels), "OMP_NUM_THREADS": "1"}
    env |= {"PYTHONPATH": str(REPO), "NO_PROXY": "127.0.0.1"}
    with open(log, "wb") as out:
        process = subprocess.Popen(command, env=env, cwd=folder, stdout=out, stderr=out, start_new_session=True)
    try:
        for _ in range(600):
            time.sleep(0.25)
            assert process.poll() is None, log.read_text()[-2000:]
            try:
                httpx.get(f"http://127.0.0.1:{port}/v1/models", trust_env=False)
                break
            except httpx.TransportError:
                continue
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(20)
