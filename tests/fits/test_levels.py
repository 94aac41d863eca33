"""Codes of levels against a dictionary."""

from decimal import Decimal
from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from distortion.fits.formulas.levels import asked, combined, encoder

values = st.one_of(
    st.lists(st.integers(-40, 40), min_size=1),
    st.lists(st.integers(-(2**62), 2**62), min_size=1),
    st.lists(st.integers(0, 2**64 - 1), min_size=1),
    st.lists(st.floats(allow_nan=False), min_size=1),
    st.lists(st.text("abcdé 1", max_size=3), min_size=1),
    st.lists(st.booleans(), min_size=1),
    st.lists(st.dates(), min_size=1),
    st.lists(st.decimals(0, 9, places=2), min_size=1),
)


@settings(deadline=None)
@given(values, st.integers(0, 99))
def test_codes_are_positions_among_the_levels(given_values: list[Any], seed: int) -> None:
    column = pl.Series("v", given_values)
    known = column.unique(maintain_order=True)
    levels = known.sample(max(1, len(known) // 2 + 1), shuffle=True, seed=seed)
    place = {value: i for i, value in enumerate(levels)}
    expected = [place.get(value, -1) for value in column]
    query = pl.DataFrame(column)
    selected = query.select(asked("v", query.schema, levels)).to_series()
    for form in (column, selected):
        assert encoder(levels)(form).tolist() == expected
    both = pl.DataFrame([levels, levels.alias("w")])
    assert combined(both)([column, column]).tolist() == expected


def test_codes_across_types() -> None:
    numbers = pl.Series([3, 1])
    assert encoder(numbers)(pl.Series([1.0, 3.0, 3.5, None])).tolist() == [1, 0, -1, -1]
    assert encoder(numbers)(pl.Series([1, 3, None], dtype=pl.Int8)).tolist() == [1, 0, -1]
    texts = pl.Series(["b", "a"])
    enum = pl.Series(["a", None, "c", "b"], dtype=pl.Enum(["c", "b", "a"]))
    assert encoder(texts)(enum).tolist() == [1, -1, -1, 0]
    assert encoder(pl.Series([Decimal("1.5")]))(pl.Series([Decimal("1.5")])).tolist() == [0]
