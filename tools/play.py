"""Play a world in any browser: ``python tools/play.py WORLD [--port 8000] [--start PAGE --goal PAGE]``

Serves on 127.0.0.1 only, until Ctrl-C. The environment that agents are scored in owns the state; an episode ends on
arrival or after --max-steps clicks. Score: clicks of a shortest path / clicks made.
"""

import argparse
import sys
from pathlib import Path

from data_engine.cli import Parser, command, positive, whole
from data_engine.dataset import DataError
from data_engine.gelab.env import MAX_STEPS
from data_engine.gelab.play.game import task_of
from data_engine.gelab.play.server import PlayServer
from data_engine.gelab.world import World


def parser() -> Parser:
    parser = Parser(__doc__, "python tools/play.py worlds/base --port 0")
    parser.add_argument("world", type=Path, metavar="WORLD", help="written by data_engine.gelab.build")
    parser.add_argument("--port", type=whole(0, 65535), default=8000, help="0: any free one")
    parser.add_argument("--start", metavar="PAGE", help="with --goal: play this task; default: drawn ones")
    parser.add_argument("--goal", metavar="PAGE", help="with --start")
    parser.add_argument("--max-steps", type=positive, default=MAX_STEPS, metavar="N", help="clicks of an episode")
    parser.add_argument("--seed", type=whole(), default=0, help="of the drawn tasks")
    return parser


def server(args: argparse.Namespace) -> PlayServer:
    """The server that the flags ask for. Raises DataError, OSError."""
    if (args.start is None) != (args.goal is None):
        raise DataError("--start and --goal: give both or none")
    world = World(args.world)
    world.check_pictures()
    task = task_of(world.graph, args.start, args.goal) if args.start else None
    try:
        serving = PlayServer(world, args.port, args.max_steps, args.seed)
    except OSError as error:
        raise OSError(f"--port {args.port}: {error.strerror}; give another, or 0 for any free one") from None
    serving.task = task
    return serving


@command("play")
def main(argv: list[str] | None = None) -> None:
    args = parser().parse_args(argv)
    serving = server(args)
    print(f"{args.world}: {serving.url} (Ctrl-C ends)", flush=True)
    try:
        serving.serve_forever()
    except KeyboardInterrupt:
        print()
    finally:
        serving.server_close()


if __name__ == "__main__":
    sys.exit(main())
