"""The pages are true: links, commands, flags, names, sample rows and numbers are those of the code."""

import inspect
import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[1]
ROOMS = ("data_engine", "swift_plugins", "recipes", "recipes/login", "eval", "tools", "assets", "tests")
PAGES = ["README.md", "README_CN.md", "CONTRIBUTING.md", *(f"{room}/README.md" for room in ROOMS)]
RESULTS = (REPO / "recipes" / "RESULTS.md").read_text(encoding="utf-8")
LARGEST = {"README.md": 14_336, "README_CN.md": 8_192}  # bytes
OTHERS = {"--head", "--address", "--generate", "--streaming", "--flag"}  # flags of Ray and ms-swift, and a stand-in
MAP = re.compile(r"<!-- file map.*?<!-- end of the file map -->", re.DOTALL)

every_page = pytest.mark.parametrize("page", PAGES)


@cache
def text_of(page: str) -> str:
    """A page without its file map, which has a test of its own."""
    return MAP.sub("", (REPO / page).read_text(encoding="utf-8"))


def commands(page: str) -> list[str]:
    """The command lines of its bash blocks: joined where they continue, without comments."""
    blocks = re.findall(r"^```bash\n(.*?)^```", text_of(page), re.DOTALL | re.MULTILINE)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [" ".join(line.split(" #")[0].split()) for line in lines if line.strip()]


