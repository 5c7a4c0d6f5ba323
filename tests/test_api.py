"""Models behind a server: a fake one on loopback that counts, refuses and stalls; and `swift deploy` for real."""

import base64
import contextlib
import itertools
import json
import socket
import sys
import threading
import time
import tracemalloc
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from deploy import deployed

from data_engine.dataset import DataError, read_json, read_rows
from data_engine.episode import Request
from data_engine.geometry import Size
from data_engine.login.tasks import Options
from data_engine.login.write import write

REPO = Path(__file__).resolve().parents[1]
EVAL = "eval/login_eval.py"
WORD = "test-word-1234"  # stands for a key
CLICK = "Thought: .\nAction: CLICK(x=0.50, y=0.50)"


class Fake(ThreadingHTTPServer):
    """Answers CLICK; ``faults`` are given first, each (status, headers, body) or "drop"."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.faults, self.asked, self.times, self.lock = [], [], [], threading.Lock()
        self.text, self.most, self.now = CLICK, 0, 0
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def bodies(self) -> list[dict]:
        return [body for _, _, body in self.asked]


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        server = self.server
        with server.lock:
            server.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            server.times.append(time.monotonic())
            fault = server.faults.pop(0) if server.faults else None
            server.now += 1
            server.most = max(server.most, server.now)
        time.sleep(0.02)
        with server.lock:
            server.now -= 1
        if fault == "drop":
            self.connection.close()
            return
        self.reply(*(fault or (200, {}, json.dumps(self.answer()))))

    def answer(self) -> dict:
        if self.path.endswith("/v1/messages"):
            text = [{"type": "thinking", "thinking": "DONE()"}, {"type": "text", "text": self.server.text}]
            return {"content": text, "stop_reason": "end_turn", "usage": {"input_tokens": 100, "output_tokens": 10}}
        choice = {"message": {"role": "assistant", "content": self.server.text}, "finish_reason": "stop"}
        return {"choices": [choice], "usage": {"prompt_tokens": 100, "completion_tokens": 10}}

    def reply(self, status: int, headers: dict, text: str | bytes):
        data = text if isinstance(text, bytes) else text.encode()
        self.send_response(status)
        for name, value in ({"content-length": str(len(data))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_): ...


@pytest.fixture
def server():
    fake = Fake()
    yield fake
    fake.shutdown()
    fake.server_close()


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
    server.faults = [(200, {}, json.dumps(_openai())) for _ in range(5)] + [(400, {}, "no")]
    done = ask("openai", "--batch-size", 4)
    assert done.returncode == 2 and "status 400: no" in done.stderr.splitlines()[-1]
    paid = len(server.asked) - 1
    assert paid >= 5 and len(read_rows(tmp_path / "run" / "predictions.jsonl")) == 4
    assert ask("openai", "--batch-size", 4).returncode == 0
    assert len(server.asked) == 12 + 1
    api = read_json(tmp_path / "run" / "metrics.json")["api"]
    assert (api["requests"], api["sent"]) == (12, 12)


def _openai(text: str = CLICK) -> dict:
    choice = {"message": {"content": text}, "finish_reason": "stop"}
    return {"choices": [choice], "usage": {"prompt_tokens": 100, "completion_tokens": 10}}


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


# ---- what a server may send


def answer_of(content: object, **usage: object) -> tuple:
    reply = {"choices": [{"message": {"content": content}, "finish_reason": "stop"}], "usage": usage}
    return (200, {}, json.dumps(reply))


@pytest.fixture
def once(eval_module, server, tmp_path, monkeypatch):
    """once(url, key, engine) -> the answer to one question, here in the process."""
    api = eval_module("api")
    monkeypatch.setattr(api, "TRIES", 1)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    (tmp_path / "picture.png").write_bytes(b"")

    def once(url: str | None = None, key: str = WORD, engine: str = "openai") -> str:
        monkeypatch.setenv(f"{engine.upper()}_API_KEY", key)
        monkeypatch.setenv(f"{engine.upper()}_BASE_URL", url or server.url + "/v1" * (engine == "openai"))
        asker = api.Api(
            api.Settings(engine=engine, model="m", max_new_tokens=9, batch_size=1, cache=tmp_path / "cache")
        )
        return asker.answer([Request("", "?", tmp_path / "picture.png", "0", str)], 0.0, 0)[0]

    return once


PARTS = [
    (
        [{"type": "text", "text": "Thought: .\n"}, {"type": "text", "text": "Action: WAIT()"}],
        "Thought: .\nAction: WAIT()",
    ),
    ([{"type": "thinking", "thinking": [{"type": "text", "text": "DONE()"}]}, {"type": "text", "text": "A"}], "A"),
    ([{"type": "output_text", "text": "A", "annotations": []}], "A"),
    ([{"type": "refusal", "refusal": "no"}], ""),
    ([], ""),
    (None, ""),
    ("half a pair: \ud83d.", "half a pair: \ufffd."),
    ([{"type": "text", "text": "\ud83d"}, {"type": "text", "text": "\ude00"}], "\U0001f600"),
]


@pytest.mark.parametrize("content, text", PARTS)
def test_content_as_parts_is_one_text(once, server, content, text):
    server.faults = [answer_of(content)]
    assert once() == text


def good(**fields: object) -> dict:
    return json.loads(answer_of("A")[2]) | fields


NO_REPLIES = {
    "a picture": answer_of([{"type": "image_url", "image_url": {"url": "x"}}]),
    "parts without a kind": answer_of([{"text": "A"}]),
    "texts in a list": answer_of(["A"]),
    "an object": answer_of({"type": "text", "text": "A"}),
    "a number": answer_of(5),
    "a part whose text is none": answer_of([{"type": "text", "text": 5}]),
    "tokens without end": (200, {}, json.dumps(good(usage={"prompt_tokens": 1e999}))),
    "tokens below 0": answer_of("A", prompt_tokens=-5),
    "tokens in words": answer_of("A", completion_tokens="many"),
    "a list": (200, {}, "[]"),
    "a text": (200, {}, '"A"'),
    "no JSON": (200, {}, "<html>"),
    "too deep": (200, {}, "[" * 100_000),
    "nothing": (200, {}, ""),
    "packed otherwise": (200, {"content-encoding": "br"}, "x"),
    "not packed": (200, {"content-encoding": "gzip"}, json.dumps(good())),
}


@pytest.mark.parametrize("reply", NO_REPLIES.values(), ids=NO_REPLIES)
def test_anything_else_is_no_reply_of_the_kind(once, server, tmp_path, reply):
    """Nothing of it is kept: the same question is asked again where the server has been mended."""
    server.faults = [reply]
    with pytest.raises(DataError, match="no reply of the openai kind") as error:
        once()
    assert str(error.value).isprintable() and not list((tmp_path / "cache").rglob("*.json"))
    assert once() == CLICK


def test_a_reply_of_another_kind_leaves_a_run_that_goes_on(ask, server, tmp_path):
    server.faults = [answer_of("A"), answer_of({"text": "A"})]
    done = ask("openai", "--limit", 2, "--batch-size", 1)
    assert done.returncode == 2 and "no reply of the openai kind" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr and ask("openai", "--limit", 2).returncode == 0
    assert [row["prediction"] for row in read_rows(tmp_path / "run" / "predictions.jsonl")] == ["A", CLICK]


KEY = 'q/1+"w\\-' + "2" * 9  # JSON writes three of its signs otherwise


@pytest.mark.parametrize(
    "body",
    [
        json.dumps({"error": KEY}),
        json.dumps({"error": KEY}).replace("/", "\\/"),
        "".join(f"\\u{ord(c):04X}" for c in KEY),
    ],
    ids=["JSON", "JSON with slashes", "signs by number"],
)
def test_a_key_is_masked_as_json_writes_it(once, server, body):
    server.faults = [(400, {}, body)]
    with pytest.raises(DataError, match=r"status 400: .*\*\*\*") as error:
        once(key=KEY)
    assert "222" not in str(error.value) and "0032" not in str(error.value)


@pytest.mark.parametrize("engine", ["openai", "anthropic"])
def test_a_key_in_a_good_answer_is_not_stored(ask, server, tmp_path, engine):
    server.text = f"Thought: {WORD}, {WORD}\nAction: WAIT()"
    assert ask(engine, "--limit", 1).returncode == 0
    (row,) = read_rows(tmp_path / "run" / "predictions.jsonl")
    assert row["prediction"] == "Thought: ***, ***\nAction: WAIT()"
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 4 and not [path for path in files if WORD.encode() in path.read_bytes()]


@pytest.mark.parametrize("word", ["x", "EMPTY", "complete"])
def test_a_word_in_place_of_a_key_changes_no_answer(once, server, word):
    server.text = f"Thought: {word}\nAction: CLICK(x=0.50, y=0.50)"
    assert once(key=word) == server.text


def test_a_terminal_shows_an_error_as_it_is(once, server):
    server.faults = [(400, {}, "\x1b[31mred\x1b[0m \x07bell \x9b2J \u202erow\x00")]
    with pytest.raises(DataError, match=r"status 400: \[31mred \[0m bell 2J row \(try 1 of 1\)") as error:
        once()
    assert str(error.value).isprintable()


BOMB = zlib.compress(b" " * 2**30, wbits=31)  # one GiB of blanks in one MiB


@pytest.fixture
def raw_server():
    """raw_server(steps) -> its address: a socket that sends (seconds to wait, bytes) after (seconds, bytes), for ever
    the last of them, until the other side goes."""
    stop, listener = threading.Event(), socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.1)

    def talk(steps):
        while not stop.is_set():
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            with connection, contextlib.suppress(OSError):
                connection.recv(2**20)
                for wait, data in itertools.chain(steps[:-1], itertools.repeat(steps[-1])):
                    if stop.wait(wait):
                        break
                    connection.sendall(data)

    def start(steps) -> str:
        thread = threading.Thread(target=talk, args=(steps,))
        thread.start()
        threads.append(thread)
        return f"http://127.0.0.1:{listener.getsockname()[1]}/v1"

    threads: list[threading.Thread] = []
    yield start
    stop.set()
    for thread in threads:
        thread.join()
    listener.close()


HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
ENDLESS = {
    "bytes": [(0, HEAD + b"\r\n"), (0, b" " * 2**16)],
    "a bomb": [(0, HEAD + b"content-encoding: gzip\r\n\r\n" + BOMB), (0.1, b"")],
}


@pytest.mark.parametrize("steps", ENDLESS.values(), ids=ENDLESS)
def test_a_reply_without_end_is_left(once, raw_server, steps):
    """No more of it is kept in memory than some pieces of 8 MiB, however far it would unpack."""
    address = raw_server(steps)
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="no reply of the openai kind: over 8 MiB"):
            once(address)
        assert tracemalloc.get_traced_memory()[1] < 40 * 2**20
    finally:
        tracemalloc.stop()


DRIPS = {
    "headers": [(0, HEAD + b"x: "), (0.1, b"y")],
    "a body": [(0, HEAD + b"\r\n"), (0.1, b" ")],
    "silence": [(0, b""), (0.1, b"")],
    "continue": [(0.1, b"HTTP/1.1 100 Continue\r\n\r\n")],
}


@pytest.mark.parametrize("steps", DRIPS.values(), ids=DRIPS)
def test_a_drip_has_a_deadline(eval_module, once, raw_server, monkeypatch, steps):
    """Each byte comes within any limit on single reads; a whole try has 0.5 seconds here."""
    monkeypatch.setattr(sys.modules["replies"], "DEADLINE", 0.5)
    address, begun = raw_server(steps), time.monotonic()
    with pytest.raises(DataError, match=r"no whole reply in \d+ seconds \(try 1 of 1\)"):
        once(address)
    assert 0.4 < time.monotonic() - begun < 5


def test_a_packed_reply_is_unpacked(once, server):
    packed = zlib.compress(json.dumps(_openai("packed")).encode(), wbits=31)
    server.faults = [(200, {"content-encoding": "gzip"}, packed)]
    assert once() == "packed"
    assert server.asked[0][1]["accept-encoding"] == "identity"


def test_a_broken_file_of_the_cache_is_named(ask, server, tmp_path):
    assert ask("openai", "--limit", 1).returncode == 0
    (kept,) = (tmp_path / "cache").rglob("*.json")
    for broken in "[]", '{"text": ["A"]}', "{":
        kept.write_text(broken)
        done = ask("openai", "--limit", 1, out="again")
        assert done.returncode == 2 and str(kept) in done.stderr.splitlines()[-1], done.stderr
    kept.unlink()
    assert ask("openai", "--limit", 1, out="again").returncode == 0


# ---- values


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
            **{"OPENAI_API_KEY": WORD, "OPENAI_BASE_URL": served, "NO_PROXY": "127.0.0.1"},
        )
        assert done.returncode == 0, done.stderr
        lines = read_rows(out / "requests.jsonl")
        assert len(lines) == 2 and all(0 < line["output_tokens"] <= 4 for line in lines)
        tokens[width] = sorted(line["input_tokens"] for line in lines)
    assert [large - small for large, small in zip(tokens[448], tokens[336], strict=True)] == [192 - 108] * 2
