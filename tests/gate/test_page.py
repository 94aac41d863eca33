"""The sign-off: well-formed, safe, accessible, in order; same bytes, numbers of the table."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import polars as pl
import pytest

from distortion.errors import ReportError
from distortion.figures.gate import class_losses
from distortion.figures.style import svg
from distortion.gate.gate import Gate, gate
from distortion.gate.limits import FAIL, OPEN, PASS
from distortion.gate.page import html_page, markdown_page
from distortion.gate.record import fingerprint, gate_json
from distortion.gate.signoff import write_signoff
from distortion.gate.tables import class_table, condition_table, largest_table
from distortion.gate.words import EXIT_CODES
from tests.gate.pairs import paired_log
from tests.gate.test_gate import BAD, CLOSE, FINE, ladder, several_seeds

HOSTILE = [
    "<script>alert(1)</script>",
    "a|b `c` *d* [e](f)",
    "=HYPERLINK(1)",
    "\u202eevil",
    "",
    "猫",
]
CARD = [
    "Model details",
    "Intended use (to be filled in)",
    "Factors",
    "Metrics",
    "Evaluation data",
    "Quantitative analyses",
    "Caveats and recommendations",
]
VOID = {"meta", "link", "br", "hr", "img", "input"}


class Page(HTMLParser):
    """Elements with their attributes; fails where tags do not nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.cells: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.open and self.open[-1] in ("td", "th"):
            self.cells[-1] += data


@pytest.fixture
def one() -> Gate:
    return gate(paired_log([FINE, BAD, CLOSE]), max_kappa=1.2, min_worst_recall=0.5)


def named(names: list[str], counts: list[tuple]) -> pl.DataFrame:
    log = paired_log(counts)
    return log.with_columns(class_name=pl.Series(names * 2))


def test_the_page_is_whole_and_alone(one: Gate) -> None:
    text = html_page(one)
    page = Page(text)
    tags = [tag for tag, _ in page.elements]
    assert tags.count("h1") == 1
    assert "script" not in tags
    assert "a" not in tags
    assert not re.search(r'(src|href)="(?!#)', text)
    assert "://" not in re.sub(r'xmlns(:\w+)?="[^"]*"|<!DOCTYPE[^>]*>', "", text)
    assert dict(page.elements)["html"] == {"lang": "en"}
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_the_page_can_be_read_without_seeing_it(one: Gate) -> None:
    page = Page(html_page(one))
    tables = [tag for tag, _ in page.elements if tag == "table"]
    assert len(tables) == [tag for tag, _ in page.elements].count("caption") == 3
    assert all("scope" in attributes for tag, attributes in page.elements if tag == "th")
    images = [a for _, a in page.elements if a.get("role") == "img"]
    assert images[0]["aria-label"].startswith("Dot plot of the loss of recall in points of 3")
    labels = {a["id"] for tag, a in page.elements if tag == "h2"}
    assert {a["aria-labelledby"] for tag, a in page.elements if tag == "section"} == labels


@pytest.mark.parametrize("render", [html_page, markdown_page])
def test_verdict_first_then_the_order_of_a_model_card(one: Gate, render: object) -> None:
    text = render(one)
    body = text[text.index("<body>") :] if "<body>" in text else text
    places = [body.index(part) for part in ("Fail", *CARD)]
    assert places == sorted(places)
    assert all(word in body[places[-1] :] for word in ("Name", "Date", "Signature"))


def test_the_numbers_on_the_page_are_those_of_the_table(one: Gate) -> None:
    cells = Page(html_page(one)).cells
    rows = class_table(one.gated[0], "class drop").rows()
    assert [row[0] for row in rows] == ["1", "2", "0"]
    start = cells.index("1")
    flat = [text for row in rows for text in row]
    assert cells[start : start + len(flat)] == flat
    table = one.table.filter(measure="class drop").sort("estimate", descending=True)
    for row, shown in zip(table.iter_rows(named=True), rows, strict=True):
        numbers = [float(x) for x in re.findall(r"[+-]?\d+\.\d+", shown[3].replace("−", "-"))]
        exact = [100 * row[c] for c in ("estimate", "conf_low", "conf_high")]
        assert numbers == pytest.approx(exact, abs=0.005 + 1e-9)  # two decimals are shown
        assert shown[5] == row["verdict"]
        assert all(text in markdown_page(one) for text in shown)


def test_bounds_never_round_onto_the_limit_that_they_miss() -> None:
    found = gate(paired_log([FINE, FINE]), max_class_drop=0.0119)
    high = found.table["conf_high"][0]
    limit = round(high, 4) - 1e-5 if high > round(high, 4) else round(high, 4)
    again = gate(paired_log([FINE, FINE]), max_class_drop=limit)
    shown = class_table(again.gated[0], "class drop").rows()[0][3]
    assert float(re.findall(r"\d+\.\d+", shown)[-1]) != 100 * limit


