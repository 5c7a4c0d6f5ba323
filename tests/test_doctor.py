"""The doctor: nothing on a sound model and folder; planted faults, each named with its fix."""

import json
import shutil
from pathlib import Path

import pytest

from data_engine.dataset import DataError, read_json, read_rows, sha256, write_json, write_rows
from data_engine.gelab.build import build
from data_engine.gelab.write import Options, write
from data_engine.geometry import Size

STATIC = "eval/gelab_static.py"


@pytest.fixture(scope="module")
def doctor(tool_module, repo):
    """The script as a module, so that torch and ms-swift are loaded once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(repo / "eval"))  # a part of it is imported when it is needed
        yield tool_module("doctor")


@pytest.fixture(autouse=True)
def any_size(monkeypatch):
    """The first model that a process loads leaves its MAX_PIXELS in qwen_vl_utils and in the environment for good."""
    from qwen_vl_utils import vision_process

    monkeypatch.setattr(vision_process, "IMAGE_MAX_TOKEN_NUM", 16384)  # the package's own default
    monkeypatch.delenv("MAX_PIXELS", raising=False)
    yield
    monkeypatch.setenv("MAX_PIXELS", "")  # what the engine set meanwhile goes too
    monkeypatch.delenv("MAX_PIXELS")


@pytest.fixture
def examine(doctor, capsys):
    """examine(model, data, *flags) -> (exit code, {check: [what, ...]} of the faults, all findings)."""

    def examine(model, data, *flags) -> tuple[int, dict[str, list[str]], list[dict]]:
        code = doctor.main(["--model", str(model), "--data", str(data), "--json", *map(str, flags)])
        found = json.loads(capsys.readouterr().out)
        faults: dict[str, list[str]] = {}
        for one in found["findings"]:
            if one["level"] == "FAULT":
                assert one["fix"] and one["fix"] == one["mend"], one  # the older name of it
                faults.setdefault(one["check"], []).append(one["what"])
        assert found["faults"] == sum(map(len, faults.values())) and code == bool(faults)
        return code, faults, found["findings"]

    return examine


@pytest.fixture
def data(small_data, tmp_path) -> Path:
    """A copy of the rows, to break."""
    return Path(shutil.copytree(small_data, tmp_path / "data"))


@pytest.fixture
def model(tiny_model, tmp_path) -> Path:
    """A copy of the model, to break."""
    return Path(shutil.copytree(tiny_model, tmp_path / "model"))


@pytest.fixture(scope="module")
def forms(cli, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("forms") / "forms"
    done = cli("data_engine.login.write", out, "--episodes", 2, "--page-size", "448x320")
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="module")
def qwen3(cli, tmp_path_factory) -> Path:
    """An untrained checkpoint of the other family."""
    out = tmp_path_factory.mktemp("models") / "tiny-qwen3_vl"
    assert cli("tools/make_tiny_model.py", out, "--family", "qwen3_vl", "--size", "2m").returncode == 0
    return out


def rehash(folder: Path, *names: str) -> None:
    """Files changed on purpose, and the manifest with them: only their content can give the fault away."""
    manifest = read_json(folder / "manifest.json")
    write_json(
        folder / "manifest.json", manifest | {"files": manifest["files"] | {n: sha256(folder / n) for n in names}}
    )


# ---- sound


def test_a_sound_model_and_folder(examine, tiny_model, small_data):
    code, faults, found = examine(tiny_model, small_data)
    assert (code, faults) == (0, {})
    said = {one["check"]: one["what"] for one in found if one["level"] == "ok"}
    assert said["resize"].startswith("112x112 enters unchanged, 16 tokens a picture")  # 4 x 4 patches of 28
    assert said["evaluation prompt"].startswith("20 prompts") and "token for token" in said["interactive prompt"]
    assert said["gold answers"] == "20 read back from their tokens, each scores 1.0"
    assert set(said) >= {"versions", "MAX_PIXELS", "weights", "rows", "world", "special tokens", "template", "memory"}


def test_sound_rows_that_say_the_way_and_change_places(examine, tiny_model, small_world, tmp_path):
    hard = Options(protocol="hard", explain="way", placements=4, recovery=0.5, page_questions=1)
    write(small_world, tmp_path / "hard", hard)
    code, faults, found = examine(tiny_model, tmp_path / "hard")
    assert (code, faults) == (0, {})
    assert any(one["check"] == "interactive prompt" and "token for token" in one["what"] for one in found)


def test_sound_forms(examine, qwen3, forms):
    """The other benchmark, the other family."""
    code, faults, found = examine(qwen3, forms, "--rows", 12)
    assert (code, faults) == (0, {})
    said = {one["check"]: one["what"] for one in found}
    assert said["resize"].startswith("448x320 enters unchanged, 140 tokens")  # 14 x 10 patches of 32
    assert said["template"] == "login_qwen3_vl on both paths" and said["gold answers"].startswith("12 read back")


def test_it_is_a_command(cli, tiny_model, small_data, tmp_path):
    """As a user starts it, up to wrong use: exit code 2, one line."""
    done = cli("tools/doctor.py", "--model", tmp_path / "none", "--data", small_data)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1) and "no checkpoint folder" in done.stderr
    done = cli("tools/doctor.py", "--model", tiny_model, "--data", tmp_path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)


# ---- ten planted faults


def test_other_max_pixels(examine, tiny_model, small_data, monkeypatch):
    monkeypatch.setenv("MAX_PIXELS", "50176")
    _, faults, _ = examine(tiny_model, small_data)
    assert "MAX_PIXELS=50176 in the environment" in faults["MAX_PIXELS"][0] and "12544" in faults["MAX_PIXELS"][0]


def test_pages_of_a_size_that_the_family_resizes(examine, qwen3, small_data):
    """112 is no multiple of Qwen3-VL's 32."""
    _, faults, _ = examine(qwen3, small_data)
    assert ".png: 112x112 enters as " in faults["resize"][0]


