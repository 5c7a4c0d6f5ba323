"""Models behind a server, a fake one on loopback: what is sent, what is kept, and what is tried again."""

import base64
import json
from pathlib import Path

import pytest
from fake_server import CLICK, WORD, openai_reply

from data_engine.dataset import read_json, read_rows
from data_engine.geometry import Size
from data_engine.login.tasks import Options
from data_engine.login.write import write

EVAL = "eval/login_eval.py"


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Two episodes of six steps, all different."""
    out = tmp_path_factory.mktemp("data") / "hard"
    write(out, Options(episodes=2, split="eval", page_size=Size(256, 192)))
    return out


@pytest.fixture
def ask(cli, server, data, tmp_path):
    """ask(engine, *flags): login_eval against the fake server; its cache is the test's own."""

    def ask(engine: str, *flags: object, out: str = "run", **environment: str):
        path = "/v1" if engine == "openai" else ""
        given = {f"{engine.upper()}_API_KEY": WORD, f"{engine.upper()}_BASE_URL": server.url + path} | environment
        command = [EVAL, "--engine", engine, "--model", "m-1", "--data", data, "--out", tmp_path / out]
        return cli(*command, "--cache", tmp_path / "cache", *flags, NO_PROXY="127.0.0.1", **given)

    return ask


