"""Screenshots for the page: each drawn once, small, as a data URI."""

import base64
import hashlib
import io
from collections.abc import Callable, Iterable

from PIL import Image

from .score import LeftOut

SIDE = 800  # pixels, longer side at most
QUALITY = 70  # of WebP
MISSING = Image.new("RGB", (64, 64), "#cccccc")  # in the place of a picture that cannot be read


class Pictures:
    """Names of pictures and how to open each; nothing is opened before it is asked for, and then once."""

    def __init__(self, left: LeftOut | None = None):
        self._left = left or LeftOut()
        self._openers: dict[str, Callable[[], Image.Image]] = {}
        self._encoded: dict[str, bytes] = {}

    def add(self, key: str, opener: Callable[[], Image.Image]) -> None:
        self._openers.setdefault(key, opener)

    def embedded(self, keys: Iterable[str]) -> tuple[dict[str, str], dict[str, str]]:
        """(key -> short name, short name -> data URI); equal pictures share a name."""
        names, uris = {}, {}
        for key in dict.fromkeys(keys):
            if key not in self._encoded:
                self._encoded[key] = webp(MISSING)
                with self._left.part():
                    self._encoded[key] = webp(self._openers[key]())
            data = self._encoded[key]
            names[key] = hashlib.sha256(data).hexdigest()[:12]
            uris.setdefault(names[key], "data:image/webp;base64," + base64.b64encode(data).decode())
        return names, uris


def webp(picture: Image.Image) -> bytes:
    """A picture as WebP, no larger than SIDE."""
    small = picture.convert("RGB")
    small.thumbnail((SIDE, SIDE))
    file = io.BytesIO()
    small.save(file, "WEBP", quality=QUALITY, method=1)  # the smaller methods take four times as long
    return file.getvalue()
