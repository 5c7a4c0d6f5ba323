"""Play a world in any browser: ``python tools/play.py WORLD [--port 8000] [--start PAGE --goal PAGE]``

Serves on 127.0.0.1 only, until Ctrl-C. The environment that agents are scored in owns the state; an episode ends on
arrival or after --max-steps clicks. Score: clicks of a shortest path / clicks made.
"""

import argparse
import sys
from pathlib import Path

from data_engine.gelab.env import MAX_STEPS
from data_engine.gelab.play.game import task_of
from data_engine.gelab.play.server import PlayServer
from data_engine.gelab.world import World


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.split(":")[0])
    parser.add_argument("world", type=Path, metavar="WORLD", help="written by data_engine.gelab.build")
    parser.add_argument("--port", type=int, default=8000, help="0: any free one (default: %(default)s)")
    parser.add_argument("--start", metavar="PAGE", help="with --goal: play this task; default: drawn ones")
    parser.add_argument("--goal", metavar="PAGE")
    parser.add_argument("--max-steps", type=int, default=MAX_STEPS, help="clicks of an episode (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the drawn tasks")
    return parser


def server(args: argparse.Namespace) -> PlayServer:
    """The server that the flags ask for. Raises ValueError, OSError."""
    if (args.start is None) != (args.goal is None):
        raise ValueError("--start and --goal: give both or none")
    if args.max_steps < 1:
        raise ValueError(f"--max-steps {args.max_steps}: give 1 or more")
    if not 0 <= args.port <= 65535:
        raise ValueError(f"--port {args.port}: give 0 (any free one) to 65535")
    world = World(args.world)
    world.check_pictures()
    task = task_of(world.graph, args.start, args.goal) if args.start else None
    try:
        serving = PlayServer(world, args.port, args.max_steps, args.seed)
    except OSError as error:
        raise OSError(f"--port {args.port}: {error.strerror}; give another, or 0 for any free one") from None
    serving.task = task
    return serving


def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    try:
        serving = server(args)
    except (ValueError, OSError) as error:  # DataError and WorldError are ValueErrors
        print(f"play: {error}", file=sys.stderr)
        return 2
    print(f"{args.world}: {serving.url} (Ctrl-C ends)", flush=True)
    try:
        serving.serve_forever()
    except KeyboardInterrupt:
        print()
    finally:
        serving.server_close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