@pytest.mark.parametrize("engine", ["openai", "anthropic"])
def test_what_is_sent_and_what_comes_of_it(ask, server, data, tmp_path, engine):
    done = ask(engine, "--batch-size", 1, "--price", 2, 10, "--max-new-tokens", 150)
    assert done.returncode == 0, done.stderr
    rows = read_rows(data / "rows.jsonl")
    assert len(server.asked) == len(rows) == 12
    for (path, headers, body), row in zip(server.asked, rows, strict=True):
        system, question, _ = (message["content"] for message in row["messages"])
        picture = base64.b64encode((data / row["images"][0]).read_bytes()).decode()
        said = question.removeprefix("<image>")
        assert (body["model"], body["max_tokens"], body["temperature"]) == ("m-1", 150, 0)
        if engine == "openai":
            assert path == "/v1/chat/completions" and headers["authorization"] == f"Bearer {WORD}"
            content = [
                {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{picture}"}},
                {"type": "text", "text": said},
            ]
            assert body["messages"] == [{"role": "system", "content": system}, {"role": "user", "content": content}]
        else:
            assert path == "/v1/messages" and headers["x-api-key"] == WORD and headers["anthropic-version"]
            source = {"type": "base64", "media_type": "image/png", "data": picture}
            content = [{"type": "image", "source": source}, {"type": "text", "text": said}]
            assert body["system"] == system and body["messages"] == [{"role": "user", "content": content}]
    result = read_json(tmp_path / "run" / "metrics.json")
    api = result["api"]
    assert (api["requests"], api["sent"], api["input_tokens"], api["output_tokens"]) == (12, 12, 1200, 120)
    assert api["cost_usd"] == api["paid_usd"] == pytest.approx((1200 * 2 + 120 * 10) / 1e6)
    assert api["seconds"] > 0.01 and api["cut_answers"] == 0 and "cost_usd 0.0036" in done.stdout
    assert {row["prediction"] for row in read_rows(tmp_path / "run" / "predictions.jsonl")} == {CLICK}
    assert result["backend"] == engine and result["run"]["server"].startswith(server.url)


def test_nothing_is_paid_twice(ask, server, tmp_path):
    assert ask("openai", "--limit", 6).returncode == 0
    server.text = "another day, another answer"
    done = ask("openai", "--price", 2, 10, out="again")  # six are kept
    assert done.returncode == 0 and len(server.asked) == 12
    api = read_json(tmp_path / "again" / "metrics.json")["api"]
    assert (api["requests"], api["sent"]) == (12, 6) and api["cost_usd"] == pytest.approx(2 * api["paid_usd"])
    said = [row["prediction"] for row in read_rows(tmp_path / "again" / "predictions.jsonl")]
    assert said == [CLICK] * 6 + [server.text] * 6
    for changed in ["--max-new-tokens", 9], ["--extra", '{"seed": 1}'], ["--model", "m-2"]:
        before = len(server.asked)
        assert ask("openai", "--limit", 1, *changed, out=str(changed[1])).returncode == 0
        assert len(server.asked) == before + 1, changed


def test_a_killed_run_goes_on_without_paying_again(ask, server, tmp_path):
    """The sixth question fails for good in the middle of a batch; what the others of the batch cost is not lost."""
    server.faults = [openai_reply() for _ in range(5)] + [(400, {}, "no")]
    done = ask("openai", "--batch-size", 4)
    assert done.returncode == 2 and "status 400: no" in done.stderr.splitlines()[-1]
    paid = len(server.asked) - 1
    assert paid >= 5 and len(read_rows(tmp_path / "run" / "predictions.jsonl")) == 4
    assert ask("openai", "--batch-size", 4).returncode == 0
    assert len(server.asked) == 12 + 1
    api = read_json(tmp_path / "run" / "metrics.json")["api"]
    assert (api["requests"], api["sent"]) == (12, 12)


def test_equal_questions_of_a_batch_are_asked_once(ask, cli, server, tmp_path):
    twins = tmp_path / "twins"  # published steps 0 and 1 show the same picture and ask the same
    write(twins, Options(protocol="published", episodes=1, page_size=Size(448, 320)))
    assert ask("openai", "--data", twins).returncode == 0
    assert len(read_rows(tmp_path / "run" / "predictions.jsonl")) == 7 and len(server.asked) == 4


def test_faults_that_pass_are_tried_again(ask, server, tmp_path):
    server.faults = [(503, {}, "busy"), "drop", (429, {"retry-after": "1"}, "slow down")]
    assert ask("openai", "--limit", 1).returncode == 0
    gaps = [b - a for a, b in zip(server.times, server.times[1:], strict=False)]
    assert len(gaps) == 3 and gaps[0] >= 1 and gaps[1] >= 2 and 1 <= gaps[2] < 3  # 1, 2, then what the server said
    (line,) = read_rows(tmp_path / "run" / "requests.jsonl")
    assert line["tries"] == 4 and line["seconds"] < 1  # of the try that was answered


def test_a_rate_limit_holds_all_threads(ask, server):
    """One thread is told to wait 1.5 s; the other would try again after 1 s."""
    server.faults = [(429, {"retry-after": "1.5"}, "slow down"), (503, {}, "busy")]
    assert ask("openai", "--batch-size", 2).returncode == 0
    assert server.times[2] - server.times[0] >= 1.5 and server.most <= 2


@pytest.mark.parametrize(
    "fault, line",
    [
        ((401, {}, f'{{"error": "wrong key {WORD}"}}'), 'status 401: {"error": "wrong key ***"} (try 1 of 6)'),
        ((404, {}, "no\nsuch\nmodel"), "status 404: no such model (try 1 of 6)"),
        ((302, {"location": "http://127.0.0.1:9/"}, ""), "status 302"),
        ((429, {"retry-after": "7200"}, "quota is used up"), "status 429: quota is used up (try 1 of 6)"),
        ((200, {}, "<html>"), "no reply of the openai kind: <html>"),
        ((200, {}, '{"choices": []}'), "no reply of the openai kind"),
    ],
)
def test_faults_that_stay_are_one_line_without_the_key(ask, server, tmp_path, fault, line):
    server.faults = [fault]
    done = ask("openai", "--limit", 1)
    last = done.stderr.splitlines()[-1]
    assert done.returncode == 2 and line in last and "replies so far are kept" in last
    assert "Traceback" not in done.stderr and len(server.asked) == 1
    assert WORD not in done.stderr + done.stdout


def test_the_key_is_in_no_file(ask, tmp_path):
    assert ask("anthropic", "--closed-loop", "--limit", 1).returncode == 0
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 5 and not [path for path in files if WORD.encode() in path.read_bytes()]


def test_before_any_request(ask, server, tmp_path):
    wrong = [
        (ask("openai", OPENAI_API_KEY=""), "--engine openai: OPENAI_API_KEY is not set"),
        (ask("anthropic", ANTHROPIC_API_KEY=" "), "--engine anthropic: ANTHROPIC_API_KEY is not set"),
        (ask("openai", **{"OPENAI_API_KEY": "\n".join("ab")}), "OPENAI_API_KEY holds a sign that no key has"),
        (ask("openai", OPENAI_BASE_URL="127.0.0.1:80"), "OPENAI_BASE_URL: must be http(s)://HOST"),
        (ask("openai", OPENAI_BASE_URL=f"http://u:{WORD}@h/v1"), "OPENAI_BASE_URL: must be http(s)://HOST"),
        (ask("openai", OPENAI_BASE_URL="http://h:x/v1"), "OPENAI_BASE_URL: must be http(s)://HOST"),
        (ask("openai", "--extra", "[1]"), "--extra [1]: must be a JSON object"),
    ]
    for done, line in wrong:
        assert done.returncode == 2 and line in done.stderr.splitlines()[-1], done.stderr
        assert WORD not in done.stderr
    assert server.asked == [] and not (tmp_path / "run").exists()


def test_a_reply_of_another_kind_leaves_a_run_that_goes_on(ask, server, tmp_path):
    server.faults = [openai_reply("A"), openai_reply({"text": "A"})]
    done = ask("openai", "--limit", 2, "--batch-size", 1)
    assert done.returncode == 2 and "no reply of the openai kind" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr and ask("openai", "--limit", 2).returncode == 0
    assert [row["prediction"] for row in read_rows(tmp_path / "run" / "predictions.jsonl")] == ["A", CLICK]


@pytest.mark.parametrize("engine", ["openai", "anthropic"])
def test_a_key_in_a_good_answer_is_not_stored(ask, server, tmp_path, engine):
    server.text = f"Thought: {WORD}, {WORD}\nAction: WAIT()"
    assert ask(engine, "--limit", 1).returncode == 0
    (row,) = read_rows(tmp_path / "run" / "predictions.jsonl")
    assert row["prediction"] == "Thought: ***, ***\nAction: WAIT()"
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 4 and not [path for path in files if WORD.encode() in path.read_bytes()]


def test_a_broken_file_of_the_cache_is_named(ask, server, tmp_path):
    assert ask("openai", "--limit", 1).returncode == 0
    (kept,) = (tmp_path / "cache").rglob("*.json")
    for broken in "[]", '{"text": ["A"]}', "{":
        kept.write_text(broken)
        done = ask("openai", "--limit", 1, out="again")
        assert done.returncode == 2 and str(kept) in done.stderr.splitlines()[-1], done.stderr
    kept.unlink()
    assert ask("openai", "--limit", 1, out="again").returncode == 0


@pytest.mark.parametrize(
    "address",
    [
        f"http://:{WORD}@h/v1",
        f"http://u:{WORD}@h/v1",
        f"http://{WORD}@h/v1",
        f"http://h/v1?key={WORD}",
        f"http://h/v1#{WORD}",
        "http://h:99999/v1",
        "http://h:0/v1",
        "http://[::1",
        "http://a b/v1",
        "http://h\x07/v1",
        "ftp://h/v1",
        "http:///v1",
    ],
)
def test_no_address_of_a_server(eval_module, address):
    assert not eval_module("api").is_address(address)


def test_addresses_of_servers(eval_module):
    api = eval_module("api")
    given = {name: dialect.public + dialect.path for name, dialect in api.DIALECTS.items()}
    assert given == {
        "openai": "https://api.openai.com/v1/chat/completions",
        "anthropic": "https://api.anthropic.com/v1/messages",
    }
    for address in *given.values(), "http://127.0.0.1:8000/v1", "http://[::1]:8000", "http://gpu_7.lan/a@b":
        assert api.is_address(address), address


WRONG_VALUES = [
    (["--price", "nan", 1], "--price nan: must be a number, 0 or more"),
    (["--price", 1, "inf"], "--price inf: must be a number, 0 or more"),
    (["--price", "-1", 1], "--price -1: must be 0 or more"),
    (["--extra", '{"top_p": NaN}'], "holds NaN, Infinity or half a sign"),
    (["--extra", '{"user": "\\ud83d"}'], "holds NaN, Infinity or half a sign"),
]


@pytest.mark.parametrize("flags, line", WRONG_VALUES)
def test_wrong_values_are_refused_before_anything_is_written(ask, server, tmp_path, flags, line):
    done = ask("openai", *flags)
    assert done.returncode == 2 and line in done.stderr.splitlines()[-1] and "Traceback" not in done.stderr
    assert server.asked == [] and not (tmp_path / "run").exists()


def test_extra_fields_and_those_taken_out(ask, server):
    done = ask("openai", "--limit", 1, "--extra", '{"temperature": null, "reasoning_effort": "low"}')
    assert done.returncode == 0, done.stderr
    (body,) = server.bodies()
    assert "temperature" not in body and body["reasoning_effort"] == "low"


def test_no_text_is_a_wrong_answer_and_no_fault(ask, server, tmp_path):
    reply = {"choices": [{"message": {"content": None}, "finish_reason": "length"}]}
    server.faults = [(200, {}, json.dumps(reply))]
    assert ask("openai", "--limit", 1).returncode == 0
    result = read_json(tmp_path / "run" / "metrics.json")
    assert result["metrics"]["action_type_accuracy"] == 0 and result["api"]["cut_answers"] == 1


def test_gelab_is_asked_too_and_samples_differ(cli, server, small_data, tmp_path):
    """Two sampled attempts at a task ask the same; each must have a sample of its own."""
    given = {"OPENAI_API_KEY": WORD, "OPENAI_BASE_URL": server.url + "/v1", "NO_PROXY": "127.0.0.1"}
    model = ["--engine", "openai", "--model", "m", "--cache", tmp_path / "cache", "--limit", 2, "--out"]
    tasks = ["--world", small_data / "world", "--tasks", small_data / "tasks_ood.jsonl", "--max-steps", 1]
    done = cli("eval/gelab_interactive.py", *model, tmp_path / "i", *tasks, "--attempts", 2, **given)
    assert done.returncode == 0, done.stderr
    assert sorted(body["temperature"] for body in server.bodies()) == [0, 0, 1, 1, 1, 1]
    assert cli("eval/gelab_interactive.py", *model, tmp_path / "j", *tasks, "--attempts", 2, **given).returncode == 0
    assert len(server.asked) == 6  # the same samples, kept
    done = cli("eval/gelab_static.py", *model, tmp_path / "s", "--data", small_data / "eval_ood.jsonl", **given)
    assert done.returncode == 0, done.stderr
    assert read_json(tmp_path / "s" / "metrics.json")["api"]["requests"] == 2
