"""Distortion beside its peers: the same models, interleaved, each fit in a process of its own.

python -m tests.benchmarks.models.compare [WORKLOAD ...] [--repeat 5] [--mode reml --mode df ...]

`first` is the first fit of a fresh process, `again` the median of further fits in it; both are
medians over the repetitions. Memory is the peak during the first fit, table and interpreter
included. R comes from Rscript, Python's peers from .venv-peers (`make .venv-peers/done`).
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.benchmarks.models.simulate import FOLDER, written
from tests.benchmarks.models.workloads import WORKLOADS, Workload

HERE = Path(__file__).parent
PEERS_PYTHON = Path(".venv-peers/bin/python")
# peer: (program of the runner, modes it has)
PEERS = {
    "distortion": ("distortion", ("reml", "ml", "df", "bootstrap")),
    "lme4": ("R", ("reml", "ml", "bootstrap")),
    "lmerTest": ("R", ("df",)),
    "lme_python": ("peers", ("reml", "ml", "df", "bootstrap")),
    "mixedlm": ("peers", ("reml", "ml", "df", "bootstrap")),
    "statsmodels": ("peers", ("reml", "ml")),
    "gpboost": ("peers", ("ml",)),
}
MODES = {
    "reml": "REML",
    "ml": "ML",
    "df": "REML and Satterthwaite df",
    "bootstrap": "parametric bootstrap, 1,000 refits",
}


def command(peer: str, work: Workload, mode: str, budget: float) -> list[str] | str:
    """What to run, or why it cannot be."""
    path = FOLDER / f"{work.table}.parquet"
    program = PEERS[peer][0]
    if program == "R":
        rscript = shutil.which("Rscript")
        if rscript is None:
            return "Rscript is not installed"
        given = [work.r, ",".join(work.factors), mode, work.family, str(budget)]
        return [rscript, str(HERE / "run_lme4.R"), str(path.with_suffix(".csv")), *given]
    if program == "peers" and not PEERS_PYTHON.exists():
        return f"{PEERS_PYTHON} is missing: make .venv-peers/done"
    python = sys.executable if program == "distortion" else str(PEERS_PYTHON)
    runner = f"tests.benchmarks.models.run_{peer}"
    return [python, "-m", runner, str(path), work.name, mode, str(budget)]


def once(call: list[str], limit: float, threads: int | None) -> dict[str, Any]:
    """One process: what it printed, or `skipped` with the reason."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS")
    limits = {} if threads is None else dict.fromkeys((*names, "POLARS_MAX_THREADS"), str(threads))
    environment = os.environ | limits
    try:
        done = subprocess.run(
            call, capture_output=True, text=True, timeout=limit, env=environment, check=False
        )
    except subprocess.TimeoutExpired:
        return {"skipped": f"more than {limit:.0f} s"}
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not lines:
        error = (done.stderr.strip().splitlines() or ["no output"])[-1]
        return {"skipped": f"exit {done.returncode}: {error[:160]}"}
    said: dict[str, Any] = json.loads(lines[-1])
    return said


