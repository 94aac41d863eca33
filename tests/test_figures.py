"""What figures draw, read from their artists; what they say without being seen."""

import re
import warnings
from xml.etree import ElementTree

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distortion import read_log
from distortion.evidence import gather
from distortion.figures import scales, style
from distortion.figures.balances import balance_scatter
from distortion.figures.classes import LOSING, MOST_CLASSES, recall_changes
from distortion.figures.control import against_control
from distortion.figures.curves import accuracy_plane, variance_curves
from distortion.figures.slopes import slope_boxes
from distortion.schema import CONTROL
from distortion.settings import Settings
from tests.planted import planted_log


def evidence_of(**planted):
    return gather(read_log(planted_log(**planted)), Settings())


@pytest.fixture(scope="module")
def evidence():
    return evidence_of(seeds=4, ratios=(2.0, 50.0), shuffled=("random",))


def one_model(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.filter(pl.col("model") == "small")


def boxes(evidence):
    cells = evidence.slopes.filter(pl.col("arm") == "finetuned")
    return slope_boxes(cells, evidence.family("cell"), evidence.scope.treated)


def scatter(evidence, rows=None):
    measures = evidence.measures if rows is None else rows
    return balance_scatter(
        one_model(measures.filter(pl.col("arm") == "finetuned")),
        one_model(evidence.conditions.filter(pl.col("arm") == "finetuned")),
        "balances",
        "digits",
    )


def heat(evidence):
    return recall_changes(one_model(evidence.family("class")), "classes", "digits", 0.95)


def control(evidence):
    return against_control(evidence.family("versus control"), evidence.scope.methods)


def shown(evidence):
    return evidence.conditions.filter(pl.col("arm").is_in(["finetuned", CONTROL]))


def plane(evidence):
    return accuracy_plane(shown(evidence), evidence.scope.methods)


def variance(evidence):
    return variance_curves(shown(evidence), evidence.scope.methods)


ALL = [boxes, scatter, heat, control, plane, variance]


def texts(drawing) -> list[str]:
    """Every text of a figure as SVG readers find it."""
    root = ElementTree.fromstring(style.svg(drawing))
    return ["".join(node.itertext()) for node in root.iter("{http://www.w3.org/2000/svg}text")]


def panel(drawing, title: str):
    return next(axis for axis in drawing.figure.axes if axis.get_title(loc="left") == title)


@pytest.mark.parametrize("draw", ALL)
def test_figures_can_be_read_without_being_seen(evidence, draw):
    drawing = draw(evidence)
    assert re.match(
        r"(Box plots|Scatterplot matrix|Heat map|Dot plot|Line plot) of .* where", drawing.alt
    )
    assert len(drawing.caption) > 40
    assert drawing.title
    assert drawing.data.height


@pytest.mark.parametrize("draw", ALL)
def test_the_same_data_gives_the_same_bytes(evidence, draw):
    first, second = draw(evidence), draw(evidence)
    assert style.svg(first) == style.svg(second)
    assert style.png(first) == style.png(second)
    assert b"matplotlib" not in style.png(first)[:300], "no version of the drawing library"


@pytest.mark.parametrize("draw", ALL)
def test_svg_text_is_text_and_nothing_is_fetched(evidence, draw):
    drawing = draw(evidence)
    text = style.svg(drawing)
    assert "sans-serif" in text
    assert not re.findall(r'href="(?!#|data:)', text)
    assert len(texts(drawing)) > 4


@pytest.mark.parametrize("draw", ALL)
def test_every_mark_has_its_title(evidence, draw):
    drawing = draw(evidence)
    root = ElementTree.fromstring(style.svg(drawing))
    written = [node.text for node in root.iter("{http://www.w3.org/2000/svg}title")]
    named = [text for texts in drawing.names.values() for text in texts]
    assert named
    assert sorted(written) == sorted([drawing.title, *named])


def test_a_shared_style_moves_up_unless_it_would_blend_the_marks():
    group = '<g id="marks-0">\n<g>\n<use x="1" style="{0}"/>\n<use x="2" style="{0}"/>\n</g>\n</g>'
    titled = style._titled(group.format("fill: red; fill-opacity: 0.5"), ["a", "<b>"])
    assert '<g style="fill: red; fill-opacity: 0.5">\n<use x="1"><title>a</title></use>' in titled
    assert '<use x="2"><title>&lt;b&gt;</title></use>' in titled
    kept = style._titled(group.format("fill: red; opacity: 0.5"), ["a", "b"])
    assert kept.count('style="fill: red; opacity: 0.5"><title>') == 2
    with pytest.raises(ValueError, match="zip"):
        style._titled(group.format("fill: red"), ["only one"])


def test_boxes_draw_every_network_and_the_marks_of_the_findings(evidence):
    drawing = boxes(evidence)
    axis = panel(drawing, "small · magnitude")
    drawn = np.concatenate([line.get_ydata() for line in axis.lines if line.get_marker() == "o"])
    expected = evidence.slopes.filter(
        pl.col("model") == "small", pl.col("method") == "magnitude", pl.col("arm") == "finetuned"
    )["alpha"]
    assert np.allclose(np.sort(drawn), np.sort(expected.to_numpy()))
    marks = [text.get_text() for text in axis.texts]
    cells = one_model(evidence.family("cell")).filter(pl.col("method") == "magnitude")
    assert marks == cells.sort("ratio")["mark"].to_list()
    assert drawing.data.height == 2 * 2 * 2 * 4


def test_far_off_slopes_are_marked_at_the_edge_and_said_to_be():
    near = {"low": np.full(9, 0.8), "high": np.full(9, 1.2)}
    low, high = scales.window(
        np.append(near["low"], -30.0), np.append(near["high"], np.nan), reference=1.0
    )
    assert (low, high) == scales.window(near["low"], near["high"], reference=1.0)
    low, high = scales.window(np.append(near["low"], -30.0), np.append(near["high"], 40.0), 1.0)
    assert -1 < low < 0.8
    assert 1.2 < high < 3
    cells = evidence_of(seeds=4, ratios=(2.0, 4.0, 10.0), models=("m",), methods=("a",))
    rows = cells.slopes.filter(pl.col("arm") == "finetuned").with_columns(
        alpha=pl.when(pl.col("ratio") == 10).then(pl.col("alpha") * 50 - 60).otherwise("alpha")
    )
    drawing = slope_boxes(rows, cells.family("cell"), "pruned")
    edge = [line for line in drawing.figure.axes[0].lines if line.get_marker() in ("^", "v")]
    assert sum(len(line.get_xdata()) for line in edge) > 0
    assert sum(map(len, drawing.names.values())) == rows["alpha"].count(), "each of them once"
    assert "Triangles" in drawing.caption
    assert (
        "Triangles"
        not in slope_boxes(
            rows.filter(pl.col("ratio") < 10), cells.family("cell"), "pruned"
        ).caption
    )


def test_scatter_draws_every_class_and_the_pooled_line(evidence):
    drawing = scatter(evidence)
    conditions = one_model(evidence.conditions).filter(pl.col("arm") == "finetuned")
    for axis, row in zip(drawing.figure.axes, conditions.to_dicts(), strict=True):
        points = np.vstack([c.get_offsets() for c in axis.collections])
        assert len(points) == 4 * 10
        identity, pooled = axis.lines
        assert np.allclose(identity.get_xdata(), identity.get_ydata())
        assert np.allclose(pooled.get_ydata(), row["alpha_pooled"] * pooled.get_xdata())
        low, high = axis.get_ylim()
        assert low <= points[:, 1].min()
        assert points[:, 1].max() <= high
        assert axis.get_xlim() == drawing.figure.axes[0].get_xlim()
        farther = [t.get_text() for t in axis.texts if "y range" in t.get_text()]
        assert bool(farther) == (axis.get_xlim() != axis.get_ylim())


def test_the_largest_loser_is_drawn_apart_and_named(evidence):
    drawing = scatter(evidence)
    axis = next(a for a in drawing.figure.axes if "magnitude, t = 50" in a.get_title(loc="left"))
    change = one_model(evidence.family("class")).filter(
        pl.col("method") == "magnitude", pl.col("ratio") == 50
    )
    loser = change.sort("estimate")["class_label"][0]
    assert f"■ class {loser}" in [text.get_text() for text in axis.texts]
    assert len(axis.collections[1].get_offsets()) == 4


def test_heavy_point_clouds_become_bitmaps(evidence):
    light = scatter(evidence)
    assert "<image" not in style.svg(light)
    heavy = scatter(evidence, pl.concat([evidence.measures] * 40))
    assert "<image" in style.svg(heavy)
    assert all(c.get_rasterized() for c in heavy.figure.axes[0].collections)


def test_heat_map_cells_are_the_findings(evidence):
    drawing = heat(evidence)
    classes = one_model(evidence.family("class"))
    axis = panel(drawing, "magnitude")
    values = np.asarray(axis.collections[0].get_array()).reshape(10, 3)
    order = [label.get_text() for label in axis.get_yticklabels()]
    for column, (arm, t) in enumerate([(CONTROL, 1.0), ("finetuned", 2.0), ("finetuned", 50.0)]):
        rows = classes.filter(pl.col("arm") == arm, pl.col("ratio") == t)
        rows = rows.filter((pl.col("method") == "magnitude") | (pl.col("arm") == CONTROL))
        expected = dict(rows.select("class_label", "estimate").iter_rows())
        assert np.allclose(values[:, column], [expected[label] for label in order])
    bold = sum(t.get_fontweight() == "bold" for a in drawing.figure.axes for t in a.texts)
    sure = classes.filter(pl.col("p_corrected") < 0.05)
    control_cells = sure.filter(pl.col("arm") == CONTROL).height
    assert bold == sure.height + control_cells, "the control stands in both panels"


def test_of_many_classes_the_heat_map_shows_the_extremes():
    drawing = heat(evidence_of(seeds=3, n_classes=60, ratios=(2.0,), models=("small",)))
    assert len(drawing.figure.axes[0].get_yticklabels()) == MOST_CLASSES
    assert f"the {LOSING} that lose most" in drawing.caption
    assert drawing.data["class_id"].n_unique() == 60


def test_control_figure_draws_estimates_and_intervals(evidence):
    drawing = control(evidence)
    rows = one_model(evidence.family("versus control")).filter(pl.col("method") == "magnitude")
    axis = panel(drawing, "small")
    points = next(line for line in axis.lines if line.get_label() == "magnitude")
    assert np.allclose(points.get_ydata(), rows["estimate"].to_numpy())
    bars = np.array([segment[:, 1] for segment in axis.collections[0].get_segments()])
    assert np.allclose(bars, rows.select("conf_low", "conf_high").to_numpy())


def test_accuracy_plane_draws_errors_so_that_better_is_right(evidence):
    axis = panel(plane(evidence), "small")
    low, high = axis.get_xlim()
    assert low > high
    line = next(line for line in axis.lines if line.get_label() == "magnitude")
    rows = one_model(shown(evidence)).filter(pl.col("method") == "magnitude")
    assert np.allclose(line.get_xdata(), 100 * (1 - rows["accuracy"].to_numpy()))
    assert np.allclose(line.get_ydata(), rows["alpha"].to_numpy())
    assert axis.xaxis.get_major_formatter()(5, 0) == "95%"


def test_variance_has_the_dense_level(evidence):
    axis = panel(variance(evidence), "small")
    levels = {line.get_label(): line.get_ydata() for line in axis.lines}
    rows = one_model(shown(evidence))
    assert levels["dense"][0] == rows["variance_dense"][0]
    expected = rows.filter(pl.col("method") == "random")["variance"].to_numpy()
    assert np.allclose(levels["random"], expected)


def test_series_differ_by_more_than_colour():
    looks = style.series([f"m{i}" for i in range(7)])
    for field in ("color", "marker", "linestyle"):
        assert len({str(look[field]) for look in looks.values()}) == 7


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


@pytest.mark.parametrize("colour", [*style.COLOURS, style.INK, style.MUTED])
def test_colours_stand_out_from_paper(colour):
    assert 1.05 / (luminance(colour) + 0.05) >= 3


@pytest.mark.slow
@settings(max_examples=6, deadline=None)
@given(st.text(max_size=12), st.text(max_size=12))
def test_no_name_breaks_a_figure(first, second):
    names = [first, second, "$x^2$ a_b%", "🙂 <script>"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = evidence_of(
            seeds=3, ratios=(50.0,), models=("small",), methods=(f"m{first}",), class_names=names
        )
        for draw in (scatter, heat, control):
            ElementTree.fromstring(style.svg(draw(found)))


def test_names_are_not_read_as_mathematics():
    names = ["$x^2$", "$\\frac$", "c", "d"]
    found = evidence_of(seeds=3, ratios=(2.0,), models=("small",), class_names=names)
    assert "$x^2$" in texts(heat(found))


def test_undrawable_letters_are_replaced_not_warned_about():
    assert style.drawable("a🙂") == "a\ufffd"
    assert style.drawable("α κ ρ −") == "α κ ρ −"


def test_inline_svg_has_ids_of_its_own_and_follows_the_colour_scheme(evidence):
    text = style.inline_svg(style.svg(plane(evidence)), "plane")
    assert text.startswith("<svg ")
    assert "<metadata" not in text
    assert style.INK not in text
    assert "var(--ink)" in text
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert all(i.startswith("plane-") for i in ids)
    used = re.findall(r'(?:url\(#|href="#)([^")]+)', text)
    assert set(used) <= set(ids)


def test_of_many_panels_the_first_are_drawn_and_the_caption_says_so(evidence, monkeypatch):
    monkeypatch.setattr(style, "MOST_PANELS", 1)
    for draw in (boxes, scatter, control, plane, variance):
        drawing = draw(evidence)
        assert len(drawing.figure.axes) == 1
        assert "The first 1 of" in drawing.caption
    assert boxes(evidence).data["method"].n_unique() == 2


def test_the_format_drawn_first_makes_no_difference(evidence):
    one, other = boxes(evidence), boxes(evidence)
    first = style.svg(one), style.png(one)
    assert (style.png(other), style.svg(other)) == first[::-1]


def test_colours_follow_the_verdict_not_the_mark(evidence):
    cells = evidence.family("cell")
    rows = evidence.slopes.filter(pl.col("arm") == "finetuned")
    said = cells.with_columns(mark=pl.lit("<"), verdict=pl.lit("slope below 1"))
    drawing = slope_boxes(rows, said, "pruned")
    colours = {text.get_color() for axis in drawing.figure.axes for text in axis.texts}
    assert colours == {style.MUTED}


def test_a_control_logged_under_another_intervention_is_drawn_in_every_panel(evidence):
    rows = shown(evidence).with_columns(
        intervention=pl.when(pl.col("arm") == CONTROL).then(pl.lit("x")).otherwise("intervention")
    )
    for draw in (accuracy_plane, variance_curves):
        drawing = draw(rows, evidence.scope.methods)
        assert len(drawing.figure.axes) == 2
        for axis in drawing.figure.axes:
            assert "control" in axis.get_legend_handles_labels()[1]