def names_in(page: str, heading: str, column: int = 1) -> set[str]:
    """Names in backticks in one column of the tables below a heading."""
    section = re.split(r"^#+ ", text_of(page).split(f" {heading}", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]
    rows = re.findall(r"^\| `.*(?!\n\|--)$", section, re.MULTILINE)  # without headings
    cells = [row.split(" | ")[column - 1] for row in rows]
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


@pytest.mark.parametrize("page", LARGEST)
def test_a_page_is_short(page):
    assert (REPO / page).stat().st_size <= LARGEST[page]


@every_page
def test_links_and_pictures_exist(page):
    links = re.findall(r"\]\(([^)\s]+)\)|<img src=\"([^\"]+)\"", text_of(page))
    for link in (markdown or html for markdown, html in links):
        if "://" not in link:
            path, _, anchor = link.partition("#")
            target = (REPO / page).parent / path if path else REPO / page
            assert target.exists(), link
            assert not anchor or anchor in anchors(target.read_text(encoding="utf-8")), link


def anchors(text: str) -> set[str]:
    """GitHub's names of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_links_of_the_results_exist():
    links = re.findall(r"\]\(#([^)]+)\)", RESULTS)
    assert len(links) >= 10 and set(links) <= anchors(RESULTS)


@every_page
def test_commands_name_files_that_exist(page):
    named = re.findall(r"(?:bash|python) ((?:recipes|eval|tools)/[\w./]+\.(?:sh|py))", text_of(page))
    modules = re.findall(r"python -m (data_engine[\w.]+)", text_of(page))
    named += [name.rstrip(".").replace(".", "/") + ".py" for name in modules]
    assert [path for path in named if not (REPO / path).is_file()] == []
    assert named or page in ("assets/README.md", "tests/README.md")


@cache
def help_of(command: str) -> str:
    """``--help`` of a script or module."""
    words = ["-m", command] if command.startswith("data_engine.") else [str(REPO / command)]
    return subprocess.run([sys.executable, *words, "--help"], capture_output=True, text=True, check=True).stdout


def flags_by_command() -> dict[str, set[str]]:
    """Python script or module -> the flags that the pages give it."""
    given: dict[str, set[str]] = {}
    for line in {line for page in PAGES for line in commands(page)}:
        if found := re.search(r"python (?:-m )?(data_engine\.[\w.]+|(?:eval|tools)/\w+\.py)(.*)", line):
            given.setdefault(found[1], set()).update(re.findall(r"(?<=\s)--[\w-]+", found[2]))
    return given


@pytest.mark.parametrize("command", sorted(flags_by_command()))
def test_flags_are_the_commands(command):
    known = set(re.findall(r"--[\w-]+", help_of(command)))
    assert flags_by_command()[command] - known == set()


@cache
def sources() -> str:
    """All code and recipes, in which a flag that a page names must stand."""
    files = [
        p for room in ("data_engine", "swift_plugins", "recipes", "eval", "tools") for p in (REPO / room).rglob("*")
    ]
    return "\n".join(p.read_text(encoding="utf-8") for p in files if p.suffix in (".py", ".sh"))


@every_page
def test_every_flag_stands_in_the_code(page):
    named = set(re.findall(r"(?<![\w-])--[a-z][\w-]+", re.sub(r"\]\([^)]+\)", "", text_of(page))))
    assert [flag for flag in sorted(named - OTHERS) if not re.search(rf"{flag}(?![\w-])", sources())] == []


def test_the_two_commands_come_first():
    for page in "README.md", "README_CN.md":
        assert commands(page)[:2] == ["bash recipes/quickstart.sh", "make test"]


def test_results_name_commits_that_are_recorded():
    assert re.search(r"`[0-9a-f]{7,40}\+?`", RESULTS)
    for page in PAGES:
        for commit in re.findall(r"`([0-9a-f]{7}\+?)`", text_of(page)):
            assert f"`{commit}`" in RESULTS or commit in RESULTS, f"{page}: {commit}"


@every_page
def test_words_of_ours_are_not_used(page):
    assert re.findall(r"\b(?:the host|the peer|spec section|mend|gone on with)\b", text_of(page)) == []


# README_CN.md says what README.md says


def rows_of_numbers(page: str) -> list[list[str]]:
    """The numeric cells of the tables of results."""
    rows = [line.strip("| ").split(" | ") for line in text_of(page).splitlines() if line.startswith("| ")]
    cells = [[cell for cell in row[1:] if re.fullmatch(r"[\d.]+(?: \(\d+ to \d+\))?", cell)] for row in rows]
    return [row for row in cells if row]


def test_the_chinese_page_has_the_same_commands_and_numbers():
    assert [line for line in commands("README_CN.md") if line not in commands("README.md")] == []
    assert rows_of_numbers("README_CN.md") == rows_of_numbers("README.md")
    assert len(rows_of_numbers("README.md")) == 12
    number = r"(?<![\w.`])[+-]?\d[\d.,]*\d|(?<![\w.`])\d(?![\w.])"
    ours = set(re.findall(number, text_of("README.md")))
    assert set(re.findall(number, text_of("README_CN.md"))) - ours == set()


# Names


def test_names_of_the_plugins():
    from swift.callbacks.mapping import callbacks_map
    from swift.optimizers import optimizers_map
    from swift.rewards import orms
    from swift.rollout.multi_turn import multi_turns
    from swift.template import TEMPLATE_MAPPING

    import swift_plugins.register  # noqa: F401  (importing it registers)
    from swift_plugins.gui_datasets import SOURCES

    def ours(names, *starts: str) -> set[str]:
        return {name for name in names if name.startswith(starts)}

    page = "swift_plugins/README.md"
    assert names_in(page, "Datasets: `--dataset`") == set(SOURCES)
    assert names_in(page, "Rewards: `--reward_funcs`") == ours(orms, "gelab_", "login_")
    assert names_in(page, "Schedulers: `--multi_turn_scheduler`") - {"step_rewards", "total_reward"} >= ours(
        multi_turns, "gelab_", "login_"
    )
    assert names_in(page, "Templates: `--template`") == ours(TEMPLATE_MAPPING, "gelab_", "login_")
    flags = {f"--callbacks {name}" for name in ours(callbacks_map, "gui_")}
    flags |= {f"--optimizer {name}" for name in ours(optimizers_map, "gui_")}
    assert names_in(page, "Callbacks and optimizers") == flags


def test_names_of_engines_and_failures():
    from data_engine.failures import KINDS

    engines = re.search(r"--engine\s+{([^}]+)}", help_of("eval/login_eval.py"))[1]
    assert names_in("eval/README.md", "Engines") == set(engines.split(","))
    assert names_in("eval/README.md", "Report") == set(KINDS)


def test_metrics_are_explained():
    from data_engine.gelab import metrics

    explained = names_in("eval/README.md", "Static scores") | names_in("eval/README.md", "Interactive scores")
    named = set(re.findall(r'"(\w+)":', inspect.getsource(metrics.interactive_metrics))) - {"tasks", "k"}
    named |= {"overall_paper", "edge_paper", "path_paper", "step_all", "task_all", "parts"}
    assert named - explained <= {"greedy_declared"}


# Sample rows: `...` stands for what is left out


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    """A folder with what the commands of the pages write."""
    out = tmp_path_factory.mktemp("samples")
    oracle = ["--engine", "oracle", "--out"]
    for line in (
        ["-m", "data_engine.gelab.build", "w", "--tree", "5", "2", "1", "--page-size", "112x112"],
        ["-m", "data_engine.gelab.write", "w", "d"],
        ["-m", "data_engine.gelab.export", "w", "d", "p"],
        ["-m", "data_engine.login.write", "f", "--episodes", "4"],
        ["-m", "data_engine.login.write", "fs", "--episodes", "4", "--mode", "som"],
        ["-m", "data_engine.sight.write", "s", "--stage", "shapes", "--rows", "4"],
        ["eval/gelab_static.py", *oracle, "static", "--data", "d/eval_ood.jsonl"],
        ["eval/gelab_interactive.py", *oracle, "walk", "--world", "d/world", "--tasks", "d/tasks_ood.jsonl"],
        ["eval/login_eval.py", *oracle, "form", "--data", "f", "--closed-loop"],
    ):
        words = [str(REPO / word) if word.startswith("eval/") else word for word in line]
        subprocess.run([sys.executable, *words], cwd=out, check=True, capture_output=True)
    return out


SAMPLES = [
    (page, name, sample)
    for page in PAGES
    for name, sample in re.findall(r"<!-- sample: (\S+) -->\n```json\n(.*?)```", text_of(page), re.DOTALL)
]


def fits(sample: object, value: object) -> bool:
    """A sample against what the code wrote; ``...`` in a text, a list or a dictionary stands for anything."""
    if isinstance(sample, dict):
        keys = sample.keys() - {"..."}
        whole = "..." in sample or sample.keys() == value.keys()
        return whole and keys <= value.keys() and all(fits(sample[key], value[key]) for key in keys)
    if isinstance(sample, list):
        kept = sample[:-1] if sample[-1:] == ["..."] else sample
        whole = len(kept) < len(sample) or len(sample) == len(value)
        return whole and len(kept) <= len(value) and all(map(fits, kept, value))
    if isinstance(sample, str) and "..." in sample:
        return re.fullmatch(".*".join(map(re.escape, sample.split("..."))), str(value), re.DOTALL) is not None
    return sample == value


@pytest.mark.parametrize("page, name, sample", SAMPLES, ids=[name for _, name, _ in SAMPLES])
def test_samples_are_what_the_code_writes(written, page, name, sample):
    text = (written / name).read_text(encoding="utf-8")
    value = json.loads(text.splitlines()[0] if name.endswith("l") else text)
    assert fits(json.loads(sample), value), f"{page}: {name} begins with {json.dumps(value)[:2000]}"


def test_there_are_samples():
    assert len(SAMPLES) >= 12
    assert fits({"a": ["..."], "b": "x...z"}, {"a": [1, 2], "b": "x y z"})
    for sample, value in (({"a": 1}, {"a": 1, "b": 2}), (["..."], {}), ([1], [1, 2]), ("x...", "y"), ({"b": 1}, {})):
        assert not (isinstance(value, type(sample)) and fits(sample, value))
