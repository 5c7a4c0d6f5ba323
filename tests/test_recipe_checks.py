"""Every recipe, also one that is added: what it needs is looked at before anything starts, and told in one line.

The recipes are started in a clone with stand-ins for their programs, which note that they were called.
"""

import re
import shutil
import subprocess
import time
from pathlib import Path

import fake_programs
import pytest

from data_engine.dataset import write_json

RECIPES = fake_programs.REPO / "recipes"
EVERY = sorted(path for path in RECIPES.rglob("*.sh") if not path.name.startswith("_"))
TEXT = {  # an old path is as good as the page that it starts
    path: re.sub(r"(^|\s)#\s.*", "", fake_programs.page(path).read_text(), flags=re.MULTILINE)
    for path in [*EVERY, RECIPES / "_machine.sh", RECIPES / "_gpus.sh"]
}
TRAINING = [path for path in EVERY if re.search(r"^\s*swift (sft|rlhf)", TEXT[path], re.MULTILINE)]
# Read by swift, torchrun or the plugins: looked at in every recipe.
MACHINE = ("NPROC_PER_NODE", "NNODES", "NODE_RANK", "MASTER_PORT", "MAX_PIXELS", "OMP_NUM_THREADS", "GUARD_STEPS")
# A default that is a number, a place in arithmetic, and --limit tell which variables are numbers.
NUMBER = re.compile(r"\$\{([A-Z_]+):-\d+\}|\(\([^)]*?\b([A-Z][A-Z_]+)\b|\$\{(LIMIT):")
NUMERIC = {name for text in TEXT.values() for match in NUMBER.finditer(text) for name in match.groups() if name} - {
    "PAGE_SIZE",
    "SECONDS",  # bash's own clock
}
PAIRS = [
    (path, variable)
    for path in EVERY
    for variable in sorted({*MACHINE, *(v for v in NUMERIC if re.search(rf"\b{v}\b", TEXT[path]))})
]
NO_GPU = ("--deepspeed", "", "--attn_impl", "sdpa", "--torch_dtype", "float32", "--bf16", "true", "--fp16", "false")


def name(path: Path) -> str:
    return path.relative_to(RECIPES).as_posix()


every_recipe = pytest.mark.parametrize("recipe", EVERY, ids=name)
every_training = pytest.mark.parametrize("recipe", TRAINING, ids=name)


@pytest.fixture
def start(tmp_path):
    """start(recipe, *flags, rows=True, packages=True, **environment) -> (calls, finished process), in a clone."""
    home = fake_programs.clone(tmp_path)

    def start(recipe: Path, *flags: str, rows: bool = True, packages: bool = True, **environment: str):
        if not rows:
            for place in fake_programs.ROWS:
                shutil.rmtree(home / "runs" / place)
        given = {"PYTHONPATH": fake_programs.packages(tmp_path)} if packages else {}
        given |= {"WORLD": str(home / "runs/gelab/data"), "MODEL": "hub/model"} if rows else {}
        env = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)} | given | environment
        calls, done = fake_programs.run(tmp_path, [home / "recipes" / name(recipe), *flags], "", env)
        done.stderr = fake_programs.without_notice(recipe, done.stderr)
        return calls, done

    return start


def refused(started) -> str:
    """The line of a recipe that started nothing."""
    calls, done = started
    assert (calls, done.returncode, done.stdout) == ([], 2, ""), done.stderr
    assert done.stderr.count("\n") == 1 and re.match(r"[\w -]+(=.*?)?: .+; .+\n", done.stderr), done.stderr
    return done.stderr


def test_there_are_recipes_and_numbers():
    assert len(EVERY) >= 17 and len(TRAINING) == 10
    assert {
        "STEPS",
        "LIMIT",
        "CURVE",
        "EPISODES",
        "SEED",
        "EVAL_SEED",
        "TOKENS",
        "BATCH",
        "ATTEMPTS",
        "PROBE",
    } <= NUMERIC
    assert {"NNODES", "MAX_PIXELS", "SERVER_PORT", "OMP_NUM_THREADS", "GUARD_STEPS"} <= NUMERIC | set(MACHINE)


