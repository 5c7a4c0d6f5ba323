"""Page graphs: the shape of generated worlds, distances against brute force, the tie rule, and what is refused."""

import copy
import math
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_engine.dataset import read_json
from data_engine.gelab.graph import Element, Page, PageGraph, WorldError
from data_engine.gelab.icons import IconSet
from data_engine.gelab.layout import BACK_BOX, CANVAS, HOME_BOX, SLOTS, generate
from data_engine.gelab.tasks import Task, all_tasks, subtree_of, subtree_pages
from data_engine.gelab.world import World, dump_structure, from_structure, to_structure
from data_engine.geometry import Box, Size

NAMES = [f"icon {chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(200)]
trees = st.lists(st.integers(1, 4), min_size=1, max_size=4).filter(
    lambda tree: sum(math.prod(tree[:i]) for i in range(len(tree) + 1)) <= 60
)
graphs = st.builds(lambda tree, seed: generate(tree, seed, NAMES), trees, st.integers(0, 10**6))


def floyd_warshall(graph: PageGraph) -> dict[tuple[str, str], int]:
    """All distances, by the definition and not by the code under test."""
    pages = list(graph.pages)
    far = {(a, b): 0 if a == b else 10**6 for a in pages for b in pages}
    for page in graph.pages.values():
        for element in page.elements:
            if element.target:
                far[page.id, element.target] = min(1, far[page.id, element.target])
    for via in pages:
        for a in pages:
            for b in pages:
                far[a, b] = min(far[a, b], far[a, via] + far[via, b])
    return far


@given(graphs)
def test_generated_worlds_have_the_authors_shape(graph):
    pages = list(graph.pages.values())
    assert [page.id for page in pages] == [f"page_{i}" for i in range(len(pages))]
    assert [page.depth for page in pages] == sorted(page.depth for page in pages)  # breadth-first
    openers = Counter(e.target for page in pages for e in page.elements if not e.system)
    assert openers == {page.id: 1 for page in pages[1:]}  # one parent each, none for page_0
    children = [e.target for page in pages for e in page.elements if not e.system]
    assert children == [page.id for page in pages[1:]]  # the k-th icon opens the k-th child
    icons = [e.name for page in pages for e in page.elements if not e.system]
    assert len(set(icons)) == len(icons) and set(icons) <= set(NAMES)
    for page in pages:
        system = [(e.name, e.box, e.target) for e in page.elements if e.system]
        back = [("back", BACK_BOX, graph.parents[page.id])] if page.depth >= 1 else []
        home = [("home", HOME_BOX, "page_0")] if page.depth >= 2 else []
        assert system == back + home
        assert all(e.system for e in page.elements[len(page.elements) - len(system) :])  # icons, back, home
        assert all((e.box.x1, e.box.y1) in SLOTS and e.box.x2 - e.box.x1 == 200 for e in page.elements if not e.system)


@given(trees, st.integers(0, 5))
def test_tree_sizes(tree, seed):
    # level d has the product of the first d numbers as pages
    graph = generate(tree, seed, NAMES)
    sizes = Counter(page.depth for page in graph.pages.values())
    assert [sizes[d] for d in range(len(tree) + 1)] == [math.prod(tree[:d]) for d in range(len(tree) + 1)]


@settings(max_examples=25)
@given(graphs)
def test_distances_and_paths_against_brute_force(graph):
    far = floyd_warshall(graph)
    for start in graph.pages:
        for goal in graph.pages:
            assert graph.distances_to(goal)[start] == far[start, goal] < 10**6  # every page reaches every other
            page = start
            path = graph.shortest_path(start, goal)
            assert len(path) == far[start, goal]
            for at, element in path:
                assert at == page and element in graph.pages[at].elements
                page = element.target
            assert page == goal


@given(graphs)
def test_subtrees_share_page_0_and_nothing_else(graph):
    roots = [element.target for element in graph.pages["page_0"].elements]
    parts = [set(graph.subtree(root)) for root in roots]
    assert sum(len(part) - 1 for part in parts) == len(graph.pages) - 1
    for root, part in zip(roots, parts, strict=True):
        assert {p for p in part if p != "page_0"} == {p for p in graph.pages if p != "page_0" and below(graph, p, root)}
        assert all(subtree_of(graph, p) == int(root[5:]) for p in part if p != "page_0")


def below(graph: PageGraph, page: str, root: str) -> bool:
    while page not in (root, "page_0"):
        page = graph.parents[page]
    return page == root


@given(trees, st.integers(0, 100))
def test_same_seed_same_world(tree, seed):
    one, two = generate(tree, seed, NAMES), generate(tree, seed, NAMES)
    assert one == two and dump_structure(to_structure(one, {})) == dump_structure(to_structure(two, {}))


def test_another_seed_gives_other_names_and_places():
    one, two = generate((5, 2), 0, NAMES), generate((5, 2), 1, NAMES)
    assert list(one.places) != list(two.places)
    assert [e.box for e in one.pages["page_0"].elements] != [e.box for e in two.pages["page_0"].elements]


@given(graphs)
def test_structure_file_round_trips(graph):
    assert from_structure(to_structure(graph, {}), "x") == graph


def line_of_pages(depth: int) -> PageGraph:
    """page_0 -> page_1 -> ... -> page_<depth>, back everywhere, home from depth 2."""
    slots = [Box(x, y, x + 200, y + 200) for x, y in SLOTS]
    pages = []
    for d in range(depth + 1):
        elements = [Element(f"icon{d}", slots[0], f"page_{d + 1}")] if d < depth else []
        elements += [Element("back", BACK_BOX, f"page_{d - 1}")] if d >= 1 else []
        elements += [Element("home", HOME_BOX, "page_0")] if d >= 2 else []
        pages.append(Page(f"page_{d}", d, tuple(elements)))
    return PageGraph({page.id: page for page in pages}, CANVAS)


def names_of(path: list[tuple[str, Element]]) -> list[str]:
    return [element.name for _, element in path]


def test_ties_go_to_back():
    graph = line_of_pages(5)
    # from page_3 to page_1: back, back = home, icon0: the one tie here, and back wins
    assert graph.distances_to("page_1")["page_3"] == 2
    assert names_of(graph.shortest_path("page_3", "page_1")) == ["back", "back"]
    # from page_5 to page_2: back x 3 = home, icon0, icon1
    assert names_of(graph.shortest_path("page_5", "page_2")) == ["back"] * 3
    # no tie: from page_4 to page_1 home, icon0 is shorter than back x 3; from page_2 to page_1 one back
    assert names_of(graph.shortest_path("page_4", "page_1")) == ["home", "icon0"]
    assert names_of(graph.shortest_path("page_2", "page_1")) == ["back"]
    # from page_1 there is no home; from page_2 to page_0 home is shorter than back x 2
    assert names_of(graph.shortest_path("page_1", "page_0")) == ["back"]
    assert names_of(graph.shortest_path("page_2", "page_0")) == ["home"]


def test_element_at_takes_edges_and_knows_empty_ground():
    page = line_of_pages(3).pages["page_2"]
    assert page.element_at(60, 260).name == "back" and page.element_at(1119, 60).name == "home"
    assert page.element_at(59.9, 100) is None and page.element_at(500, 100) is None


# ---- the paper's world

LENGTHS = {1: 137, 2: 147, 3: 222, 4: 324, 5: 492, 6: 456, 7: 384}  # Table 6


def count_shortest_paths(graph: PageGraph, start: str, goal: str) -> int:
    distances = graph.distances_to(goal)
    if start == goal:
        return 1
    nearer = [e.target for e in graph.pages[start].elements if distances[e.target] < distances[start]]
    return sum(count_shortest_paths(graph, page, goal) for page in nearer)


def check_paper_numbers(graph: PageGraph) -> None:
    assert (len(graph.pages), len(graph.edges), len(graph.places)) == (231, 685, 232)
    names = Counter(element.name for _, element in graph.edges)
    assert names.pop("back") == 230 and names.pop("home") == 225
    assert set(names.values()) == {1}
    for root in range(1, 6):
        pages = subtree_pages(graph, root)
        assert len(pages) == 47
        inside = [(p, e) for p, e in graph.edges if p in pages and e.target in pages]
        assert len(inside) == 137  # 46 icons + 46 back + 45 home
        tasks = all_tasks(graph, pages)
        assert len(tasks) == 2162 and Counter(task.length for task in tasks) == LENGTHS
        assert sum(task.length + 1 for task in tasks) == 12_439
        ties = Counter(count_shortest_paths(graph, task.start, task.goal) for task in tasks)
        assert ties == {1: 2162 - 282, 2: 282}


def test_numbers_of_the_generated_paper_world(paper_world):
    check_paper_numbers(World(paper_world).graph)


@pytest.mark.reference
def test_numbers_of_the_authors_world(reference):
    check_paper_numbers(from_structure(read_json(reference / "ui_structure.json"), "authors"))


@pytest.mark.reference
def test_the_authors_file_comes_back_byte_for_byte(reference):
    text = (reference / "ui_structure.json").read_bytes()
    structure = read_json(reference / "ui_structure.json")
    again = to_structure(from_structure(structure, "authors"), structure["metadata"])
    assert dump_structure(again).encode() == text


@pytest.mark.reference
def test_a_world_built_from_the_authors_file_keeps_it_byte_for_byte(reference, authors_world):
    assert (authors_world / "ui_structure.json").read_bytes() == (reference / "ui_structure.json").read_bytes()


def test_tasks_are_named_as_the_authors_name_them():
    assert Task("page_3", "page_12", 1).name == "From page_3 to page_12"


# ---- what is refused, in one line that names the place


@pytest.mark.parametrize(
    "tree, names, message",
    [
        ((), 9, "give at least one level"),
        ((2, 0), 9, "--tree 2 0: give at least one level, each number 1 or more"),
        ((2, -1), 9, "each number 1 or more"),
        ((33,), 99, "33 icons on a page, but the grid has 32 slots"),
        ((3, 3), 11, "--tree needs 12 icons, only 11 are at hand; pass --icons DIR"),
    ],
)
def test_trees_that_cannot_be_made(tree, names, message):
    with pytest.raises(WorldError, match=message):
        generate(tree, 0, NAMES[:names])


def test_the_fullest_page_and_the_last_name_are_allowed():
    assert len(generate((32,), 0, NAMES[:32]).pages) == 33


def test_unknown_subtree_lists_the_known(world):
    with pytest.raises(WorldError, match="no subtree 6: page_0 leads to page_1, page_2, page_3, page_4, page_5"):
        subtree_pages(world.graph, 6)
    with pytest.raises(WorldError, match="no page 'page_99' in this world; it has page_0 .. page_25"):
        world.graph.subtree("page_99")


def damaged(damage) -> dict:
    """The structure of a line of four pages, after ``damage(pages)``."""
    structure = copy.deepcopy(to_structure(line_of_pages(3), {}))
    damage(structure["pages"])
    return structure


def drop(page: str, element: str):
    def damage(pages):
        pages[page]["transitions"] = [t for t in pages[page]["transitions"] if t["action"] != element]

    return damage


def place(page: str, element: str, box: list):
    return lambda pages: pages[page]["layout"][element].update(bbox=box)


def lead(page: str, element: str, target: str):
    def damage(pages):
        next(t for t in pages[page]["transitions"] if t["action"] == element)["target_page"] = target

    return damage


FAULTS = {
    "no page_0": (lambda pages: pages.pop("page_0"), "has no page_0"),
    "no pages": (lambda pages: pages.clear(), "has no page_0"),
    "no layout": (lambda pages: pages["page_1"].pop("layout"), "page_1: KeyError 'layout'; not GE-Lab's schema"),
    "no depth": (lambda pages: pages["page_2"].pop("depth"), "page_2: KeyError 'depth'"),
    "no transitions": (lambda pages: pages["page_2"].pop("transitions"), "page_2: KeyError 'transitions'"),
    "page is null": (lambda pages: pages.update(page_3=None), "page_3: TypeError"),
    "short box": (place("page_1", "back", [1, 2, 3]), "page_1: TypeError"),
    "box of words": (place("page_1", "back", ["a", 2, 3, 4]), "page_1: ValueError"),
    "outside": (place("page_1", "back", [1100, 60, 1300, 260]), "page_1: box .* of 'back' leaves the 1179x2556 canvas"),
    "negative": (place("page_1", "back", [-1, 60, 200, 260]), "page_1: box .* of 'back' leaves the"),
    "empty box": (place("page_1", "back", [60, 60, 60, 260]), "page_1: box .* of 'back' leaves the"),
    "overlap": (place("page_2", "back", [900, 200, 950, 300]), "page_2: 'home' overlaps 'back'"),
    "nowhere": (lead("page_0", "icon0", "page_9"), "page_0: 'icon0' leads to 'page_9', which does not exist"),
    "unplaced": (
        lambda pages: pages["page_1"]["layout"].pop("back"),
        "page_1: ValueError transition 'back' has no place in the layout",
    ),
    "dead end": (
        lambda pages: (drop("page_3", "back")(pages), drop("page_3", "home")(pages)),
        "page_3 cannot reach page_0; every page needs a way back",
    ),
    "unreached": (drop("page_1", "icon1"), "no icon leads to page_2; every page but page_0 needs one"),
    "icons in a ring": (
        lambda pages: (drop("page_1", "icon1")(pages), ring(pages)),
        "page_2 stands before page_3, whose icon leads to it",
    ),
    "not breadth-first": (
        lambda pages: pages.update({"page_1": pages.pop("page_1")}),  # moved behind its children
        "page_2 stands before page_1, whose icon leads to it; list pages breadth-first",
    ),
}


def ring(pages: dict) -> None:
    """page_2 and page_3 open each other by icons, and no other page opens either."""
    box = pages["page_2"]["layout"]["icon2"]["bbox"]
    pages["page_3"]["layout"]["icon3"] = {"bbox": box, "type": "normal"}
    pages["page_3"]["transitions"].append({"action": "icon3", "target_page": "page_2", "icon_bbox": box})


@pytest.mark.parametrize("damage, message", FAULTS.values(), ids=FAULTS)
def test_broken_structure_files_are_refused_by_file_and_page(damage, message):
    with pytest.raises(WorldError, match=f"^my/ui_structure.json: .*{message}"):
        from_structure(damaged(damage), "my/ui_structure.json")


@pytest.mark.parametrize("structure", [[], {"pages": []}, {"pages": None}, "x", {}])
def test_other_json_is_refused_too(structure):
    with pytest.raises(WorldError, match="^my.json: "):
        from_structure(structure, "my.json")


def test_the_undamaged_structure_loads():
    assert from_structure(damaged(lambda pages: None), "x") == line_of_pages(3)


def test_the_built_in_set_suffices_for_the_papers_world():
    assert len(IconSet().icons) >= 230
    assert CANVAS == Size(1179, 2556)
