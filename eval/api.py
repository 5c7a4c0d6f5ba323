"""Models behind an HTTP interface. A question is asked once: replies are kept on disk, keyed by the whole request.

openai      any server with OpenAI's chat completions (OpenAI, vLLM, swift deploy): OPENAI_API_KEY, OPENAI_BASE_URL
anthropic   Anthropic's messages: ANTHROPIC_API_KEY, ANTHROPIC_BASE_URL

Status 408, 409, 429, 5xx, broken connections and replies that take too long are tried again, after the seconds that the
server names (Retry-After) or 1, 2, 4, ... of them, and then no thread asks before that time. Anything else, and the
last try, is a DataError; so is a reply of several MiB (replies.py).
Each answer of a run leaves a line in OUT/requests.jsonl: tokens, seconds, and whether the reply was kept before.
A key is read from the environment, sent to its server, and never written, printed or put into an error, also where the
server says it back.
"""

import asyncio
import hashlib
import json
import os
import threading
import time
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from checkpoint import temperatures_of
from dialects import DIALECTS
from replies import DEADLINE, Reply, fetch, is_secret, masked, one_line
from settings import Settings

from data_engine.answer import cleaned
from data_engine.dataset import DataError, read_json, read_rows, write_json
from data_engine.episode import Request

TRIES = 6  # of one request
LONGEST_WAIT = 120.0  # seconds between two tries; a server that wants more ends the run
TIMEOUT = httpx.Timeout(300.0, connect=20.0)  # seconds; a reasoning model may think for minutes
AGAIN = {408, 409, 429}


def is_address(text: str) -> bool:
    """True for an address that holds no secret: a server, maybe a port and a path; no user, password or query."""
    try:
        url = urlsplit(text)
        httpx.URL(text)
        plain = not set("?#\\").intersection(text) and "@" not in url.netloc and text.isprintable()
        return url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0 and plain and " " not in text
    except (ValueError, httpx.InvalidURL):  # a port that is no number, a host that is none
        return False


class Pace:
    """When the next request may go out, for all threads together."""

    def __init__(self):
        self.lock, self.free = threading.Lock(), 0.0

    def wait(self) -> None:
        """Sleep until a request may go out."""
        while (left := self.free - time.monotonic()) > 0:
            time.sleep(left)

    def pause(self, seconds: float) -> None:
        """No request goes out for so long from now."""
        with self.lock:
            self.free = max(self.free, time.monotonic() + seconds)