@pytest.mark.parametrize("recipe, variable", PAIRS, ids=lambda value: value if isinstance(value, str) else name(value))
def test_what_is_no_number_is_refused_before_arithmetic_runs_it(start, tmp_path, recipe, variable):
    for value in (f"PATH[$(touch {tmp_path}/ran)]", "abc", "08", "-1", "1e3", "1\n2"):
        assert f"{variable}=" in refused(start(recipe, **{variable: value}))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "size", ["PATH[$(touch ran)]x1", "1xPATH[$(touch ran)]", "800", "0x0", "100000x100000", "a x b"]
)
def test_what_is_no_page_size(start, tmp_path, size):
    line = refused(start(RECIPES / "login/benchmark.sh", PAGE_SIZE=size))
    assert line == f"PAGE_SIZE={size}: not WIDTHxHEIGHT in pixels; give e.g. 800x608\n"
    assert not list(tmp_path.rglob("ran"))


@pytest.mark.parametrize("price", ["3", "3,15", "a b", "* *"])
def test_what_is_no_price(start, price):
    assert "not two numbers" in refused(start(RECIPES / "login/benchmark.sh", GPT_PRICE=price))


@every_recipe
def test_an_empty_number_is_as_one_that_is_not_set(start, recipe):
    """Programs would read it: torchrun dies of an empty --nproc_per_node."""
    calls, _ = start(recipe, **dict.fromkeys([*MACHINE, "STEPS", "LIMIT"], ""))
    assert calls and not {"NPROC_PER_NODE", "NNODES"} & {k for k, v in calls[0]["env"].items() if not v}


@every_recipe
def test_without_rows_a_recipe_makes_them_or_is_refused(start, recipe):
    before = time.monotonic()
    calls, done = start(recipe, rows=False, MODEL="hub/model")
    if not calls:
        assert re.match(r"(GELAB_DATA|LOGIN_DATA|SIGHT_DATA|WORLD)=.*: no .* there; ", refused((calls, done)))
        assert time.monotonic() - before < 5  # ms-swift alone needs 30 s to be imported
    else:
        first = next(call["argv"] for call in calls if call["argv"][1] != "tools/gpu_report.py")  # looks at the machine
        assert first[0] == "make" or first[1].endswith("make_tiny_model.py") or first[2].endswith((".build", ".write"))


@pytest.mark.parametrize("recipe", [path for path in EVERY if "{MAX_PIXELS:-" in TEXT[path]], ids=name)
def test_rows_of_another_size(start, recipe):
    line = refused(start(recipe, MAX_PIXELS="12544"))
    assert re.match(r"MAX_PIXELS=12544: the rows of .* are for (200704|486400|56320); export MAX_PIXELS=\1\n", line)


def test_all_rows_of_a_command_are_looked_at(start, tmp_path):
    """The user's flags decide: ours of another kind, files of one's own, samples of rows."""
    sft = RECIPES / "gelab/sft.sh"
    assert "WORLDS_DATA=: no manifest.json there; " in refused(start(sft, "--dataset", "worlds/train"))


@pytest.mark.parametrize("dataset", [["my.jsonl"], ["hub/rows"], ["gelab/sft#500", "gelab/sft_chat"]])
def test_rows_that_are_there_or_not_ours(start, dataset):
    calls, done = start(RECIPES / "gelab/sft.sh", "--dataset", *dataset)
    assert done.returncode == 0, done.stderr
    assert calls[0]["argv"][-len(dataset) :] == dataset


