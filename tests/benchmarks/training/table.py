"""The comparison as a Markdown table."""

from collections.abc import Mapping, Sequence
from statistics import fmean

from distortion.schema import DENSE, FINETUNED
from tests.benchmarks.training.accuracy import Difference, mean_and_sd
from tests.benchmarks.training.ways import CLEAN, SHRINKBENCH, Measured, Way

HEADS = (
    "way", "processes × threads", "wall, s", "CPU, s", "networks per hour", "× clean loop",
    "× ShrinkBench", "epochs alone, s", "dense, %", "fine-tuned, %",
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
    """Return one row per way; ratios are to the fastest of the clean loops and ShrinkBenches."""
    fastest = {
        name: min((m.wall for way, m in measured.items() if way.name == name), default=None)
        for name in (CLEAN, SHRINKBENCH)
    }
    lines = ["| " + " | ".join(HEADS) + " |", "|:--|:-:" + "|--:" * (len(HEADS) - 2) + "|"]
    for way, one in measured.items():
        ratios = [f"{wall / one.wall:.2f}" if wall else "–" for wall in fastest.values()]
        cells = [
            f"{way.name}, {way.note}" if way.note else way.name,
            f"{way.processes} × {way.threads}",
            f"{one.wall:.1f}",
            f"{one.cpu:.1f}",
            f"{3600 * trained / one.wall:,.0f}",
            *ratios,
            f"{one.training:.1f}",
            *(_percent(*mean_and_sd(one.counts, arm)) for arm in (DENSE, FINETUNED)),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


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
