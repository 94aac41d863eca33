"""Rounding, escaping and the four renderers; tables against the findings they show."""

import csv
import io
import re
from dataclasses import replace

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distortion import conditions, escape, findings, read_log, slopes
from distortion.labels import clean, counted, listed, with_class_labels
from distortion.scope import failed_cells, missing_cells
from distortion.settings import Settings
from distortion.tables import facts, numbers, origins, results
from distortion.tables.render import csv_table, html_table, latex_table, markdown_table
from distortion.tables.table import PAGE_ROWS, Column, Table
from tests.planted import planted_log

NAMES = st.text(max_size=30)


@pytest.fixture(scope="module")
def log():
    return read_log(planted_log(seeds=4, ratios=(2.0, 50.0), models=("net",)))


@pytest.fixture(scope="module")
def found(log):
    return findings(log, correction="bonferroni", one_sided=True)


def small_table(name: str = "x", mark: str = ">") -> Table:
    data = pl.DataFrame(
        {
            "term": [name],
            "estimate": [1.4],
            "low": [1.31],
            "high": [1.49],
            "p": [2e-9],
            "mark": [mark],
        }
    )
    return Table(
        "terms",
        "Terms & more",
        data,
        (
            Column("term", lambda row: row["term"], names=True, numeric=False),
            Column(
                "α [95% CI]", lambda row: numbers.interval(row["estimate"], row["low"], row["high"])
            ),
            Column("p", lambda row: numbers.p_value(row["p"])),
            Column("mark", lambda row: row["mark"], numeric=False, tone=lambda row: "up"),
        ),
        ("A note.",),
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (numbers.fixed(1.4), "1.40"),
        (numbers.fixed(-0.5), "−0.50"),
        (numbers.fixed(-0.001), "0.00"),
        (numbers.fixed(0.001, signed=True), "0.00"),
        (numbers.fixed(0.5, signed=True), "+0.50"),
        (numbers.fixed(12345.678, 1), "12,345.7"),
        (numbers.fixed(None), "–"),
        (numbers.fixed(float("nan")), "–"),
        (numbers.significant(0.003438), "0.0034"),
        (numbers.significant(0.0999), "0.10"),
        (numbers.significant(-123.4), "−120"),
        (numbers.significant(0.0), "0"),
        (numbers.percent(0.8812), "88.1%"),
        (numbers.points(-0.219), "−21.9"),
        (numbers.p_value(0.00099), "<0.001"),
        (numbers.p_value(0.0049), "0.005"),
        (numbers.p_value(0.0123), "0.012"),
        (numbers.p_value(1.0), "1.000"),
        (numbers.p_value(None), "–"),
        (numbers.interval(1.057, 1.021, 1.093), "1.06 [1.02, 1.09]"),
        (numbers.interval(1.02, 1.003, 1.041, null=1.0), "1.020 [1.003, 1.041]"),
        (numbers.interval(1.02, 1.0, 1.041, null=1.0), "1.02 [1.00, 1.04]"),
        (numbers.interval(1.02, None, None, null=1.0), "1.02"),
        (numbers.interval(-0.3, -0.4, 0.2, signed=True), "−0.30 [−0.40, +0.20]"),
        (numbers.change_interval(-0.219, -0.301, -0.137), "−21.9 [−30.1, −13.7]"),
        (numbers.confidence(1 - 0.05 / 6), "99.17%"),
        (numbers.ratio(50.0), "50"),
        (numbers.ratio(1.5), "1.5"),
        (numbers.count(10_000), "10,000"),
        (numbers.spans([0, 1, 2, 5, 7, 8]), "0–2, 5, 7, 8"),
        (numbers.duration(5400), "1.5 h"),
        (numbers.duration(12.4), "12 s"),
    ],
)
def test_rounding(text, expected):
    assert text == expected


