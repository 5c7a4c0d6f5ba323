"""Shared decoding by hand; kept picture features give the model's own logits, for both families."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from data_engine.dataset import read_rows

torch = pytest.importorskip("torch")
REPO = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def decode():
    """The module eval/decode.py."""
    spec = importlib.util.spec_from_file_location("decode_under_test", REPO / "eval" / "decode.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


SCORES = [[0.5, 0.25, 0.25], [0.0, 0.9, 0.1]]  # probabilities of three tokens, two rows; 0: suppressed


def tokens(decode, riders: list[tuple[int, float, float]]) -> list[int]:
    """Of (row, temperature, draw)."""
    return decode.next_tokens(torch.tensor(SCORES).log(), [decode.Rider(r, heat, [draw]) for r, heat, draw in riders])


def test_a_draw_is_a_place_in_the_cumulative_probabilities(decode):
    # row 0 at temperature 1: token 0 below 1/2, token 1 below 3/4, token 2 above
    assert tokens(decode, [(0, 1.0, u) for u in (0.0, 0.49, 0.51, 0.74, 0.76, 0.999)]) == [0, 0, 1, 1, 2, 2]
    # at 1/2 the squares: 4/6, 1/6, 1/6; at 2 the roots: 0.414, 0.293, 0.293
    assert tokens(decode, [(0, 0.5, 0.66), (0, 0.5, 0.68), (0, 2.0, 0.40), (0, 2.0, 0.43)]) == [0, 1, 0, 1]


def test_a_suppressed_token_is_never_drawn(decode):
    assert tokens(decode, [(1, 1.0, 0.0), (1, 1.0, 1 - 2**-24)]) == [1, 2]


def test_temperature_0_takes_the_best(decode):
    assert tokens(decode, [(0, 0.0, 0.99), (1, 0.0, 0.99), (1, 1.0, 0.99)]) == [0, 1, 2]


def test_even_draws_give_the_probabilities(decode):
    said = tokens(decode, [(0, 1.0, (i + 0.5) / 1000) for i in range(1000)])
    assert [said.count(token) for token in range(3)] == [500, 250, 250]


# ---- pictures


@pytest.fixture(scope="module", params=["qwen2_5_vl", "qwen3_vl"])
def engine(request, tiny_model, tmp_path_factory):
    """ms-swift's engine on an untrained tiny model of each family."""
    from swift import TransformersEngine

    import swift_plugins.register  # noqa: F401  (registers the templates)

    torch.set_num_threads(1)
    model = tiny_model
    if request.param == "qwen3_vl":
        model = tmp_path_factory.mktemp("models") / "tiny-qwen3_vl"
        script = REPO / "tools" / "make_tiny_model.py"
        subprocess.run([sys.executable, script, model, "--family", "qwen3_vl", "--size", "2m"], check=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MAX_PIXELS", "12544")
        patch.setenv("IMAGE_MAX_TOKEN_NUM", "16")
        names = {"model_type": request.param, "template_type": f"gelab_{request.param}"}
        yield TransformersEngine(str(model), torch_dtype=torch.float32, attn_impl="sdpa", device_map="cpu", **names)


@pytest.fixture
def inputs(engine, small_data) -> tuple[dict, list[str]]:
    """A batch of four questions about three pictures, and the names of their pictures."""
    from swift import InferRequest

    rows = {row["images"][0]: row for row in read_rows(small_data / "eval_ood.jsonl")}
    some = [*list(rows.values())[:3], list(rows.values())[1]]
    pictures = [str(small_data / row["images"][0]) for row in some]
    template = engine.template
    template.model = engine.model  # as the engine does before it asks
    template.set_mode("transformers")
    asked = [InferRequest(messages=r["messages"][:1], images=[p]) for r, p in zip(some, pictures, strict=True)]
    return template.data_collator([template.encode(one) for one in asked]), pictures


def logits(engine, inputs: dict) -> "torch.Tensor":
    with torch.inference_mode():
        return engine.model(**inputs).logits[:, -1]


def test_kept_features_give_the_models_own_logits(decode, engine, inputs):
    batch, names = inputs
    whole = logits(engine, batch)
    assert (whole.std(0) > 0).any()  # the questions differ
    features, calls = decode.Features(engine.model.model), []
    hook = engine.model.model.visual.register_forward_hook(lambda *_: calls.append(1))
    rest = {name: value for name, value in batch.items() if name != "pixel_values"}
    with torch.inference_mode():
        first, again = (features(batch["pixel_values"], batch["image_grid_thw"], names) for _ in range(2))
    hook.remove()
    assert len(calls) == 3  # pictures
    new, kept = (logits(engine, rest | {"mm_encoder_outputs": {"image": out}}) for out in (first, again))
    assert torch.equal(new, kept)
    torch.testing.assert_close(new, whole, rtol=1e-4, atol=1e-5)


def test_features_of_other_pictures_give_other_logits(decode, engine, inputs):
    """That the last test can fail: the model does look at what it is given, deepstack features included."""
    batch, names = inputs
    rest = {name: value for name, value in batch.items() if name != "pixel_values"}
    with torch.inference_mode():
        out = decode.Features(engine.model.model)(batch["pixel_values"], batch["image_grid_thw"], names)
    right = logits(engine, rest | {"mm_encoder_outputs": {"image": out}})
    if hasattr(out, "deepstack_features"):
        assert len(out.deepstack_features) == len(engine.model.config.vision_config.deepstack_visual_indexes) > 0
        blank = [tuple(torch.zeros_like(one) for one in layer) for layer in out.deepstack_features]
        wrong = type(out)(pooler_output=out.pooler_output, deepstack_features=blank)
    else:
        wrong = type(out)(pooler_output=tuple(torch.zeros_like(one) for one in out.pooler_output))
    assert not torch.allclose(logits(engine, rest | {"mm_encoder_outputs": {"image": wrong}}), right, atol=1e-4)


def test_only_so_many_pictures_are_kept(decode, engine, inputs, monkeypatch):
    batch, names = inputs
    monkeypatch.setattr(decode, "PICTURES", 2)
    features = decode.Features(engine.model.model)
    with torch.inference_mode():
        out = features(batch["pixel_values"], batch["image_grid_thw"], names)
    assert len(out.pooler_output) == 4 and list(features.kept) == names[2:]  # the latest two