def test_names_are_somebody_elses_text() -> None:
    found = gate(named(HOSTILE, [BAD, FINE, CLOSE, FINE, FINE, FINE]), min_worst_recall=0.1)
    text = html_page(found)
    page = Page(text)
    assert "<script" not in text
    assert "script" not in [tag for tag, _ in page.elements]
    assert HOSTILE[0] in page.text
    assert "\u202e" not in text
    assert "<script>" not in markdown_page(found).replace("&lt;script>", "")
    assert HOSTILE[0] in json.loads(gate_json(found))["conditions"][0]["criteria"][0]["class_name"]
    evil = paired_log([FINE, BAD], method="<b>x</b>", model='"><img src=x onerror=y>')
    page = Page(html_page(gate(evil)))
    assert not {"b", "img"} & {tag for tag, _ in page.elements}


def test_images_are_in_the_table_where_classes_differ_in_them() -> None:
    same = class_table(gate(paired_log([FINE, BAD])).gated[0], "class drop")
    differ = class_table(gate(paired_log([FINE, (90, 5, 2, 3)])).gated[0], "class drop")
    assert "Images" not in [column.heading for column in same.columns]
    assert [row[1] for row in differ.rows()] == ["100", "1,000"]


def test_many_classes_fit_the_page_and_say_what_is_left_out() -> None:
    found = gate(paired_log([BAD, *[FINE] * 60]))
    table = class_table(found.gated[0], "class drop", 12)
    assert table.data.height == 12
    assert "49 further classes (49 pass) are in gate.json." in table.notes
    assert len(json.loads(gate_json(found))["conditions"][0]["criteria"]) == 61


def test_several_conditions_are_an_overview() -> None:
    found = gate(ladder(PASS, OPEN, FAIL))
    page = Page(html_page(found))
    assert [row[-1] for row in condition_table(found).rows()] == [PASS, OPEN, FAIL]
    assert largest_table(found).rows() == [["magnitude", "2", "3"]]
    assert all(cell in page.cells for row in condition_table(found).rows() for cell in row)
    assert "To have one condition signed" in page.text


def test_the_page_of_a_recipe_and_of_a_gate_without_classes() -> None:
    text = Page(html_page(gate(several_seeds()))).text
    assert "paired t-test" in text
    assert "networks (seeds)" in text
    text = Page(html_page(gate(several_seeds(), max_class_drop=None, max_kappa=9.0))).text
    assert "No limit on the loss of single classes was asked for." in text


def test_json_says_everything_once(one: Gate) -> None:
    record = json.loads(gate_json(one))
    assert record["schema"] == "distortion/gate/1"
    assert (record["verdict"], record["exit_code"]) == (FAIL, 3)
    assert record["limits"] == {"class_drop": 0.02, "worst_recall": 0.5, "kappa": 1.2}
    condition = record["conditions"][0]
    assert condition["verdict"] == FAIL
    assert condition["counts_sha256"] == fingerprint(one.gated[0].counts)
    assert len(condition["criteria"]) == one.table.height
    assert condition["criteria"][0]["estimate"] == one.table["estimate"][0]
    assert EXIT_CODES == {PASS: 0, FAIL: 3, OPEN: 4}


def test_the_fingerprint_is_of_the_counts() -> None:
    prints = [
        fingerprint(gate(log).gated[0].counts)
        for log in (paired_log([FINE, BAD]), paired_log([FINE, FINE]), paired_log([FINE, BAD]))
    ]
    assert prints[0] == prints[2] != prints[1]


class TestWriting:
    def test_the_same_bytes_every_time(self, tmp_path: Path) -> None:
        log = paired_log([FINE, BAD, CLOSE])
        first, second = (
            [p.read_bytes() for p in write_signoff(gate(log, max_kappa=1.2), tmp_path / name)]
            for name in "ab"
        )
        assert first == second

    def test_a_folder_or_one_file(self, one: Gate, tmp_path: Path) -> None:
        paths = write_signoff(one, tmp_path / "new" / "folder")
        assert [p.name for p in paths] == ["gate.html", "gate.md", "gate.json"]
        (alone,) = write_signoff(one, tmp_path / "card.md")
        assert alone.read_bytes() == paths[1].read_bytes()
        assert not list(tmp_path.rglob("*.part"))

    def test_nothing_is_overwritten_unasked(self, one: Gate, tmp_path: Path) -> None:
        other = tmp_path / "notes.txt"
        other.write_text("mine")
        write_signoff(one, tmp_path)
        with pytest.raises(ReportError, match="--force"):
            write_signoff(one, tmp_path)
        write_signoff(one, tmp_path, force=True)
        with pytest.raises(ReportError, match="ends in none of"):
            write_signoff(one, other, force=True)
        assert other.read_text() == "mine"


def test_the_figure_draws_the_rows() -> None:
    found = gate(paired_log([FINE, BAD, CLOSE]))
    rows = found.table.filter(measure="class drop")
    drawing = class_losses(rows, "bounds")
    axis = drawing.figure.axes[0]
    drawn = {
        line.get_label(): (line.get_xdata()[0], line.get_marker())
        for line in axis.lines
        if line.get_marker() not in ("None", None, "")
    }
    expected = {row["verdict"]: 100 * row["estimate"] for row in rows.iter_rows(named=True)}
    assert {k: v[0] for k, v in drawn.items()} == pytest.approx(expected)
    assert len({marker for _, marker in drawn.values()}) == 3
    assert [t.get_text() for t in axis.get_yticklabels()] == ["1", "2", "0"]
    assert svg(drawing) == svg(class_losses(rows, "bounds"))
    assert "1 pass, 1 fail, 1 not enough data" in drawing.alt
