"""Export a world and its rows as GE-Lab publishes them: ``python -m data_engine.gelab.export WORLD DATA OUT``

ui_structure.json         the world's; its metadata names config.json
ui_structure_layer.json   the same, each page in the `subnodes` of its parent, no transitions of `back` and `home`
ui_structure_layer_fixed.json   with these transitions: the authors' rewards read it, their generator writes none
config.json               settings with which the authors' generator makes such a world
used_icons.json           `func_name`: an icon's name; `original_path`: its picture, built in or below --icons DIR
ui_topology.png, pages/   the tree of pages; the world's screenshots
sft.json                  rows of sft.jsonl; icon questions again in icon_captioning.json and icon_grounding.json
st_rl.json, mt_rl.json    rows of st_rl.jsonl; tasks of mt_rl.jsonl, the first step of each as `solution`
test.json                 rows of eval_ood.jsonl
eval_sub0_test.json, ..   rows of eval_id.jsonl and eval_ood.jsonl by subtree, counted from 0 as in the public fork

Rows have the keys of the authors' sample rows, in their order. Pictures are named from OUT on, pages/page_0.png: start
the authors' scripts there, or set ROOT_IMAGE_DIR=OUT for ms-swift. A system prompt (--system-in-rows) is left out,
because published rows have none.

Of some rows there is no published example; they are as ours: icon questions (the authors' scorer knows them by `task`:
caption, grounding) and histories of several steps. Where nothing is clicked the box is [], as the authors' reward
reads it. Answers begin with "Explain:" in st_rl.json too, where the authors' two rows have "explain:".
"""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import msgspec

from ..cli import Parser, command
from ..dataset import DataError, read_manifest, verified_path
from ..folder import NewFolder, make_folder
from ..foreign import check, read_lines
from ..geometry import box_to_thousand
from ..shapes import Count, Files, Message, manifest_kind
from .graph import BACK, HOME, ROOT, PageGraph
from .oracle import gold_answer
from .scoring import gold_of, gold_text
from .structure import dump_structure
from .topology import draw_topology
from .world import STRUCTURE, World, check_apart, picture_path
from .write import KIND as ROWS

KIND = manifest_kind("gelab-export", Files)
TOPOLOGY = "ui_topology.png"
KNOWN = {"protocol": "paper", "explain": "step"}  # argument of rows -> what the published formats can say
MARGIN, TOP_MARGIN = 60, 150  # canvas pixels: of the authors' generator
AGAIN = "write the rows again"
_READ = ("sft.jsonl", "st_rl.jsonl", "mt_rl.jsonl", "eval_id.jsonl", "eval_ood.jsonl")

Row = dict[str, Any]


def export(world_folder: Path, data: Path, out: Path) -> dict:
    """Write the folder ``out`` and return its manifest; does nothing if it is there already.

    Raises DataError or WorldError in one line, also where ``data`` was written over another world.
    """
    world, data = World(world_folder), Path(data)
    rows = _rows_manifest(data, world)
    check_apart(out, world.folder)
    check_apart(out, data)
    arguments = {"world": world.fingerprint, "rows": {name: rows["files"].get(name) for name in _READ}}

    def fill(folder: NewFolder) -> dict:
        _write_world(folder, world)
        files = published_rows(world, {name: verified_path(data, name, rows) for name in _READ})
        for name, published in files.items():
            folder.write(name, _text([{"idx": i} | row for i, row in enumerate(published)], indent=4))
        return {"fingerprint": world.fingerprint, "rows": {name: len(published) for name, published in files.items()}}

    return make_folder(out, KIND, arguments, fill)


def _rows_manifest(data: Path, world: World) -> dict:
    """The manifest of rows that belong to the world and can be said in the published formats. Raises DataError."""
    rows = read_manifest(data, ROWS)
    for name, known in KNOWN.items():
        if (value := rows["arguments"].get(name, known)) != known:
            raise DataError(
                f"{data}: has rows of --{name} {value}, which the published formats cannot say; "
                f"write rows with --{name} {known}"
            )
    if rows["fingerprint"] != world.fingerprint:
        raise DataError(f"{data}: its rows are not of {world.folder}; give their own world, {data / 'world'}")
    return rows


