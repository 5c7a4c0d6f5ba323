"""A model that cannot be asked: each script says so in one line and writes nothing, and the corrected command runs."""

import json
import os
import re
import shutil
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from data_engine import model_folder
from data_engine.dataset import DataError, read_json, read_rows, write_json, write_rows
from data_engine.geometry import Size
from data_engine.login.tasks import Options
from data_engine.login.write import write as write_forms

REPO = Path(__file__).resolve().parents[1]
SCRIPTS = ("gelab_interactive", "gelab_static", "login_eval", "probe")


def test_every_script_that_asks_a_model_is_here():
    texts = {path.stem: path.read_text(encoding="utf-8") for path in (REPO / "eval").glob("*.py")}
    assert tuple(sorted(name for name, text in texts.items() if "    engine_flags(" in text)) == SCRIPTS


def in_turn(cases) -> list[tuple]:
    """(script, case): each case on one of the scripts, which all ask one function; each script gets its share."""
    return [(SCRIPTS[i % len(SCRIPTS)], case) for i, case in enumerate(cases)]


@pytest.fixture(scope="module")
def ask(cli, small_data, tmp_path_factory):
    """ask(script, out, *flags, cwd=, **environment): a script on its smallest piece of work."""
    forms = tmp_path_factory.mktemp("forms") / "forms"
    write_forms(forms, Options(episodes=1, page_size=Size(448, 320)))
    work = {
        "gelab_static": ["--data", small_data / "eval_ood.jsonl", "--limit", 2],
        "gelab_interactive": ["--world", small_data / "world", "--tasks", small_data / "tasks_ood.jsonl"]
        + ["--attempts", 1, "--max-steps", 1, "--limit", 1],
        "login_eval": ["--data", forms, "--limit", 2],
        "probe": ["--rows", 1, "--limit", 2],
    }

    def ask(script: str, out: Path, *flags: object, **more: object):
        return cli(f"eval/{script}.py", *work[script], "--out", out, "--max-new-tokens", 2, *flags, **more)

    return ask


def refused(done, *texts: str) -> None:
    """Wrong use: exit code 2, one line with these texts."""
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    for text in texts:
        assert text in done.stderr, done.stderr


# ---- models that are none


def put(path: Path, text: str | bytes) -> None:
    """Write a file anew: a copy is made of links."""
    path.unlink(missing_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())


def adapter(folder: Path, base: object, weights: Path) -> Path:
    """The files of a LoRA checkpoint on ``base``."""
    folder.mkdir(parents=True)
    write_json(folder / "adapter_config.json", {"peft_type": "LORA"})
    write_json(folder / "args.json", {"model": str(base)})
    shutil.copy(weights, folder / "adapter_model.safetensors")
    return folder