class Api:
    """An engine that asks a server; up to ``batch_size`` requests are under way at once.

    Raises DataError for a missing key, a wrong address, or an ``extra`` that JSON cannot carry.
    """

    def __init__(self, settings: Settings):
        self.name, self.dialect, self.model = settings.engine, DIALECTS[settings.engine], settings.model
        self.max_new_tokens, self.threads = settings.max_new_tokens, settings.batch_size
        self.server = (os.environ.get(self.dialect.url, "").strip() or self.dialect.public).rstrip("/")
        self.key = os.environ.get(self.dialect.key, "").strip()
        self.log, self.cache, self.extra = settings.requests, settings.cache, dict(settings.extra or {})
        self.pace, self.lock = Pace(), threading.Lock()
        self._check()
        headers = self.dialect.headers(self.key) | {"Accept-Encoding": "identity"}
        self.client = httpx.AsyncClient(headers=headers, timeout=TIMEOUT)
        self.loop = asyncio.new_event_loop()  # of its own thread: only there can a whole try be given a deadline
        threading.Thread(target=self.loop.run_forever, daemon=True).start()

    def _check(self) -> None:
        d = self.dialect
        if not self.key:
            raise DataError(f"--engine {self.name}: {d.key} is not set; export it (a server of your own: any word)")
        if not self.key.isascii() or not self.key.isprintable():
            raise DataError(f"--engine {self.name}: {d.key} holds a sign that no key has; export it again")
        if not is_address(self.server):
            raise DataError(f"{d.url}: must be http(s)://HOST[:PORT][/PATH] and nothing else, like {d.public}")
        try:
            json.dumps([self.model, self.extra], ensure_ascii=False, allow_nan=False).encode()
        except ValueError:
            raise DataError("--extra or --model: holds NaN, Infinity or half a sign, which JSON cannot carry") from None

    def answer(self, requests: Sequence[Request], temperature: float | Sequence[float], seed: int) -> list[str]:
        """Equal questions are asked once, but when they are sampled: then each has its own sample for each ``seed``.

        A reply that is in the cache is not asked for again. Raises DataError where the server gives no answer.
        """
        samples = list(zip(requests, temperatures_of(requests, temperature), strict=True))
        bodies = [self.body(request, degree) for request, degree in samples]
        draws = [f"{seed}/{request.key}" if degree else "" for request, degree in samples]
        names = [self._name(body, draw) for body, draw in zip(bodies, draws, strict=True)]
        unique = dict(zip(names, bodies, strict=True))
        with ThreadPoolExecutor(self.threads) as pool:
            jobs = [pool.submit(self._reply, name, body) for name, body in unique.items()]
            try:
                replies = dict(zip(unique, [job.result() for job in jobs], strict=True))
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        return [replies[name]["text"] for name in names]

    def body(self, request: Request, temperature: float) -> dict:
        """The request as it is sent; ``extra`` comes last, and null in it takes a field out."""
        body = self.dialect.body(self, request) | {"temperature": temperature} | self.extra
        return {field: value for field, value in body.items() if value is not None}

    def _name(self, body: dict, draw: str) -> str:
        text = json.dumps([self.name, self.server, body, draw], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def _reply(self, name: str, body: dict) -> dict:
        """The reply to a request, kept or new."""
        path = self.cache / name[:2] / f"{name}.json"
        kept = path.is_file()
        reply = kept_reply(path) if kept else self._ask(body)
        if not kept:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_json(path, reply)
        self._note(name, kept, reply)
        return reply

    def _note(self, name: str, kept: bool, reply: dict) -> None:
        if self.log:
            numbers = {field: value for field, value in reply.items() if field != "text"}
            with self.lock, open(self.log, "a", encoding="utf-8") as file:
                print(json.dumps({"request": name, "kept": kept, **numbers}), file=file)

    def _ask(self, body: dict) -> dict:
        for attempt in range(1, TRIES + 1):
            self.pace.wait()
            begun = time.monotonic()
            reply, fault = self._try(body)
            if reply and reply.status == 200:
                return self._read(reply) | {"seconds": round(time.monotonic() - begun, 3), "tries": attempt}
            wait = self._wait(reply, attempt)
            if wait is None:
                raise self._error(fault, attempt)
            self.pace.pause(wait)
        raise AssertionError("the last try ends above")

    def _try(self, body: dict) -> tuple[Reply | None, str]:
        """(reply, or None if the connection broke or took too long; the fault, unless it is a good one)."""
        asked = fetch(self.client, self.server + self.dialect.path, body)
        try:
            reply = asyncio.run_coroutine_threadsafe(asked, self.loop).result()
        except TimeoutError:
            return None, f"no whole reply in {DEADLINE:.0f} seconds"
        except httpx.TransportError as error:
            return None, f"{type(error).__name__} {error}".strip()
        except (ValueError, zlib.error) as error:
            raise self._error(f"no reply of the {self.name} kind: {error}", 1) from None
        return reply, f"status {reply.status}: {reply.text}"

    def _wait(self, reply: Reply | None, attempt: int) -> float | None:
        """Seconds until the next try; None if there is none."""
        again = reply is None or reply.status in AGAIN or reply.status >= 500
        stated = reply.retry_after if reply else ""
        wait = float(stated) if stated.replace(".", "", 1).isdecimal() else float(2 ** (attempt - 1))
        return wait if again and attempt < TRIES and wait <= LONGEST_WAIT else None

    def _read(self, reply: Reply) -> dict:
        try:
            answer = self.dialect.read(json.loads(reply.body))
        except (ValueError, KeyError, TypeError, IndexError, AttributeError, OverflowError, RecursionError):
            raise self._error(f"no reply of the {self.name} kind: {reply.text}", 1) from None
        text = cleaned(answer["text"])
        return answer | {"text": masked(text, self.key) if is_secret(self.key) else text}

    def _error(self, fault: str, attempt: int) -> DataError:
        """One line without the key, which some servers say back."""
        line = one_line(masked(fault, self.key))
        return DataError(
            f"{self.server}: {line} (try {attempt} of {TRIES}); fix it and start again: replies so far are kept"
        )


def kept_reply(path: Path) -> dict:
    """A reply from the cache. Raises DataError where the file holds none."""
    reply = read_json(path)
    if not isinstance(reply, dict) or not isinstance(reply.get("text"), str):
        raise DataError(f"{path}: holds no reply; remove it, and the question is asked again")
    return reply


def usage(log: Path, price: Sequence[float] | None) -> dict:
    """What a run asked of its server, from its requests.jsonl; a request counts once, however often it was looked up.

    ``price``: US dollars for a million input and output tokens. ``cost_usd`` is of all requests, ``paid_usd`` of those
    that this run sent; null without a price. ``seconds``: mean over requests from sending to reply, when it was sent.
    """
    lines = read_rows(log) if log.is_file() else []
    sent = {line["request"] for line in lines if not line["kept"]}
    asked = {line["request"]: line for line in lines}.values()
    paid = [line for line in asked if line["request"] in sent]
    return {
        "requests": len(asked),
        "sent": len(paid),
        "input_tokens": sum(line["input_tokens"] for line in asked),
        "output_tokens": sum(line["output_tokens"] for line in asked),
        "cut_answers": sum(line["cut"] for line in asked),
        "seconds": sum(line["seconds"] for line in asked) / len(asked) if asked else None,
        "cost_usd": cost(asked, price),
        "paid_usd": cost(paid, price),
    }


def cost(lines: Sequence[dict], price: Sequence[float] | None) -> float | None:
    """US dollars; None without a price."""
    if price is None:
        return None
    return sum(line["input_tokens"] * price[0] + line["output_tokens"] * price[1] for line in lines) / 1e6
