"""One page of a run that opens anywhere: scores, what goes wrong, walks to look at, learning curves.

    python eval/report.py RUN_DIR [--out report.html] [--data DIR ...] [--walks 40] [--wandb PROJECT] [--json]

Reads whatever lies below RUN_DIR: scores (run.json with answers and metrics.json), training logs (logging.jsonl of
ms-swift), worlds and rows. What is missing is named on the page. The page holds everything and fetches nothing.
"""

import json
import sys
from pathlib import Path

from html_report.gather import gather
from html_report.page import render
from html_report.pictures import Pictures
from html_report.score import LEFT_OUT

from data_engine.cli import Parser, command, positive
from data_engine.files import write_file

LIMIT = 10_000_000  # bytes of a page


def fitting(data: dict, walks_of, pictures: Pictures, most: int) -> str:
    """The page with at most ``most`` walks a score, halved until it is below LIMIT."""
    while True:
        html = render(data, walks_of(most), pictures)
        if len(html.encode()) < LIMIT or most == 1:
            return html
        most = most // 2
        print(f"report: over {LIMIT // 10**6} MB; now with {most} walks of each score", file=sys.stderr)


@command("report")
def main() -> None:
    parser = Parser(__doc__, "python eval/report.py runs/quickstart")
    parser.add_argument("run", type=Path, metavar="RUN_DIR")
    parser.add_argument("--out", type=Path, help="default: RUN_DIR/report.html")
    parser.add_argument("--data", type=Path, nargs="+", default=[], help="folders with worlds and rows, if elsewhere")
    parser.add_argument(
        "--walks", type=positive, default=40, help="walks to look at of each score; default: %(default)s"
    )
    parser.add_argument(
        "--wandb", metavar="PROJECT", help="log numbers, curves and page there too (WANDB_MODE=offline)"
    )
    parser.add_argument("--json", action="store_true", help="print what the page shows, without walks, as JSON")
    args = parser.parse_args()
    data, walks_of, pictures = gather(args.run, args.data)
    out = args.out or args.run / "report.html"
    html = fitting(data, walks_of, pictures, args.walks)
    write_file(out, html)
    if args.wandb:
        from html_report.to_wandb import log

        log(args.wandb, data, out, args.run)
    if data["left_out"]:
        first = data["left_out"][0].removeprefix(LEFT_OUT)
        print(f"report: {len(data['left_out'])} left out and named on the page; the first: {first}", file=sys.stderr)
    print(json.dumps(data) if args.json else f"{out}  {len(html.encode()) / 1e6:.1f} MB")


if __name__ == "__main__":
    sys.exit(main())