# The world


def _write_world(folder: NewFolder, world: World) -> None:
    metadata = check(world.structure.get("metadata", {}), dict, f"{world.folder / STRUCTURE}: metadata", "make it one")
    structure = world.structure | {"metadata": metadata | {"config_file": "config.json"}}
    folder.write(STRUCTURE, dump_structure(structure))
    folder.write("ui_structure_layer.json", dump_structure(layered(structure, world.graph, ways_up=False)))
    folder.write("ui_structure_layer_fixed.json", dump_structure(layered(structure, world.graph, ways_up=True)))
    folder.write("config.json", _text(config(world.graph), indent=2))
    icons = [{"original_path": source, "func_name": name} for name, source in world.manifest["icons"].items()]
    folder.write("used_icons.json", _text(icons, indent=2))
    draw_topology(world.graph, folder.path / TOPOLOGY)
    folder.add(TOPOLOGY)
    for name in map(picture_path, world.graph.pages):
        folder.copy(verified_path(world.folder, name, world.manifest), name)


def layered(structure: dict, graph: PageGraph, ways_up: bool) -> dict:
    """The structure with each page in the `subnodes` of its parent; ``ways_up``: with transitions of `back`, `home`."""
    nodes = {}
    for page, record in structure["pages"].items():
        kept = [t for t in record["transitions"] if ways_up or t["action"] not in (BACK, HOME)]
        nodes[page] = record | {"transitions": kept, "subnodes": []}
    for page, below in graph.children.items():
        nodes[page]["subnodes"] += (nodes[child] for child in below)
    return {"root": nodes[ROOT], "metadata": structure["metadata"]}


def config(graph: PageGraph) -> dict:
    """The settings with which the authors' generator makes such a world.

    ``is_random_node``: pages of one depth have different numbers of children; ``nodes_per_level`` are then the largest.
    """
    counts, level = [], [ROOT]
    while below := [child for page in level for child in graph.children[page]]:
        counts.append([len(graph.children[page]) for page in level])
        level = below
    icon = next(element.box for page, element in graph.edges if not element.system)
    return {
        "tree_depth": len(counts) + 1,
        "nodes_per_level": [max(count) for count in counts],
        "is_random_node": any(len(set(count)) > 1 for count in counts),
        "canvas_size": list(graph.canvas),
        "icon_size": [icon.x2 - icon.x1, icon.y2 - icon.y1],
        "margin": MARGIN,
        "top_margin": TOP_MARGIN,
    }


def _text(value: object, indent: int) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=indent)


# The rows


class Ends(msgspec.Struct):
    """What an episode is exported by."""

    start: str
    goal: str


class Asked(msgspec.Struct):
    """A row, as far as it is exported."""

    idx: int
    task: str
    path: Count
    messages: list[Message]
    images: tuple[str]
    source: Annotated[str, msgspec.Meta(pattern=r"^(sub[1-9][0-9]*(_edge)?|icon)\Z")]


class Step(Asked):
    """A row of a path."""

    source: Annotated[str, msgspec.Meta(pattern=r"^sub[1-9][0-9]*\Z")]


class Episode(Step, kw_only=True):
    """A row of multi-turn RL."""

    env_config: Ends


def published_rows(world: World, files: dict[str, Path]) -> dict[str, list[Row]]:
    """Name of a published file -> its rows, but for `idx`. ``files``: name -> path of our rows. Raises DataError."""
    pictures = {f"world/{picture_path(page)}": picture_path(page) for page in world.graph.pages}

    def read(name: str, shape: type, publish: Callable[[Row], Any]) -> list:
        return read_lines(files[name], lambda row: publish(_checked(row, shape, pictures)))

    sft = read("sft.jsonl", Asked, sft_row)
    held_in, held_out = (
        read(name, Step, lambda row: (row["source"], test_row(row))) for name in ("eval_id.jsonl", "eval_ood.jsonl")
    )
    subtrees = _by_source(held_in) | _by_source(held_out)
    return {
        "sft.json": sft,
        "icon_captioning.json": [row for row in sft if row["task"] == "caption"],
        "icon_grounding.json": [row for row in sft if row["task"] == "grounding"],
        "st_rl.json": read("st_rl.jsonl", Asked, st_rl_row),
        "mt_rl.json": read("mt_rl.jsonl", Episode, partial(mt_rl_row, world.graph)),
        "test.json": [row for _, row in held_out],
        **{f"eval_sub{int(name.removeprefix('sub')) - 1}_test.json": rows for name, rows in subtrees.items()},
    }


