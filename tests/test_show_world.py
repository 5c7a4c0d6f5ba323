"""Pictures of worlds: topology, contact sheet, and several worlds side by side, in every layout."""

import numpy as np
import pytest
from PIL import Image

from data_engine.gelab.build import build
from data_engine.gelab.layout import LAYOUTS
from data_engine.gelab.style import THEMES
from data_engine.geometry import Size

SHOW = "tools/show_world.py"


@pytest.fixture(scope="module")
def worlds(tmp_path_factory):
    """Folders of one small world a layout, phone-shaped, dark."""
    base = tmp_path_factory.mktemp("shown")
    for layout in LAYOUTS:
        build(base / layout, (3, 1), 1, Size(84, 168), layout=layout, theme="dark")
    return base


@pytest.mark.parametrize("layout", ["list", "free"])
def test_topology_and_contact_sheet(cli, worlds, tmp_path, layout):
    done = cli(SHOW, worlds / layout, "--out", tmp_path)
    assert done.returncode == 0 and done.stdout.endswith("topology.png contact_sheet.png\n"), done.stderr
    sheet = Image.open(tmp_path / "contact_sheet.png")
    # 7 pages in 4 columns and 2 rows; 84 x 168 becomes 56 x 112; 6 between, 14 for the page's name
    assert sheet.size == (4 * 62 + 6, 2 * (112 + 14 + 6) + 6)
    first = np.asarray(sheet.convert("RGB"))[20:132, 6:62]
    assert (first == THEMES["dark"].ground).all(axis=2).mean() > 0.5
    assert np.asarray(Image.open(tmp_path / "topology.png")).std() > 5


def test_side_by_side(cli, worlds, tmp_path):
    done = cli(SHOW, *(worlds / layout for layout in LAYOUTS), "--out", tmp_path, "--page", "page_2")
    assert done.returncode == 0 and [p.name for p in tmp_path.iterdir()] == ["side_by_side.png"], done.stderr
    sheet = np.asarray(Image.open(tmp_path / "side_by_side.png").convert("RGB"))
    assert sheet.shape == (168 + 14 + 6 + 6, 4 * 90 + 6, 3)  # not enlarged
    for i, layout in enumerate(LAYOUTS):
        shown = Image.open(worlds / layout / "pages" / "page_2.png").convert("RGB")
        assert np.array_equal(sheet[20:188, 6 + 90 * i : 90 + 90 * i], np.asarray(shown))


def test_a_page_that_is_not_there(cli, worlds, tmp_path):
    done = cli(SHOW, worlds / "grid", worlds / "list", "--out", tmp_path, "--page", "page_7")
    assert done.returncode == 2 and done.stderr.startswith("show_world: ") and "has no page_7" in done.stderr