class Shelf:
    """Copies of a sound model, each damaged in one way: a method's name is the damage, its docstring what is said."""

    def __init__(self, sound: Path, folder: Path):
        self.sound, self.folder = sound, folder

    def copy(self, name: str) -> Path:
        return Path(shutil.copytree(self.sound, self.folder / name, copy_function=os.link))

    def nothing(self):
        """no checkpoint folder; it does not exist: give a folder, or download a hub model first"""
        return self.folder / "nothing"

    def a_file(self):
        """no checkpoint folder; it is a file: give the folder that has its config.json"""
        return self.sound / "config.json"

    def no_config(self):
        """no checkpoint folder; it has no config.json: give the folder that has one"""
        (self.copy("no_config") / "config.json").unlink()
        return self.folder / "no_config"

    def output_folder(self):
        """no checkpoint folder; checkpoint-100 lies inside: give"""
        for step in (9, 20, 100):
            self.copy(f"output_folder/checkpoint-{step}")
        (self.folder / "output_folder" / "checkpoint-200").mkdir()  # a killed one
        return self.folder / "output_folder"

    def output_folder_with_versions(self):
        """no checkpoint folder; v0-1/checkpoint-5 lies inside: give"""
        self.copy("output_folder_with_versions/v0-1/checkpoint-5")
        return self.folder / "output_folder_with_versions"

    def half_a_config(self):
        """config.json: not JSON ("""
        put(self.copy("half_a_config") / "config.json", '{"model_type": ')
        return self.folder / "half_a_config"

    def config_of_no_kind(self):
        """config.json: names no model_type; copy or download the file again"""
        put(self.copy("config_of_no_kind") / "config.json", "{}")
        return self.folder / "config_of_no_kind"

    def config_in_a_list(self):
        """config.json: it is a list of 0, expected `object`; copy or download the file again"""
        put(self.copy("config_in_a_list") / "config.json", "[]")
        return self.folder / "config_in_a_list"

    def no_processor(self):
        """no preprocessor_config.json, so it cannot see; copy the files of processor and tokenizer"""
        folder = self.copy("no_processor")
        (folder / "preprocessor_config.json").unlink(), (folder / "processor_config.json").unlink()
        return folder

    def no_tokenizer(self):
        """no tokenizer.json, so it cannot read; copy the files of processor and tokenizer"""
        (self.copy("no_tokenizer") / "tokenizer.json").unlink()
        return self.folder / "no_tokenizer"

    def half_a_tokenizer(self):
        """tokenizer.json: not JSON ("""
        path = self.copy("half_a_tokenizer") / "tokenizer.json"
        put(path, path.read_bytes()[:1000])
        return path.parent

    def no_weights(self):
        """all weights are missing; download the checkpoint again"""
        (self.copy("no_weights") / "model.safetensors").unlink()
        return self.folder / "no_weights"

    def a_missing_part_of_the_weights(self):
        """1 weights are missing; download the checkpoint again"""
        folder = self.copy("a_missing_part_of_the_weights")
        names = [*model_folder.weight_shapes(folder), "lm_head.weight.of_part_2"]
        write_json(folder / "model.safetensors.index.json", {"weight_map": dict.fromkeys(names, "x")})
        return folder

    def half_the_weights(self):
        """copy or download it again"""
        path = self.copy("half_the_weights") / "model.safetensors"
        put(path, path.read_bytes()[:-1000])
        return path.parent

    def weights_that_are_a_web_page(self):
        """model.safetensors: its head cannot be read; copy or download the file again"""
        put(self.copy("weights_that_are_a_web_page") / "model.safetensors", "<html>502</html>" * 99)
        return self.folder / "weights_that_are_a_web_page"

    def weights_of_a_pointer(self):
        """model.safetensors: its head cannot be read; copy or download the file again"""
        put(self.copy("weights_of_a_pointer") / "model.safetensors", "version https://git-lfs.github.com/spec/v1\n")
        return self.folder / "weights_of_a_pointer"

    def weights_without_a_byte(self):
        """model.safetensors: its head cannot be read; copy or download the file again"""
        put(self.copy("weights_without_a_byte") / "model.safetensors", "")
        return self.folder / "weights_without_a_byte"

    def weights_whose_head_is_a_list(self):
        """model.safetensors: its head cannot be read; copy or download the file again"""
        put(self.copy("weights_whose_head_is_a_list") / "model.safetensors", (2).to_bytes(8, "little") + b"[]")
        return self.folder / "weights_whose_head_is_a_list"

    def another_kind_of_model(self):
        """model type 'llava' has no template of ours; name one with --template"""
        folder = self.copy("another_kind_of_model")
        put(folder / "config.json", json.dumps(read_json(self.sound / "config.json") | {"model_type": "llava"}))
        return folder

    def adapter_on_nothing(self):
        """its base /somewhere/else/model is not there; write where it is now into"""
        return self.adapter("adapter_on_nothing", "/somewhere/else/model")

    def adapter_without_args(self):
        """args.json: no such file, so nothing names the adapter's base; copy it from the training's output"""
        folder = self.adapter("adapter_without_args", self.sound)
        (folder / "args.json").unlink()
        return folder

    def adapter_that_names_no_base(self):
        """args.json: names no base; write its folder there as "model\""""
        folder = self.adapter("adapter_that_names_no_base", self.sound)
        write_json(folder / "args.json", {"template": "gelab_qwen2_5_vl"})
        return folder

    def adapter_on_a_damaged_base(self):
        """half_base: no tokenizer.json, so it cannot read"""
        (self.copy("half_base") / "tokenizer.json").unlink()
        return self.adapter("adapter_on_a_damaged_base", self.folder / "half_base")

    def adapter_without_weights(self):
        """no adapter_model.safetensors; copy it from the training's output"""
        folder = self.adapter("adapter_without_weights", self.sound)
        (folder / "adapter_model.safetensors").unlink()
        return folder

    def adapter_on_either_of_two(self):
        """its base twin may be"""
        self.copy("two/twin"), self.copy("two/run/twin")
        return self.adapter("two/run/adapter_on_either_of_two", "twin")

    def adapter(self, name: str, base: object) -> Path:
        return adapter(self.folder / name, base, self.sound / "model.safetensors")


DAMAGES = [name for name, value in vars(Shelf).items() if callable(value) and value.__doc__ and name != "adapter"]