def test_other_system_prompt(examine, tiny_model, small_data):
    _, faults, _ = examine(tiny_model, small_data, "--system", "You are a helpful assistant.")
    assert "row 0 diverges at token 3: training has 'You are a" in faults["system prompt"][0]
    assert set(faults) == {"system prompt"}


def test_tokens_stripped_from_the_tokenizer(examine, model, small_data):
    tokenizer = read_json(model / "tokenizer.json")
    boxes = ("<|box_start|>", "<|box_end|>")
    tokenizer["added_tokens"] = [one for one in tokenizer["added_tokens"] if one["content"] not in boxes]
    (model / "tokenizer.json").write_text(json.dumps(tokenizer))
    config = read_json(model / "tokenizer_config.json")
    for field in ("additional_special_tokens", "extra_special_tokens"):
        if field in config:
            config[field] = [one for one in config[field] if one not in boxes]
    config.pop("added_tokens_decoder", None)
    (model / "tokenizer_config.json").write_text(json.dumps(config))
    _, faults, _ = examine(model, small_data)
    assert "the tokenizer splits <|box_start|> is" in faults["special tokens"][0]


def test_tokens_stripped_from_the_answers(examine, tiny_model, data):
    rows = read_rows(data / "sft.jsonl")
    for row in rows:
        said = row["messages"][-1]
        said["content"] = said["content"].replace("<|box_start|>", "").replace("<|box_end|>", "")
    write_rows(data / "sft.jsonl", rows)
    rehash(data, "sft.jsonl")
    _, faults, _ = examine(tiny_model, data)
    assert "sft.jsonl" in faults["wrong answer"][0]


def test_swapped_world(examine, tiny_model, small_data, tmp_path):
    build(tmp_path / "other", tree=(5, 2, 1), seed=8, page_size=Size(112, 112))
    _, faults, _ = examine(tiny_model, small_data, "--world", tmp_path / "other")
    assert "the rows of" in faults["world"][0] and set(faults) == {"world"}


def test_rows_that_lie_with_another_world(examine, tiny_model, data, tmp_path):
    build(tmp_path / "other", tree=(5, 2, 1), seed=8, page_size=Size(112, 112))
    shutil.rmtree(data / "world")
    shutil.copytree(tmp_path / "other", data / "world")
    _, faults, _ = examine(tiny_model, data)
    assert "other world" in faults and "world" in faults


