"""The pictures of icons, for the page, as PNG files.

*Exact*: the element cut from the world's screenshot, in its pixels. *Large*: the element drawn at the size of the
canvas. *Icon*: its icon alone. A user's icons, whose files are not in the world, are always exact.
"""

import io
from dataclasses import replace
from functools import lru_cache

from PIL import Image

from ...geometry import Box
from ..graph import Element
from ..icons import IconSet
from ..render import Renderer, png
from ..world import World


class Pictures:
    """The icons of one world: ``exact``, ``large`` and ``icon``, each of (page, name); KeyError where none stands."""

    def __init__(self, world: World):
        self.world, self.sources, self.icons = world, world.manifest["icons"], IconSet()
        self.renderer = Renderer(self.icons, self.sources, world.graph.canvas, world.graph.canvas, world.style)
        self.exact = lru_cache(maxsize=4096)(self._exact)
        self.large = lru_cache(maxsize=4096)(self._large)
        self.icon = lru_cache(maxsize=4096)(self._icon)

    def _exact(self, page: str, name: str) -> bytes:
        box = self._element(page, name).box.scaled(self.world.graph.canvas, self.world.page_size)
        return _cut(Image.fromarray(self.world.screenshot(page)), box)

    def _large(self, page: str, name: str) -> bytes:
        element = self._element(page, name)
        if not self._built_in(name):
            return self.exact(page, name)
        return _cut(self.renderer.page(replace(self.world.graph.pages[page], elements=(element,))), element.box)

    def _icon(self, page: str, name: str) -> bytes:
        if not self._built_in(self._element(page, name).name):
            return self.exact(page, name)
        file = io.BytesIO()
        self.icons.picture(self.sources[name]).save(file, "PNG")
        return file.getvalue()

    def _built_in(self, name: str) -> bool:
        return self.sources[name].startswith("builtin:")

    def _element(self, page: str, name: str) -> Element:
        return {e.name: e for e in self.world.graph.pages[page].elements if not e.system}[name]


def _cut(picture: Image.Image, box: Box) -> bytes:
    return png(picture.crop(box))
