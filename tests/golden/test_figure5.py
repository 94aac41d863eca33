"""The page on figure 5 shows what its generator prints, and the split is an identity."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from distortion.measures import association, slope, spread
from tests.golden.figure5 import reread, tables

PAGE = Path(__file__).parents[2] / "docs/figure5.md"


def test_the_page_shows_the_tables() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for part in tables().split("\n\n"):
        assert part in page


def test_slope_and_r2_give_spread_and_association() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=40)
    frame = pl.DataFrame({"x": x, "y": -0.4 * x + rng.normal(size=40)})
    alpha, rho, kappa = frame.select(
        slope("x", "y"), association("x", "y").alias("rho"), spread("x", "y").alias("kappa")
    ).row(0)
    assert abs(alpha) / np.sqrt(rho**2) == pytest.approx(kappa)


def test_random_pruning_spreads_classes_most_although_its_slope_is_lowest() -> None:
    by_method = reread().group_by("method").agg(pl.col("alpha").max(), pl.col("kappa").min())
    found = {row["method"]: row for row in by_method.iter_rows(named=True)}
    assert found["RP"]["alpha"] < min(found[m]["alpha"] for m in ("MP", "GP", "UP"))
    assert found["RP"]["kappa"] > 6