def test_shuffled_images(examine, tiny_model, data):
    """Hashes and all: only a look at the pixels tells."""
    pages = data / "world" / "pages"
    one, other = (pages / name for name in ("page_3.png", "page_4.png"))
    first = one.read_bytes()
    one.write_bytes(other.read_bytes()), other.write_bytes(first)
    names = ["pages/page_3.png", "pages/page_4.png"]
    rehash(data / "world", *names), rehash(data, *(f"world/{name}" for name in names))
    _, faults, _ = examine(tiny_model, data)
    assert "is not page_3" in faults["wrong screenshot"][0]


def test_wrong_template(examine, tiny_model, small_data):
    """ms-swift's own: another system prompt, and one token for each picture of this vocabulary."""
    _, faults, _ = examine(tiny_model, small_data, "--template", "qwen2_5_vl")
    assert faults["template"][0].startswith("training uses qwen2_5_vl, evaluation gelab_qwen2_5_vl")
    assert faults["image tokens"] == ["row 0: 1 image tokens for 16 features"]
    assert "system prompt" in faults


def test_a_template_of_another_family(examine, qwen3, tiny_model, small_data, forms, monkeypatch):
    """Recipes make --model_type of it, and ms-swift would put random weights where names differ."""
    _, faults, found = examine(qwen3, forms, "--template", "login_qwen2_5_vl")
    (what,) = faults["family"]
    assert what.startswith(f"login_qwen2_5_vl is for another family than {qwen3}, a qwen3_vl: ")
    assert "export TEMPLATE=login_qwen3_vl" in [one["fix"] for one in found]
    monkeypatch.setenv("TEMPLATE", "gelab_qwen3_vl")  # as recipes read it
    assert "family" in examine(tiny_model, small_data)[1]
    monkeypatch.setenv("TEMPLATE", "gelab_qwen2_5_vl")
    assert examine(tiny_model, small_data)[1] == {}


def test_a_template_of_another_benchmark(examine, tiny_model, small_data):
    """Recipes cut their own benchmark's name off, and what is left is no model type."""
    _, faults, _ = examine(tiny_model, small_data, "--template", "login_qwen2_5_vl")
    assert "recipes make --model_type login_qwen2_5_vl of it, which is none" in faults["family"][0]


def test_a_folder_with_a_name_of_its_own(examine, qwen3, forms, tmp_path):
    """The architecture fits three of ms-swift's types, and the name none: config.json decides, TEMPLATE in recipes."""
    model = Path(shutil.copytree(qwen3, tmp_path / "my-model"))
    code, faults, found = examine(model, forms, "--rows", 4)
    assert (code, faults) == (0, {})
    (said,) = [one["what"] for one in found if one["check"] == "family"]
    assert said == "qwen3_vl, --model_type qwen3_vl (TEMPLATE is not set: export TEMPLATE=login_qwen3_vl to train)"


def adapter(folder: Path, args: object, config: object) -> Path:
    folder.mkdir(parents=True)
    for name, values in (("args.json", args), ("adapter_config.json", config)):
        if values is not None:
            (folder / name).write_text(json.dumps(values))
    return folder


@pytest.mark.parametrize(
    "args, config",
    [
        ({"model": "../../model"}, {}),  # from the adapter
        ({"model": "../model"}, {}),  # from the folder of its run
    ],
)
def test_the_base_of_an_adapter(doctor, model, tmp_path, args, config):
    folder = adapter(tmp_path / "run" / "checkpoint-5", args, config)
    assert doctor.base_folder(str(folder)).resolve() == model


