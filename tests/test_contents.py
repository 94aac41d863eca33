"""The sections of a report: what each holds, on ordinary and on awkward logs."""

import shutil
import subprocess

import numpy as np
import polars as pl
import pytest

from distortion import findings, matched_null, read_log, repaired_slopes
from distortion import structural as structural_table
from distortion.blocks import Text
from distortion.contents.answer import found as found_blocks
from distortion.contents.contents import contents
from distortion.counts import balances, counts
from distortion.designs import CONDITION
from distortion.diagnostics import influences, network_effects, residual_tests, residuals
from distortion.evidence import Evidence, gather
from distortion.prose import checks
from distortion.prose.checks import FINE, LOOK
from distortion.repairs.networkwise import slopes
from distortion.settings import Settings
from distortion.tables.families import family_table
from distortion.tables.fronts import with_front
from distortion.tables.margins import class_margin_table
from distortion.tables.render import latex_table
from distortion.tables.repaired import ESTIMATES, estimates, repaired_table
from distortion.tables.table import Table
from tests.planted import planted_log

ORDER = [
    "found",
    "design",
    "classes",
    "intensification",
    "repairs",
    "balances",
    "control",
    "accuracy",
    "covariates",
    "comparisons",
    "diagnostics",
    "multiplicity",
    "power",
    "limitations",
    "methods",
    "provenance",
]


def evidence_of(**planted: object) -> Evidence:
    return gather(read_log(planted_log(**planted)), Settings())


@pytest.fixture(scope="module")
def evidence() -> Evidence:
    return evidence_of(seeds=4, ratios=(2.0, 10.0, 50.0), models=("net",))


@pytest.fixture(scope="module")
def page(evidence):
    return contents(evidence)


def section(page, name):
    return next(s for s in page.sections if s.name == name)


def words(blocks) -> str:
    return " ".join(b.text for b in blocks if isinstance(b, Text))


def test_the_answer_stands_first_and_the_methods_last(page):
    assert [s.name for s in page.sections] == ORDER
    assert all(s.blocks for s in page.sections)


def test_names_of_files_do_not_collide(page):
    for parts in (page.tables(), page.drawings()):
        names = [part.name for part in parts]
        assert len(names) == len(set(names))


def test_the_answer_in_text_computes_neither_mixed_models_nor_a_plan(evidence):
    lean = gather(evidence.log, Settings())
    found_blocks(lean)
    assert not {"mixed", "plan", "influence", "repaired"} & set(vars(lean))


def test_repairs_are_those_of_the_tables(evidence):
    shown = estimates(evidence.repaired, evidence.null, evidence.latent)
    plain = repaired_slopes(evidence.log).filter(pl.col("estimator") == "between")
    null = matched_null(evidence.log).filter(pl.col("measure") == "log_kappa_excess_corrected")
    latent = structural_table(evidence.log, interval="wald").filter(pl.col("measure") == "gamma")
    for key, table, change in (
        ("between", plain, lambda x: x),
        ("log_kappa_excess_corrected", null, np.exp),
        ("gamma", latent, lambda x: x),
    ):
        both = table.join(shown.filter(pl.col("estimator") == key), on=CONDITION, suffix="_shown")
        assert both.height == table.height
        for bound in ("estimate", "conf_low", "conf_high"):
            np.testing.assert_allclose(both[f"{bound}_shown"], change(both[bound].to_numpy()))


def test_repairs_without_a_value_have_no_column():
    log = planted_log(seeds=3, ratios=(2.0,), models=("net",), arms=("dense", "finetuned"))
    evidence = gather(read_log(log), Settings())
    shown = estimates(evidence.repaired, evidence.null, evidence.latent)
    table = repaired_table(shown, "repairs", "c")
    headings = [column.heading for column in table.columns]
    assert "α − α of control" not in headings
    assert "Split-half" not in headings, "the planted log has no column kept"
    assert headings[2:] == ["α", "Between", "κ", "κ / κ of null", "γ"]
    assert len(ESTIMATES) == 7


def test_the_front_is_what_nothing_beats(evidence):
    rng = np.random.default_rng(0)
    base = evidence.conditions.filter(pl.col("arm") == "finetuned")
    rows = pl.concat([base.with_columns(ratio=pl.col("ratio") + i) for i in range(8)])
    rows = rows.with_columns(
        accuracy=pl.Series(rng.uniform(0.5, 1, rows.height).round(1)),
        variance=pl.Series(rng.uniform(0, 0.1, rows.height).round(2)),
    )
    marked = with_front(rows)
    points = list(zip(marked["accuracy"], marked["variance"], strict=True))
    expected = [
        not any(a >= x and v <= y and (a, v) != (x, y) for a, v in points) for x, y in points
    ]
    assert marked["front"].to_list() == expected
    assert (marked["front"] <= marked["front_of_ratio"]).all()


def test_the_control_is_no_candidate_for_the_front(evidence):
    marked = with_front(evidence.conditions.filter(pl.col("arm") != "pruned"))
    control = marked.filter(pl.col("arm") == "control")
    assert control.height
    assert not control["front"].any()


def test_families_count_their_tests(evidence):
    table = family_table(evidence.findings, 0.95)
    found = findings(evidence.log)
    assert table.data["tests"].sum() == found["p_value"].count()
    cell = table.data.filter(pl.col("family") == "cell").row(0, named=True)
    below = found.filter(pl.col("family") == "cell", pl.col("p_corrected") < 0.05).height
    assert (cell["below_corrected"], cell["most"]) == (below, 3)


