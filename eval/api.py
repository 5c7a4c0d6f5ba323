"""Models behind an HTTP interface. A question is asked once: replies are kept on disk, keyed by the whole request.

openai      any server with OpenAI's chat completions (OpenAI, vLLM, swift deploy): OPENAI_API_KEY, OPENAI_BASE_URL
anthropic   Anthropic's messages: ANTHROPIC_API_KEY, ANTHROPIC_BASE_URL

Status 408, 409, 429, 5xx and broken connections are tried again, after the seconds that the server names (Retry-After)
or 1, 2, 4, ... of them, and then no thread asks before that time. Anything else, and the last try, is a DataError.
Each answer of a run leaves a line in OUT/requests.jsonl: tokens, seconds, and whether the reply was kept before.
A key is read from the environment, sent to its server, and never written, printed or put into an error.
"""

import base64
import hashlib
import json
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from checkpoint import temperatures_of

from data_engine.dataset import DataError, read_json, read_rows, write_json
from data_engine.episode import Request

REPO = Path(__file__).resolve().parents[1]
CACHE = REPO / "runs" / "api_cache"
TRIES = 6  # of one request
LONGEST_WAIT = 120.0  # seconds between two tries; a server that wants more ends the run
TIMEOUT = httpx.Timeout(300.0, connect=20.0)  # seconds; a reasoning model may think for minutes
IMAGE = "<image>"  # heads a question; the picture itself stands in its place
AGAIN = {408, 409, 429}


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a kind of server is spoken to."""

    key: str  # names of the environment variables
    url: str
    public: str  # the address if none is given
    path: str
    headers: Callable[[str], dict[str, str]]  # of the key
    body: Callable[["Api", Request], dict]
    read: Callable[[dict], dict]  # reply -> text, input_tokens, output_tokens, cut


def openai_body(api: "Api", request: Request) -> dict:
    """OpenAI itself takes ``max_completion_tokens``; compatible servers know ``max_tokens``."""
    tokens = "max_completion_tokens" if urlsplit(api.server).hostname == "api.openai.com" else "max_tokens"
    picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{encoded(request.image)}"}}
    messages = [{"role": "system", "content": request.system}] if request.system else []
    messages += [{"role": "user", "content": [picture, {"type": "text", "text": words(request)}]}]
    return {"model": api.model, "messages": messages, tokens: api.max_new_tokens}


def openai_read(reply: dict) -> dict:
    choice, usage = reply["choices"][0], reply.get("usage") or {}
    return {
        "text": choice["message"].get("content") or "",
        "input_tokens": int(usage.get("prompt_tokens") or 0),
        "output_tokens": int(usage.get("completion_tokens") or 0),
        "cut": choice.get("finish_reason") == "length",
    }


def anthropic_body(api: "Api", request: Request) -> dict:
    source = {"type": "base64", "media_type": "image/png", "data": encoded(request.image)}
    content = [{"type": "image", "source": source}, {"type": "text", "text": words(request)}]
    body = {"model": api.model, "max_tokens": api.max_new_tokens, "messages": [{"role": "user", "content": content}]}
    return body | ({"system": request.system} if request.system else {})


def anthropic_read(reply: dict) -> dict:
    usage = reply.get("usage") or {}
    return {
        "text": "".join(part["text"] for part in reply["content"] if part["type"] == "text"),
        "input_tokens": int(usage.get("input_tokens") or 0),
        "output_tokens": int(usage.get("output_tokens") or 0),
        "cut": reply.get("stop_reason") == "max_tokens",
    }


DIALECTS = {
    "openai": Dialect(
        key="OPENAI_API_KEY",
        url="OPENAI_BASE_URL",
        public="https://api.openai.com/v1",
        path="/chat/completions",
        headers=lambda key: {"Authorization": f"Bearer {key}"},
        body=openai_body,
        read=openai_read,
    ),
    "anthropic": Dialect(
        key="ANTHROPIC_API_KEY",
        url="ANTHROPIC_BASE_URL",
        public="https://api.anthropic.com",
        path="/v1/messages",
        headers=lambda key: {"x-api-key": key, "anthropic-version": "2023-06-01"},
        body=anthropic_body,
        read=anthropic_read,
    ),
}


def encoded(image: Path) -> str:
    return base64.b64encode(image.read_bytes()).decode()


def words(request: Request) -> str:
    return request.prompt.removeprefix(IMAGE)


def is_address(text: str) -> bool:
    """True for an address that holds no secret: a server, maybe a port and a path."""
    try:
        url = urlsplit(text)
        secrets = url.username or url.query or url.fragment
        return url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0 and not secrets
    except ValueError:  # a port that is no number
        return False


class Pace:
    """When the next request may go out, for all threads together."""

    def __init__(self):
        self.lock, self.free = threading.Lock(), 0.0

    def wait(self) -> None:
        while (left := self.free - time.monotonic()) > 0:
            time.sleep(left)

    def pause(self, seconds: float) -> None:
        with self.lock:
            self.free = max(self.free, time.monotonic() + seconds)


class Api:
    """An engine that asks a server; up to ``threads`` requests are under way at once."""

    def __init__(
        self,
        name: str,
        model: str,
        max_new_tokens: int,
        threads: int,
        log: Path | None,
        cache: Path | None = None,
        extra: Mapping[str, object] | None = None,
    ):
        self.name, self.dialect, self.model = name, DIALECTS[name], model
        self.max_new_tokens, self.threads = max_new_tokens, threads
        self.server = (os.environ.get(self.dialect.url) or self.dialect.public).rstrip("/")
        self.key = os.environ.get(self.dialect.key, "").strip()
        self.log, self.cache, self.extra = log, cache or CACHE, dict(extra or {})
        self.pace, self.lock = Pace(), threading.Lock()
        self._check()
        self.client = httpx.Client(headers=self.dialect.headers(self.key), timeout=TIMEOUT)

    def _check(self) -> None:
        d = self.dialect
        if not self.key:
            raise DataError(f"--engine {self.name}: {d.key} is not set; export it (a server of your own: any word)")
        if not self.key.isascii() or not self.key.isprintable():
            raise DataError(f"--engine {self.name}: {d.key} holds a sign that no key has; export it again")
        if not is_address(self.server):
            raise DataError(f"{d.url}: must be http(s)://HOST[:PORT][/PATH] and nothing else, like {d.public}")

    def answer(self, requests: Sequence[Request], temperature: float | Sequence[float], seed: int) -> list[str]:
        """Equal questions are asked once, but when they are sampled: then each has its own sample for each ``seed``."""
        heats = temperatures_of(requests, temperature)
        bodies = [self.body(request, heat) for request, heat in zip(requests, heats, strict=True)]
        draws = [f"{seed}/{request.key}" if heat else "" for request, heat in zip(requests, heats, strict=True)]
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
        said = json.dumps([self.name, self.server, body, draw], sort_keys=True)
        return hashlib.sha256(said.encode()).hexdigest()

    def _reply(self, name: str, body: dict) -> dict:
        """The reply to a request, kept or new."""
        path = self.cache / name[:2] / f"{name}.json"
        kept = path.is_file()
        reply = read_json(path) if kept else self._ask(body)
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
            try:
                response = self.client.post(self.server + self.dialect.path, json=body)
            except httpx.TransportError as error:
                response, fault = None, f"{type(error).__name__} {error}".strip()
            else:
                if response.status_code == 200:
                    return self._read(response) | {"seconds": round(time.monotonic() - begun, 3), "tries": attempt}
                fault = f"status {response.status_code}: {response.text}"
            wait = self._wait(response, attempt)
            if wait is None:
                raise self._error(fault, attempt)
            self.pace.pause(wait)
        raise AssertionError("the last try ends above")

    def _wait(self, response: httpx.Response | None, attempt: int) -> float | None:
        """Seconds until the next try; None if there is none."""
        again = response is None or response.status_code in AGAIN or response.status_code >= 500
        said = response.headers.get("retry-after", "") if response is not None else ""
        wait = float(said) if said.replace(".", "", 1).isdecimal() else float(2 ** (attempt - 1))
        return wait if again and attempt < TRIES and wait <= LONGEST_WAIT else None

    def _read(self, response: httpx.Response) -> dict:
        try:
            return self.dialect.read(response.json())
        except (ValueError, KeyError, TypeError, IndexError, AttributeError):
            raise self._error(f"no reply of the {self.name} kind: {response.text}", 1) from None

    def _error(self, fault: str, attempt: int) -> DataError:
        """One line without the key, which some servers say back."""
        line = " ".join(fault.replace(self.key, "***").split())[:300]
        return DataError(
            f"{self.server}: {line} (try {attempt} of {TRIES}); mend it and start again: replies so far are kept"
        )


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
    if price is None:
        return None
    return sum(line["input_tokens"] * price[0] + line["output_tokens"] * price[1] for line in lines) / 1e6
