"""What the page's script does: sorting, filtering, values of marks; the page without it."""

import base64
import hashlib
import json
import math
import re
import shutil
import subprocess
from html.parser import HTMLParser
from xml.etree import ElementTree

import polars as pl
import pytest

from distortion import report
from distortion.figures import style
from distortion.tables.render import html_table
from distortion.tables.table import Column, Table, number, share
from tests.planted import planted_log
from tests.test_figures import luminance

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
METHODS = ("magnitude", "random", "gradient")
LOG = {"seeds": 4, "ratios": (2.0, 4.0, 10.0, 20.0), "models": ("net",), "methods": METHODS}
SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)
POLICY = re.compile(r'<meta http-equiv="Content-Security-Policy" content="([^"]*)">')


class Tables(HTMLParser):
    """The cells of each table of a page: (text, attributes), by the table's id."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: dict[str, list[list[tuple[str, dict[str, str | None]]]]] = {}
        self.table = ""
        self.cell: tuple[str, dict[str, str | None]] | None = None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        if tag == "table":
            self.table = str(dict(attributes)["id"])
            self.rows[self.table] = []
        elif tag == "tr":
            self.rows[self.table].append([])
        elif tag in ("td", "th"):
            self.cell = "", dict(attributes)

    def handle_data(self, data):
        if self.cell is not None:
            self.cell = self.cell[0] + data, self.cell[1]

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self.rows[self.table][-1].append(self.cell)
            self.cell = None

    def texts(self, table: str) -> list[list[str]]:
        return [[text for text, _ in row] for row in self.rows[table][1:]]


def sha256(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("pages") / "r"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(style, "png", lambda _: b"not drawn")
        report(planted_log(**LOG), out)
    return out


@pytest.fixture(scope="module")
def page(folder):
    return (folder / "index.html").read_text(encoding="utf-8")


def test_the_policy_admits_the_script_and_nothing_else(page):
    (script,) = SCRIPT.findall(page)
    (policy,) = POLICY.findall(page)
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == f"'sha256-{sha256(script)}'"
    assert not re.search(r"\beval\b|\bFunction\(|innerHTML|https?:|\bimport\b", script)
    assert len(script.splitlines()) <= 200
    assert not re.search(r"<[^>]*\son\w+=", page), "no handlers in attributes"


def test_without_scripts_there_is_no_control(page):
    shown = SCRIPT.sub("", page)
    assert not re.search(r"<(button|input|output|form)\b", shown)


def test_cells_carry_the_exact_numbers_that_they_round():
    data = pl.DataFrame({"a": [1 / 3, None, -2e-9, math.inf], "b": [0.1 + 0.2, 1.0, 0.0, None]})
    label = Column("x", lambda row: "x", names=True, numeric=False)
    table = Table("t", "c", data, (label, number("A", "a"), share("B", "b")))
    cells = Tables(html_table(table, "c", sortable=True)).rows["table-t"][1:]
    carried = [[dict(a).get("data-sort") for _, a in row] for row in cells]
    assert carried == [
        [None, repr(1 / 3), repr(0.1 + 0.2)],
        [None, None, "1.0"],
        [None, "-2e-09", "0.0"],
        [None, None, None],
    ]
    assert "data-sort" not in html_table(table, "c"), "only where something sorts by it"


def test_the_report_carries_the_numbers_of_its_files(folder, page):
    rows = Tables(page).rows["table-accuracy"]
    csv = pl.read_csv(folder / "tables" / "accuracy.csv")
    heads = [text for text, _ in rows[0]]
    for heading, column in (("Ā", "accuracy"), ("κ", "kappa"), ("Worst recall", "worst_recall")):
        at = heads.index(heading)
        assert [float(row[at][1]["data-sort"]) for row in rows[1:]] == csv[column].to_list()


def test_every_mark_says_what_it_shows(folder, page):
    for name, start in (("slopes", "magnitude · t = 2 · seed 0: α "), ("classes", "control · ")):
        (figure,) = re.findall(rf'<figure id="figure-{name}">.*?</figure>', page, re.DOTALL)
        titles = re.findall(r"<title>(.*?)</title>", figure)
        assert titles[0].startswith(start)
        rows = pl.read_csv(folder / "figures" / f"{name}.csv")
        # The control of the ten classes stands in the panel of every method.
        again = 10 * (len(METHODS) - 1) if name == "classes" else 0
        assert len(titles) == rows.height + again
    (row,) = pl.read_csv(folder / "figures" / "slopes.csv").head(1).to_dicts()
    text = f"seed {row['seed']}: α {row['alpha']:.2f}, κ {row['kappa']:.2f}, ρ {row['rho']:.2f}"
    assert text in page


def test_interaction_costs_little(page):
    plain = SCRIPT.sub("", re.sub(r' data-sort="[^"]*"|(?<=>)<title>[^<]*</title>', "", page))
    assert len(page.encode()) < 1.3 * len(plain.encode())


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_text_stands_out_from_what_is_behind_it(scheme, page):
    block = re.findall(r":root \{(.*?)\}", page, re.DOTALL)[scheme]
    colours = dict(re.findall(r"--([a-z]+): (#[0-9a-f]{6})", block))
    for text in ("ink", "muted", "link"):
        for behind in ("paper", "up", "down", "mixed") if text == "ink" else ("paper",):
            pair = sorted(luminance(colours[c]) for c in (text, behind))
            assert (pair[1] + 0.05) / (pair[0] + 0.05) >= 4.5, (text, behind)


# Runs after the page's script and leaves its observations as JSON in an element of its own.
DRIVER = """
"use strict";
const found = {};
const slopes = document.querySelector("#table-slopes");
const column = (head) => [...slopes.tHead.rows[0].cells].findIndex(
  (cell) => cell.textContent.startsWith(head));
