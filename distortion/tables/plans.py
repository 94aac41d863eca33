"""What this design can see, and what it would take to see more."""

from operator import itemgetter

from distortion.labels import CONTEXT
from distortion.planning.plan import Plan
from distortion.planning.power import MOST_SEEDS
from distortion.tables import numbers
from distortion.tables.table import Column, Row, Table, identity, text


def plan_table(planned: Plan) -> Table:
    """One row per condition: SD over networks, smallest detectable effect, seeds needed."""
    data = planned.table
    effect = planned.request.effects[0]
    columns = (
        *identity(data, CONTEXT),
        text("method", names=True),
        Column("Ratio t", lambda row: numbers.ratio(row["ratio"]), names=True),
        Column("SD of α", lambda row: numbers.significant(row["sd"]), value=itemgetter("sd")),
        Column("Networks", lambda row: numbers.count(row["seeds"])),
        Column(
            "Detectable",
            lambda row: numbers.significant(row["detectable"]),
            value=itemgetter("detectable"),
        ),
        Column(
            f"Power for {numbers.significant(effect)}",
            lambda row: numbers.percent(row["power"], 0),
            value=itemgetter("power"),
        ),
        Column("Seeds needed", lambda row: _needed(row, "seeds_needed")),
        Column("… cautiously", lambda row: _needed(row, "seeds_needed_cautious")),
    )
    power = numbers.percent(planned.request.power, 0)
    caution = numbers.percent(planned.request.caution, 0)
    note = (
        "SD: over networks. Detectable: the smallest difference of α from 1 with a power of "
        f"{power} in this design. Seeds needed: for a difference of {numbers.significant(effect)}; "
        f"cautiously: with the {caution} upper bound of the SD. Two-sided t-test, Bonferroni over "
        "the ratios of a method. Not a verdict on the slopes found."
    )
    return Table(
        "power", "Smallest detectable slope, and seeds needed, by condition", data, columns, (note,)
    )


def _needed(row: Row, name: str) -> str:
    if row["sd"] is None or not row["sd"] > 0:
        return numbers.NOTHING
    value = row[name]
    return f">{numbers.count(MOST_SEEDS)}" if value is None else numbers.count(value)
