"""The comparison as a Markdown table."""

from collections.abc import Mapping, Sequence
from statistics import fmean

from distortion.schema import DENSE, FINETUNED
from tests.benchmarks.training.accuracy import Difference, mean_and_sd
from tests.benchmarks.training.ways import CLEAN, SHRINKBENCH, Measured, Way

PEERS = (CLEAN, SHRINKBENCH)
HEADS = (
    "way", "processes × threads", "wall, s", "CPU, s", "networks per hour",
    "× clean loop, wall (CPU)", "× ShrinkBench, wall (CPU)", "epochs alone, s",
    "dense, %", "fine-tuned, %",
)  # fmt: skip


def best(rounds: Sequence[Measured]) -> Measured:
    """Return the shortest wall, CPU and training times of all rounds, and the first counts."""
    return Measured(
        min(one.wall for one in rounds),
        min(one.cpu for one in rounds),
        min(one.training for one in rounds),
        rounds[0].counts,
    )


def markdown(measured: Mapping[Way, Measured], trained: int) -> str:
    """Return one row per way; ratios are to the best of the clean loops and of ShrinkBench."""
    lines = ["| " + " | ".join(HEADS) + " |", "|:--|:-:" + "|--:" * (len(HEADS) - 2) + "|"]
    for way, one in measured.items():
        cells = [
            f"{way.name}, {way.note}" if way.note else way.name,
            f"{way.processes} × {way.threads}",
            f"{one.wall:.1f}",
            f"{one.cpu:.1f}",
            f"{3600 * trained / one.wall:,.0f}",
            *(_times(one, [m for w, m in measured.items() if w.name == name]) for name in PEERS),
            f"{one.training:.1f}",
            *(_percent(*mean_and_sd(one.counts, arm)) for arm in (DENSE, FINETUNED)),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _times(one: Measured, others: Sequence[Measured]) -> str:
    """Return how many times as fast as the best of the others, in wall and in CPU seconds."""
    if not others:
        return "–"
    wall, cpu = min(m.wall for m in others), min(m.cpu for m in others)
    return f"{wall / one.wall:.2f} ({cpu / one.cpu:.2f})"


def in_words(found: Sequence[Difference]) -> str:
    """Return the largest difference of accuracies, and how surprising it is."""
    largest = max(found, key=lambda one: abs(one.estimate))
    margin = fmean(one.std_error for one in found)
    return (
        f"Largest difference from the clean loop in accuracy: {100 * largest.estimate:+.2f} points "
        f"({largest.way}, {largest.model}, {largest.arm}); smallest corrected p-value "
        f"{found[0].p_value:.2g}; mean standard error {100 * margin:.2f} points."
    )


def _percent(mean: float, sd: float) -> str:
    return f"{100 * mean:.2f} ± {100 * sd:.2f}"