def race(work: Workload, mode: str, options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """All peers in turn, `repeat` times; the order turns by one each time."""
    written(work.table)
    runs: dict[str, list[dict[str, Any]]] = {}
    skipped: dict[str, str] = {}
    peers = [peer for peer, (_, modes) in PEERS.items() if mode in modes]
    for repetition in range(options.repeat):
        turn = repetition % len(peers)
        for peer in peers[turn:] + peers[:turn]:
            if peer in skipped or (options.peer and peer not in options.peer):
                continue
            call = command(peer, work, mode, options.budget)
            said = (
                {"skipped": call}
                if isinstance(call, str)
                else once(call, options.limit, options.threads)
            )
            if "skipped" in said:
                skipped[peer] = said["skipped"]
                print(f"  {peer} skipped: {said['skipped']}", file=sys.stderr)
            else:
                runs.setdefault(peer, []).append(said)
    results = {peer: summary(done) for peer, done in runs.items()}
    return results | {peer: {"skipped": why} for peer, why in skipped.items()}


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians of one peer's runs."""
    again = [statistics.median(run["seconds"][1:]) for run in runs if len(run["seconds"]) > 1]
    return {
        "version": runs[0]["version"],
        "runs": len(runs),
        "first_s": statistics.median(run["seconds"][0] for run in runs),
        "first_range_s": [f(run["seconds"][0] for run in runs) for f in (min, max)],
        "again_s": statistics.median(again) if again else None,
        "peak_mib": statistics.median(run["peak_mib"] for run in runs),
        "data_mib": statistics.median(run["data_mib"] for run in runs),
        "criterion": runs[0]["criterion"],
        "df": runs[0].get("df"),
    }


def markdown(title: str, results: Mapping[str, dict[str, Any]]) -> str:
    """One table; the criterion is compared with the lowest, df with lmerTest's."""
    fitted = {peer: results[peer] for peer in PEERS if "first_s" in results.get(peer, {})}
    ours = fitted.get("distortion")
    lowest = min((said["criterion"] for said in fitted.values()), default=0.0)
    reference = fitted.get("lmerTest", {}).get("df")
    lines = [
        f"### {title}",
        "",
        "| | first, s | again, s | × distortion (first / again) | peak, MiB | criterion − lowest |"
        + (" df, largest relative difference |" if reference else ""),
        "|:--|--:|--:|--:|--:|--:|" + ("--:|" if reference else ""),
    ]
    for peer, said in fitted.items():
        again = "–" if said["again_s"] is None else f"{said['again_s']:.3g}"
        ratio = " / ".join(
            f"{said[key] / ours[key]:.2g}" if ours and said[key] and ours[key] else "–"
            for key in ("first_s", "again_s")
        )
        line = (
            f"| {peer} {said['version']} | {said['first_s']:.3g} | {again} | {ratio} "
            f"| {said['peak_mib']:.0f} | {said['criterion'] - lowest:.1e} |"
        )
        if reference:
            pairs = zip(sorted(said["df"]), sorted(reference), strict=True)
            line += f" {max(abs(a / b - 1) for a, b in pairs):.0e} |"
        lines.append(line)
    lines += [
        f"\n{peer}: {said['skipped']}." for peer, said in results.items() if "skipped" in said
    ]
    return "\n".join(lines) + "\n"


def machine() -> dict[str, Any]:
    """What the figures belong to."""
    model = platform.processor()
    if (info := Path("/proc/cpuinfo")).exists():
        models = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        model = models[0].split(": ")[1] if models else model
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "python": platform.python_version(),
    }


def main() -> None:
    """Race every workload in every mode; write build/benchmarks/models.{md,json}."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("workloads", nargs="*", default=list(WORKLOADS), metavar="WORKLOAD")
    parser.add_argument("--mode", action="append", choices=MODES, help="default: all")
    parser.add_argument("--peer", action="append", choices=PEERS, help="default: all")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--budget", type=float, default=2.0, help="seconds of fits in one process")
    parser.add_argument(
        "--limit", type=float, default=300.0, help="seconds until a peer is left out"
    )
    parser.add_argument("--threads", type=int, help="threads of every peer; default: its own")
    parser.add_argument("-o", "--out", type=Path, default=FOLDER.parent / "models")
    options = parser.parse_args()
    if unknown := set(options.workloads) - set(WORKLOADS):
        parser.error(f"unknown workload {', '.join(unknown)}; there are {', '.join(WORKLOADS)}")
    stored: dict[str, Any] = {"machine": machine(), "command": sys.argv[1:], "results": {}}
    text = []
    for name in options.workloads:
        work = WORKLOADS[name]
        modes = [m for m in MODES if m != "bootstrap" or name == "log-6k"]
        modes = ["ml"] if work.family != "gaussian" else modes
        for mode in [m for m in modes if not options.mode or m in options.mode]:
            label = "Laplace" if work.family != "gaussian" else MODES[mode]
            print(f"{name}, {label}", file=sys.stderr)
            results = race(work, mode, options)
            stored["results"][f"{name}/{mode}"] = results
            text.append(markdown(f"{name}, {label}", results))
            print(text[-1])
            options.out.parent.mkdir(parents=True, exist_ok=True)
            options.out.with_suffix(".md").write_text("\n".join(text))
            options.out.with_suffix(".json").write_text(json.dumps(stored, indent=1))


if __name__ == "__main__":
    main()