@pytest.fixture(scope="module")
def shelf(tiny_model, tmp_path_factory) -> dict[str, Path]:
    """Damage -> folder."""
    shelf = Shelf(tiny_model, tmp_path_factory.mktemp("damaged"))
    return {name: getattr(shelf, name)() for name in DAMAGES}


@pytest.mark.parametrize("script, damage", in_turn(DAMAGES))
def test_a_damaged_model_is_one_line_and_no_run(ask, shelf, tmp_path, script, damage):
    refused(ask(script, tmp_path / "out", "--engine", "transformers", "--model", shelf[damage]), _said(damage))
    assert not (tmp_path / "out").exists()


def _said(damage: str) -> str:
    return getattr(Shelf, damage).__doc__


@pytest.mark.parametrize("script", SCRIPTS)
def test_after_a_refusal_the_folder_is_free(ask, shelf, tmp_path, script):
    for damage in ("no_processor", "adapter_on_nothing"):
        refused(ask(script, tmp_path / "out", "--engine", "transformers", "--model", shelf[damage]))
    done = ask(script, tmp_path / "out", "--engine", "oracle")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "metrics.json").is_file()


@pytest.mark.parametrize(
    "damage", ["output_folder", "no_processor", "half_a_tokenizer", "adapter_on_nothing", "adapter_without_weights"]
)
def test_the_doctor_says_the_same(cli, shelf, small_data, damage):
    """As wrong use or as a fault with a fix."""
    done = cli("tools/doctor.py", "--model", shelf[damage], "--data", small_data, "--rows", 1)
    said = done.stdout + done.stderr
    assert done.returncode in (1, 2) and "Traceback" not in said, said
    assert _said(damage).partition("; ")[0] in said, said


def test_what_is_given_as_the_fix_works(shelf):
    """The checkpoint that lies inside, as the line has it."""
    with pytest.raises(DataError) as error:
        model_folder.base_folder(str(shelf["output_folder"]))
    model_folder.check_checkpoint(Path(re.search(r"give (\S+)$", str(error.value))[1]))


# ---- adapters


def test_a_relative_base_is_found_wherever_one_stands(tiny_model, tmp_path, monkeypatch):
    """Training was started in tmp_path with --model models/m; evaluation starts elsewhere."""
    base = Path(shutil.copytree(tiny_model, tmp_path / "models" / "m", copy_function=os.link))
    folder = adapter(tmp_path / "runs" / "lora" / "checkpoint-3", "models/m", base / "model.safetensors")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for place in (tmp_path, elsewhere, folder):
        monkeypatch.chdir(place)
        assert Path(model_folder.base_of(folder)).samefile(base)
    write_json(folder / "args.json", {"model": "../../../models/m"})  # from the adapter's own folder
    assert Path(model_folder.base_of(folder)).samefile(base)
    monkeypatch.chdir(base)
    write_json(folder / "args.json", {"model": "."})
    assert Path(model_folder.base_of(folder)).samefile(base)


def test_a_base_of_a_hub_stays_a_name(tmp_path):
    folder = adapter(tmp_path / "lora", "Qwen/Qwen2.5-VL-7B-Instruct", Path(__file__))
    assert model_folder.base_and_adapters(str(folder)) == ("Qwen/Qwen2.5-VL-7B-Instruct", [str(folder)])


# ---- hub names

NAME = "Qwen/Qwen2.5-VL-7B-Instruct"
OFFLINE = [
    {"HF_HUB_OFFLINE": "1"},
    {"TRANSFORMERS_OFFLINE": "1"},
    {"USE_HF": "1", "HF_ENDPOINT": "http://127.0.0.1:9"},
    {"MODELSCOPE_ENDPOINT": "http://127.0.0.1:9"},
]


@pytest.mark.parametrize(
    "script, environment", in_turn(OFFLINE), ids=lambda value: value if isinstance(value, str) else " ".join(value)
)
def test_a_hub_name_without_a_hub_is_one_quick_line(ask, tmp_path, script, environment):
    begun = time.monotonic()
    caches = {"HF_HOME": str(tmp_path / "hf"), "MODELSCOPE_CACHE": str(tmp_path / "ms"), "NO_PROXY": "127.0.0.1"}
    done = ask(script, tmp_path / "out", "--engine", "transformers", "--model", NAME, **caches, **environment)
    refused(done, f"{NAME}: no folder here, and no hub to ask (", f"hf download {NAME}")
    assert time.monotonic() - begun < 30 and not (tmp_path / "out").exists()


