"""The figures of repairs, classes, margins, fronts and diagnostics, read from their artists."""

import re

import numpy as np
import polars as pl
import pytest

from distortion import read_log
from distortion.contents.contents import contents
from distortion.diagnostics import network_effects, residuals
from distortion.evidence import gather
from distortion.figures import style
from distortion.figures.caterpillar import MOST_CLASSES, sorted_classes
from distortion.figures.coefficients import effect_dots, repaired_dots
from distortion.figures.diagnostics import diagnostic_panels
from distortion.figures.margins import margin_intervals
from distortion.figures.matrix import design_matrix
from distortion.figures.pareto import spread_plane
from distortion.settings import Settings
from distortion.tables.fronts import with_front
from distortion.tables.repaired import estimates
from tests.planted import planted_log

MARK = re.compile(r"<title>([^<]*)</title>")


@pytest.fixture(scope="module")
def evidence():
    log = planted_log(seeds=4, ratios=(2.0, 10.0, 50.0), models=("net",), shuffled=("random",))
    return gather(read_log(log), Settings())


def matrix(evidence):
    return design_matrix(evidence.grid, evidence.failed)


def caterpillar(evidence):
    methods = list(evidence.scope.methods)
    return sorted_classes(evidence.classes(), methods, 0.01, "caterpillar", "digits")


def repairs(evidence):
    found = estimates(evidence.repaired, evidence.null, evidence.latent)
    return repaired_dots(found, "repairs", "digits")


def effects(evidence):
    found = evidence.family("covariates", "spread covariates")
    return effect_dots(found, list(evidence.scope.methods))


def margin(evidence):
    return margin_intervals(evidence.family("equivalence"), "margin", "Same?")


def pareto(evidence):
    rows = evidence.conditions.filter(pl.col("arm").is_in(["finetuned", "control"]))
    return spread_plane(with_front(rows), evidence.scope.methods)


def diagnostics(evidence):
    models = evidence.mixed["alpha"]
    return diagnostic_panels(
        residuals(models),
        network_effects(models),
        evidence.influence,
        evidence.treated_only(evidence.repaired),
        evidence.scope.methods,
    )


ALL = [matrix, caterpillar, repairs, effects, margin, pareto, diagnostics]


@pytest.mark.parametrize("draw", ALL)
def test_figures_can_be_read_without_being_seen(evidence, draw):
    drawing = draw(evidence)
    assert re.match(
        r"(Matrix|Caterpillar plot|Coefficient plot|Dot plot|Scatter plots?) of .* where .*\d",
        drawing.alt,
    )
    assert len(drawing.caption) > 60
    assert drawing.data.height


@pytest.mark.parametrize("draw", ALL)
def test_the_same_data_gives_the_same_bytes_and_named_marks(evidence, draw):
    first = style.svg(draw(evidence))
    assert first == style.svg(draw(evidence))
    drawing = draw(evidence)
    assert len(MARK.findall(first)) >= sum(map(len, drawing.names.values()))


def test_missing_networks_are_hatched_and_counted():
    log = planted_log(seeds=3, ratios=(2.0, 50.0), models=("net",), methods=("magnitude",))
    log = log.filter(~((pl.col("seed") == 2) & (pl.col("ratio") == 50)))
    evidence = gather(read_log(log), Settings())
    drawing = matrix(evidence)
    texts = {text.get_text() for text in drawing.figure.axes[0].texts}
    assert texts == {"3", "2 of 3"}
    hatched = [c for c in drawing.figure.axes[0].collections if c.get_hatch()]
    assert [len(c.get_paths()) for c in hatched] == [2]
    assert drawing.data["missing"].sum() == 2


def test_failed_cells_are_marked(evidence):
    rows = evidence.grid.filter(pl.col("arm") == "finetuned").head(1)
    failed = rows.drop("networks", "missing").with_columns(seed=pl.lit(9), reason=pl.lit("nan"))
    texts = [t.get_text() for t in design_matrix(evidence.grid, failed).figure.axes[0].texts]
    assert [t for t in texts if "×" in t] == ["4\n1 ×"]


def test_classes_stand_in_order_of_their_change(evidence):
    for axis in caterpillar(evidence).figure.axes:
        points = [line for line in axis.lines if line.get_marker() not in ("", "None", None)]
        drawn = sorted((y, x) for line in points for x, y in zip(*line.get_data(), strict=True))
        assert [y for y, _ in drawn] == list(range(10))
        assert np.all(np.diff([x for _, x in drawn]) >= 0)


def test_of_many_classes_the_ends_are_drawn():
    log = planted_log(
        seeds=2, ratios=(2.0,), models=("net",), methods=("magnitude",), n_classes=60, support=50
    )
    drawing = caterpillar(gather(read_log(log), Settings()))
    assert len(drawing.figure.axes[0].get_yticks()) == MOST_CLASSES
    assert drawing.data.height == 60
    assert "20 that lose most" in drawing.caption


def test_the_control_adjusted_slope_has_its_null_at_one(evidence):
    found = estimates(evidence.repaired, evidence.null, evidence.latent)
    raw = found.filter(pl.col("estimator") == "control_alpha").drop_nulls("estimate")
    drawn = repairs(evidence).data.filter(pl.col("estimator") == "control_alpha")
    np.testing.assert_allclose(drawn["estimate"], 1 + raw["estimate"].to_numpy())


def test_every_difference_is_drawn_once_against_the_margin(evidence):
    drawing = margin(evidence)
    marks = sum(
        len(line.get_xdata())
        for axis in drawing.figure.axes
        for line in axis.lines
        if line.get_linestyle() == "None"
    )
    assert marks == drawing.data.height == 6
    for axis in drawing.figure.axes:
        low, high = axis.get_xlim()
        assert low < -0.1 < 0.1 < high


def test_rings_mark_the_front(evidence):
    drawing = pareto(evidence)
    axis = drawing.figure.axes[0]
    rings = next(line for line in axis.lines if line.get_label() == "front")
    front = drawing.data.filter(pl.col("front"))
    assert sorted(rings.get_ydata()) == pytest.approx(sorted(100 * front["sd"]))


def test_without_anything_to_diagnose_there_is_no_figure(evidence):
    nothing = evidence.repaired.clear()
    none = pl.DataFrame()
    assert diagnostic_panels(none, none, none, nothing, evidence.scope.methods) is None


@pytest.mark.slow
def test_every_drawing_of_a_report_renders(evidence):
    for drawing in contents(evidence).drawings():
        assert style.svg(drawing).startswith("<?xml")