@pytest.mark.parametrize("dataset", ["gelab/sft_chat", "gelab/mt_rl", "worlds/eval", "login/tasks", "sight/rows"])
def test_variables_and_commands_are_the_plugins(start, tmp_path, dataset):
    from swift_plugins.gui_datasets import SOURCES

    source, folder = SOURCES[dataset], tmp_path / "rows"
    flags = ("--dataset", dataset)
    line = refused(start(RECIPES / "gelab/sft.sh", *flags, **{source.variable: str(folder)}))
    assert line.startswith(f"{source.variable}={folder}: no manifest.json there; ") and f".{source.command} " in line
    fake_programs.write_rows(folder, 200704)
    (folder / source.file).unlink()
    line = refused(start(RECIPES / "gelab/sft.sh", *flags, packages=False, **{source.variable: str(folder)}))
    assert f": no {source.file} there; " in line


@every_training
def test_a_second_training_does_not_delete_the_first(start, tmp_path, recipe):
    """save_total_limit counts the checkpoints of the first training, and the oldest of all go."""
    output = tmp_path / "output"
    (output / "checkpoint-20").mkdir(parents=True)
    state = output / "checkpoint-20" / "trainer_state.json"
    state.touch()  # what a kill leaves
    assert start(recipe, OUTPUT=str(output))[1].returncode == 0
    state.write_text("{}")
    shutil.rmtree(tmp_path / "packages")
    line = refused(start(recipe, OUTPUT=str(output)))
    assert line.startswith(f"OUTPUT={output}: holds a training") and line.endswith(f"RESUME={state.parent}\n")
    for flags in (["--output_dir", str(output)], [f"--output_dir={output}"]):
        shutil.rmtree(tmp_path / "packages")
        assert refused(start(recipe, *flags)) == line


@pytest.mark.parametrize(
    "flags, environment",
    [
        ([], {"RESUME": "output/checkpoint-20"}),
        ([], {"RESUME": "output/checkpoint-20/"}),
        (["--resume_from_checkpoint", "output/checkpoint-20"], {}),
        (["--add_version", "true"], {}),
        (["--output_dir", "other"], {}),
    ],
)
def test_one_that_goes_on_or_elsewhere_may(start, tmp_path, flags, environment):
    fake_programs.write_rows(tmp_path / "output" / "checkpoint-20", 0)
    (tmp_path / "output" / "checkpoint-20" / "trainer_state.json").write_text("{}")
    calls, done = start(RECIPES / "gelab/sft_lora.sh", *flags, OUTPUT="output", **environment)
    assert done.returncode == 0 and len(calls) == 1, done.stderr


def test_one_that_goes_on_from_elsewhere_may_not(start, tmp_path):
    for folder in ("output", "other"):
        (tmp_path / folder / "checkpoint-20").mkdir(parents=True)
        (tmp_path / folder / "checkpoint-20" / "trainer_state.json").write_text("{}")
    line = refused(start(RECIPES / "gelab/sft.sh", OUTPUT="output", RESUME="other/checkpoint-20"))
    assert line.startswith("OUTPUT=output: holds a training")


def default(path: Path, flag: str) -> str:
    """The value that a recipe's page gives a flag; empty: none."""
    given = re.search(rf"^\s*--{flag} +(\S+)", TEXT[path], re.MULTILINE)
    return given[1] if given else ""


@every_training
def test_packages_that_are_not_installed(start, recipe):
    """In the order of deepspeed, vllm, flash_attn; what the user's flags do not need is not asked for."""
    needed = [
        flag for flag in ("deepspeed", "use_vllm", "attn_impl") if default(recipe, flag) not in ("", "sdpa", "eager")
    ]
    flags: list[str] = []
    without = {"deepspeed": "", "use_vllm": "false", "attn_impl": "sdpa"}
    packages = {"deepspeed": "deepspeed", "use_vllm": "vllm", "attn_impl": "flash_attn"}
    for flag in needed:
        line = refused(start(recipe, *flags, packages=False))
        assert line.startswith(f"--{flag} ") and f": {packages[flag]} is not installed; " in line
        keeping = (
            ["--torch_dtype", "float32", "--bf16", "true", "--fp16", "false"]
            if flag == "deepspeed" and recipe in FULL
            else []
        )
        instead = " ".join([f"--{flag}", without[flag] or "''", *keeping])
        assert "requirements-gpu.txt" in line and line.endswith(f"or give {instead}\n")
        flags += [f"--{flag}", without[flag], *keeping]
    calls, done = start(recipe, *flags, packages=False)
    assert done.returncode == 0 and len(calls) == 1, done.stderr


