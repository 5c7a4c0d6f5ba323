"""Icon pictures: the built-in set is told apart at 34 pixels and named naturally; a folder of the user's works."""

import re
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from data_engine.dataset import read_json
from data_engine.gelab.build import build
from data_engine.gelab.icons import COLOURS, SIDE, IconSet, builtin_sources, synonyms
from data_engine.gelab.world import World
from data_engine.geometry import Size
from data_engine.seeds import rng

SEEN = 34  # pixels: a 200-pixel icon on a page of 448 is 76 x 35; the short side is what a model must live with
# First words of brand glyphs in Material Design Icons, and other marks; as words of a name all but the last four.
BRANDS = """adobe airbnb amazon android aws bitcoin bluetooth chrome debian discord docker dropbox evernote facebook
firefox git github gitlab google instagram java jira lego linkedin linux lyft mastercard meta microsoft netflix nike
nintendo opera paypal pinterest playstation python react reddit samsung skype slack snapchat sony spotify tesla tiktok
trello twitch twitter uber ubuntu visa whatsapp wifi wikipedia windows wordpress xbox yahoo youtube zoom apple steam
unity usb""".split()


@pytest.fixture(scope="module")
def icons() -> IconSet:
    return IconSet()


@pytest.fixture(scope="module")
def seen(icons) -> np.ndarray:
    """(icons, 34, 34, 3): every named icon on white, as small as a model sees it."""
    return as_seen(icons, [icon.source for icon in icons.icons])


def as_seen(icons, sources) -> np.ndarray:
    pictures = []
    for source in sources:
        stamp = icons.picture(source)
        ground = Image.new("RGB", stamp.size, "white")
        ground.paste(stamp, (0, 0), stamp)
        pictures.append(np.asarray(ground.resize((SEEN, SEEN), Image.Resampling.BICUBIC), np.float32))
    return np.stack(pictures)


