"""The page: template.html filled in. Every text of a model or a file is escaped, in the markup and in the data."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from data_engine.benchmarks import BENCHMARKS

from . import charts
from .lead import percent
from .pictures import Pictures
from .reporters import REPORTERS

TEMPLATE = "template.html"
COLOURS = 6  # of agents, of lines; the template has as many


def render(data: dict, walks: dict, pictures: Pictures) -> str:
    """The whole page as text; nothing in it is fetched from anywhere."""
    env = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.filters |= {"percent": percent, "slug": charts.slug}
    env.globals |= {"charts": charts, "colours": agent_colours(data), "line_colour": line_colour}
    notes = [REPORTERS[benchmark.name].NOTE for benchmark in BENCHMARKS if benchmark.title in data["benchmarks"]]
    return env.get_template(TEMPLATE).render(data=data, viewer=viewer(walks, pictures), notes=filter(None, notes))


def viewer(walks: dict, pictures: Pictures) -> dict:
    """What the viewer's script reads: the walks, with short names of pictures, and the pictures."""
    keys = [turn["picture"] for score in walks["scores"] for walk in score["walks"] for turn in walk["turns"]]
    names, uris = pictures.embedded(keys)
    scores = [score | {"walks": [_named(walk, names) for walk in score["walks"]]} for score in walks["scores"]]
    return {"scores": scores, "maps": walks["maps"], "pictures": uris}


def _named(walk: dict, names: dict[str, str]) -> dict:
    return walk | {"turns": [turn | {"picture": names[turn["picture"]]} for turn in walk["turns"]]}


def agent_colours(data: dict) -> dict[str, str]:
    """A colour for each agent: greys for reference policies, the palette in order for the others."""
    rows = [row for table in data["tables"] for row in table["rows"]]
    trained = list(dict.fromkeys(row["agent"] for row in rows if not row["reference"]))
    greys = list(dict.fromkeys(row["agent"] for row in rows if row["reference"]))
    return {name: f"var(--g{i % 4})" for i, name in enumerate(greys)} | {
        name: line_colour(i) for i, name in enumerate(trained)
    }


def line_colour(i: int) -> str:
    return f"var(--a{i % COLOURS})"
