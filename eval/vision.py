"""Pictures of many questions: ms-swift's processor prepares each once, and the vision tower sees each once.

``Pictures`` stands in for the image processor of an engine while the engine prepares a batch. In the place of pixels it
hands on the picture's number, so a picture that was met before costs its hash alone; ``features`` gives what the tower
says of the pictures that a batch names.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from threading import Lock

import torch
import xxhash
from PIL import Image

KEPT = 256  # pictures: all 231 pages of Env-Base; about 0.5 GB of features for a model of 7B at 448 x 448


class Pictures:
    """Pictures of a Qwen-VL. ``model``: the module with ``get_image_features``; ``processor``: its processor.

    Each picture passes the tower alone, so that its features do not depend on its company. Of the tower's output only
    what the language model reads is kept: the merged patches, and Qwen3-VL's deepstack features.
    """

    def __init__(self, model, processor):
        self.model, self.processor = model, processor
        self.prepare = processor.image_processor
        self.numbers: dict[bytes, int] = {}  # hash -> number; the latest asked stands last
        self.grids: dict[int, torch.Tensor] = {}  # (1, 3) each
        self.pixels: dict[int, torch.Tensor] = {}  # (patches, values) of those that the tower has not seen
        self.outputs: dict[int, object] = {}
        self._next, self._lock = count(), Lock()  # ms-swift prepares a batch in threads

    @contextmanager
    def prepared(self) -> Iterator[None]:
        """Meanwhile ``self`` is the processor's image processor."""
        self.processor.image_processor = self
        try:
            yield
        finally:
            self.processor.image_processor = self.prepare

    def __getattr__(self, name: str):
        return getattr(self.prepare, name)  # patch_size, merge_size ...

    def __call__(self, images: Sequence[Image.Image], **options: object) -> dict[str, torch.Tensor]:
        """As the image processor: ``image_grid_thw`` (pictures, 3), but ``pixel_values`` are numbers, (pictures, 1)."""
        numbers = [self._number(image, options) for image in images]
        grids = torch.cat([self.grids[number] for number in numbers])
        return {"pixel_values": torch.tensor(numbers)[:, None], "image_grid_thw": grids}

    def _number(self, image: Image.Image, options: dict) -> int:
        key = xxhash.xxh3_128_digest(f"{image.mode} {image.size} ".encode() + image.tobytes())
        with self._lock:
            if key in self.numbers:
                self.numbers[key] = number = self.numbers.pop(key)
                return number
            inputs = self.prepare(images=[image], **options)
            self.numbers[key] = number = next(self._next)
            self.grids[number], self.pixels[number] = inputs["image_grid_thw"], inputs["pixel_values"]
        return number

    def features(self, numbers: torch.Tensor):
        """The tower's output for a batch of pictures, in their order; ``numbers``: (pictures, 1), as ``__call__`` gives
        them. A picture passes the tower once, while it is among the last KEPT."""
        wanted = numbers[:, 0].tolist()
        for number in wanted:
            if number not in self.outputs:
                pixels, grid = (part.to(self.model.device) for part in (self.pixels.pop(number), self.grids[number]))
                self.outputs[number] = _needed(self.model.get_image_features(pixels, grid, return_dict=True))
        outputs = [self.outputs[number] for number in wanted]
        for key in list(self.numbers)[:-KEPT]:
            for kept in self.grids, self.pixels, self.outputs:
                kept.pop(self.numbers[key], None)
            del self.numbers[key]
        return _joined(outputs)


def _needed(output):
    """Of one picture: what the language model reads."""
    names = [name for name in ("pooler_output", "deepstack_features") if hasattr(output, name)]
    return type(output)(**{name: getattr(output, name) for name in names})


def _joined(outputs: list):
    """The outputs of single pictures as the output of a batch of them."""
    joined = {"pooler_output": tuple(output.pooler_output[0] for output in outputs)}
    if hasattr(outputs[0], "deepstack_features"):
        layers = zip(*(output.deepstack_features for output in outputs), strict=True)
        joined["deepstack_features"] = [tuple(feature for (feature,) in layer) for layer in layers]
    return type(outputs[0])(**joined)
