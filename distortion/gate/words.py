"""The gate in words: the verdict, what was asked, what decided, what more data would do."""

import math
from typing import Final

from distortion.gate.criteria import CLASSWISE, Criterion
from distortion.gate.decisions import MOST, Decision
from distortion.gate.gate import Gate, Gated
from distortion.gate.limits import DEFAULT_CLASS_DROP, FAIL, OPEN, PASS, Limits, Verdict
from distortion.gate.selection import name, with_names
from distortion.labels import counted, listed
from distortion.tables import numbers

SAID: Final[dict[Verdict, str]] = {
    PASS: "Pass",
    FAIL: "Fail",
    OPEN: "Not enough data",
}
EXIT_CODES: Final[dict[Verdict, int]] = {PASS: 0, FAIL: 3, OPEN: 4}
MEASURES: Final[dict[str, str]] = {
    "class drop": "Loss of recall, by class",
    "accuracy drop": "Loss of accuracy",
    "worst recall": "Recall, by class",
    "kappa": "Spread ratio κ",
    "alpha": "Slope α",
}
SHOWN: Final = 4


def headline(gate: Gate) -> str:
    """The verdict in one sentence."""
    said = SAID[gate.verdict]
    if len(gate.gated) == 1:
        gated = gate.gated[0]
        reason = {
            PASS: "keeps every limit",
            FAIL: "exceeds a limit",
            OPEN: "may or may not keep every limit",
        }[gate.verdict]
        return f"{said}: {subject(gated)} {reason}."
    found = [g.verdict for g in gate.gated]
    kept, exceeded, undecided = (found.count(v) for v in (PASS, FAIL, OPEN))
    asked = "one is enough" if gate.across == "any" else "all must pass"
    return (
        f"{said}: of {counted(len(found), 'condition')} ({asked}), {kept} pass, {exceeded} fail, "
        f"for {undecided} there are not enough data."
    )


def subject(gated: Gated) -> str:
    """What is judged: this network, or the mean of the recipe's networks."""
    row = gated.counts.condition
    what = f"{name(gated.counts)}, {listed([row['model']])} on {listed([row['dataset']])}"
    if gated.target == "network":
        return f"the network with seed {gated.counts.seeds[0]} ({what})"
    return f"the recipe ({what}, mean over {counted(gated.counts.size[0], 'network')})"


def asked(limits: Limits) -> list[str]:
    """The limits as sentences."""
    sentences = []
    for which, limit in limits.asked():
        default = which == "class drop" and limit == DEFAULT_CLASS_DROP
        points, share = counted_points(limit), f"{100 * limit:g}%"
        sentences.append(
            {
                "class drop": f"No class may lose more than {points} of recall"
                f"{' (the default limit)' if default else ''}.",
                "accuracy drop": f"Accuracy may fall by at most {points}.",
                "worst recall": f"Every class must keep a recall of at least {share}.",
                "kappa": f"The spread ratio κ may be at most {limit:g}.",
                "alpha": f"The slope α may be at most {limit:g}.",
            }[which]
        )
    return sentences


def counted_points(share: float) -> str:
    """A share in percentage points: `1 point`, `2.5 points`."""
    return f"{100 * share:g} point{'' if share == 0.01 else 's'}"


def error_rates(gate: Gate, gated: Gated) -> str:
    """At which confidence the bounds hold, and why they differ."""
    estimates = sum(len(d.criterion.estimate) for d in gated.decisions)
    passing, failing = (
        numbers.confidence(1 - r) for r in (gated.rates.passing, gated.rates.failing)
    )
    conditions = len(gate.gated)
    one_of = f" and {conditions} conditions" if conditions > 1 else ""
    if gate.across == "any" and conditions > 1:
        pass_why = f" (divided among {conditions} conditions, of which one is enough)"
        fail_why = f"divided among {counted(estimates, 'estimate')}"
    else:
        pass_why = " (each of all that must hold: an intersection–union test, Berger 1982)"
        fail_why = f"divided among {counted(estimates, 'estimate')}{one_of} (Bonferroni)"
    recipe = any(g.target == "recipe" for g in gate.gated)
    normal = ", if losses vary roughly normally between networks," if recipe else ""
    single = (
        " Nor does a recipe pass where a single network certainly exceeds a limit on recall or "
        "accuracy, by its own test images (Bonferroni over networks and classes)."
        if recipe
        else ""
    )
    return (
        f"A pass needs every bound on the limit's side, each at {passing} one-sided{pass_why}; a "
        f"fail needs the opposite bound of one estimate at {failing} one-sided, the error rate "
        f"being {fail_why}. So{normal} at most {100 * (1 - gate.level):g}% of those beyond a limit "
        f"pass, and at most {100 * (1 - gate.level):g}% of those within all limits fail.{single}"
    )


def reasons(gated: Gated) -> list[str]:
    """One sentence per criterion: its verdict, and the estimates that decided it."""
    return [_reason(gated, decision) for decision in gated.decisions]


