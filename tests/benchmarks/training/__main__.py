"""Networks per hour on a CPU: our runners beside peers and a clean loop, in one run.

python -m tests.benchmarks.training [digits] [mnist] [--rounds 3] [--data FOLDER]
    [--shrinkbench CHECKOUT] [--openlth CHECKOUT] [--workers 0 --workers 2] [--threads 1] [-o FILE]

Every way does the whole work of a study on the same images, from the same initial weights: train
a dense network, fine-tune a control, prune copies by magnitude, fine-tune them, count test images
per class of all of them. Ways take turns, so that what else runs meets all of them; times are the
best of all rounds. Leaves with 1 where accuracies differ by more than the noise between seeds.
"""

import argparse
import platform
import sys
from pathlib import Path

import torch

from tests.benchmarks.training.accuracy import beyond_noise, differences
from tests.benchmarks.training.cases import CASES, Case
from tests.benchmarks.training.table import best, in_words, markdown
from tests.benchmarks.training.ways import CLEAN, Measured, Way, measure, ways

ROOT = Path(__file__).parents[3]
PEERS = {
    "ShrinkBench": (
        "shrinkbench",
        "git clone https://github.com/JJGO/shrinkbench; pip install tqdm",
    ),
    "OpenLTH": ("openlth", "git clone https://github.com/facebookresearch/open_lth"),
}


def compare(case: Case, found: list[Way], given: argparse.Namespace) -> tuple[str, bool]:
    """Measure all ways of a case in turn; return the table and whether accuracies are equal."""
    networks = case.networks(given.seeds)
    trained = sum(2 + len(network.methods) * len(network.ratios) for network in networks)
    rounds: dict[Way, list[Measured]] = {way: [] for way in found}
    for number in range(given.rounds):
        for way, done in rounds.items():
            done.append(measure(way, case, networks, given.data))
            print(
                f"round {number + 1}, {way.name} {way.note}: {done[-1].wall:.1f} s", file=sys.stderr
            )
    measured = {way: best(done) for way, done in rounds.items()}
    reference = next(one.counts for way, one in measured.items() if way.name == CLEAN)
    others = {
        f"{way.name} {way.processes} × {way.threads} {way.note}".strip(): one.counts
        for way, one in measured.items()
        if one.counts is not reference
    }
    compared = differences(others, reference)
    wrong = beyond_noise(compared)
    text = [
        f"## {case.title}",
        f"{trained} networks trained or fine-tuned; best of {given.rounds} rounds.",
        markdown(measured, trained),
        in_words(compared),
        *(f"Accuracy differs: {one}" for one in wrong),
    ]
    return "\n\n".join(text), not wrong


def main() -> int:
    """Print the tables, and write them where `-o` says."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("cases", nargs="*", default=list(CASES), metavar="CASE")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seeds", type=int, help="networks of each model; default: of the case")
    parser.add_argument("--cores", type=int, default=torch.get_num_threads())
    parser.add_argument(
        "--threads", type=int, action="append", help="of a process; default: 1 and all cores"
    )
    parser.add_argument("--workers", type=int, action="append", help="of loaders; default: 0 and 2")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("-o", "--out", type=Path)
    for name, (option, how) in PEERS.items():
        parser.add_argument(f"--{option}", type=Path, help=f"checkout of {name}: {how}")
    given = parser.parse_args()
    if unknown := set(given.cases) - set(CASES):
        parser.error(f"unknown case {', '.join(unknown)}; there are {', '.join(CASES)}")
    peers = {name: getattr(given, option) for name, (option, _) in PEERS.items()}
    missing = [
        f"{name} is left out: `{PEERS[name][1]}`, then --{PEERS[name][0]} CHECKOUT."
        for name, checkout in peers.items()
        if checkout is None
    ]
    versions = f"{given.cores} cores, torch {torch.__version__}, Python {platform.python_version()}"
    text, equal = [versions, *missing], True
    for name in given.cases:
        case = CASES[name]
        threads, workers = given.threads or sorted({1, given.cores}), given.workers or [0, 2]
        found = ways(case, given.cores, threads, peers, workers)
        table, fine = compare(case, found, given)
        text.append(table)
        equal &= fine
    print("\n\n".join(text))
    if given.out:
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.write_text("\n\n".join(text) + "\n")
    return 0 if equal else 1


if __name__ == "__main__":
    sys.exit(main())
