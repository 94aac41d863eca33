"""How time and memory of a fit grow with rows, levels and terms, as a figure.

python -m tests.benchmarks.models.scaling [--peer distortion ...] [-o docs/models-scaling.svg]

Model: y ~ x0 + ... + (x0 | g) + (1 | h), REML, h with 50 levels. One axis grows at a time. A peer
that runs out of time or memory at one size is not asked for larger ones.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator

from distortion.figures import style
from tests.benchmarks.models.compare import command, machine, once, summary
from tests.benchmarks.models.simulate import FOLDER, written
from tests.benchmarks.models.workloads import workload

ROWS, LEVELS, TERMS = 300_000, 1_000, 3
AXES = {
    "rows": [
        (rows, LEVELS, TERMS) for rows in (10_000, 30_000, 100_000, 300_000, 1_000_000, 3_000_000)
    ],
    "levels of g": [(ROWS, levels, TERMS) for levels in (10, 100, 1_000, 10_000, 100_000)],
    "fixed terms": [(ROWS, LEVELS, terms) for terms in (1, 3, 10, 30)],
}
PEERS = ("distortion", "lme4", "lme_python", "mixedlm")


def grow(
    peer: str, sizes: list[tuple[int, int, int]], options: argparse.Namespace
) -> list[dict[str, Any]]:
    """What one peer needs at each size, until it fails."""
    found: list[dict[str, Any]] = []
    for size in sizes:
        name = "grown-" + "-".join(map(str, size))
        path = written(name)
        call = command(peer, workload(name), "reml", options.budget)
        runs = []
        for _ in range(options.repeat):
            said = {"skipped": call} if isinstance(call, str) else once(call, options.limit, None)
            if "skipped" in said:
                print(f"{peer}, {name}: {said['skipped']}", file=sys.stderr)
                return found
            runs.append(said)
        found.append({"size": size} | summary(runs))
        print(f"{peer}, {name}: {found[-1]['first_s']:.3g} s", file=sys.stderr)
        if peer == options.peer[-1] and not options.keep:
            path.unlink()
            path.with_suffix(".csv").unlink()
    return found


def best(result: dict[str, Any]) -> float:
    """Seconds of a fit that is not the first, where there is one."""
    return float(result["again_s"] or result["first_s"])


def draw(results: dict[str, dict[str, list[dict[str, Any]]]], path: Path) -> None:
    """Time above, memory below; one column for each axis that grows."""
    plain = FuncFormatter(lambda value, _: f"{value:,.6g}")
    with style.styled():
        drawn = Figure(figsize=(9, 5), layout="constrained")
        panels = drawn.subplots(2, len(AXES), sharex="col", sharey="row")
        for column, axis in enumerate(AXES):
            position = list(AXES).index(axis)
            for order, (peer, found) in enumerate(results[axis].items()):
                x = [result["size"][position] for result in found]
                look = {
                    "label": peer,
                    "color": style.COLOURS[order],
                    "marker": style.MARKERS[order],
                    "linestyle": style.LINES[order],
                    "markersize": 4,
                }
                panels[0][column].loglog(x, [best(result) for result in found], **look)
                panels[1][column].loglog(x, [result["peak_mib"] for result in found], **look)
            panels[1][column].set_xlabel(axis)
            for panel in panels[:, column]:
                panel.xaxis.set_major_formatter(plain)
                panel.yaxis.set_major_formatter(plain)
                panel.minorticks_off()
            panels[1][column].yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        panels[0][0].set_ylabel("seconds")
        panels[1][0].set_ylabel("peak memory, MiB")
        handles, labels = panels[0][0].get_legend_handles_labels()
        drawn.legend(handles, labels, loc="outside upper center", ncols=len(labels), frameon=False)
        drawn.savefig(path, metadata={"Date": None})


def main() -> None:
    """Measure, write the figure and the numbers beside the other benchmarks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer", action="append", choices=PEERS, help="default: all")
    parser.add_argument("--largest", type=int, default=3_000_000, help="rows at most")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--budget", type=float, default=1.0, help="seconds of fits in one process")
    parser.add_argument(
        "--limit", type=float, default=120.0, help="seconds until a peer is left out"
    )
    parser.add_argument("--keep", action="store_true", help="keep the tables")
    parser.add_argument("-o", "--out", type=Path, default=Path("docs/models-scaling.svg"))
    options = parser.parse_args()
    options.peer = options.peer or list(PEERS)
    results: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for axis, sizes in AXES.items():
        sizes = [size for size in sizes if size[0] <= options.largest]
        results[axis] = {peer: grow(peer, sizes, options) for peer in options.peer}
    stored = {"machine": machine(), "command": sys.argv[1:], "results": results}
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER.parent / "scaling.json").write_text(json.dumps(stored, indent=1))
    draw(results, options.out)
    print(options.out)


if __name__ == "__main__":
    main()
