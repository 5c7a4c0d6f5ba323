"""What a server sends, taken with care: so many bytes, in so many seconds, without the key and control characters.

A packed reply is unpacked up to LIMIT and no further. DEADLINE holds for a whole try, headers included: each byte of a
slow drip is in time for a limit on single reads.
"""

import asyncio
import re
import zlib
from dataclasses import dataclass
from functools import cache

import httpx

LIMIT = 8 * 2**20  # bytes of a reply; an answer of 256 tokens has some thousand
DEADLINE = 360.0  # seconds of one try, from connection to last byte
NO_ANSWER = {"thinking", "redacted_thinking", "reasoning", "refusal", "tool_use"}  # kinds of parts beside the answer
PACKED = {"gzip", "x-gzip", "deflate"}
MASK = "***"


@dataclass(frozen=True, slots=True)
class Reply:
    """``body``: unpacked; None: over LIMIT."""

    status: int
    retry_after: str
    body: bytes | None

    @property
    def text(self) -> str:
        return f"over {LIMIT >> 20} MiB" if self.body is None else self.body.decode("utf-8", "replace")


async def fetch(client: httpx.AsyncClient, url: str, body: dict) -> Reply:
    """The reply to a request. Raises TimeoutError after DEADLINE, httpx.TransportError, ValueError if it is packed in a
    way that cannot be undone."""
    async with asyncio.timeout(DEADLINE), client.stream("POST", url, json=body) as response:
        headers = response.headers
        data = await _body(response, headers.get("content-encoding", "identity").strip().lower())
        return Reply(response.status_code, headers.get("retry-after", ""), data)


async def _body(response: httpx.Response, packing: str) -> bytes | None:
    if packing not in PACKED | {"identity", ""}:
        raise ValueError(f"packed as {packing}, which was not asked for")
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 32) if packing in PACKED else None  # 32: gzip or zlib, by the head
    data = bytearray()
    async for chunk in response.aiter_raw():
        data += unpacker.decompress(chunk, LIMIT + 1 - len(data)) if unpacker else chunk
        if len(data) > LIMIT:
            return None
    if unpacker and not unpacker.eof:
        raise ValueError(f"its {packing} ends too early")
    return bytes(data)


def text_of(content: object) -> str:
    """The answer in a reply's content: a text, or parts of it in order; nothing is an empty answer.

    Raises TypeError, KeyError or ValueError where it is anything else, such as a picture.
    """
    if content is None or isinstance(content, str):
        return content or ""
    if not isinstance(content, list):
        raise TypeError(type(content))
    return "".join(_part(part) for part in content)


def _part(part: dict) -> str:
    if part["type"] in NO_ANSWER:
        return ""
    if part["type"] not in ("text", "output_text") or not isinstance(part["text"], str):
        raise ValueError(part["type"])
    return part["text"]


def count(value: object) -> int:
    """A number of tokens; 0 if the server names none. Raises ValueError, TypeError or OverflowError if it is none."""
    number = int(value or 0)
    if not 0 <= number < 2**53:
        raise ValueError(number)
    return number


# Keys


def is_secret(key: str) -> bool:
    """False for a word that a server of one's own gets in place of a key; an answer may well hold that word."""
    return len(key) >= 8 and not key.isalpha()


def masked(text: str, key: str) -> str:
    """Text without the key, as it is or as JSON or an address would write it."""
    return _pattern(key).sub(MASK, text)


@cache
def _pattern(key: str) -> re.Pattern:
    return re.compile("".join(_ways(sign) for sign in key))


def _ways(sign: str) -> str:
    """A pattern of one sign: itself, after backslashes, ``\\u002f``, ``%2f``."""
    number = ord(sign)
    return rf"(?:\\{{0,4}}{re.escape(sign)}|(?i:\\{{1,4}}u{number:04x}|%{number:02x}))"


def one_line(text: str, longest: int = 300) -> str:
    """Text that a terminal shows as it is: no control characters, single blanks."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())[:longest]
