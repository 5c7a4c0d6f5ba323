"""A form as a picture, composed at the size it is stored in: boxes are scaled, type is chosen for that size.

A picture is the blank form, the text of its fields, and (where the protocol shows it) a ring around the field in focus
and a caret in it. So a strip of the picture depends on the fields that touch it, and is packed once for all frames.
"""

from PIL import Image, ImageDraw

from ..geometry import Box, Size
from . import png
from .fonts import font, width
from .forms import CANVAS, DECOY, FIELD, SCENARIOS, Element, Form, View
from .layout import scale, type_pixels
from .marks import draw_marks

IN_SIGHT = 500  # characters of a field's text that are drawn, its last; more than fit, and Pillow draws no million


class Screen:
    """Draws one form at one size. ``marks``: Set-of-Marks numbers; ``focus``: ring and caret are drawn."""

    def __init__(self, form: Form, page_size: Size, marks: bool = False, focus: bool = True):
        self.form, self.size, self.marks, self.focus = form, page_size, marks, focus
        self.style, self.scale = form.style, scale(page_size)
        self.type = font(self.style.family, type_pixels(self.style.points, page_size))
        self.ring = max(2, round(2.5 * self.scale))
        self.fields = form.fields
        self._secret = {field.name for field in SCENARIOS[form.scenario].fields if field.secret}
        self._packed: dict[tuple, png.Packed] = {}
        self._kept = self._draw_blank()
        self._states: list[tuple] = [(i, "", False) for i in range(len(self.fields))]
        self._patches = {state: self._blank_field(self.fields[state[0]]) for state in self._states}
        self._strip_fields = self._touching()

    def place(self, box: Box) -> Box:
        """A canvas box on this page."""
        return box.scaled(CANVAS, self.size)

    def picture(self, view: View) -> Image.Image:
        """The picture of a state: RGB, ``page_size`` pixels."""
        return self._draw_success() if view.accepted else self._repaint(view).copy()

    def png(self, view: View) -> bytes:
        """``picture`` as a file."""
        keys = [self._key(index, view) for index in range(len(self._strip_fields))]
        new = [key for key in dict.fromkeys(keys) if key not in self._packed]
        if new:
            picture = self._draw_success() if view.accepted else self._repaint(view)
            self._packed |= {key: png.pack(picture, key[0]) for key in new}
        return png.png(*self.size, (self._packed[key] for key in keys))

    def _repaint(self, view: View) -> Image.Image:
        """The picture that is kept, repainted where a field changed since the last call."""
        for i, (field, text) in enumerate(zip(self.fields, view.texts, strict=True)):
            state = (i, text, self.focus and field.name == view.focus)
            if state != self._states[i]:
                self._kept.paste(*self._patch(*state))
                self._states[i] = state
        return self._kept

    def _key(self, index: int, view: View) -> tuple:
        """What decides the pixels of a strip, next to the form."""
        if view.accepted:
            return index, True
        return index, *((i, view.texts[i], view.focus == self.fields[i].name) for i in self._strip_fields[index])

    def _touching(self) -> list[list[int]]:
        """Of each strip, the fields that can change it, their rings included."""
        spans = [(box.y1 - self.ring, box.y2 + self.ring) for box in (self.place(field.box) for field in self.fields)]
        tops = (index * png.STRIP for index in png.strips(self.size.height))
        return [[i for i, (y1, y2) in enumerate(spans) if y1 < top + png.STRIP and y2 >= top] for top in tops]

    def _draw_blank(self) -> Image.Image:
        style = self.style
        picture = Image.new("RGB", self.size, style.ground)
        draw = ImageDraw.Draw(picture)
        title = font(style.family, type_pixels(style.title_points, self.size))
        scenario = SCENARIOS[self.form.scenario]
        draw.text(_middle(self.place(self.form.title)), scenario.title, style.title, title, "mm")
        for element in self.form.elements:
            self._draw_element(draw, element)
        if self.marks:
            draw_marks(picture, self.form.elements, style, self.size)
        return picture

    def _draw_element(self, draw: ImageDraw.ImageDraw, element: Element) -> None:
        style, box = self.style, self.place(element.box)
        if element.kind == FIELD:
            draw.rectangle(box, style.field, style.edge)
            label = self.place(element.label)
            draw.text((label.x1, label.y2), element.caption + style.colon, style.ink, self.type, "ld")
            return
        fill, ink = (style.decoy, style.decoy_ink) if element.kind == DECOY else (style.button, style.button_ink)
        draw.rectangle(box, fill, style.edge)
        draw.text(_middle(box), element.caption, ink, self.type, "mm")

    def _blank_field(self, field: Element) -> tuple[Image.Image, tuple[int, int]]:
        """An empty field with the room of its ring, and where that is on the picture; taken before anything changes."""
        box = self.place(field.box)
        corner = box.x1 - self.ring, box.y1 - self.ring
        return self._kept.crop((*corner, box.x2 + self.ring + 1, box.y2 + self.ring + 1)), corner

    def _patch(self, i: int, text: str, focused: bool) -> tuple[Image.Image, tuple[int, int]]:
        """Field ``i`` with its text, with ring and caret if it is in focus, and where that is on the picture."""
        if (i, text, focused) not in self._patches:
            draw = self._draw_focus if focused else self._draw_field
            self._patches[i, text, focused] = draw(i, text)
        return self._patches[i, text, focused]

    def _inside(self, patch: Image.Image) -> Box:
        """The field's box on its patch."""
        return Box(self.ring, self.ring, patch.width - self.ring - 1, patch.height - self.ring - 1)

    def _shown(self, i: int, text: str) -> tuple[str, float]:
        """What a field shows, the end in sight as in a browser, and how far from its left edge that ends, in pixels."""
        secret, text = self.fields[i].name in self._secret, text[-IN_SIGHT:]
        shown = self.style.secret * len(text) if secret else " ".join(text.split("\n"))
        box, pad = self.place(self.fields[i].box), max(3, round(self.style.pad * self.scale))
        return shown, min(pad + width(self.style.family, self.type.size, shown), box.x2 - box.x1 - pad)

    def _draw_field(self, i: int, text: str) -> tuple[Image.Image, tuple[int, int]]:
        blank, corner = self._patches[i, "", False]
        patch, box, (shown, end) = blank.copy(), self._inside(blank), self._shown(i, text)
        draw = ImageDraw.Draw(patch)
        draw.text((box.x1 + end, (box.y1 + box.y2) / 2), shown, self.style.field_ink, self.type, "rm")
        patch.paste(blank.crop((0, 0, box.x1 + 1, patch.height)), (0, 0))  # cut off left of the box
        return patch, corner

    def _draw_focus(self, i: int, text: str) -> tuple[Image.Image, tuple[int, int]]:
        """A ring around the box, and a caret after the text."""
        plain, corner = self._patch(i, text, False)
        patch, box = plain.copy(), self._inside(plain)
        draw, x = ImageDraw.Draw(patch), round(box.x1 + self._shown(i, text)[1]) + 1
        for i in range(1, self.ring + 1):
            draw.rectangle((box.x1 - i, box.y1 - i, box.x2 + i, box.y2 + i), None, self.style.focus)
        middle, half = (box.y1 + box.y2) / 2, 0.55 * self.type.size
        thick = max(0, round(self.scale) - 1)
        draw.rectangle((x, middle - half, x + thick, middle + half), self.style.field_ink)
        return patch, corner

    def _draw_success(self) -> Image.Image:
        """The page after the form was accepted: one or two lines, 60 canvas pixels apart, around the middle."""
        style = self.style
        picture = Image.new("RGB", self.size, style.success)
        draw = ImageDraw.Draw(picture)
        lines = SCENARIOS[self.form.scenario].success
        for i, line in enumerate(lines):
            y = (300 if len(lines) == 1 else 260 + 60 * i) / CANVAS.height * self.size.height
            text = line.format(**self.form.said)
            fit = min(1.0, 0.96 * self.size.width / self.type.getlength(text))
            face = font(style.family, int(fit * self.type.size))
            draw.text((self.size.width / 2, y), text, style.success_ink, face, "mm")
        return picture


def _middle(box: Box) -> tuple[float, float]:
    return (box.x1 + box.x2) / 2, (box.y1 + box.y2) / 2