def test_whose_base_a_hub_name_is(ask, tmp_path):
    folder = adapter(tmp_path / "lora", NAME, Path(__file__))
    done = ask("gelab_static", tmp_path / "out", "--engine", "transformers", "--model", folder, HF_HUB_OFFLINE="1")
    refused(done, f"{folder}: its base {NAME}: no folder here, and no hub to ask (HF_HUB_OFFLINE is set)")


class Hub(BaseHTTPRequestHandler):
    """Knows no model."""

    def do_GET(self):
        self.send_error(404)

    do_HEAD = do_POST = do_GET

    def log_message(self, *_): ...


@pytest.mark.slow  # loads torch and ms-swift
@pytest.mark.parametrize("name", ["HF_ENDPOINT", "MODELSCOPE_ENDPOINT"])
def test_a_hub_that_does_not_know_the_name(ask, tmp_path, name):
    server = HTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    given = {name: f"http://127.0.0.1:{server.server_address[1]}", "NO_PROXY": "127.0.0.1"}
    given |= {"HF_HOME": str(tmp_path / "hf"), "MODELSCOPE_CACHE": str(tmp_path / "ms")}
    try:
        hub = {"USE_HF": "1"} if name == "HF_ENDPOINT" else {}
        done = ask("probe", tmp_path / "out", "--engine", "transformers", "--model", NAME, **given, **hub)
    finally:
        server.shutdown()
        server.server_close()
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
    assert f"{NAME}: no folder here, and the hub did not give it (" in done.stderr.splitlines()[-1]
    assert not (tmp_path / "out").exists()