def test_an_interval_shows_on_which_side_of_the_null_it_lies():
    assert numbers.interval(0.9, 0.8, 0.99996, null=1.0) == "0.9000 [0.8000, 1.0000]"
    assert "0.9996" in numbers.interval(0.9, 0.8, 0.9996, null=1.0)


def test_markdown_literal():
    assert markdown_table(small_table()) == (
        "| term | α [95% CI] | p | mark |\n| :-- | --: | --: | :-- |\n"
        "| x | 1.40 [1.31, 1.49] | <0.001 | > |\n"
    )


def test_html_literal():
    assert html_table(small_table("<x>"), "T & m") == (
        '<table id="table-terms"><caption>T &amp; m</caption>\n'
        '<thead><tr><th scope="col">term</th><th scope="col" class="n">α [95% CI]</th>'
        '<th scope="col" class="n">p</th><th scope="col">mark</th></tr></thead>\n<tbody>\n'
        '<tr class="first"><th scope="row">&lt;x&gt;</th><td class="n">1.40 [1.31, 1.49]</td>'
        '<td class="n">&lt;0.001</td><td data-tone="up">&gt;</td></tr>\n</tbody></table>'
    )


def test_latex_literal():
    text = latex_table(small_table("a_b%"))
    assert text.startswith("% Needs in the preamble:\n")
    assert (
        "\\caption{Terms \\& more}\\label{tab:terms}\n\\begin{tabular}{lrrl}\n\\toprule\n"
        "term & $\\alpha$ [95\\% CI] & p & mark \\\\\n\\midrule\n"
        "a\\_b\\% & 1.40 [1.31, 1.49] & \\textless{}0.001 & \\textgreater{} \\\\\n\\bottomrule\n"
    ) in text
    assert text.count("\\label") == 1


def test_long_tables_become_longtables_and_the_page_says_what_it_leaves_out():
    long = Table("t", "c", pl.DataFrame({"term": ["x"] * 500}), small_table().columns[:1])
    assert "\\begin{longtable}{l}" in latex_table(long)
    assert latex_table(long).count("x \\\\") == 500
    assert len(long.rows()) == PAGE_ROWS
    assert "The first 400 of 500 rows" in long.all_notes[-1]
    assert long.folded