const cells = (head) => [...slopes.tBodies[0].rows].filter((row) => !row.hidden)
  .map((row) => row.cells[column(head)].textContent);
const press = (head) => {
  const cell = slopes.tHead.rows[0].cells[column(head)];
  cell.querySelector("button").click();
  return { state: cell.getAttribute("aria-sort"), cells: cells(head), methods: cells("Method") };
};
found.caption = slopes.caption.textContent;
found.original = cells("Method");
found.ratio = [press("Ratio t"), press("Ratio t"), press("Ratio t")];
found.alpha = press("α [");
found.accuracy = press("Ā");
found.sorted = [...slopes.querySelectorAll("[aria-sort]")].map((cell) => cell.textContent);

const holder = slopes.closest(".table");
const [input, count] = [holder.querySelector("input"), holder.querySelector("output")];
const filter = (text) => {
  input.value = text;
  input.dispatchEvent(new Event("input"));
  return { count: count.textContent, methods: cells("Method"), ratios: cells("Ratio t") };
};
found.filters = Object.fromEntries(
  ["random", "RANDOM 2", "2", "nothing like it", ""].map((text) => [text, filter(text)]));
found.live = count.getAttribute("aria-live");
found.label = input.labels[0].textContent;
found.filtered = [...document.querySelectorAll(".filter")].map(
  (field) => field.parentNode.querySelector("table").tBodies[0].rows.length);

