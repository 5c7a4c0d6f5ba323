"""`swift deploy` for real: an untrained tiny model, asked over HTTP as any other server."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from data_engine.dataset import read_rows
from data_engine.geometry import Size
from data_engine.login.tasks import Options
from data_engine.login.write import write

REPO = Path(__file__).resolve().parents[1]
EVAL = "eval/login_eval.py"


@pytest.fixture(scope="module")
def deployed(tiny_model, tmp_path_factory):
    """`swift deploy` of the untrained tiny model on loopback; yields its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("deploy") / "log.txt"
    command = [sys.executable, "-m", "swift.cli.deploy", "--model", str(tiny_model), "--host", "127.0.0.1"]
    command += ["--port", str(port), "--external_plugins", str(REPO / "swift_plugins" / "register.py")]
    command += ["--template", "gelab_qwen2_5_vl", "--torch_dtype", "float32", "--attn_impl", "sdpa"]
    command += ["--infer_backend", "transformers", "--served_model_name", "tiny"]
    env = os.environ | {"CUDA_VISIBLE_DEVICES": "", "MAX_PIXELS": "200704", "OMP_NUM_THREADS": "1"}
    env |= {"PYTHONPATH": str(REPO), "NO_PROXY": "127.0.0.1"}
    with open(log, "wb") as out:
        process = subprocess.Popen(command, env=env, cwd=log.parent, stdout=out, stderr=out, start_new_session=True)
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


@pytest.mark.slow
def test_swift_deploy_sees_the_picture(cli, deployed, tmp_path):
    """Two questions with the same text on two pictures: the server's own count of tokens tells the picture's size."""
    tokens = {}
    for width, height in (448, 336), (336, 252):  # 28 pixels a side for each image token: 192 and 108
        folder = tmp_path / str(width)
        write(folder, Options(mode="som", protocol="scripted", episodes=1, page_size=Size(width, height)))
        out = tmp_path / f"run{width}"
        done = cli(
            *(EVAL, "--engine", "openai", "--model", "tiny", "--data", folder, "--out", out, "--limit", 2),
            *("--cache", tmp_path / "cache", "--max-new-tokens", 4),
            **{"OPENAI_API_KEY": "any-word", "OPENAI_BASE_URL": deployed, "NO_PROXY": "127.0.0.1"},
        )
        assert done.returncode == 0, done.stderr
        lines = read_rows(out / "requests.jsonl")
        assert len(lines) == 2 and all(0 < line["output_tokens"] <= 4 for line in lines)
        tokens[width] = sorted(line["input_tokens"] for line in lines)
    assert [large - small for large, small in zip(tokens[448], tokens[336], strict=True)] == [192 - 108] * 2