def test_repeated_row_headers_are_kept_but_marked():
    data = pl.DataFrame({"a": ["x", "x", "y"], "b": ["1", "2", "2"]})
    heads = tuple(
        Column(name, lambda row, name=name: row[name], names=True, numeric=False) for name in "ab"
    )
    page = html_table(Table("t", "c", data, heads), "c")
    assert page.count(' class="again">x<') == 1
    assert page.count('">2</th>') == 2, "2 after another first column is no repetition"
    ratios = Column("t", lambda row: row["b"], names=True)
    page = html_table(Table("t", "c", pl.DataFrame({"b": ["1", "1"]}), (ratios,)), "c")
    assert 'class="n again">1<' in page, "as far to the right as the one above"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a_b*c`d|e$f~", r"a\_b\*c\`d\|e\$f\~"),
        ("<script>", "&lt;script>"),
        ("&lt;", "&amp;lt;"),
        ("[l](http://x)", r"[l\](http://x)"),
        ("1.06 [1.02, 1.10]", "1.06 [1.02, 1.10]"),
        ("two\nlines", "two lines"),
    ],
)
def test_markdown_escapes(text, expected):
    assert escape.to_markdown(text) == expected


@pytest.mark.parametrize("text", ["# h", "> q", "- i", "+ i", "1. i", "=== "])
def test_no_line_of_markdown_begins_a_block(text):
    assert "\\" in escape.to_markdown_line(text)[:3]


@given(NAMES)
def test_html_has_no_markup_from_names(name):
    safe = escape.to_html(name)
    assert not re.search(r"[<>\"']", safe)
    assert "\n" not in safe


@given(NAMES)
def test_latex_has_no_commands_from_names(name):
    safe = escape.to_latex(name)
    for command in set(re.findall(r"\\[A-Za-z]+", safe)):
        assert command in "".join([*escape.SPECIAL.values(), *escape.COMBINED.values()])
    plain = safe
    for written in {*escape.SPECIAL.values(), *escape.COMBINED.values()}:
        plain = plain.replace(written, "")
    assert not set(plain) & set("\\{}$&#^_~%")


@given(st.lists(NAMES, min_size=1, max_size=4))
def test_every_renderer_keeps_one_row_per_row(names):
    data = pl.DataFrame({"term": names}, schema={"term": pl.String})
    table = Table("t", "c", data, small_table().columns[:1])
    assert len(markdown_table(table).splitlines()) == len(names) + 2
    assert html_table(table, "c").count('scope="row"') == len(names)
    assert latex_table(table).count("\\\\\n") == len(names) + 1


def test_csv_keeps_full_precision_and_runs_no_formula():
    data = pl.DataFrame({"name": ["=1+1", "-x", "@y", "a,b\n"], "value": [1 / 3, 2.0, 3.0, 4.0]})
    rows = list(csv.DictReader(io.StringIO(csv_table(data))))
    assert [row["name"] for row in rows] == ["'=1+1", "'-x", "'@y", "a,b\n"]
    assert float(rows[0]["value"]) == 1 / 3


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\n b", "a b"),
        ("", "(blank)"),
        ("\u202egpj", "gpj"),
        ("x" * 70, "x" * 59 + "…"),
        ("🙂", "🙂"),
    ],
)
def test_clean(text, expected):
    assert clean(text) == expected


def test_words():
    assert listed(["a"]) == "a"
    assert listed("abc") == "a, b and c"
    assert listed("abcdef", 3) == "a, b and 4 more"
    assert counted(1, "class", "classes") == "1 class"
    assert counted(1000, "cell") == "1,000 cells"


def test_class_labels_tell_classes_apart():
    frame = pl.DataFrame(
        {
            "dataset": ["d"] * 4 + ["e"],
            "class_id": [0, 1, 2, 3, 0],
            "class_name": ["cat", "dog", "dog\n", None, "dog"],
        }
    )
    labels = with_class_labels(frame)["class_label"].to_list()
    assert labels == ["cat", "dog (1)", "dog (2)", "3", "dog"]
    assert with_class_labels(frame.drop("class_name"))["class_label"].to_list() == list("01230")


def test_glance_shows_every_slope_with_its_mark(found):
    cells = found.filter(pl.col("family") == "cell")
    table = results.glance_table(cells)
    texts = [row[1:] for row in table.rows()]
    spreads = {"evens out": " ↓", "reorders and widens": " ↔"}
    expected = {
        (row["method"], row["ratio"]): (
            f"{numbers.fixed(row['estimate'])} {row['mark']}{spreads.get(row['verdict'], '')}"
        )
        for row in cells.to_dicts()
    }
    for row, shown in zip(table.data.to_dicts(), texts, strict=True):
        assert shown == [expected[row["method"], t] for t in (2.0, 50.0)]


def test_glance_tells_reordering_from_evening_out():
    row = {"estimate": 0.2, "mark": "<", "method": "m", "ratio": 2.0}
    context = dict.fromkeys(("study", "dataset", "model", "recipe", "intervention"), "c")
    frame = pl.DataFrame([row | context | {"verdict": "reorders and widens"}])
    table = results.glance_table(frame)
    assert table.rows()[0][-1] == "0.20 < ↔"
    assert table.tones()[0][-1] == "mixed"


def test_slope_table_matches_findings_and_conditions(log, found):
    rows = found.filter(pl.col("family").is_in(["cell", "control"]))
    table = results.slope_table(rows, conditions(log), "slopes", "c")
    headings = [c.heading for c in table.columns]
    assert {"κ [interval]", "ρ", "α̂", "r²", "Ā", "Mark"} <= set(headings)
    pooled = conditions(log).filter(pl.col("arm") == "finetuned")
    for shown, row in zip(table.rows(), rows.to_dicts(), strict=True):
        cells = dict(zip(headings, shown, strict=True))
        bounds = row["kappa"], row["kappa_low"], row["kappa_high"]
        assert cells["κ [interval]"] == numbers.interval(*bounds, null=1.0)
        assert "[" in cells["κ [interval]"]
        assert cells["Mark"] == row["mark"]
        assert cells["α [interval]"] == numbers.interval(
            row["estimate"], row["conf_low"], row["conf_high"], null=1.0
        )
        if row["arm"] != "control":
            match = pooled.filter(
                pl.col("method") == row["method"], pl.col("ratio") == row["ratio"]
            )
            assert cells["α̂"] == numbers.fixed(match["alpha_pooled"][0])
    assert any("only 4 networks" in note for note in table.all_notes), "one caveat for all rows"


@pytest.mark.parametrize(
    ("family", "words"),
    [
        ("ratio", "One-sided (larger is expected). Paired t-tests"),
        ("method", "Two-sided. Paired t-tests"),
    ],
)
def test_comparisons_say_how_they_were_tested(found, family, words):
    rows = found.filter(pl.col("family") == family)
    table = results.comparison_table(rows, results.family(family, rows), Settings())
    assert table.notes[0].startswith(words)
    assert "Bonferroni" in table.notes[0]
    assert table.data.height == rows.height


def test_independent_tests_name_their_variance():
    log = planted_log(seeds=4, ratios=(2.0,), methods=("magnitude",))
    rows = findings(log).filter(pl.col("family") == "model")
    model = results.family("model", rows)
    assert "Welch" in results.comparison_table(rows, model, Settings()).notes[0]
    pooled = results.comparison_table(rows, model, Settings(equal_variances=True))
    assert "pooled" in pooled.notes[0]


def test_classes_before_and_after(log, found):
    from distortion import measures

    labelled = with_class_labels(found.filter(pl.col("family") == "class"))
    rows = measures(log)
    table = facts.class_table(labelled, rows, "classes", "c")
    one = table.data.filter(
        pl.col("method") == "magnitude", pl.col("ratio") == 50, pl.col("class_id") == 0
    )
    mean = rows.filter(
        pl.col("arm") == "finetuned",
        pl.col("method") == "magnitude",
        pl.col("ratio") == 50,
        pl.col("class_id") == 0,
    )["recall"].mean()
    assert one["recall"][0] == pytest.approx(mean)
    assert one["recall"][0] - one["recall_dense"][0] == pytest.approx(one["estimate"][0])


def test_missing_cells_are_counted():
    frame = planted_log(seeds=4, ratios=(2.0, 50.0), models=("net",)).filter(
        ~((pl.col("seed") == 2) & (pl.col("ratio") == 50) & (pl.col("method") == "random"))
    )
    log = read_log(frame)
    table = facts.cell_table(missing_cells(log.cells, log.failed), slopes(log))
    missing = table.data.filter(pl.col("missing") > 0)
    assert set(missing["method"]) == {"random"}
    assert missing["missing"].to_list() == [1, 1]
    assert "2.00 [2.00, 2.00]" in [row[-3] for row in table.rows()]


def test_provenance_summarizes_unknown_json():
    records = [
        {
            "seed": seed,
            "device": "cpu",
            "versions": {"torch": "2"},
            "seconds": {"dense": 1800, "more": [1]},
            "started": f"2026-01-0{seed}T00:00:00+00:00",
            "finished": None,
            "failed": [{"method": "m"}] if seed == 2 else [],
            "data_hash": f"h{seed}",
            "configuration": {"recipe": {"dense": [[1, 0.1]]}},
        }
        for seed in (1, 2)
    ]
    values = dict(origins.run_table(records).data.iter_rows())
    assert values["computing time in all, failed runs included"] == "1.0 h"
    assert values["first started"].startswith("2026-01-01")
    assert values["failed cells"] == "1"
    assert values["device"] == "cpu"
    assert values["versions.torch"] == "2"
    assert values["data_hash"] == "h1 and h2"
    assert values["configuration.recipe.dense"] == "[[1, 0.1]]"
    assert "seed" not in values
    assert origins.run_table([{}, {"seconds": "?", "failed": None}]).data.height == 2


def test_ratios_that_look_alike_keep_columns_of_their_own(found):
    rows = found.filter(pl.col("family") == "cell")
    near = pl.when(pl.col("ratio") == 2).then(1234567.0).otherwise(1234568.0)
    table = results.glance_table(rows.with_columns(ratio=near))
    headings = [c.heading for c in table.columns]
    assert [heading.split()[-1] for heading in headings[1:]] == ["1,234,567", "1,234,568"]
    assert [row[1:] for row in table.rows()] == [
        row[1:] for row in results.glance_table(rows).rows()
    ]


def test_a_slope_below_one_is_marked_as_narrowing_only_with_its_spread():
    row = {"estimate": 0.9, "mark": "<", "method": "m", "ratio": 2.0}
    context = dict.fromkeys(("study", "dataset", "model", "recipe", "intervention"), "c")
    shown = {}
    for verdict in ("slope below 1", "evens out"):
        table = results.glance_table(pl.DataFrame([row | context | {"verdict": verdict}]))
        shown[verdict] = table.rows()[0][-1], table.tones()[0][-1]
    assert shown == {"slope below 1": ("0.90 <", ""), "evens out": ("0.90 < ↓", "down")}


@pytest.mark.parametrize("name", ["[2ex] x", "*"])
def test_no_row_of_latex_begins_with_an_option_of_the_row_above(name):
    text = latex_table(small_table(name))
    assert not re.search(r"(\\\\|rule)\s*[\[*]", text)
    assert f"{{}}{name} & 1.40" in text


def test_long_texts_are_whole_and_long_names_are_cut():
    text = "word " * 1000
    for escaped in (escape.to_html, escape.to_markdown, escape.to_latex):
        assert escaped(text).count("word") == 1000
    frame = pl.DataFrame({"method": ["m" * 5000], "ratio": [2.0], "estimate": [1.0]})
    context = dict.fromkeys(("study", "dataset", "model", "recipe", "intervention"), "c")
    frame = frame.with_columns(
        mark=pl.lit(">"),
        verdict=pl.lit("intensifies"),
        **{k: pl.lit(v) for k, v in context.items()},
    )
    assert len(results.glance_table(frame).rows()[0][0]) <= 120


def test_lists_of_two_digits_are_no_lists():
    assert escape.to_markdown_line("12. item") == "12\\. item"
    assert escape.to_markdown_line("123) item") == "123\\) item"


def test_a_condition_that_failed_for_every_network_is_missing():
    log = read_log(planted_log(seeds=3, ratios=(2.0,), models=("net",), methods=("magnitude",)))
    cells = [
        {"study": "planted", "dataset": "digits", "model": "net", "recipe": "", "seed": seed}
        | {"intervention": "pruning", "method": "magnitude", "ratio": 50.0, "arm": "finetuned"}
        | {"split": split, "reason": "diverged"}
        for seed in range(3)
        for split in ("test", None)
    ]
    failed = pl.DataFrame(cells, schema=log.failed.schema)
    grid = missing_cells(log.cells, failed_cells(replace(log, failed=failed), "test"))
    worst = grid.filter(pl.col("ratio") == 50)
    assert worst.select("networks", "missing").rows() == [(0, 3)]
    table = facts.cell_table(grid, slopes(log))
    assert table.rows()[-1][-2:] == ["0", "3"]
    assert table.rows()[-1][2] == "50"
