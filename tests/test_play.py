"""The play server as a browser speaks to it, and the command; no browser is needed here."""

import http.client
import io
import json
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data_engine.gelab.build import build
from data_engine.gelab.env import MAX_STEPS, Navigation
from data_engine.gelab.graph import WorldError
from data_engine.gelab.icons import IconSet
from data_engine.gelab.oracle import gold_click
from data_engine.gelab.play.game import Game, draw_task, longest, task_of
from data_engine.gelab.play.server import PlayServer
from data_engine.gelab.tasks import Task
from data_engine.gelab.world import World
from data_engine.geometry import Size

PLAY = "tools/play.py"


@pytest.fixture
def serving(world):
    server = PlayServer(world)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def ask(serving):
    """ask(path, said=None, **headers) -> (status, headers, body): GET, or POST of JSON where something is said."""

    def ask(path: str, said: object = None, method: str = "", **headers: str):
        connection = http.client.HTTPConnection("127.0.0.1", serving.server_port, timeout=10)
        body = None if said is None else said if isinstance(said, bytes) else json.dumps(said).encode()
        kind = {"Content-Type": "application/json"} if body is not None else {}
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method or ("GET" if body is None else "POST"), path, body, kind | given)
        reply = connection.getresponse()
        answer = reply.status, dict(reply.getheaders()), reply.read()
        connection.close()
        return answer

    return ask


@pytest.fixture
def said(ask):
    """said(path, ...) -> the JSON of an answer that is right."""

    def said(*args, **kwargs) -> dict:
        status, _, body = ask(*args, **kwargs)
        assert status == 200, body
        return json.loads(body)

    return said


def click(world, page: str, name: str) -> dict:
    point = gold_click(world.graph, page, world.graph.pages[page].element(name))
    return {"x": point.x, "y": point.y}


def test_the_oracles_way_scores_one(world, said):
    game = said("/api/games", {"start": "page_1", "goal": "page_19"})
    path = world.graph.shortest_path("page_1", "page_19")
    assert game["length"] == len(path) == 4  # back; then 2, 9 and 19 below it
    for page, element in path:
        assert (game["page"], game["done"], game["score"]) == (page, False, 1.0)
        game = said("/api/games/0/click", click(world, page, element.name))
    assert (game["page"], game["arrived"], game["done"], game["steps"], game["score"]) == (
        "page_19",
        True,
        True,
        4,
        1.0,
    )
    assert game["trace"] == game["way"] == [{"page": p, "element": e.name, "to": e.target} for p, e in path]
    assert said("/api/games/0") == game


def test_misses_cost_and_the_end_is_an_end(world, said):
    said("/api/games", {"start": "page_1", "goal": "page_0"})
    missed = said("/api/games/0/click", {"x": 500, "y": 999})
    assert missed["trace"] == [{"page": "page_1", "element": None, "to": "page_1"}]
    assert (missed["score"], missed["way"]) == (1.0, None)  # one click was enough, one is made: it still can be 1 / 1
    game = said("/api/games/0/click", click(world, "page_1", "back"))
    assert (game["arrived"], game["steps"], game["score"]) == (True, 2, 0.5)
    assert said("/api/games/0/click", click(world, "page_0", world.graph.pages["page_0"].elements[0].name)) == game


def test_out_of_steps_scores_nothing(world, said):
    said("/api/games", {"start": "page_0", "goal": "page_25"})
    for left in reversed(range(MAX_STEPS)):
        game = said("/api/games/0/click", {"x": 0, "y": 1000})
        assert (game["done"], game["steps"]) == (left == 0, MAX_STEPS - left)
    assert (game["arrived"], game["score"]) == (False, 0.0)
    assert [step["page"] for step in game["way"]] == ["page_0", "page_5", "page_15"]


def test_a_hint_names_the_next_click_until_it_is_made(world, said):
    said("/api/games", {"start": "page_0", "goal": "page_25"})
    first = world.graph.next_element("page_0", "page_25").name
    for _ in range(2):  # asked twice on one page: one hint
        game = said("/api/games/0/hint", {})
        assert (game["hint"], game["hints"], game["steps"]) == ({"element": first, "left": 3}, 1, 0)
    game = said("/api/games/0/click", click(world, "page_0", first))
    assert (game["page"], game["hint"]) == ("page_5", None)
    assert said("/api/games/0/hint", {})["hints"] == 2


def test_the_page_is_not_told_where_icons_lead(world, said):
    game = said("/api/games", {"start": "page_0", "goal": "page_25"})
    assert {key for element in game["screen"]["elements"] for key in element} == {"name", "box"}
    assert "target" not in json.dumps(game)


