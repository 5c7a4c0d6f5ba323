"""Whatever a server sends: one text, or one line that names the fault; never the key, never without end."""

import contextlib
import itertools
import json
import socket
import sys
import threading
import time
import tracemalloc
import zlib

import pytest
from fake_server import CLICK, WORD, openai_reply

from data_engine.dataset import DataError
from data_engine.episode import Request


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
    server.faults = [openai_reply(content)]
    assert once() == text


def good(**fields: object) -> dict:
    return json.loads(openai_reply("A")[2]) | fields


NO_REPLIES = {
    "a picture": openai_reply([{"type": "image_url", "image_url": {"url": "x"}}]),
    "parts without a kind": openai_reply([{"text": "A"}]),
    "texts in a list": openai_reply(["A"]),
    "an object": openai_reply({"type": "text", "text": "A"}),
    "a number": openai_reply(5),
    "a part whose text is none": openai_reply([{"type": "text", "text": 5}]),
    "tokens without end": (200, {}, json.dumps(good(usage={"prompt_tokens": 1e999}))),
    "tokens below 0": openai_reply("A", prompt_tokens=-5),
    "tokens in words": openai_reply("A", completion_tokens="many"),
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
    """Nothing of it is kept: the same question is asked again where the server has been fixed."""
    server.faults = [reply]
    with pytest.raises(DataError, match="no reply of the openai kind") as error:
        once()
    assert str(error.value).isprintable() and not list((tmp_path / "cache").rglob("*.json"))
    assert once() == CLICK


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
    packed = zlib.compress(openai_reply("packed")[2].encode(), wbits=31)
    server.faults = [(200, {"content-encoding": "gzip"}, packed)]
    assert once() == "packed"
    assert server.asked[0][1]["accept-encoding"] == "identity"
