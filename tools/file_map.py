"""Write the file maps of the READMEs: ``python tools/file_map.py [--check]``

A room's page has the markers BEGIN and END; between them goes one line for each tracked file of the room: its path and
what it is. A Python file says that in the first line of its docstring, a script in its first comment, a page of
Markdown in its heading; WORDS has the others. A file belongs to the deepest room that holds it. Exit code 1 with
``--check``: a map is stale.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from data_engine.cli import Parser, command
from data_engine.dataset import DataError
from data_engine.files import write_file

BEGIN, END = "<!-- file map: python tools/file_map.py -->", "<!-- end of the file map -->"
ROOMS = {  # folder -> the page that holds its map
    "": "CONTRIBUTING.md",
    **{
        room: f"{room}/README.md"
        for room in (
            "data_engine",
            "swift_plugins",
            "recipes",
            "recipes/login",
            "eval",
            "tools",
            "assets",
            "tests",
        )
    },
}
WORDS = {  # name of a file, or the end of its path -> what it is
    "LICENSE": "Apache-2.0",
    "README_CN.md": "the README in Chinese",
    ".gitignore": "what runs and tools leave behind",
    "pyproject.toml": "the installed packages, their dependencies; settings of pytest, ruff and codespell",
    "gelab/icons.tsv": "names, glyphs and colours of the built-in icons",
    "gelab/icons_spare.tsv": "more icons, without names: the pictures of `vary --image`",
    "gelab/synonyms.tsv": "another name for each icon, and for each category of the authors' icons",
    "page/index.html": "the play page",
    "page/play.css": "its look",
    "html_report/template.html": "style, layout and viewer of the report",
    "eval/published.json": "the published numbers of both benchmarks, with their sources",
    "model.safetensors": "weights, bf16",
    "manifest.json": "SHA-256 of each file of the model",
    "probe.json": "scores of the model on unseen screens",
    "config.json": "shape of the model",
    "generation_config.json": "how it decodes",
    "tokenizer.json": "768 tokens",
    "tokenizer_config.json": "and their roles",
    "chat_template.jinja": "how turns are written",
    "preprocessor_config.json": "how pictures are cut into patches",
    "processor_config.json": "tokenizer and image processor together",
    "walk.png": "README: a walk through a world",
    "topology.png": "README: the 231 pages of Env-Base",
    "play.png": "tools: the play page",
    "variants.png": "data_engine: a page and its four variants",
    "layouts_light.png": "data_engine: a page in each layout",
    "layouts_dark.png": "data_engine: the same, dark",
    "report.webp": "eval: a part of a report",
    "login_episode.png": "recipes/login: an unseen form, filled in by the quickstart's model",
}


def tracked(repo: Path) -> list[str]:
    """The files that git tracks, sorted, as paths below ``repo``. Raises DataError."""
    listing = subprocess.run(["git", "-C", str(repo), "ls-files", "-z"], capture_output=True, text=True, check=False)
    if listing.returncode:
        raise DataError(f"{repo}: {listing.stderr.strip()}; the maps need a git checkout")
    return sorted(filter(None, listing.stdout.split("\0")))


def room_of(path: str) -> str:
    """The deepest room that holds a file."""
    return max((room for room in ROOMS if not room or path.startswith(f"{room}/")), key=len)


def description(path: str, text: str) -> str:
    """What WORDS says about a file, or the file about itself. Raises DataError if neither does."""
    words = next((w for end, w in WORDS.items() if f"/{path}".endswith(f"/{end}")), "") or _own_words(path, text)
    if not words:
        raise DataError(f"{path}: says nowhere what it is; give it a docstring or first comment, or name it in WORDS")
    return words


def _own_words(path: str, text: str) -> str:
    if path.endswith(".py"):
        return (ast.get_docstring(ast.parse(text)) or "").split("\n")[0].split(": ``python ")[0]
    if path.endswith(".md"):
        return next((line.lstrip("# ") for line in text.splitlines() if line.startswith("# ")), "")
    comments = re.findall(r"^(?:#|//) ?(?!!| ?shellcheck)(.+)", text, re.MULTILINE)
    return comments[0].split("   ")[0] if comments and text.startswith(("#", "//")) else ""


def line(path: str, words: str, room: str) -> str:
    """A line of a map: a link, relative to the room's page, and the words, safe in a Markdown table."""
    name = path.removeprefix(f"{room}/")
    safe = re.sub(r"(?<!`)<(?!`)", r"\\<", words.replace("``", "`").replace("|", r"\|"))
    return f"| [{name}]({name}) | {safe} |"


def maps(repo: Path) -> dict[str, str]:
    """Page -> its map, from the files as they are. Raises DataError."""
    lines: dict[str, list[str]] = {room: [] for room in ROOMS}
    for path in tracked(repo):
        words = description(path, (repo / path).read_text(encoding="utf-8", errors="replace"))
        lines[room_of(path)].append(line(path, words, room_of(path)))
    return {ROOMS[room]: "\n".join(["| file | what it is |", "|---|---|", *lines[room]]) for room in ROOMS}


def with_map(page: str, text: str, table: str) -> str:
    """A page's text with a new map in it. Raises DataError if it has no place for one."""
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise DataError(f"{page}: has no lines {BEGIN!r} and {END!r}; add them where the map is to stand")
    return f"{head}{BEGIN}\n\n{table}\n\n{END}{tail}"


def stale(repo: Path) -> dict[str, str]:
    """Page -> its text as it should be, for each page whose map is stale. Raises DataError."""
    pages = {page: (repo / page).read_text(encoding="utf-8") for page in ROOMS.values()}
    wanted = {page: with_map(page, pages[page], table) for page, table in maps(repo).items()}
    return {page: text for page, text in wanted.items() if text != pages[page]}


def show(pages: Iterable[str], check: bool) -> None:
    for page in pages:
        print(f"{page}: {'its map is stale; run python tools/file_map.py' if check else 'written'}")


@command("file_map")
def main() -> int:
    parser = Parser(__doc__, "python tools/file_map.py --check")
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 if a map is stale")
    parser.add_argument(
        "--repo", type=Path, default=Path(__file__).resolve().parents[1], help="checkout; default: this one"
    )
    args = parser.parse_args()
    pages = stale(args.repo)
    for page, text in {} if args.check else pages.items():
        write_file(args.repo / page, text)
    show(pages, args.check)
    return 1 if args.check and pages else 0


if __name__ == "__main__":
    sys.exit(main())