@pytest.mark.parametrize(
    "args, config",
    [
        (None, {}),
        (None, {"base_model_name_or_path": "../../model"}),  # written by peft alone: nothing says how it was trained
        ({"model": 3}, {}),
        ([], {}),
        ({"model": "/moved"}, {}),
    ],
)
def test_an_adapter_without_a_base_is_one_line(doctor, capsys, small_data, tmp_path, args, config):
    folder = adapter(tmp_path / "adapter", args, config)
    assert doctor.main(["--model", str(folder), "--data", str(small_data)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


BROKEN = ["[]", "3", "null", "{}", '{"model_type": "qwen2_5_vl", "text_config": []}', "\x00"]


@pytest.mark.parametrize("text", BROKEN, ids=range(len(BROKEN)))
@pytest.mark.parametrize("file", ["config.json", "model.safetensors.index.json", "model.safetensors"])
def test_a_foreign_checkpoint_is_one_line_or_a_fault(doctor, capsys, model, small_data, file, text):
    data = text.encode()
    (model / file).write_bytes(len(data).to_bytes(8, "little") + data if file.endswith(".safetensors") else data)
    code = doctor.main(["--model", str(model), "--data", str(small_data), "--rows", "1"])
    said = capsys.readouterr()
    assert (code, said.err.count("\n")) in [(2, 1), (1, 0)], said


@pytest.mark.parametrize("text", [*BROKEN, '{"kind": ["gelab-rows"]}', '{"kind": "gelab-rows"}'])
def test_a_foreign_folder_of_rows_is_one_line(doctor, capsys, tiny_model, data, text):
    (data / "manifest.json").write_text(text)
    assert doctor.main(["--model", str(tiny_model), "--data", str(data), "--rows", "1"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_checkpoint_that_was_trained_with_another_template(examine, model, small_data):
    """Its args.json rules in evaluation, whatever --template says."""
    shutil.copy(small_data / "manifest.json", model / "unrelated.json")
    write_json(model / "args.json", {"model": str(model), "template": "login_qwen2_5_vl", "model_type": "qwen2_5_vl"})
    _, faults, _ = examine(model, small_data)
    assert faults["template"][0].startswith("training uses gelab_qwen2_5_vl, evaluation login_qwen2_5_vl")


def test_truncated_weights(examine, model, small_data):
    path = model / "model.safetensors"
    whole = path.stat().st_size
    with open(path, "r+b") as file:
        file.truncate(whole - 1000)
    _, faults, _ = examine(model, small_data)
    assert f"{whole - 1000:,} bytes, not {whole:,}" in faults["weights"][0]


def test_truncated_rows(examine, tiny_model, data):
    whole = (data / "sft.jsonl").read_bytes()
    (data / "sft.jsonl").write_bytes(whole[: whole.index(b"\n") * 7])
    _, faults, _ = examine(tiny_model, data)
    assert "was changed after it was written" in faults["edited file"][0] and "sft.jsonl" in faults["row count"][0]


def test_half_written_rows(examine, tiny_model, data):
    lines = (data / "sft.jsonl").read_bytes().split(b"\n")
    (data / "sft.jsonl").write_bytes(b"\n".join([*lines[:4], lines[4][:50]]))
    _, faults, _ = examine(tiny_model, data)
    assert faults["broken line"][0].startswith(f"{data / 'sft.jsonl:5'}")


def test_missing_page(examine, tiny_model, data):
    (data / "world" / "pages" / "page_5.png").unlink()
    _, faults, _ = examine(tiny_model, data)
    assert any("pages/page_5.png: the manifest has it" in what for what in faults["missing file"])


def test_results_that_cannot_be_resumed(examine, cli, tiny_model, small_data, tmp_path):
    """A predictions file from elsewhere: named by the doctor, refused by the evaluation."""
    out = tmp_path / "out"
    out.mkdir()
    write_rows(out / "predictions.jsonl", [{"idx": 0, "prediction": "complete"}])
    _, faults, _ = examine(tiny_model, small_data, "--out", out)
    assert "no run.json beside it" in faults["evaluation"][0]
    done = cli(STATIC, "--engine", "oracle", "--data", small_data / "eval_ood.jsonl", "--out", out)
    assert done.returncode == 2 and "holds results but no run.json" in done.stderr


def test_an_evaluation_of_other_rows_or_another_model(examine, cli, tiny_model, small_data, data, tmp_path):
    out = tmp_path / "out"
    assert cli(STATIC, "--engine", "oracle", "--data", small_data / "eval_ood.jsonl", "--out", out).returncode == 0
    assert examine(tiny_model, small_data, "--out", out)[1] == {}
    run = read_json(out / "run.json")
    write_json(out / "run.json", run | {"data": run["data"] | {"sha256": "0"}, "model": {"name": "another"}})
    _, faults, _ = examine(tiny_model, small_data, "--out", out)
    assert [what.partition(": ")[2][:28] for what in faults["evaluation"]] == [
        "was started on other rows th",
        "was started with another mod",
    ]


def test_half_written_results(examine, cli, tiny_model, small_data, tmp_path):
    """At the end it is what a kill leaves; in the middle nobody knows what is lost."""
    out = tmp_path / "out"
    start = [STATIC, "--engine", "oracle", "--data", small_data / "eval_ood.jsonl", "--out", out]
    assert cli(*start).returncode == 0
    results = out / "predictions.jsonl"
    whole = results.read_bytes()
    results.write_bytes(whole[:-30])
    code, _, found = examine(tiny_model, small_data, "--out", out)
    (said,) = [one for one in found if one["check"] == "evaluation"]
    assert (code, said["level"]) == (0, "warning") and ":86: half a line, as a kill leaves it" in said["what"]
    assert cli(*start).returncode == 0 and results.read_bytes() == whole
    lines = whole.split(b"\n")
    results.write_bytes(b"\n".join([*lines[:2], lines[2][:40], *lines[3:]]))
    _, faults, _ = examine(tiny_model, small_data, "--out", out)
    assert faults["evaluation"][0].endswith("predictions.jsonl:3: half a line, or no JSON object")
    done = cli(*start)
    assert done.returncode == 2 and "predictions.jsonl:3: not a JSON object" in done.stderr


def test_pages_below_the_checkpoints_own_minimum(examine, qwen3, tmp_path):
    """Those of Qwen3-VL as published; 224 x 224 are 50,176 pixels. The file of either version of transformers rules."""
    build(tmp_path / "world", tree=(5, 2, 1), seed=7, page_size=Size(224, 224))
    write(tmp_path / "world", tmp_path / "data")
    model = Path(shutil.copytree(qwen3, tmp_path / "model"))
    said = {one["check"]: one for one in examine(model, tmp_path / "data", "--rows", 4)[2]}
    assert said["small pages"]["level"] == "ok"
    for name in "preprocessor_config.json", "processor_config.json":
        config = read_json(model / name)
        (config.get("image_processor") or config)["size"]["shortest_edge"] = 65_536
        write_json(model / name, config)
    for name in "preprocessor_config.json", "processor_config.json":
        code, _, found = examine(model, tmp_path / "data", "--rows", 4)
        (said,) = [one for one in found if one["check"] == "small pages"]
        assert (code, said["level"]) == (0, "warning")
        assert f"224x224 is less than the 65,536 pixels of {model / name}" in said["what"]
        assert said["fix"].startswith("build pages of 256x256 or more")
        (model / "preprocessor_config.json").unlink(missing_ok=True)


def test_pure_bfloat16_with_a_small_learning_rate(examine, tiny_model, small_data):
    flags = ["--deepspeed", "none", "--learning_rate", "1e-6", "--rows", 4]
    _, faults, _ = examine(tiny_model, small_data, *flags)
    assert faults == {"precision": ["pure bfloat16: a step of --learning_rate 1e-06 changes 1.9% of the weights"]}
    for fixed in (
        ["--torch_dtype", "float32"],
        ["--learning_rate", "1e-3"],
        ["--tuner", "lora"],
        ["--deepspeed", "zero3"],
    ):
        assert examine(tiny_model, small_data, *flags, *fixed)[1] == {}


def test_an_older_transformers(examine, cli, tiny_model, small_data, monkeypatch, capsys):
    """Named by the doctor, refused by the engine, before the model is loaded."""
    import checkpoint
    from settings import Settings

    monkeypatch.setattr(checkpoint, "version", lambda name: {"transformers": "5.17.2"}[name])
    _, faults, found = examine(tiny_model, small_data)
    assert faults["evaluation engine"][0].endswith("transformers 5.17.2 is installed, 5.18 or newer is needed")
    assert "both paths" in faults
    with pytest.raises(DataError, match="5.18 or newer is needed; pip install"):
        checkpoint.Transformers(Settings(engine="transformers", model=str(tiny_model)), None)
    monkeypatch.setattr(checkpoint, "version", lambda name: "6.0.0.dev0")
    checkpoint.check_transformers()


# ---- the machine


def test_a_tracker_is_looked_at_only_if_training_reports_to_it(doctor, monkeypatch, tiny_model, small_data):
    asked = []
    monkeypatch.setattr(doctor.machine, "check_versions", lambda pinned: asked.append(set(pinned)) or [])
    for flags in [], ["--report_to", "wandb"], ["--report_to", "none"]:
        args = doctor.parser().parse_args(["--model", str(tiny_model), "--data", str(small_data), *flags])
        next(doctor.findings(args))
    assert [found & {"wandb", "tensorboard"} for found in asked] == [{"tensorboard"}, {"wandb"}, set()]
    assert all("torch" in found for found in asked)


def test_how_many_bfloat16_weights_move(doctor):
    """Counted: normal weights in bfloat16, a step up, rounded again."""
    import torch

    torch.manual_seed(0)
    weights = (torch.randn(2_000_000) * 0.02).bfloat16()
    for rate in (1e-6, 1e-5, 1e-4):
        counted = (weights + torch.tensor(rate).bfloat16() != weights).float().mean().item()
        assert doctor.machine.moved(rate) == pytest.approx(counted, rel=0.1)


def test_versions(doctor):
    found = {one.check: one for one in doctor.machine.check_versions({"numpy": "0.1", "no-such-package": "1.0"})}
    assert found["installation"].what == "no-such-package is not installed"
    levels = [one.level for one in doctor.machine.check_versions({"numpy": "0.1"})]
    assert levels == ["warning", "ok"]


def test_pins_are_those_that_run(doctor, repo):
    found = doctor.machine.pins((repo / "requirements.txt").read_text())
    assert {"ms-swift", "torch", "transformers", "peft"} <= set(found) and "pytest" not in found


def test_memory_by_hand(doctor):
    """A model of 2^30 weights, 2^28 of them the tower's; without tokens only the spare 1.5 GiB come on top."""
    shape = doctor.machine.Shape(2**30, 2**28, linear=2**22, hidden=1, layers=1, intermediate=1, vocabulary=1)
    need = doctor.machine.need
    assert need(shape, "full", 0, 1) == 16 * 0.75 + 2 * 0.25 + 1.5
    assert need(shape, "full", 0, 1, devices=5) == 12.5 / 5 + 1.5
    pure, master = doctor.machine.How(False), doctor.machine.How(False, "float32")
    assert need(shape, "full", 0, 1, devices=5, how=pure) == 8 * 0.75 + 2 * 0.25 + 1.5  # nothing is shared out
    assert need(shape, "full", 0, 1, how=master) == 16 * 0.75 + 4 * 0.25 + 1.5
    assert need(shape, "lora", 0, 1) == 2 + 16 * 16 * 2**22 / 2**30 + 1.5  # rank 16: one GiB of states
    assert need(shape, "none", 0, 1, on_gpu=False) == 4
    # 2^20 tokens: each 1 + 8 + 3 numbers of two bytes, and one logit with its gradient, 8 bytes
    assert need(shape, "full", 2**20, 1) == 14 + (12 * 2 + 8) * 2**20 / 2**30


def test_too_little_memory_names_what_would_fit(doctor):
    shape = doctor.machine.Shape(2**30, 2**28, linear=2**22, hidden=1, layers=1, intermediate=1, vocabulary=1)
    found = list(doctor.machine.check_memory(shape, "full", 1, 1, [("GPU", 8.0, 8.0)]))
    (said,) = [one for one in found if one.level == "FAULT"]
    assert any("14.0 GiB with ZeRO-3, 8.0 GiB with bfloat16 without DeepSpeed, 14.5 GiB" in one.what for one in found)
    assert said.what == "full tuning needs about 14.0 GiB, 8.0 are free" and "LoRA and inference would fit" in said.fix
