"""The pictures of icons, for the page, as PNG files.

*Exact*: cut from the world's screenshot, in its pixels. *Large*: drawn at the size of the canvas; a user's icons, whose
files are not in the world, are exact here too.
"""

from dataclasses import replace
from functools import lru_cache

from PIL import Image

from ...geometry import Box
from ..graph import Element
from ..icons import IconSet
from ..render import Renderer, png
from ..world import World


class Pictures:
    """The icons of one world: ``exact(page, name)``, ``large(page, name)``; KeyError where no such icon stands."""

    def __init__(self, world: World):
        self.world, self.sources = world, world.manifest["icons"]
        self.renderer = Renderer(IconSet(), self.sources, world.graph.canvas, world.graph.canvas)
        self.exact = lru_cache(maxsize=4096)(self._exact)
        self.large = lru_cache(maxsize=4096)(self._large)

    def _exact(self, page: str, name: str) -> bytes:
        box = self._icon(page, name).box.scaled(self.world.graph.canvas, self.world.page_size)
        return _cut(Image.fromarray(self.world.screenshot(page)), box)

    def _large(self, page: str, name: str) -> bytes:
        icon = self._icon(page, name)
        if not self.sources[name].startswith("builtin:"):
            return self.exact(page, name)
        return _cut(self.renderer.page(replace(self.world.graph.pages[page], elements=(icon,))), icon.box)

    def _icon(self, page: str, name: str) -> Element:
        return {e.name: e for e in self.world.graph.pages[page].elements if not e.system}[name]


def _cut(picture: Image.Image, box: Box) -> bytes:
    return png(picture.crop(box))