@every_training
def test_muon_needs_whole_matrices(start, recipe):
    flags = ["--optimizer", "gui_muon", "--use_vllm", "false", "--attn_impl", "sdpa"]
    for zero in ("zero1", "zero2", "zero3", "zero3_offload"):
        line = refused(start(recipe, *flags, "--deepspeed", zero))
        assert line.startswith(f"--optimizer gui_muon: needs whole matrices, which {zero} cuts; give --deepspeed ''")
    assert start(recipe, *flags, "--deepspeed", "zero0")[1].returncode == 0


def test_the_server_needs_vllm(start):
    assert "vllm is not installed" in refused(start(RECIPES / "gelab/mt_rl_server.sh", packages=False))


def test_a_wrapped_swift_is_not_asked_for_packages(start, tmp_path):
    """A script of another kind: nobody knows which Python is behind it."""
    fake_programs.install(tmp_path / "bin", "")
    wrapper = tmp_path / "wrapper" / "swift"
    wrapper.parent.mkdir()
    wrapper.write_text(f'#!/bin/sh\nexec {tmp_path}/bin/swift "$@"\n')
    wrapper.chmod(0o755)
    env = {"PATH": f"{wrapper.parent}:/usr/bin:/bin", "CALLS": str(tmp_path / "calls")}
    command = ["bash", str(tmp_path / "clone/recipes/gelab/sft.sh")]
    assert subprocess.run(command, env=env, capture_output=True, text=True).returncode == 0


def checkpoint(folder: Path, family: str) -> str:
    write_json(folder / "config.json", {"model_type": family, "text_config": {"model_type": f"{family}_text"}})
    return str(folder)


@every_training
def test_a_checkpoint_of_another_family_and_one_that_is_not_there(start, tmp_path, recipe):
    """ms-swift takes the type that it is told: weights of another family would be replaced by random ones."""
    assert refused(start(recipe, MODEL="/no/such", packages=False)).startswith("MODEL=/no/such: no such folder; ")
    own, other = ("qwen2_5_vl", "qwen3_vl") if recipe.parent.name == "gelab" else ("qwen3_vl", "qwen2_5_vl")
    (tmp_path / "mine").mkdir()
    line = refused(start(recipe, MODEL=checkpoint(tmp_path / "mine", other), packages=False))
    assert re.match(rf"TEMPLATE=\w+_{own}: for {own}, which .* is not; set TEMPLATE to .*_{other}\b", line)
    benchmark = "login" if recipe.parent.name == "login" else "gelab"
    for family in (own, other):
        if recipe.parent.name == "tiny_base" and family == "qwen2_5_vl":
            continue  # qwen3_vl alone
        model, flags = checkpoint(tmp_path / "mine", family), [*NO_GPU, "--use_vllm", "false"]
        calls, done = start(recipe, *flags, packages=False, MODEL=model, TEMPLATE=f"{benchmark}_{family}")
        assert done.returncode == 0, done.stderr
        assert (
            fake_programs.value(calls[0], "--model_type") == family
        )  # the architecture of Qwen3-VL alone is not enough