def test_what_is_drawn_and_where(world, said):
    """112 x 112 of 1179 x 2556: back (60, 60, 260, 260) -> 5.70, 2.63, 24.70, 11.39; the title's 389, 789 -> 37, 75."""
    screen = said("/api/games", {"start": "page_16", "goal": "page_0"})["screen"]
    assert (screen["size"], screen["canvas"], screen["ground"]) == ([112, 112], [1179, 2556], [255, 255, 255])
    assert screen["title"] == {"text": "page_16", "box": [37, 3, 75, 11]}
    back, home = screen["elements"]
    assert back == {"name": "back", "box": [6, 3, 25, 11], "tile": [255, 200, 200]}
    assert (home["name"], home["tile"]) == ("home", [200, 255, 200])


def test_drawn_tasks_follow_the_seed_and_have_the_length(world):
    graph = world.graph
    drawn = [draw_task(graph, None, 0, "play", n) for n in range(20)]
    assert drawn == [draw_task(graph, None, 0, "play", n) for n in range(20)] and len(set(drawn)) > 15
    assert drawn != [draw_task(graph, None, 1, "play", n) for n in range(20)]
    assert longest(graph) == 4  # home or back to page_0, then three down
    for length in range(1, 5):
        assert {draw_task(graph, length, 0, n).length for n in range(10)} == {length}
    assert all(graph.distances_to(task.goal)[task.start] == task.length for task in drawn)
    with pytest.raises(WorldError, match="no task of 5 clicks in this world; the longest way has 4"):
        draw_task(graph, 5, 0)


def test_new_games_are_drawn_or_the_one_that_was_asked_for(serving, said, world):
    assert [said("/api/games", {})["key"] for _ in range(2)] == ["0", "1"]
    assert said("/api/games", {"length": 3})["length"] == 3
    serving.task = task_of(world.graph, "page_2", "page_3")
    assert said("/api/games", {})["goal"] == "page_3"
    assert said("/api/games", {"length": 4})["length"] == 4  # another task, asked for
    assert said("/api/world") == {"name": "small", "pages": 26, "longest": 4}


def test_pictures_are_the_worlds_own(ask, world):
    page = world.graph.pages["page_0"]
    for element in page.elements:
        x1, y1, x2, y2 = element.box.scaled(world.graph.canvas, world.page_size)
        status, headers, body = ask(f"/pictures/exact/page_0/{element.name.replace(' ', '%20')}")
        assert (status, headers["Content-Type"]) == (200, "image/png")
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(body))), world.screenshot("page_0")[y1:y2, x1:x2])
        large = Image.open(io.BytesIO(ask(f"/pictures/large/page_0/{element.name.replace(' ', '%20')}")[2]))
        assert large.size == (200, 200) and large.mode == "RGB" and np.asarray(large).min() < 128
        icon = Image.open(io.BytesIO(ask(f"/pictures/icon/page_0/{element.name.replace(' ', '%20')}")[2]))
        alone = IconSet().picture(world.manifest["icons"][element.name])
        assert icon.mode == "RGBA" and np.array_equal(np.asarray(icon), np.asarray(alone))


def test_pictures_of_a_users_icons_come_from_the_screenshot(tmp_path):
    folder = tmp_path / "icons" / "My Things" / "PNG"
    folder.mkdir(parents=True)
    for number in range(2):
        Image.new("RGBA", (8, 8), (40 * number, 90, 200, 255)).save(folder / f"{number}.png")
    build(tmp_path / "world", tree=(2,), page_size=Size(112, 112), icons=tmp_path / "icons")
    server = PlayServer(World(tmp_path / "world"))
    try:
        for name in ("My_Things_0", "My_Things_1"):
            exact = server.pictures.exact("page_0", name)
            assert exact == server.pictures.large("page_0", name) == server.pictures.icon("page_0", name)
    finally:
        server.server_close()


