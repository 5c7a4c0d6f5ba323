"""The page and its episodes on 127.0.0.1, for the person at this machine.

    GET  /  /play.css  /play.js                 the page
    GET  /api/world                             name, number of pages, clicks of the longest task
    POST /api/games             {start, goal}, {length: number or null} or {}: a new episode, its key and view (game.py)
    GET  /api/games/KEY                         its view
    POST /api/games/KEY/click  {x, y}           0..1000
    POST /api/games/KEY/hint   {}
    GET  /pictures/exact|large|icon/PAGE/NAME   an icon (pictures.py)

A wrong request is answered with its status and ``{"error": "one line"}``. Other sites in the same browser get nothing:
the Host must be this machine's, and what changes a state must be JSON.
"""

import json
import sys
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from itertools import count
from socket import SHUT_WR
from threading import Lock
from urllib.parse import unquote, urlsplit

from ..env import MAX_STEPS, Navigation
from ..graph import WorldError
from ..tasks import Task
from ..world import World
from .game import Game, draw_task, longest, task_of
from .pictures import Pictures

ADDRESS = "127.0.0.1"
MOST = 10_000  # bytes of a request's body
UNREAD, LINGER = 10_000_000, 1.0  # bytes and seconds for which a refused body is still taken
TYPES = {"html": "text/html; charset=utf-8", "css": "text/css", "js": "text/javascript", "png": "image/png"}
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:",
    "X-Content-Type-Options": "nosniff",
}


class WrongRequest(ValueError):
    """What the browser asked cannot be answered; ``status`` says how."""

    def __init__(self, status: HTTPStatus, text: str):
        super().__init__(text)
        self.status = status


class PlayServer(ThreadingHTTPServer):
    """Serves one world. ``games`` has all episodes by key. An episode without a wish plays ``task``, if it is set."""

    daemon_threads = True
    request_queue_size = 128  # connections that wait: a page asks for all of its icons at once

    def __init__(self, world: World, port: int = 0, max_steps: int = MAX_STEPS, seed: int = 0):
        """Listens at once; ``port`` 0 is any free one. Raises OSError where the port is taken."""
        super().__init__((ADDRESS, port), _Handler)
        self.world, self.max_steps, self.seed = world, max_steps, seed
        self.task: Task | None = None
        self.pictures = Pictures(world)
        self.games: dict[str, Game] = {}
        self.lock = Lock()
        self._numbers = count()

    @property
    def url(self) -> str:
        return f"http://{ADDRESS}:{self.server_port}/"

    def handle_error(self, request, client_address) -> None:
        """A browser that goes away is no error; anything else is one of ours."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    def new_game(self, wish: dict) -> str:
        """Start an episode of a named task or a drawn one; returns its key. Raises WorldError."""
        number = next(self._numbers)
        if "start" in wish and "goal" in wish:
            task = task_of(self.world.graph, str(wish["start"]), str(wish["goal"]))
        elif self.task and "length" not in wish:
            task = self.task
        else:
            task = draw_task(self.world.graph, wish.get("length"), self.seed, "play", number)
        state = Navigation(self.world.graph, task, self.max_steps, click_only=True)
        self.games[str(number)] = Game(self.world, task, state)
        return str(number)


class _Handler(BaseHTTPRequestHandler):
    server: PlayServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(self._get)

    def do_POST(self) -> None:
        self._answer(self._post)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet: one person, many requests."""

    def _answer(self, method) -> None:
        try:
            self._check_origin()
            status, (kind, body) = HTTPStatus.OK, method(self._path())
        except WrongRequest as error:
            status, (kind, body) = error.status, _json({"error": str(error)})
            self.close_connection = True
        self.send_response(status)
        headers = {"Content-Type": kind, "Content-Length": str(len(body)), "Cache-Control": "no-store"}
        for name, value in (headers | HEADERS).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        if status != HTTPStatus.OK:
            self._linger()

    def _linger(self) -> None:
        """Take what still comes of a refused body: the system would break the connection before the answer is read."""
        left = UNREAD
        with suppress(OSError):
            self.connection.settimeout(LINGER)
            self.connection.shutdown(SHUT_WR)
            while left > 0 and (part := self.connection.recv(2**16)):
                left -= len(part)

    def _path(self) -> list[str]:
        try:
            return [unquote(part) for part in urlsplit(self.path).path.split("/")[1:]]
        except ValueError:
            raise WrongRequest(HTTPStatus.BAD_REQUEST, f"no address: {self.path}") from None

    def _check_origin(self) -> None:
        if self.headers.get("Host", "").partition(":")[0] not in (ADDRESS, "localhost"):
            raise WrongRequest(HTTPStatus.FORBIDDEN, f"this server is for {ADDRESS} only")

    def _get(self, path: list[str]) -> tuple[str, bytes]:
        match path:
            case ["" | "play.css" | "play.js" as name]:
                name = name or "index.html"
                return TYPES[name.rpartition(".")[2]], (files(__package__) / "page" / name).read_bytes()
            case ["api", "world"]:
                world = self.server.world
                name = world.folder.absolute().name
                return _json({"name": name, "pages": len(world.graph.pages), "longest": longest(world.graph)})
            case ["api", "games", key]:
                return _json(self._game(key).view())
            case ["pictures", "exact" | "large" | "icon" as how, page, name]:
                try:
                    return TYPES["png"], getattr(self.server.pictures, how)(page, name)
                except KeyError:
                    raise WrongRequest(HTTPStatus.NOT_FOUND, f"no icon {name!r} on {page!r}") from None
        raise WrongRequest(HTTPStatus.NOT_FOUND, f"nothing at {self.path}")

    def _post(self, path: list[str]) -> tuple[str, bytes]:
        body = self._body()
        with self.server.lock:
            match path:
                case ["api", "games"]:
                    return self._new_game(body)
                case ["api", "games", key, "click"]:
                    x, y = (body.get(name) for name in "xy")
                    if type(x) is not int or type(y) is not int:
                        raise WrongRequest(HTTPStatus.BAD_REQUEST, "a click needs two whole numbers, x and y")
                    self._game(key).click(x, y)
                    return _json(self._game(key).view())
                case ["api", "games", key, "hint"]:
                    self._game(key).hint()
                    return _json(self._game(key).view())
        raise WrongRequest(HTTPStatus.NOT_FOUND, f"nothing at {self.path}")

    def _new_game(self, wish: dict) -> tuple[str, bytes]:
        try:
            key = self.server.new_game(wish)
        except WorldError as error:
            raise WrongRequest(HTTPStatus.BAD_REQUEST, str(error)) from None
        return _json({"key": key, **self._game(key).view()})

    def _game(self, key: str) -> Game:
        if key not in self.server.games:
            raise WrongRequest(HTTPStatus.NOT_FOUND, f"no episode {key!r}; the server was started anew")
        return self.server.games[key]

    def _body(self) -> dict:
        if self.headers.get_content_type() != "application/json":
            raise WrongRequest(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "the body must be application/json")
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or len(length) > len(str(MOST)) or int(length) > MOST:
            raise WrongRequest(HTTPStatus.BAD_REQUEST, f"the body must be of a known length up to {MOST} bytes")
        try:
            body = json.loads(self.rfile.read(int(length)))
        except (ValueError, RecursionError):  # no JSON, or 5,000 brackets
            body = None
        if not isinstance(body, dict):
            raise WrongRequest(HTTPStatus.BAD_REQUEST, "the body must be a JSON object")
        return body


def _json(value: dict) -> tuple[str, bytes]:
    return "application/json", json.dumps(value).encode()