def collapsed(gated: Gated) -> str:
    """The networks of a recipe that certainly exceed a limit, each by itself; "" if none does."""
    labels = with_names(gated.counts)["class_label"]
    found: list[tuple[float, str]] = []
    for decision in gated.decisions:
        limited = decision.criterion
        for m, i in zip(*decision.beyond.nonzero(), strict=True):
            assert limited.single is not None
            value = float(limited.single.values[m, i])
            where = f"in class {labels[int(i)]}" if limited.name in CLASSWISE else "of accuracy"
            verb = "recalls" if limited.name == "worst recall" else "loses"
            unit = "%" if limited.name == "worst recall" else " points"
            text = f"seed {gated.counts.seeds[int(m)]} {verb} {100 * value:.1f}{unit} {where}"
            found.append((abs(value - limited.limit), text))
    if not found:
        return ""
    texts = [text for _, text in sorted(found, key=lambda pair: -pair[0])]
    return (
        f"Single networks certainly exceed a limit by themselves: {listed(texts, SHOWN)}. The "
        "recipe does not pass, whatever its mean."
    )


def to_decide(gated: Gated) -> str:
    """How much more data would decide, the estimates as they are; "" where it is decided."""
    if gated.verdict != OPEN:
        return ""
    beyond: list[float] = []
    within: list[float] = []
    for d in gated.decisions:
        for i, verdict in enumerate(d.verdicts):
            if verdict == OPEN:
                more = d.needed[i] / d.criterion.size[i]
                (beyond if d.foreseen[i] == FAIL else within).append(float(more))
    if gated.held and not beyond:
        return (
            "No number of further networks would lead to a pass: a network seen beyond a limit "
            "stays. Find out why it collapses, or gate networks one by one."
        )
    # One estimate beyond its limit is enough to fail; to pass, the last one must be within.
    reachable = [more for more in beyond if not math.isnan(more)]
    if (beyond and not reachable) or (not beyond and any(math.isnan(more) for more in within)):
        unit = "images" if gated.target == "network" else "networks"
        return (
            f"No reasonable number of {unit} would decide: an estimate lies too close to its limit "
            f"(more than {numbers.count(int(MOST[gated.target]))} would be needed). Reconsider the "
            "limit."
        )
    more = min(reachable) if reachable else max(within)
    foreseen = "fail" if beyond else "pass"
    if gated.target == "recipe":
        networks = gated.counts.size[0]
        amount = f"{counted(math.ceil(networks * more), 'network')} instead of {networks}"
    else:
        n = gated.counts.n
        have = numbers.count(int(n.min()))
        need = numbers.count(math.ceil(int(n.min()) * more))
        if not gated.counts.balanced:
            have = f"{have} to {numbers.count(int(n.max()))}"
            need = f"{need} to {numbers.count(math.ceil(int(n.max()) * more))}"
        amount = f"{need} test images per class instead of {have}"
    return f"If the estimates stayed as they are, {amount} would decide it: {foreseen}."


def losers(gated: Gated, level: float) -> str:
    """The classes whose recall certainly falls, whatever the limit; "" without a test of that."""
    for decision in gated.decisions:
        found = decision.criterion
        if found.name == "class drop" and not all(math.isnan(p) for p in found.p_value):
            labels = with_names(gated.counts)["class_label"]
            losing = [
                labels[int(i)]
                for i in (-found.estimate).argsort(kind="stable")
                if found.estimate[i] > 0 and found.p_corrected[i] < 1 - level
            ]
            test = "McNemar's exact test" if gated.target == "network" else "paired t-test"
            how = f"({test}, Holm over {counted(len(labels), 'class', 'classes')})"
            if not losing:
                return f"No class loses recall significantly {how}."
            return f"Classes that lose recall significantly {how}: {listed(losing, 12)}."
    return ""


def shown(name: str, estimate: float, low: float, high: float, limit: float) -> str:
    """An estimate with its bounds: losses in points, recalls in per cent, κ and α plain."""
    scale = 100 if name not in ("kappa", "alpha") else 1
    signed = name.endswith("drop")
    values = [None if math.isnan(v) else scale * v for v in (estimate, low, high)]
    text = numbers.interval(*values, null=scale * limit, signed=signed)
    if len([v for v in values if v is not None]) == 2 and values[0] is not None:
        low_text, high_text = (numbers.fixed(v, signed=signed) for v in values[1:])
        text = f"{text} [{low_text}, {high_text}]"
    return text


def _reason(gated: Gated, decision: Decision) -> str:
    found = decision.criterion
    start = f"{MEASURES[found.name]}: {SAID[decision.verdict].lower()}."
    texts = [
        shown(found.name, found.estimate[i], decision.low[i], decision.high[i], found.limit)
        for i in range(len(found.estimate))
    ]
    unit = {"class drop": " points", "accuracy drop": " points", "worst recall": "%"}
    if found.name not in CLASSWISE:
        why = f" ({'; '.join(found.caveats)})" if found.caveats else ""
        return f"{start} {texts[0]}{unit.get(found.name, '')}, limit {_limit(found)}{why}."
    labels = with_names(gated.counts)["class_label"]
    worst = found.estimate if found.name == "worst recall" else -found.estimate
    order = [int(i) for i in worst.argsort(kind="stable")]
    parts = []
    for verdict, what in ((FAIL, "beyond the limit"), (OPEN, "undecided")):
        named = [i for i in order if decision.verdicts[i] == verdict]
        if named:
            first = listed([f"{labels[i]} ({texts[i]})" for i in named], SHOWN)
            parts.append(f"{counted(len(named), 'class', 'classes')} {what}: {first}.")
    if not parts:
        parts = [
            f"All {len(order)} classes are within; the closest, {labels[order[0]]}, "
            f"{texts[order[0]]}{unit[found.name]}, limit {_limit(found)}."
        ]
    return " ".join([start, *parts])


def _limit(found: Criterion) -> str:
    if found.name in ("kappa", "alpha"):
        return f"{found.limit:g}"
    return f"{100 * found.limit:g}"