const tip = document.querySelector("[role=tooltip]");
const told = () => (tip.hidden ? null : tip.textContent);
const figure = document.querySelector("#figure-slopes");
const key = (name) => {
  const options = { key: name, bubbles: true, cancelable: true };
  document.activeElement.dispatchEvent(new KeyboardEvent("keydown", options));
  return told();
};
found.before = told();
found.stops = figure.querySelectorAll("svg [tabindex]").length;
const first = figure.querySelector("svg [tabindex]");
first.focus();
found.focus = told();
found.name = first.getAttribute("aria-label");
const keys = ["ArrowRight", "ArrowLeft", "ArrowDown", "End", "ArrowRight", "Home", "Escape"];
found.keys = keys.map(key);
document.activeElement.blur();
const region = figure.querySelector(".scroll");
figure.scrollIntoView({ behavior: "instant" });
region.dispatchEvent(new PointerEvent("pointerenter"));
const box = first.getBoundingClientRect();
const [clientX, clientY] = [box.left + box.width / 2 + 1, box.top + box.height / 2];
region.dispatchEvent(new PointerEvent("pointermove", { clientX, clientY, bubbles: true }));
found.hover = told();
found.inside = tip.getBoundingClientRect().left >= 0;
region.dispatchEvent(new PointerEvent("pointerleave"));
found.left = told();
found.roles = [...document.querySelectorAll("figure .scroll")].map((e) => e.getAttribute("role"));
const record = Object.assign(document.createElement("pre"), { id: "found" });
record.textContent = JSON.stringify(found);
document.body.append(record);
"""


def dumped(path) -> str:
    """The document as Chromium has it after its scripts ran."""
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--window-size=1280,1000"]
    options += ["--virtual-time-budget=5000", f"--user-data-dir={path.parent / 'profile'}"]
    command = [str(CHROMIUM), *options, "--dump-dom", path.as_uri()]
    run = subprocess.run(command, capture_output=True, check=True, timeout=120)
    return run.stdout.decode()


browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on PATH")


@pytest.fixture(scope="module")
def found(page, tmp_path_factory):
    """What the driver saw; its own hash is added to the policy, which stays in force."""
    driven = page.replace("script-src '", f"script-src 'sha256-{sha256(DRIVER)}' '", 1)
    path = tmp_path_factory.mktemp("driven") / "index.html"
    path.write_text(driven.replace("</body>", f"<script>{DRIVER}</script></body>"), "utf-8")
    (seen,) = re.findall(r'<pre id="found">(.*?)</pre>', dumped(path), re.DOTALL)
    return json.loads(seen.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))


@browser
def test_a_column_sorts_up_then_down_then_back(found, folder):
    up, down, back = found["ratio"]
    assert [step["state"] for step in found["ratio"]] == ["ascending", "descending", None]
    ratios = [float(text) for text in up["cells"]]
    assert ratios == sorted(ratios), "by value: 4 before 10"
    assert down["cells"] == up["cells"][::-1]
    assert back["methods"] == found["original"]
    assert "column headers sort" in found["caption"]
    assert found["accuracy"]["state"] == "ascending"
    assert found["sorted"] == ["Ā"], "one column at a time"
    slopes = pl.read_csv(folder / "tables" / "slopes.csv")
    alphas = [float(text.split()[0]) for text in found["alpha"]["cells"]]
    assert alphas == pytest.approx(slopes["estimate"].sort().to_list(), abs=0.005)
    shares = [f"{100 * a:.1f}%" for a in slopes["accuracy"].sort().to_list()]
    assert found["accuracy"]["cells"] == shares


@browser
def test_a_filter_leaves_the_rows_that_have_every_word(found):
    filters = found["filters"]
    assert len(found["original"]) == 13
    assert filters["random"]["methods"] == ["random"] * 4
    assert filters["random"]["count"] == "4 of 13 rows"
    assert filters["RANDOM 2"]["ratios"] == ["2"], "a number is found whole: 20 is another"
    assert filters["2"]["count"] == "3 of 13 rows"
    assert filters["nothing like it"]["count"] == "0 of 13 rows"
    assert filters[""]["count"] == "13 rows"
    assert found["live"] == "polite"
    assert found["label"]
    assert min(found["filtered"]) > 12


@browser
def test_a_mark_tells_its_numbers_to_keyboard_and_pointer(found):
    assert found["before"] is None
    assert found["stops"] == 1, "one stop of the Tab key for a figure"
    assert found["focus"] == found["name"]
    assert found["focus"].startswith("magnitude · t = 2 · seed 0: α ")
    right, left, down, end, beyond, home, escape = found["keys"]
    assert right.startswith("magnitude · t = 2 · seed 1: α ")
    assert left == home == found["focus"]
    assert down.startswith("magnitude · t = 4 · seed 0: α ")
    assert end == beyond
    assert end.startswith("gradient · t = 20 · seed 3: α ")
    assert escape is None
    assert found["hover"] == found["focus"]
    assert found["inside"]
    assert found["left"] is None
    # An image would hide its marks; only curves without marks stay images.
    assert found["roles"].count("img") <= 1
    assert set(found["roles"]) <= {"group", "img"}


@browser
def test_with_scripts_off_the_page_is_as_it_was_written(page, found, tmp_path):
    path = tmp_path / "index.html"
    path.write_text(re.sub(r"script-src '[^']*'", "script-src 'none'", page), "utf-8")
    still = dumped(path)
    assert not re.search(r"<(button|input|output)\b", still)
    assert still.count("<title>") == page.count("<title>")
    assert still.count('role="img"') == page.count('role="img"')
    tables, written = Tables(still), Tables(page)
    assert tables.rows.keys() == written.rows.keys()
    assert all(tables.texts(name) == written.texts(name) for name in tables.rows)


def test_hostile_names_stay_text_in_titles_and_cells(tmp_path, monkeypatch):
    monkeypatch.setattr(style, "png", lambda _: b"not drawn")
    names = [
        "</title><script>alert(1)</script>",
        "]]></style>",
        "a\"b' c",
        "&lt;i&gt;",
        "0\x00\x0b",
    ]
    log = planted_log(
        seeds=3, ratios=(2.0,), models=("m",), methods=("</svg><i>",), class_names=names
    )
    report(log, tmp_path / "r")
    text = (tmp_path / "r" / "index.html").read_text(encoding="utf-8")
    assert len(SCRIPT.findall(text)) == 1
    assert "class &lt;/title&gt;&lt;script" in text
    assert not re.search(r"<i>|</title><script>", text)
    for path in (tmp_path / "r" / "figures").glob("*.svg"):
        ElementTree.parse(path)