def _checked(row: Row, shape: type, pictures: dict[str, str]) -> Row:
    """A row that fits, its picture named from the exported folder on. Raises DataError."""
    picture = check(row, shape, f"row {row.get('idx')}", AGAIN)["images"][0]
    if picture not in pictures:
        raise DataError(f"row {row['idx']}: {picture!r} is no page of the world; {AGAIN}")
    return row | {"images": [pictures[picture]]}


def _by_source(rows: list[tuple[str, Row]]) -> dict[str, list[Row]]:
    groups: dict[str, list[Row]] = {}
    for source, row in rows:
        groups.setdefault(source, []).append(row)
    return groups


def sft_row(row: Row) -> Row:
    chat = _chat(row, "user", "assistant")
    return _picked(row, "path", "task") | {"messages": chat} | _picked(row, "images", "source")


def test_row(row: Row) -> Row:
    chat = _chat(row, "user", "assistant")
    boxes = {"bbox": row["bbox"], "bbox_norm": _norm(row)}
    return _picked(row, "path", "task") | boxes | {"messages": chat, "images": row["images"]}


def st_rl_row(row: Row) -> Row:
    return {"bbox_norm": _norm(row)} | _question(row) | {"solution": gold_text(row), "source": row["source"]}


def mt_rl_row(graph: PageGraph, row: Row) -> Row:
    """Its solution is the first step of the task, a click in the middle of its element."""
    start, goal = row["env_config"]["start"], row["env_config"]["goal"]
    if start == goal or not {start, goal} <= graph.pages.keys():
        raise DataError(f"row {row['idx']}: from {start!r} to {goal!r} is no task of the world; {AGAIN}")
    box = box_to_thousand(graph.next_element(start, goal).box, graph.canvas)
    answer = {"solution": gold_answer(graph, start, goal), "source": row["source"]}
    return _picked(row, "path", "task") | {"bbox_norm": list(box)} | _question(row) | answer


def _picked(row: Row, *columns: str) -> Row:
    return {name: row[name] for name in columns}


def _question(row: Row) -> Row:
    """The question as the authors' files for RL have it."""
    return {"image": row["images"][0], "problem": _chat(row, "user")[0]["content"]}


def _chat(row: Row, *roles: str) -> list[dict]:
    """The messages but for the system prompt. Raises DataError where they are not of these roles."""
    chat = [message for message in row["messages"] if message["role"] != "system"]
    if [message["role"] for message in chat] != list(roles):
        raise DataError(f"row {row['idx']}: its messages are not of {' and '.join(roles)}; {AGAIN}")
    return chat


def _norm(row: Row) -> list[int]:
    """The box of the right element in 0..1000, rounded; [] where nothing is clicked. Raises DataError."""
    gold = gold_of(row)
    return list(box_to_thousand(gold.box, gold.canvas)) if gold.box else []


def parser() -> Parser:
    example = "python -m data_engine.gelab.export worlds/base data/base published/base"
    parser = Parser(__doc__, example, prog="python -m data_engine.gelab.export")
    parser.add_argument("world", type=Path, metavar="WORLD", help="folder written by data_engine.gelab.build")
    parser.add_argument("data", type=Path, metavar="DATA", help="its rows, written by data_engine.gelab.write")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder to write")
    return parser


@command("export")
def main(argv: list[str] | None = None) -> None:
    args = parser().parse_args(argv)
    for name, count in export(args.world, args.data, args.out)["rows"].items():
        print(f"{name:20} {count:7,} rows")


if __name__ == "__main__":
    sys.exit(main())