@every_recipe
def test_the_projects_own_environment_is_found(tmp_path, recipe):
    """Nothing is activated; one that is activated goes first."""
    home = fake_programs.clone(tmp_path)
    fake_programs.install(home / ".venv/bin", "")
    fake_programs.install(tmp_path / "bin", "", "make")
    log = tmp_path / "calls"
    env = {
        "PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin",
        "CALLS": str(log),
        "PYTHONPATH": fake_programs.packages(tmp_path),
    }
    env |= {"WORLD": str(home / "runs/gelab/data"), "MODEL": "hub/model", "RUN": str(tmp_path / "run")}
    command = ["bash", str(home / "recipes" / name(recipe))]
    done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True)
    assert "not found" not in done.stderr
    assert f'"PATH": "{home}/.venv/bin:' in log.read_text().splitlines()[-1]


@every_recipe
def test_without_swift_nothing_starts(tmp_path, recipe):
    """But for those that make the environment themselves."""
    home = fake_programs.clone(tmp_path)
    fake_programs.install(tmp_path / "bin", "", "python", "make")
    log = tmp_path / "calls"
    log.touch()
    env = {"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin", "CALLS": str(log), "MODEL": "hub/model", "RUN": str(tmp_path)}
    command = ["bash", str(home / "recipes" / name(recipe))]
    done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True)
    if recipe.name == "quickstart.sh":
        assert '["make", "-C", ' in log.read_text().splitlines()[0]
    else:
        line = fake_programs.without_notice(recipe, done.stderr)
        assert (done.returncode, done.stdout, log.read_text()) == (127, "", "")
        assert line.startswith("swift not found: run 'make install'") and line.count("\n") == 1


@pytest.mark.parametrize("recipe", [path for path in EVERY if path.name == "quickstart.sh"], ids=name)
def test_quickstarts_set_themselves_up_alike(start, tmp_path, recipe):
    calls, _ = start(recipe)
    assert calls[0]["argv"] == ["make", "-C", str(tmp_path / "clone"), "--no-print-directory", "install"]
    assert calls[1]["env"]["PATH"].startswith(f"{tmp_path / 'clone'}/.venv/bin:")


def test_checkpoints_are_looked_for_in_one_place():
    assert [path for path in EVERY if re.search(r"\b(find|compgen|ls) ", TEXT[path])] == []


def test_the_newest_checkpoint(tmp_path):
    """By number, not by letter; half-written ones are none."""
    for step, text in (("9", "{}"), ("10", "{}"), ("100", "")):
        (tmp_path / f"checkpoint-{step}").mkdir()
        (tmp_path / f"checkpoint-{step}" / "trainer_state.json").write_text(text)
    ask = f'source {RECIPES}/_checks.sh; checkpoints "$1"; echo "<$(newest "$1")> <$(newest "$1" none.json)>"'
    done = subprocess.run(["bash", "-c", ask, "-", str(tmp_path)], capture_output=True, text=True)
    nine, ten = (f"{tmp_path}/checkpoint-{step}" for step in ("9", "10"))
    assert done.stdout == f"{nine}\n{ten}\n<{ten}> <>\n"


FULL = [path for path in TRAINING if "--tuner_type full" in TEXT[path] and "--deepspeed zero3" in TEXT[path]]


@pytest.mark.parametrize("recipe", FULL, ids=name)
def test_weights_that_lose_small_steps_are_refused(start, recipe):
    """In bfloat16 a step of 1e-6 changes 2 % of weights of std 0.02; DeepSpeed and FSDP keep float32 copies."""
    without = ("--deepspeed", "", "--attn_impl", "sdpa")
    assert "--torch_dtype bfloat16 without DeepSpeed: " in refused(start(recipe, *without))
    for keeping in ((), ("--fsdp", "fsdp2"), ("--torch_dtype", "float32")):
        _, done = start(recipe, *(without if keeping else ()), *keeping)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("given", [{"GPUS": "2"}, {"GPUS": "1", "NPROC_PER_NODE": "2"}], ids=str)
def test_one_gpu_is_one(start, given):
    assert refused(start(RECIPES / "gelab/sft.sh", **given)).startswith(f"GPUS={given['GPUS']}")