def test_a_model_that_was_downloaded_needs_no_hub(eval_module, tiny_model, tmp_path, monkeypatch):
    """Hugging Face's own layout of its cache; a broken download is no copy."""
    hub = eval_module("hub")
    monkeypatch.setenv("USE_HF", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    kept = tmp_path / "models--a--b"
    shutil.copytree(tiny_model, kept / "snapshots" / "1", copy_function=os.link)
    (kept / "refs").mkdir()
    (kept / "refs" / "main").write_text("1")
    assert Path(hub.folder_of("a/b", str)).samefile(kept / "snapshots" / "1")
    (kept / "snapshots" / "1" / "model.safetensors").unlink()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(DataError, match="a/b: no folder here, and no hub to ask"):
        hub.folder_of("a/b", str)


# ---- values that a model is asked with

ANSWER = {"idx": 0, "messages": [{"role": "user", "content": "?"}, {"role": "assistant", "content": "A"}]}
PARTS = [{"type": "text", "text": "A"}]
VALUES = {
    "template": (["--engine", "transformers", "--template", "nope"], {}, "--template nope: unknown; give one like"),
    "MAX_PIXELS": (["--engine", "transformers"], {"MAX_PIXELS": "abc"}, "MAX_PIXELS=abc in the environment: not a n"),
    "no pixels": (["--engine", "transformers"], {"MAX_PIXELS": "0"}, "MAX_PIXELS=0 in the environment: not a number"),
    "price": (
        ["--engine", "openai", "--price", "nan", "1"],
        {"OPENAI_API_KEY": "x"},
        "--price nan: must be a number",
    ),
}


@pytest.mark.parametrize("script, value", [*in_turn(VALUES), ("gelab_static", "MAX_PIXELS"), ("probe", "MAX_PIXELS")])
def test_a_wrong_value_is_one_line_and_no_run(ask, tiny_model, tmp_path, script, value):
    flags, environment, line = VALUES[value]
    done = ask(script, tmp_path / "out", *flags, "--model", tiny_model, **environment)
    assert done.returncode == 2 and line in done.stderr.splitlines()[-1], done.stderr
    assert "Traceback" not in done.stderr and not (tmp_path / "out").exists()


REPLAYED = {
    "nothing": (None, "no such file"),
    "no JSON": ("<html>", ":1: not a JSON object"),
    "rows": ([ANSWER], ":1: row: has no 'key'; give a run's predictions.jsonl or trajectories.jsonl"),
    "no question": ([{"idx": 0, "prediction": "A"}], ":1: row: has no 'messages'; give a run's predictions.jsonl"),
    "parts": (
        [ANSWER | {"prediction": PARTS}],
        ":1: row: prediction is a list of 1, expected `str`",
    ),
    "turns of another kind": (
        [{"key": "0/0", "turns": [{"said": "A"}]}],
        ":1: row: turns[0] has no 'answer'; give a run's",
    ),
}


@pytest.mark.parametrize("script, replayed", [("gelab_static", name) for name in REPLAYED] + [("login_eval", "rows")])
def test_a_file_that_cannot_be_replayed(ask, tmp_path, script, replayed):
    content, line = REPLAYED[replayed]
    path = tmp_path / "predictions.jsonl"
    if isinstance(content, list):
        write_rows(path, content)
    elif content:
        path.write_text(content)
    refused(ask(script, tmp_path / "out", "--engine", "replay", "--model", path), f"{path}", line)
    assert not (tmp_path / "out").exists()


ROWS = [
    ([], ": holds no rows; name training rows with --train-rows"),
    (
        [{"messages": [{"role": "user", "content": "?"}]}],
        ":1: row: messages is a list of 1, expected `array` of length >= 2",
    ),
    ([{"text": "?"}], ":1: row: has no 'messages'; name training rows with --train-rows"),
]


@pytest.mark.parametrize("rows, line", ROWS)
def test_training_rows_that_the_blind_cannot_read(ask, tmp_path, rows, line):
    write_rows(tmp_path / "rows.jsonl", rows)
    done = ask("gelab_static", tmp_path / "out", "--engine", "blind", "--train-rows", tmp_path / "rows.jsonl")
    refused(done, f"rows.jsonl{line}")
    assert not (tmp_path / "out").exists()


# ---- the corrected command


@pytest.mark.slow  # loads torch and ms-swift
@pytest.mark.parametrize("script", SCRIPTS)
def test_the_corrected_command_runs(ask, shelf, tiny_model, tmp_path, script):
    refused(ask(script, tmp_path / "out", "--engine", "transformers", "--model", shelf["output_folder"]))
    done = ask(script, tmp_path / "out", "--engine", "transformers", "--model", tiny_model, OMP_NUM_THREADS="1")
    assert done.returncode == 0, done.stderr[-2000:]
    assert read_json(tmp_path / "out" / "run.json")["model"]["name"] == str(tiny_model)


@pytest.mark.slow
def test_an_adapter_runs_once_its_base_is_named(ask, tiny_model, tmp_path):
    """A real LoRA checkpoint whose base was moved: refused, then fixed as the line says, then run from elsewhere."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForImageTextToText

    model = AutoModelForImageTextToText.from_pretrained(tiny_model)
    folder = tmp_path / "lora" / "checkpoint-1"
    get_peft_model(model, LoraConfig(r=2, target_modules=["q_proj"])).save_pretrained(folder)
    args = {"model": str(tmp_path / "old"), "template": "gelab_qwen2_5_vl", "swift_version": "4.0.0"}
    write_json(folder / "args.json", args)
    start = ["gelab_static", tmp_path / "out", "--engine", "transformers", "--model", folder]
    refused(ask(*start), "is not there; write where it is now into")
    shutil.copytree(tiny_model, tmp_path / "moved", copy_function=os.link)
    write_json(folder / "args.json", args | {"model": "moved"})  # relative to where the adapter's folder lies
    done = ask(*start, OMP_NUM_THREADS="1")
    assert done.returncode == 0, done.stderr[-2000:]
    assert len(read_rows(tmp_path / "out" / "predictions.jsonl")) == 2


@pytest.mark.slow
def test_what_no_look_at_files_can_tell_is_one_line_too(ask, tiny_model, tmp_path):
    """Weights of other sizes than config.json says."""
    folder = Path(shutil.copytree(tiny_model, tmp_path / "model"))
    config = read_json(folder / "config.json")
    config["text_config"]["hidden_size"] = 96
    write_json(folder / "config.json", config)
    done = ask("probe", tmp_path / "out", "--engine", "transformers", "--model", folder)
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
    assert f"{folder}: the model cannot be loaded (" in done.stderr.splitlines()[-1]


@pytest.mark.slow  # loads torch and ms-swift
def test_a_run_is_not_continued_on_another_device_or_version(cli, tiny_model, small_data, tmp_path):
    """Sums in bfloat16, or by another torch, would mix with those that are there."""
    run = tmp_path / "out"
    data = ["--engine", "transformers", "--model", tiny_model, "--data", small_data / "eval_ood.jsonl", "--out", run]
    ask = [*data, "--limit", 2, "--max-new-tokens", 2]
    assert cli("eval/gelab_static.py", *ask).returncode == 0
    record = read_json(run / "run.json")
    assert record["runs_on"].keys() == {"device", "dtype", "torch", "transformers", "ms-swift"}
    write_json(run / "run.json", record | {"runs_on": record["runs_on"] | {"dtype": "float16"}})
    done = cli("eval/gelab_static.py", *ask)
    assert done.returncode == 2 and "holds a run with another runs_on; " in done.stderr.splitlines()[-1]