def test_class_margins_count_every_class(evidence):
    margins = evidence.family("class margin")
    data = class_margin_table(margins).data
    assert data.select(pl.sum_horizontal("kept", "lost", "undecided")).to_series().eq(10).all()
    lost = margins.filter(pl.col("verdict").str.starts_with("loses more")).height
    assert data["lost"].sum() == lost
    named = data.filter(pl.col("lost") > 0)["which"]
    assert all(named.str.split(", ").list.len() == data.filter(pl.col("lost") > 0)["lost"])


def test_influence_is_that_of_leaving_out_one_by_one(evidence):
    found = influences(evidence.log, "finetuned", "test")
    for condition in counts(evidence.log)[:2]:
        here = found.filter(*(pl.col(c).eq_missing(v) for c, v in condition.condition.items()))

        def mean(networks, classes, condition=condition):
            n, x, y = (
                v[np.ix_(networks, classes)]
                for v in (condition.n, condition.dense, condition.correct)
            )
            return slopes(balances(x, n), balances(y, n)).mean()

        size = condition.size
        everyone, every = np.arange(size[0]), np.arange(size[1])
        whole = mean(everyone, every)
        left = [mean(np.delete(everyone, i), every) - whole for i in everyone]
        np.testing.assert_allclose(here.filter(pl.col("kind") == "network")["change"], left)
        left = [mean(everyone, np.delete(every, c)) - whole for c in every]
        np.testing.assert_allclose(here.filter(pl.col("kind") == "class")["change"], left)


def test_residuals_are_those_of_the_fits(evidence):
    models = evidence.mixed["alpha"]
    left = residuals(models)
    first = models[0]
    np.testing.assert_allclose(left["fitted"] + left["residual"], all_alphas(models))
    assert left.height == sum(m.cells.height for m in models)
    for _, part in left.group_by("method"):
        np.testing.assert_allclose((part["scaled"] ** 2).mean(), 1)
        assert part.sort("residual")["quantile"].is_sorted()
    assert network_effects([first]).height in (0, 4, 8)


def all_alphas(models) -> np.ndarray:
    return np.concatenate([m.cells["alpha"].to_numpy() for m in models])


def synthetic(values: np.ndarray, fitted: np.ndarray) -> pl.DataFrame:
    place = {c: "x" for c in ("study", "intervention", "method", "arm", "split")}
    rows = pl.DataFrame({"scaled": values, "fitted": fitted})
    return rows.with_columns(pl.lit(v).alias(k) for k, v in place.items())


def test_residual_tests_find_what_is_planted_and_nothing_else():
    rng = np.random.default_rng(3)
    fitted, noise = np.linspace(-1, 1, 200), rng.normal(0, 1, 200)
    names = ["p_normal", "p_curved", "p_scale"]
    plain = residual_tests(synthetic(noise, fitted)).select(names).row(0)
    # About one of 30 seeds has a smaller one of three true p-values.
    assert min(plain) > 0.01
    bent = residual_tests(synthetic(noise + 3 * fitted**2, fitted))
    assert bent["p_curved"][0] < 1e-6
    growing = residual_tests(synthetic(noise * (1.2 + fitted), fitted))
    assert growing["p_scale"][0] < 1e-6
    heavy = residual_tests(synthetic(rng.standard_t(2, 200), fitted))
    assert heavy["p_normal"][0] < 1e-6
    few = residual_tests(synthetic(noise[:5], fitted[:5]))
    assert few.select(names).row(0) == (None, None, None)


def test_checks_say_fine_or_look_at_with_a_number(evidence, page):
    table = next(b for b in section(page, "diagnostics").blocks if isinstance(b, Table))
    assert set(table.data["verdict"]) <= {FINE, LOOK}
    assert table.data["number"].str.contains(r"\d").all()
    balanced = dict(zip(table.data["check"], table.data["verdict"], strict=True))
    assert balanced["Residuals sum to zero over classes"] == FINE


def test_unbalanced_test_sets_have_an_intercept_test():
    evidence = evidence_of(
        seeds=3, ratios=(2.0, 50.0), models=("net",), support=tuple(range(100, 1100, 100))
    )
    assert evidence.offset > 0.01
    rows = checks.of_balances(evidence.offset, evidence.treated_only(evidence.repaired))
    assert [row[0] for row in rows] == [
        "Residuals sum to zero over classes",
        "Line passes through the origin",
    ]


@pytest.mark.parametrize("seeds", [1, 2])
def test_a_report_on_hardly_anything_still_has_every_section(seeds):
    log = planted_log(
        seeds=seeds,
        ratios=(3.5,),
        models=("net",),
        methods=("magnitude",),
        arms=("dense", "finetuned"),
    )
    page = contents(gather(read_log(log), Settings()))
    assert [s.name for s in page.sections] == ORDER
    assert "no control arm" in words(section(page, "control").blocks)
    assert "Not asked" in words(section(page, "covariates").blocks)
    text = page.headline + words(section(page, "found").blocks)
    for banned in ("cause", "due to", "effect of pruning"):
        assert banned not in text


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")
def test_latex_tables_compile(page, tmp_path):
    # Full pages of floats need flushing; widths and margins are the user's business.
    body = "\n\\clearpage\n".join(latex_table(table) for table in page.tables())
    (tmp_path / "tables.tex").write_text(
        "\\documentclass[landscape]{article}\\usepackage[T1]{fontenc}\\usepackage{textcomp}\n"
        "\\usepackage{booktabs}\\usepackage{longtable}\n"
        f"\\begin{{document}}\n{body}\\end{{document}}\n",
        encoding="utf-8",
    )
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "tables.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=100)
    assert done.returncode == 0, done.stdout.decode(errors="replace")[-2000:]
