"""`swift deploy` for real: an untrained tiny model, asked over HTTP as any other server."""

import pytest
from deploy import deployed

from data_engine.dataset import read_rows
from data_engine.geometry import Size
from data_engine.login.tasks import Options
from data_engine.login.write import write

EVAL = "eval/login_eval.py"


@pytest.fixture(scope="module")
def served(tiny_model, tmp_path_factory):
    """The address of the untrained tiny model."""
    with deployed(tiny_model, "gelab_qwen2_5_vl", tmp_path_factory.mktemp("deploy")) as address:
        yield address


@pytest.mark.slow
def test_swift_deploy_sees_the_picture(cli, served, tmp_path):
    """Two questions with the same text on two pictures: the server's own count of tokens tells the picture's size."""
    tokens = {}
    for width, height in (448, 336), (336, 252):  # 28 pixels a side for each image token: 192 and 108
        folder = tmp_path / str(width)
        write(folder, Options(mode="som", protocol="scripted", episodes=1, page_size=Size(width, height)))
        out = tmp_path / f"run{width}"
        done = cli(
            *(EVAL, "--engine", "openai", "--model", "tiny", "--data", folder, "--out", out, "--limit", 2),
            *("--cache", tmp_path / "cache", "--max-new-tokens", 4),
            **{"OPENAI_API_KEY": "any", "OPENAI_BASE_URL": served, "NO_PROXY": "127.0.0.1"},  # pragma: allowlist secret
        )
        assert done.returncode == 0, done.stderr
        lines = read_rows(out / "requests.jsonl")
        assert len(lines) == 2 and all(0 < line["output_tokens"] <= 4 for line in lines)
        tokens[width] = sorted(line["input_tokens"] for line in lines)
    assert [large - small for large, small in zip(tokens[448], tokens[336], strict=True)] == [192 - 108] * 2
