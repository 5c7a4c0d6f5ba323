"""Pictures that are prepared and seen once give the model's own logits, for both families."""

import subprocess
import sys
from pathlib import Path

import pytest

from data_engine.dataset import read_rows

torch = pytest.importorskip("torch")
REPO = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def vision(eval_module):
    return eval_module("vision")


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
        engine = TransformersEngine(str(model), torch_dtype=torch.float32, attn_impl="sdpa", device_map="cpu", **names)
        engine.template.model = engine.model  # as the engine does before it asks
        engine.template.set_mode("transformers")
        yield engine


@pytest.fixture
def pictures(vision, engine):
    return vision.Pictures(engine.model.model, engine.processor)


@pytest.fixture
def asked(small_data) -> list:
    """Four questions about three pictures: the last is about the second's."""
    from swift import InferRequest

    rows = list({row["images"][0]: row for row in read_rows(small_data / "eval_ood.jsonl")}.values())
    some = [*rows[:3], rows[1]]
    return [InferRequest(messages=r["messages"][:1], images=[str(small_data / r["images"][0])]) for r in some]


def batch(engine, asked: list) -> dict:
    return engine.template.data_collator([engine.template.encode(one) for one in asked])


def logits(engine, inputs: dict) -> "torch.Tensor":
    with torch.inference_mode():
        return engine.model(**inputs).logits[:, -1]


def seen(engine, pictures, asked: list) -> tuple[dict, object]:
    """(inputs without pixels, features) of a batch, as the evaluation makes them."""
    with pictures.prepared(), torch.inference_mode():
        inputs = batch(engine, asked)
        return inputs, pictures.features(inputs.pop("pixel_values"))


def answered(engine, inputs: dict, features: object) -> "torch.Tensor":
    return logits(engine, inputs | {"mm_encoder_outputs": {"image": features}})


def test_pictures_seen_once_give_the_models_own_logits(engine, pictures, asked, monkeypatch):
    whole = batch(engine, asked)
    stock = logits(engine, whole)
    assert (stock.std(0) > 0).any()  # the questions differ
    looks, prepared, kind = [], [], type(engine.processor.image_processor)
    prepare = kind.preprocess
    monkeypatch.setattr(kind, "preprocess", lambda *given, **more: prepared.append(1) or prepare(*given, **more))
    hook = engine.model.model.visual.register_forward_hook(lambda *_: looks.append(1))
    first, again = (seen(engine, pictures, asked) for _ in range(2))
    hook.remove()
    assert len(looks) == len(prepared) == 3  # pictures
    for inputs, features in (first, again):
        assert inputs.keys() == whole.keys() - {"pixel_values"}
        assert all(torch.equal(inputs[name], whole[name]) for name in inputs)
        assert not hasattr(features, "last_hidden_state") or features.last_hidden_state is None
    assert torch.equal(answered(engine, *first), answered(engine, *again))
    torch.testing.assert_close(answered(engine, *first), stock, rtol=1e-4, atol=1e-5)


def test_the_engines_own_processor_comes_back(engine, pictures, asked):
    own = engine.processor.image_processor
    with pytest.raises(KeyError), pictures.prepared():
        assert engine.processor.image_processor is pictures and pictures.merge_size == own.merge_size
        raise KeyError
    assert engine.processor.image_processor is own and batch(engine, asked)["pixel_values"].shape[1] > 1


def test_features_of_other_pictures_give_other_logits(engine, pictures, asked):
    """That the first test can fail: the model does look at what it is given, deepstack features included."""
    inputs, features = seen(engine, pictures, asked)
    if hasattr(features, "deepstack_features"):
        layers = engine.model.config.vision_config.deepstack_visual_indexes
        assert len(features.deepstack_features) == len(layers) > 0
        blank = [tuple(torch.zeros_like(one) for one in layer) for layer in features.deepstack_features]
        wrong = type(features)(pooler_output=features.pooler_output, deepstack_features=blank)
    else:
        wrong = type(features)(pooler_output=tuple(torch.zeros_like(one) for one in features.pooler_output))
    assert not torch.allclose(answered(engine, inputs, wrong), answered(engine, inputs, features), atol=1e-4)


def test_only_so_many_pictures_are_kept_and_a_dropped_one_is_looked_at_again(
    vision, engine, pictures, asked, monkeypatch
):
    _, whole = seen(engine, pictures, asked)
    monkeypatch.setattr(vision, "KEPT", 2)
    seen(engine, pictures, asked)
    kept = [len(part) for part in (pictures.numbers, pictures.grids, pictures.outputs, pictures.pixels)]
    assert kept == [2, 2, 2, 0]
    _, features = seen(engine, pictures, asked)
    for before, after in zip(whole.pooler_output, features.pooler_output, strict=True):
        assert torch.equal(before, after)