WRONG = [
    ("/nothing", None, 404, "nothing at /nothing"),
    ("/../game.py", None, 404, "nothing at"),
    ("/%2e%2e%2fgame.py", None, 404, "nothing at"),
    ("/pictures/exact/page_0/back", None, 404, "no icon 'back' on 'page_0'"),
    ("/pictures/exact/page_99/x", None, 404, "no icon 'x' on 'page_99'"),
    ("/pictures/blurred/page_0/x", None, 404, "nothing at"),
    ("/api/games/7", None, 404, "no episode '7'"),
    ("/api/games/7/click", {"x": 1, "y": 1}, 404, "no episode '7'"),
    ("/api/games", {"start": "page_0", "goal": "page_99"}, 400, "no page 'page_99' in this world; it has page_0"),
    ("/api/games", {"start": "page_1", "goal": "page_1"}, 400, "no way to go"),
    ("/api/games", {"length": 99}, 400, "no task of 99 clicks"),
    ("/api/games", b"{", 400, "a JSON object"),
    ("/api/games", [], 400, "a JSON object"),
    ("/api/games", b" " * 10_001, 400, "up to 10000 bytes"),
    ("/api/games", b" " * 5_000_000, 400, "up to 10000 bytes"),  # the answer arrives although nobody reads the body
    ("/nothing", b" " * 5_000_000, 400, "up to 10000 bytes"),
    ("/api/games", b"[" * 5_000, 400, "a JSON object"),
    ("/api/games", b'{"length": ' + b"[" * 5_000, 400, "a JSON object"),
    ("/api/games", b'{"length": ' + b"[" * 40 + b"]" * 40 + b"}", 400, "no task of"),
    ("/api/games", b"\xff\xfe", 400, "a JSON object"),
    ("/api/games", b'{"start": "\\ud83d", "goal": {}}', 400, "no page"),
    ("/api/games", {"length": float("nan")}, 400, "no task of nan clicks"),
    ("/api/games/0/click", {"x": 10**4299, "y": 0}, 404, "no episode"),
    ("/api/games/0/click", {"x": 1}, 400, "two whole numbers"),
    ("/api/games/0/click", {"x": 1.5, "y": True}, 400, "two whole numbers"),
]


@pytest.mark.parametrize("path, body, status, text", WRONG)
def test_wrong_requests_are_told_so_in_one_line(ask, path, body, status, text):
    got, headers, answer = ask(path, body)
    assert (got, headers["Content-Type"]) == (status, "application/json")
    error = json.loads(answer)["error"]
    assert text in error and "\n" not in error


