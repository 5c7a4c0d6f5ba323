"""Every recipe that calls swift, run against a fake swift that tells what it was given.

What a recipe says is checked against the installed ms-swift itself: its argument classes, datasets and templates.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import fake_programs
import pytest
from fake_programs import ROWS, write_rows

RECIPES = Path(__file__).resolve().parents[1] / "recipes"
CALLS_SWIFT = re.compile(r"^\s*swift (\w+)", re.MULTILINE)
SCRIPTS = sorted(RECIPES.rglob("*.sh"))
TEXT = {
    path: fake_programs.page(path).read_text() for path in SCRIPTS
}  # an old path is as good as the page that it starts
CALLING = [path for path in SCRIPTS if CALLS_SWIFT.search(TEXT[path])]
TRAINING = [path for path in CALLING if CALLS_SWIFT.search(TEXT[path])[1] in ("sft", "rlhf")]
RL = [path for path in TRAINING if "swift rlhf" in TEXT[path]]
EXTRA = ["--seed", "125", "--max_model_len", "77"]
# Set by users; a test must see the recipes' own defaults.
USERS = ("MODEL", "GELAB_DATA", "OUTPUT", "NPROC_PER_NODE", "RESUME", "MAX_PIXELS", "TEMPLATE", "ADAPTER", "ENGINE")
USERS += ("SCENARIO", "GPUS", "CUDA_VISIBLE_DEVICES")
USERS += ("NNODES", "NODE_RANK", "MASTER_ADDR", "GUARD_STEPS", "SERVER_HOST", "SERVER_PORT", "LOGIN_DATA", "SIGHT_DATA")

FAKE_SWIFT = """#!{python} -S
import json, os, sys
print(json.dumps({{"argv": sys.argv[1:], "env": dict(os.environ)}}))
"""


def name(path: Path) -> str:
    return path.relative_to(RECIPES).as_posix()


every_recipe = pytest.mark.parametrize("recipe", CALLING, ids=name)
every_training = pytest.mark.parametrize("recipe", TRAINING, ids=name)
every_rl = pytest.mark.parametrize("recipe", RL, ids=name)


@pytest.fixture
def home(tmp_path) -> Path:
    return fake_programs.clone(tmp_path)


@pytest.fixture
def run(tmp_path, home):
    """run(recipe, *flags, **environment) -> the finished process, started in a folder that is not the repository.

    All that the GPU recipes need is installed, and rows lie where the recipes look for them.
    """
    fake = tmp_path / "bin" / "swift"
    fake.parent.mkdir()
    fake.write_text(FAKE_SWIFT.format(python=sys.executable))
    fake.chmod(0o755)
    packages = fake_programs.packages(tmp_path)

    def start(recipe, *flags, **environment):
        clean = {key: value for key, value in os.environ.items() if key not in USERS}
        clean |= {"PATH": f"{fake.parent}:{clean['PATH']}", "PYTHONPATH": packages}
        command = ["bash", str(home / "recipes" / name(recipe)), *flags]
        done = subprocess.run(command, env=clean | environment, cwd=tmp_path, capture_output=True, text=True)
        done.stderr = fake_programs.without_notice(recipe, done.stderr)
        return done

    return start


@pytest.fixture
def told(run):
    """told(recipe, ...) -> {"argv": [...], "env": {...}} as swift got them."""

    def start(*args, **environment):
        done = run(*args, **environment)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return start


def flags(argv: list[str]) -> dict[str, list[str]]:
    """["sft", "--a", "1", "2"] -> {"a": ["1", "2"]}; a flag given twice is an error."""
    found: dict[str, list[str]] = {}
    for word in argv[1:]:
        if word.startswith("--"):
            assert word[2:] not in found, f"{word} stands twice"
            found[word[2:]] = values = []
        else:
            values.append(word)
    return found


def test_there_are_recipes():
    assert {"gelab/sft.sh", "gelab/sft_lora.sh", "gelab/mt_rl_server.sh", "login/som.sh"} <= {
        name(path) for path in CALLING
    }
    assert {name(path) for path in RL} == {"gelab/st_rl.sh", "gelab/mt_rl.sh", "gelab/mt_rl_train.sh", "login/rl.sh"}


@every_recipe
def test_overrides_come_last(told, recipe):
    assert told(recipe, *EXTRA)["argv"][-4:] == EXTRA


@every_recipe
def test_ms_swift_knows_every_flag_and_the_last_one_wins(told, tool_module, recipe):
    parsed, unknown = tool_module("recipe_flags").parse(told(recipe, *EXTRA)["argv"])
    assert (unknown, parsed.seed, parsed.max_model_len) == ([], 125, 77)


FLOAT32 = "--torch_dtype float32 --bf16 true --fp16 false".split()  # ms-swift turns fp16 on for float32 weights
OURS = [path for path in TRAINING if "training_machine" in TEXT[path]]


@pytest.mark.parametrize("recipe", OURS, ids=name)
def test_one_gpu_is_one_variable(told, recipe):
    """No package of requirements-gpu.txt but vLLM, float32 weights where all are trained; the rest as it was."""
    usual, alone = told(recipe)["argv"], told(recipe, GPUS="1")["argv"]
    more = alone[len(usual) :]
    assert alone[: len(usual)] == usual and more[:4] == ["--deepspeed", "", "--attn_impl", "sdpa"]
    assert more[4:] == (FLOAT32 if "full" in flags(usual)["tuner_type"] else [])
    assert told(recipe, "--attn_impl", "eager", GPUS="1")["argv"] == [*alone, "--attn_impl", "eager"]


@pytest.mark.parametrize("recipe", OURS, ids=name)
def test_one_process_sees_one_gpu(told, recipe):
    """Over several that it sees, ms-swift would spread the model layer by layer."""

    def seen(**environment):
        return told(recipe, **environment)["env"].get("CUDA_VISIBLE_DEVICES")

    assert seen() == "0" and seen(NPROC_PER_NODE="2") is None
    assert [seen(CUDA_VISIBLE_DEVICES=given) for given in ("", "3", "1,2")] == ["", "3", "1,2"]


@every_recipe
def test_names_are_registered(told, recipe):
    from swift.dataset import DATASET_MAPPING
    from swift.template import TEMPLATE_MAPPING

    import swift_plugins.register  # noqa: F401  (importing it registers)

    given = flags(told(recipe)["argv"])
    assert set(given.get("dataset", [])) - set(DATASET_MAPPING) == set()
    assert set(given["template"]) - set(TEMPLATE_MAPPING) == set()


@every_rl
def test_rl_names_are_registered(told, recipe):
    from swift.callbacks.mapping import callbacks_map
    from swift.rewards import orms
    from swift.rollout.multi_turn import multi_turns

    import swift_plugins.register  # noqa: F401  (importing it registers)

    given = flags(told(recipe)["argv"])
    assert set(given["reward_funcs"]) - set(orms) == set()
    assert set(given["callbacks"]) - set(callbacks_map) == set()
    assert set(given.get("multi_turn_scheduler", [])) - set(multi_turns) == set()
    assert len(given["reward_weights"]) == len(given["reward_funcs"])


@every_recipe
def test_plugins_are_given_by_absolute_path(told, recipe):
    (plugin,) = flags(told(recipe)["argv"])["external_plugins"]
    assert os.path.isabs(plugin) and os.path.isfile(plugin)


# What all stages of a benchmark must agree on. No --system anywhere: the system prompt is the template's.
CONTRACT = ("template", "strict", "check_model", "add_version", "split_dataset_ratio", "seed", "system")


def contract(told, recipe: Path) -> dict:
    said = told(recipe)
    given = flags(said["argv"])
    return {"MAX_PIXELS": said["env"]["MAX_PIXELS"]} | {flag: given.get(flag) for flag in CONTRACT}


@every_training
def test_contract_values_are_equal(told, recipe):
    first = next(path for path in TRAINING if path.parent == recipe.parent)
    assert contract(told, recipe) == contract(told, first)


@every_training
def test_contract_values(told, recipe):
    found = contract(told, recipe)
    assert found["system"] is None
    assert (found["strict"], found["check_model"], found["add_version"]) == (["true"], ["false"], ["false"])
    if recipe.parent.name == "gelab":
        assert (found["MAX_PIXELS"], found["template"]) == (str(448 * 448), ["gelab_qwen2_5_vl"])
    if recipe.parent.name == "login":
        assert (found["MAX_PIXELS"], found["template"]) == (str(800 * 608), ["login_qwen3_vl"])


@every_training
def test_max_length_holds_a_row(told, recipe):
    # 256 image tokens, a system prompt of about 250, a history of seven steps and the answer stay below 1,000
    (length,) = flags(told(recipe)["argv"]).get("max_length", ["2048"])
    assert int(length) >= 2048


# The YAML files of the benchmark document, and what its trainer adds: the same for all, then file by file.
LOGIN = {"model": "Qwen/Qwen3-VL-2B-Instruct", "tuner_type": "lora", "lora_rank": "8", "lora_alpha": "16"}
LOGIN |= {"lora_dropout": "0.05", "lora_bias": "none", "target_modules": "q_proj v_proj", "adam_beta2": "0.999"}
LOGIN |= {"per_device_train_batch_size": "1", "gradient_accumulation_steps": "1", "lr_scheduler_type": "linear"}
EACH = ("num_train_epochs", "learning_rate", "warmup_ratio", "weight_decay", "max_grad_norm", "logging_steps")
LOGIN_EACH = {
    "coord": (4, 1e-4, 0.03, 0, 1.0, 1),
    "som": (2, 5e-5, 0.1, 0.01, 0.5, 10),
    "registration_som": (2, 5e-5, 0.1, 0.01, 0.5, 10),
}


@pytest.mark.parametrize("recipe", LOGIN_EACH)
def test_login_values_are_the_documents(told, recipe):
    given = {flag: " ".join(values) for flag, values in flags(told(RECIPES / "login" / f"{recipe}.sh")["argv"]).items()}
    assert {flag: given[flag] for flag in LOGIN} == LOGIN
    assert tuple(float(given[flag]) for flag in EACH) == LOGIN_EACH[recipe]


@pytest.mark.parametrize("room, recipe", [("gelab", "sft"), ("login", "som")])
def test_runs_lie_apart(told, home, room, recipe):
    given = flags(told(RECIPES / room / f"{recipe}.sh")["argv"])
    assert given["output_dir"] == [str(home / "runs" / room / recipe)]


@every_training
def test_frozen_parts_are_explicit(told, recipe):
    assert {"freeze_vit", "freeze_aligner", "freeze_llm"} <= set(flags(told(recipe)["argv"]))


@every_training
def test_machine_values_come_from_the_environment(told, home, tmp_path, recipe):
    for folder in (tmp_path / "rows", *(home / "runs" / place for place in ROWS)):
        write_rows(folder, 12544)
    said = told(
        recipe, MODEL="my/model", OUTPUT="out", GELAB_DATA="rows", MAX_PIXELS="12544", TEMPLATE="gelab_qwen3_vl"
    )
    given = flags(said["argv"])
    assert (given["model"], given["output_dir"], given["template"]) == (["my/model"], ["out"], ["gelab_qwen3_vl"])
    assert (said["env"]["GELAB_DATA"], said["env"]["MAX_PIXELS"]) == ("rows", "12544")


@pytest.fixture
def checkpoint(tmp_path) -> str:
    folder = tmp_path / "checkpoint-4"
    folder.mkdir()
    (folder / "trainer_state.json").touch()
    return str(folder)


@every_training
def test_resume(told, recipe, checkpoint):
    """A full-weight run also needs the checkpoint as its model: ms-swift restores all but the weights from it."""
    given = flags(told(recipe, RESUME=checkpoint, MODEL="base")["argv"])
    assert given["resume_from_checkpoint"] == [checkpoint]
    assert given["model"] == [checkpoint if given["tuner_type"] == ["full"] else "base"]
    assert "resume_from_checkpoint" not in flags(told(recipe)["argv"])


@every_training
def test_resume_from_nothing_is_one_line(run, recipe):
    done = run(recipe, RESUME="nowhere")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith("RESUME=nowhere: no trainer_state.json there")


@every_rl
def test_rl_goes_on_from_a_lora_adapter(told, recipe, checkpoint):
    given = flags(told(recipe, ADAPTER="sft/checkpoint-9", MODEL="base")["argv"])
    assert (given["model"], given["tuner_type"], given["adapters"]) == (["base"], ["lora"], ["sft/checkpoint-9"])
    assert given["ref_adapters"] == given["adapters"]  # or KL would be measured against the base model
    assert "gui_no_dropout" in given["callbacks"]  # or KL would be above 0 from the start
    resumed = flags(told(recipe, ADAPTER="sft/checkpoint-9", MODEL="base", RESUME=checkpoint)["argv"])
    assert resumed == given | {"resume_from_checkpoint": [checkpoint]}


@every_rl
def test_kl_is_measured_against_the_start_after_a_resume_too(told, recipe, checkpoint):
    assert flags(told(recipe, RESUME=checkpoint, MODEL="base")["argv"])["ref_model"] == ["base"]


@every_rl
def test_groups_fill_the_batch(told, recipe):
    """On any number of GPUs: ms-swift refuses a batch that is no multiple of the group."""
    given = {flag: values[0] for flag, values in flags(told(recipe)["argv"]).items() if values}
    assert int(given["per_device_train_batch_size"]) % int(given["num_generations"]) == 0


PAGES = [path for path in SCRIPTS if fake_programs.page(path) == path]


def test_an_old_path_is_the_new_page(told):
    """With its variable, whatever stands in the environment; the folders of its runs stay."""
    moved = [path for path in SCRIPTS if path not in PAGES]
    assert list(map(name, moved)) == ["gelab/mt_rl_train.sh", "login/registration_som.sh"]
    for path, variable, value in zip(moved, ("ENGINE", "SCENARIO"), ("server", "registration"), strict=True):
        assert len(path.read_text().splitlines()) == 4
        old = told(path, *EXTRA, **{variable: "other"})
        new = told(fake_programs.page(path), *EXTRA, **{variable: value})
        folder = fake_programs.value(old, "--output_dir")
        assert folder.endswith(f"/runs/{name(path).removesuffix('.sh')}")
        assert [folder if word.endswith("/gelab/mt_rl") else word for word in new["argv"]] == old["argv"]
        seen = ("LOGIN_DATA", "MAX_PIXELS", "GUARD_STEPS")
        assert [old["env"].get(key) for key in seen] == [new["env"].get(key) for key in seen]


@pytest.mark.parametrize("recipe", [path for path in PAGES if "\none_of " in TEXT[path]], ids=name)
def test_a_mistyped_word_is_one_line(run, recipe):
    """Of each variable that the page gives a choice of; what is known is named, and nothing starts."""
    choices = re.findall(r"^one_of ([A-Z]+) (.+)$", TEXT[recipe], re.MULTILINE)
    assert choices
    for variable, words in choices:
        done = run(recipe, **{variable: "vlm"})
        known = words.replace(" ", ", ")
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == f"{variable}=vlm: unknown; known are {known}\n"


def test_engines_are_looked_at():
    choices = {
        name(path): re.findall(r"^one_of ENGINE (.+)$", TEXT[path], re.MULTILINE) for path in RL if path in PAGES
    }
    assert choices == {
        "gelab/st_rl.sh": ["vllm transformers"],
        "gelab/mt_rl.sh": ["vllm server transformers"],
        "login/rl.sh": ["vllm transformers"],
    }


@pytest.mark.parametrize("recipe", [path for path in RL if path in PAGES], ids=name)
def test_rl_without_vllm(told, recipe):
    given = flags(told(recipe, ENGINE="transformers")["argv"])
    assert [flag for flag in given if "vllm" in flag or flag == "sleep_level"] == ["use_vllm"]
    assert given["use_vllm"] == ["false"]


def test_server_and_colocate_mode_differ_in_the_engine_only(told):
    def rest(recipe: str) -> dict:
        given = flags(told(RECIPES / "gelab" / recipe)["argv"])
        engine = ("sleep_level", "offload_model", "offload_optimizer", "output_dir")
        return {flag: values for flag, values in given.items() if "vllm" not in flag and flag not in engine}

    assert rest("mt_rl_train.sh") == rest("mt_rl.sh")


def test_server_and_trainer_agree(told):
    server, trainer = (flags(told(RECIPES / "gelab" / f"mt_rl_{side}.sh")["argv"]) for side in ("server", "train"))
    for flag in ("model", "template", "external_plugins", "multi_turn_scheduler", "max_turns", "use_gym_env"):
        assert server[flag] == trainer[flag]
    assert server["vllm_max_model_len"] == trainer["max_length"]
    assert server["port"] == trainer["vllm_server_port"] and trainer["vllm_server_pass_dataset"] == ["true"]


@pytest.mark.parametrize("recipe", [path for path in RL if "mt_rl" in path.name], ids=name)
def test_a_whole_trajectory_fits(told, recipe):
    """Turns of 256 image tokens, about 60 of question, 20 for each step told before, and an answer; 250 of system."""
    given = {flag: values[0] for flag, values in flags(told(recipe)["argv"]).items() if values}
    turns, answer = int(given["max_turns"]), int(given["max_completion_length"])
    longest = 250 + sum(256 + 60 + 20 * told_before + answer for told_before in range(turns))
    assert longest <= int(given["max_length"])
    assert json.loads(given.get("vllm_limit_mm_per_prompt", '{"image": 99}'))["image"] >= turns


@every_recipe
def test_a_second_node_needs_its_rank_and_the_first_ones_address(run, recipe):
    done = run(recipe, NNODES="2")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert run(recipe, NNODES="2", NODE_RANK="1", MASTER_ADDR="10.0.0.1").returncode == 0


@every_recipe
def test_without_swift_the_fix_is_said(tmp_path, home, recipe):
    for tool in ("bash", "dirname", "basename"):
        (tmp_path / tool).symlink_to(shutil.which(tool))
    command = ["bash", str(home / "recipes" / name(recipe))]
    done = subprocess.run(command, env={"PATH": str(tmp_path)}, capture_output=True, text=True)
    line = fake_programs.without_notice(recipe, done.stderr)
    assert (done.returncode, line.count("\n")) == (127, 1)
    assert "make install" in line


@every_recipe
def test_first_line_states_hardware_and_memory(recipe):
    shebang, first = TEXT[recipe].splitlines()[:2]
    assert shebang == "#!/usr/bin/env bash"
    assert re.search(r"Hardware: (CPU|\d+ x \d+ GB GPU).*\d+ GB", first), first


def test_machine_file_holds_no_hyper_parameter():
    text = (RECIPES / "_machine.sh").read_text()
    assert len(text.splitlines()) < 25
    assert not re.search(r"^[^#]*--\w", text, re.MULTILINE)


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="shellcheck is not installed")
@pytest.mark.parametrize("script", SCRIPTS, ids=name)
def test_shellcheck(script):
    done = subprocess.run(["shellcheck", "-x", "-P", "SCRIPTDIR", str(script)], capture_output=True, text=True)
    assert done.stdout == ""