def squared_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Between each picture of ``a`` and each of ``b``, summed over pixels."""
    a, b = a.reshape(len(a), -1), b.reshape(len(b), -1)
    return (a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T


def shifted(pictures: np.ndarray, dx: int, dy: int) -> np.ndarray:
    """All pictures moved by (dx, dy), white where nothing was."""
    padded = np.pad(pictures, ((0, 0), (2, 2), (2, 2), (0, 0)), constant_values=255)
    return padded[:, 2 - dy : 2 - dy + SEEN, 2 - dx : 2 - dx + SEEN]


def test_enough_for_the_papers_world(icons):
    assert len(icons.icons) == 329  # the paper needs 230


def test_names_are_natural(icons):
    names = [icon.name for icon in icons.icons]
    assert len(set(names)) == len(names)
    for name in names:
        assert re.fullmatch(r"[a-z]+( [a-z]+){0,2}", name), name  # everyday words: no digit, underscore or dot
        assert " icon" not in f" {name}" and name not in ("back", "home")


def test_no_name_and_no_glyph_is_a_brand(icons):
    assert {"apple", "food_apple"} <= {word for icon in icons.icons for word in (icon.name, icon.source.split(":")[1])}
    for icon in icons.icons:
        assert icon.source.split(":")[1].split("_")[0] not in BRANDS, icon  # food_apple is a fruit, apple the logo
        assert not set(icon.name.split()) & set(BRANDS[:-4]), icon


def test_other_names_are_natural(icons):
    for name in (synonyms()[icon.name] for icon in icons.icons):
        assert re.fullmatch(r"[a-z]+( [a-z]+){0,2}", name) and not set(name.split()) & set(BRANDS[:-4]), name


def test_no_name_is_told_from_another_by_case_or_plural_only(icons):
    stems = Counter(icon.name.lower().rstrip("s") for icon in icons.icons)
    assert max(stems.values()) == 1, stems.most_common(2)


def test_pictures_have_alpha_and_one_colour(icons):
    for icon in icons.icons[:40]:
        picture = np.asarray(icons.picture(icon.source))
        assert picture.shape == (SIDE, SIDE, 4)
        colour = COLOURS[icon.source.split(":")[2]]
        assert tuple(picture[SIDE // 2, SIDE // 2, :3]) == tuple(bytes.fromhex(colour[1:]))
        drawn = picture[..., 3] > 128
        assert 0.04 < drawn.mean() < 0.9
        assert not drawn[[0, -1], :].any() and not drawn[:, [0, -1]].any()  # nothing is cut off


def test_the_two_nearest_icons_still_differ_at_34_pixels(seen):
    rmse = np.sqrt(np.maximum(squared_distances(seen, seen), 0) / seen[0].size)
    np.fill_diagonal(rmse, np.inf)
    assert rmse.min() > 50  # of 255; measured 56.8


def test_spare_pictures_have_glyphs_of_their_own_and_look_like_no_other(icons, seen):
    named = [icon.source for icon in icons.icons]
    spare = [source for source in builtin_sources() if source not in named]
    assert list(builtin_sources()) == spare + named and len(spare) == 297  # Env-Base needs 230
    glyphs = [source.split(":")[1] for source in spare]
    assert len(set(glyphs)) == 297 and not set(glyphs) & {source.split(":")[1] for source in named}
    assert not {glyph.split("_")[0] for glyph in glyphs} & set(BRANDS)
    assert len({source.split(":")[2] for source in spare}) == len(COLOURS)
    every = np.concatenate([as_seen(icons, spare), seen])
    rmse = np.sqrt(np.maximum(squared_distances(every, every), 0) / seen[0].size)
    np.fill_diagonal(rmse, np.inf)
    assert rmse.min() > 50  # of 255; measured 56.8


def test_every_icon_is_recognised_at_34_pixels_noised_and_moved(seen):
    """Nearest neighbour over places up to two pixels away: each of the icons is found, first of all of them."""
    draw = rng(0, "icons seen")
    moves = draw.integers(-2, 3, (len(seen), 2))
    asked = np.concatenate([shifted(seen[i : i + 1], *move) for i, move in enumerate(moves)])
    asked = asked + draw.normal(0, 20, asked.shape).astype(np.float32)
    places = [(dx, dy) for dx in range(-2, 3) for dy in range(-2, 3)]
    nearest = np.minimum.reduce([squared_distances(asked, shifted(seen, *place)) for place in places])
    assert (nearest.argmin(1) == np.arange(len(seen))).all()


# ---- a folder of the user's


@pytest.fixture
def folder(tmp_path):
    """Four pictures of one colour each, in two categories; one is not square, one has no alpha."""
    made = {"Wild Animals/PNG/cat.png": "red", "Wild Animals/PNG/46.png": "blue", "Food/PNG/egg.png": "green"}
    for name, colour in made.items():
        (tmp_path / "icons" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGBA", (64, 64), colour).save(tmp_path / "icons" / name)
    Image.new("RGB", (30, 60), "black").save(tmp_path / "icons" / "Food" / "PNG" / "rice.png")
    (tmp_path / "icons" / "Food" / "readme.txt").write_text("not an icon")
    return tmp_path / "icons"


def test_a_folder_is_read_in_order_and_named_as_gelab_names(folder):
    icons = IconSet(folder)
    assert [icon.name for icon in icons.icons] == ["Food_egg", "Food_rice", "Wild_Animals_46", "Wild_Animals_cat"]
    assert [icon.source for icon in icons.icons][0] == "Food/PNG/egg.png"
    for icon in icons.icons:
        picture = icons.picture(icon.source)
        assert picture.size == (SIDE, SIDE) and picture.mode == "RGBA"


def test_a_world_of_the_users_icons(folder, tmp_path):
    manifest = build(tmp_path / "w", tree=(2, 1), icons=folder, page_size=Size(112, 112))
    world = World(tmp_path / "w")
    assert set(manifest["icons"]) == {"Food_egg", "Food_rice", "Wild_Animals_46", "Wild_Animals_cat"}
    colours = {"egg": (0, 128, 0), "rice": (0, 0, 0), "46": (0, 0, 255), "cat": (255, 0, 0)}
    for page in world.graph.pages.values():
        for element in page.elements:
            if not element.system:
                x, y = element.box.scaled(world.graph.canvas, world.page_size).at(0.5, 0.5)
                pixel = world.screenshot(page.id)[int(y), int(x)]
                assert tuple(pixel) == colours[element.name.rpartition("_")[2]]
    assert str(tmp_path) not in (tmp_path / "w" / "manifest.json").read_text()


def test_a_changed_icon_is_another_argument(cli, folder, tmp_path):
    args = ["w", "--tree", 2, 1, "--icons", folder, "--page-size", "112x112"]
    assert cli("data_engine.gelab.build", *args, cwd=tmp_path).returncode == 0
    assert cli("data_engine.gelab.build", *args, cwd=tmp_path).returncode == 0
    Image.new("RGBA", (64, 64), "pink").save(folder / "Food" / "PNG" / "egg.png")
    done = cli("data_engine.gelab.build", *args, cwd=tmp_path)
    assert done.returncode == 2 and "was made with other arguments" in done.stderr


def make_doubles(folder):
    (folder / "Wild_Animals" / "PNG").mkdir(parents=True)
    Image.new("RGBA", (8, 8)).save(folder / "Wild_Animals" / "PNG" / "cat.png")


def make_too_few(folder):
    (folder / "Food" / "PNG" / "egg.png").unlink()


def make_broken(folder):
    (folder / "Food" / "PNG" / "egg.png").write_bytes(b"not a picture")


def make_empty(folder):
    for file in folder.glob("*/PNG/*.png"):
        file.rename(file.with_suffix(".jpg"))


@pytest.mark.parametrize(
    "damage, words",
    [
        (make_doubles, "two files give the name 'Wild_Animals_cat'; rename one"),
        (make_too_few, "--tree needs 4 icons, only 3 are at hand; pass --icons DIR"),
        (make_broken, "egg.png"),
        (make_empty, "no CATEGORY/PNG/*.png below it; lay the icons out so, or omit --icons"),
    ],
)
def test_faults_of_a_folder_are_one_line(cli, folder, tmp_path, damage, words):
    damage(folder)
    done = cli("data_engine.gelab.build", "w", "--tree", 2, 1, "--icons", folder, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert len(done.stderr.splitlines()) == 1 and words in done.stderr
    assert not (tmp_path / "w").exists()


def test_the_built_in_pictures_need_no_folder(small_world):
    sources = read_json(small_world / "manifest.json")["icons"]
    assert len(sources) == 25 and all(source.startswith("builtin:") for source in sources.values())