@pytest.mark.parametrize("x", [-1, 1001, 10**400, -(10**4299)])
def test_a_click_far_outside_is_a_miss(said, x):
    said("/api/games", {"start": "page_1", "goal": "page_0"})
    (step,) = said("/api/games/0/click", {"x": x, "y": 0})["trace"]
    assert step == {"page": "page_1", "element": None, "to": "page_1"}


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_is_no_address(serving, method):
    with socket.create_connection(serving.server_address, timeout=10) as client:
        client.sendall(f"{method} http://[::1 HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        answer = client.makefile().read()
    assert answer.startswith("HTTP/1.1 400 ") and answer.endswith('{"error": "no address: http://[::1"}')


@pytest.mark.parametrize("length", ["9" * 5_000, "99999999999", "-1", "1e3", "0x10", "\xb2", ""])
def test_a_length_that_is_none(ask, length):
    status, _, body = ask("/api/games", b"", Content_Length=length)
    assert status == 400 and "of a known length" in json.loads(body)["error"]


def test_a_browser_that_goes_away_is_no_error(serving, said, capfd):
    """In the middle of its request, of its body, and before its answer, which is larger than what the system keeps."""
    heads = ["GET / HTTP/1.1\r\nHo", "POST /api/games HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\n{"]
    heads += ["GET /play.js HTTP/1.1\r\nHost: localhost\r\n\r\n" * 200]
    for head in heads:
        with socket.create_connection(serving.server_address) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # closes with a reset
            client.sendall(head.encode())
    assert said("/api/world")["pages"] == 26  # it serves on
    time.sleep(0.2)
    assert capfd.readouterr() == ("", "")


def test_what_is_a_fault_of_ours_is_shown(serving, ask, capfd, monkeypatch):
    monkeypatch.setattr(serving, "new_game", lambda wish: 1 / 0)
    with pytest.raises(http.client.RemoteDisconnected):
        ask("/api/games", {})
    assert "ZeroDivisionError" in capfd.readouterr().err


def test_a_hundred_connections_at_once_are_served(world):
    """All wait before the first is taken, as the icons of a page do when the machine is busy."""
    server = PlayServer(world)
    head = b"GET /api/world HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    clients = [socket.create_connection(server.server_address, timeout=10) for _ in range(100)]
    for client in clients:
        client.sendall(head)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    assert [client.recv(15) for client in clients] == [b"HTTP/1.1 200 OK"] * 100
    for client in clients:
        client.close()
    server.shutdown()
    server.server_close()


def test_other_sites_get_nothing(ask, serving):
    """A page elsewhere can post a form without asking, or point a name of its own at 127.0.0.1."""
    for host, status in [("evil.example", 403), (f"evil.example:{serving.server_port}", 403), ("[", 403), ("", 403)]:
        assert ask("/api/world", Host=host)[0] == status
    assert ask("/api/world", Host="localhost:9")[0] == 200  # a forwarded port
    assert ask("/api/games", b"{}", Content_Type="text/plain")[0] == 415
    assert serving.games == {}


def test_it_listens_on_loopback_alone(serving):
    assert serving.server_address[0] == "127.0.0.1" and serving.url == f"http://127.0.0.1:{serving.server_port}/"


def test_the_page_loads_nothing_from_elsewhere(ask):
    for path in ("/", "/play.css", "/play.js"):
        status, headers, body = ask(path)
        assert status == 200 and "'self'" in headers["Content-Security-Policy"]
        assert b"http" not in body.replace(b"http://www.w3.org/2000/svg", b"")  # the name of a format


def test_scores_by_hand(world):
    """Way of 4: 4 clicks 100 %, 5 clicks 80 %, 8 clicks 50 %."""
    state = Navigation(world.graph, Task("page_1", "page_19", 4), click_only=True)
    game = Game(world, Task("page_1", "page_19", 4), state)
    scores = []
    for steps in (0, 4, 5, 8):
        state.steps = steps
        scores.append(game.score)
    assert scores == [1.0, 1.0, 0.8, 0.5]


# ---- the command


@pytest.fixture
def play(repo, small_world):
    """The command as a user starts it, on any free port; yields (process, address)."""
    command = [
        sys.executable,
        str(repo / PLAY),
        str(small_world),
        "--port",
        "0",
        "--start",
        "page_2",
        "--goal",
        "page_3",
    ]
    ctrl_c = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # shells let background jobs ignore it
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(command, **pipes, text=True, preexec_fn=ctrl_c)
    yield process, process.stdout.readline()
    process.kill()
    process.communicate()


def test_the_command_serves_until_interrupted(play, small_world):
    process, line = play
    address = line.removeprefix(f"{small_world}: http://").partition("/")[0]
    connection = http.client.HTTPConnection(address, timeout=10)
    connection.request("POST", "/api/games", b"{}", {"Content-Type": "application/json"})
    assert json.loads(connection.getresponse().read())["start"] == "page_2"
    connection.close()
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 0 and process.stderr.read() == ""


@pytest.mark.parametrize(
    "arguments, text",
    [
        (["--start", "page_1"], "--start and --goal: give both or none"),
        (["--start", "page_1", "--goal", "page_99"], "no page 'page_99' in this world; it has page_0 .. page_25"),
        (["--max-steps", "0"], "--max-steps 0: must be 1 or more (--help lists the flags)"),
        (["--port", "70000"], "--port 70000: must be 0 to 65535 (--help lists the flags)"),
    ],
)
def test_wrong_use_is_one_line(cli, small_world, arguments, text):
    done = cli(PLAY, small_world, *arguments)
    assert (done.returncode, done.stderr.splitlines()) == (2, [f"play: {text}"])


def test_no_world_and_a_taken_port_are_one_line(cli, small_world, serving, tmp_path):
    done = cli(PLAY, tmp_path)
    assert done.returncode == 2 and "this is not a finished gelab-world folder" in done.stderr
    done = cli(PLAY, small_world, "--port", serving.server_port)
    assert done.returncode == 2
    assert (
        done.stderr
        == f"play: --port {serving.server_port}: Address already in use; give another, or 0 for any free one\n"
    )


# ---- what the browser backend needs


def test_playwright_is_imported_only_when_a_browser_opens(repo):
    code = "import sys, data_engine.gelab.play.browser; print('playwright' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=repo, capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == ("False", "")


def interactive(data: Path, out: Path) -> list:
    tasks = data / "tasks_ood.jsonl"
    return ["--engine", "oracle", "--backend", "browser", "--world", data / "world", "--tasks", tasks, "--out", out]


def test_no_chromium_is_one_line(cli, small_data, tmp_path):
    done = cli("eval/gelab_interactive.py", *interactive(small_data, tmp_path / "run"), PATH=str(tmp_path))
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "none of chromium" in done.stderr and "apt-get install chromium" in done.stderr


def test_no_playwright_is_one_line(cli, small_data, tmp_path, repo):
    (tmp_path / "playwright").mkdir()
    (tmp_path / "playwright" / "__init__.py").write_text("raise ImportError('not here')")
    program = tmp_path / "chromium"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    where = {"PATH": str(tmp_path), "PYTHONPATH": f"{repo}:{tmp_path}"}
    done = cli("eval/gelab_interactive.py", *interactive(small_data, tmp_path / "run"), **where)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "the package playwright is missing; pip install" in done.stderr
