"""How two kinds of server are spoken to: the request's body and headers, and what their replies mean."""

import base64
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from replies import count, text_of

from data_engine.episode import Request

IMAGE = "<image>"  # heads a question; the picture itself stands in its place


class Asker(Protocol):
    """What a body needs to know of who asks."""

    server: str
    model: str
    max_new_tokens: int


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a kind of server is spoken to."""

    key: str  # names of the environment variables
    url: str
    public: str  # the address if none is given
    path: str
    headers: Callable[[str], dict[str, str]]  # of the key
    body: Callable[[Asker, Request], dict]
    read: Callable[[dict], dict]  # reply -> text, input_tokens, output_tokens, cut


def openai_body(asker: Asker, request: Request) -> dict:
    """A request of Chat Completions. OpenAI itself takes ``max_completion_tokens``; compatible servers know
    ``max_tokens``."""
    tokens = "max_completion_tokens" if urlsplit(asker.server).hostname == "api.openai.com" else "max_tokens"
    picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{encoded(request.image)}"}}
    messages = [{"role": "system", "content": request.system}] if request.system else []
    messages += [{"role": "user", "content": [picture, {"type": "text", "text": words(request)}]}]
    return {"model": asker.model, "messages": messages, tokens: asker.max_new_tokens}


def openai_read(reply: dict) -> dict:
    choice, usage = reply["choices"][0], reply.get("usage") or {}
    return {
        "text": text_of(choice["message"].get("content")),
        "input_tokens": count(usage.get("prompt_tokens")),
        "output_tokens": count(usage.get("completion_tokens")),
        "cut": choice.get("finish_reason") == "length",
    }


def anthropic_body(asker: Asker, request: Request) -> dict:
    """A request of the Messages API."""
    source = {"type": "base64", "media_type": "image/png", "data": encoded(request.image)}
    content = [{"type": "image", "source": source}, {"type": "text", "text": words(request)}]
    messages = [{"role": "user", "content": content}]
    body = {"model": asker.model, "max_tokens": asker.max_new_tokens, "messages": messages}
    return body | ({"system": request.system} if request.system else {})


def anthropic_read(reply: dict) -> dict:
    usage = reply.get("usage") or {}
    return {
        "text": text_of(reply["content"]),
        "input_tokens": count(usage.get("input_tokens")),
        "output_tokens": count(usage.get("output_tokens")),
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
    """The file in base64."""
    return base64.b64encode(image.read_bytes()).decode()


def words(request: Request) -> str:
    return request.prompt.removeprefix(IMAGE)
