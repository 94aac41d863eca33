"""Whole reports: complete, self-contained, safe, deterministic, never half-written."""

import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser

import polars as pl
import pytest

from distortion import findings, read_log, report
from distortion.errors import LogWarning, ReportError
from distortion.figures import style
from distortion.report import SCHEMA
from tests.planted import planted_log

SMALL = {"seeds": 3, "ratios": (2.0, 50.0), "models": ("net",), "methods": ("magnitude",)}
NASTY = [
    "<script>alert(1)</script>",
    "a_b%$&",
    "line\nbreak",
    "🙂",
    "../x",
    "=1+1",
    '"><img src=x onerror=alert(1)>',
    "`code` **b** [l](http://evil.example)",
    "\\input{/etc/passwd}",
    "",
]
SECTIONS = [
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
VOID = {"meta", "link", "br", "img", "hr", "input"}


class Page(HTMLParser):
    """A parsed page; raises AssertionError where elements do not nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, f"</{tag}> at {self.getpos()}"

    def handle_data(self, data):
        self.words.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture
def no_png(monkeypatch):
    """Skip the PNGs, half of the work of drawing."""
    monkeypatch.setattr(style, "png", lambda _: b"not drawn")


@pytest.fixture
def quick(monkeypatch, no_png):
    """Skip drawing, most of the work, where a test is about something else."""
    monkeypatch.setattr(style, "svg", lambda _: '<svg viewBox="0 0 1 1"></svg>')


@pytest.fixture(scope="module")
def log():
    return planted_log(**SMALL)


@pytest.fixture(scope="module")
def folder(log, tmp_path_factory):
    out = tmp_path_factory.mktemp("reports") / "small"
    report(log, out)
    return out


@pytest.fixture(scope="module")
def page(folder):
    return Page((folder / "index.html").read_text(encoding="utf-8"))


def test_paths_are_all_the_files_there_are(log, tmp_path, quick):
    paths = report(log, tmp_path / "deep" / "r")
    assert paths[0] == tmp_path / "deep" / "r" / "index.html"
    written = {p for p in (tmp_path / "deep").rglob("*") if p.is_file()}
    assert set(paths) == written
    assert all(path.stat().st_size for path in paths)


def test_every_table_and_figure_comes_in_every_format(folder):
    tables = {p.stem for p in (folder / "tables").iterdir()}
    assert {"slopes", "control", "classes", "networks", "accuracy", "call"} <= tables
    for name in tables:
        assert {p.suffix for p in (folder / "tables").glob(f"{name}.*")} == {".csv", ".tex"}
    figures = {p.stem for p in (folder / "figures").iterdir()}
    assert figures >= {"slopes", "against-control", "balances", "classes", "accuracy", "variance"}
    for name in figures:
        suffixes = {p.suffix for p in (folder / "figures").glob(f"{name}.*")}
        assert suffixes == {".svg", ".png", ".csv"}
        assert pl.read_csv(folder / "figures" / f"{name}.csv").height


def test_sections_stand_in_order(page, folder):
    assert [s["id"] for s in page.all("section")] == SECTIONS
    markdown = (folder / "report.md").read_text(encoding="utf-8")
    assert re.findall(r"^## (\d+)\.", markdown, re.MULTILINE) == [
        str(i + 1) for i in range(len(SECTIONS))
    ]


def test_the_page_needs_nothing_but_itself(page):
    for _, attributes in page.tags:
        for name in ("src", "href", "xlink:href", "action", "data", "poster", "srcset"):
            value = attributes.get(name) or ""
            assert not re.match(r"\s*(\w+:)?//|\s*(javascript|file):", value), value
    assert page.all("script") == [{}], "one, inline"
    assert not page.all("link")
    assert "@import" not in "".join(page.words)
    assert not re.search(r"url\((?!#)", "".join(page.words))


def test_the_page_is_accessible(page):
    assert page.all("html")[0]["lang"] == "en"
    assert len(page.all("h1")) == 1
    assert all(th.get("scope") in ("col", "row") for th in page.all("th"))
    assert len(page.all("caption")) == len(page.all("table"))
    ids = [a["id"] for _, a in page.tags if a.get("id")]
    assert len(ids) == len(set(ids))
    targets = [a["href"][1:] for a in page.all("a") if (a["href"] or "").startswith("#")]
    assert set(targets) <= set(ids)
    pictures = [d for d in page.all("div") if d.get("role") == "img"]
    assert len(pictures) == len(page.all("figure")) > 5
    assert all(len(picture["aria-label"] or "") > 60 for picture in pictures)
    scrolled = [d for d in page.all("div") if d.get("class") == "scroll"]
    assert all(d.get("tabindex") == "0" for d in scrolled), "reachable by keyboard"


def test_numbers_count_figures_and_tables_apart(page):
    text = "".join(page.words)
    figures = len(page.all("figure"))
    assert [int(n) for n in re.findall(r"\bFigure (\d+)\.", text)] == list(range(1, figures + 1))
    assert {int(n) for n in re.findall(r"\bTable (\d+)\.", text)} == set(
        range(1, len(page.all("table")) + 1)
    )


def test_links_lead_to_files(folder, page):
    for anchor in page.all("a"):
        href = anchor["href"] or ""
        assert href.startswith("#") or (folder / href).is_file()
    links = re.findall(r"\]\(([^)]+)\)", (folder / "report.md").read_text(encoding="utf-8"))
    assert links
    assert all((folder / link).is_file() for link in links)


def test_json_holds_every_finding(folder, log):
    record = json.loads(
        (folder / "findings.json").read_text(encoding="utf-8"), parse_constant=pytest.fail
    )
    assert record["schema"] == SCHEMA == "distortion/findings/1"
    assert record["options"]["arm"] == "finetuned"
    assert {"python", "distortion", "polars"} <= set(record["versions"])
    found = findings(log)
    assert len(record["findings"]) == found.height
    key = ["family", "method", "ratio", "class_id", "comparison"]
    back = pl.DataFrame(record["findings"], schema=found.schema).sort(key)
    assert back["estimate"].to_list() == pytest.approx(found.sort(key)["estimate"].to_list())


def test_the_same_log_gives_the_same_bytes(log, folder, tmp_path):
    for path in report(log, tmp_path / "again"):
        earlier = folder / path.relative_to(tmp_path / "again")
        assert path.read_bytes() == earlier.read_bytes(), path.name


def test_a_report_is_not_overwritten_unless_forced(log, folder, tmp_path, quick):
    out = tmp_path / "r"
    shutil.copytree(folder, out)
    (out / "tables" / "old.csv").write_text("left over")
    with pytest.raises(ReportError, match="--force"):
        report(log, out)
    assert (out / "tables" / "old.csv").exists()
    report(log, out, force=True)
    assert not (out / "tables" / "old.csv").exists()


def test_force_never_removes_what_is_no_report(log, tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(ReportError, match="not a report of ours"):
        report(log, tmp_path, force=True)
    assert (tmp_path / "thesis.tex").read_text() == "precious"
    with pytest.raises(ReportError):
        report(log, tmp_path / "thesis.tex", force=True)


def test_an_empty_folder_may_be_filled(log, tmp_path, quick):
    (tmp_path / "empty").mkdir()
    assert report(log, tmp_path / "empty")[0].is_file()


def test_a_failure_leaves_nothing_behind(log, tmp_path, monkeypatch):
    def fail(_drawing):
        raise OSError("disk full")

    monkeypatch.setattr(style, "png", fail)
    with pytest.raises(OSError, match="disk full"):
        report(log, tmp_path / "r")
    assert list(tmp_path.iterdir()) == []


def test_a_failure_keeps_the_earlier_report(log, folder, tmp_path, monkeypatch):
    shutil.copytree(folder, tmp_path / "r")
    before = (tmp_path / "r" / "index.html").read_bytes()
    monkeypatch.setattr(style, "png", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        report(log, tmp_path / "r", force=True)
    assert (tmp_path / "r" / "index.html").read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["r"]


def test_options_reach_the_report(log, tmp_path, quick):
    out = tmp_path / "r"
    report(log, out, arm="pruned", level=0.9, correction="holm")
    record = json.loads((out / "findings.json").read_text(encoding="utf-8"))
    assert (
        record["options"] | {"arm": "pruned", "level": 0.9, "correction": "holm"}
        == (record["options"])
    )
    assert {f["arm"] for f in record["findings"] if f["family"] == "cell"} == {"pruned"}
    text = (out / "report.md").read_text(encoding="utf-8")
    assert "not fine-tuned" in text
    assert "Holm" in text


def test_names_neither_break_nor_inject(tmp_path, no_png):
    log = planted_log(
        **SMALL | {"models": ("m/../$a_b", "x"), "methods": ("<i>|pipe|</i>",)},
        datasets=("<b>data</b>",),
        class_names=NASTY,
    )
    paths = report(log, tmp_path / "r")
    page = Page(paths[0].read_text(encoding="utf-8"))
    assert page.all("script") == [{}], "that of the page itself"
    assert not page.all("img")
    assert not page.all("b")
    assert "alert(1)" in "".join(page.words), "names are shown, as text"
    assert all(path.resolve().is_relative_to(tmp_path / "r") for path in paths)
    markdown = paths[1].read_text(encoding="utf-8")
    assert not re.search(r"(?<!\\)\]\(http", markdown)
    assert not re.search(r"<(script|img|b|i)\b", markdown)
    for path in (tmp_path / "r" / "tables").glob("*.tex"):
        assert "\\input" not in path.read_text(encoding="utf-8")
    csv = pl.read_csv(tmp_path / "r" / "tables" / "classes.csv")
    assert "'=1+1" in csv["class_name"].to_list()


def without(**columns):
    def change(log: pl.DataFrame) -> pl.DataFrame:
        return log.with_columns(**columns)

    return change


DEAD = pl.when(pl.col("arm") == "dense").then("correct").otherwise(0)
FLAT = pl.when(pl.col("arm") == "dense").then(350).otherwise("correct")
AWKWARD = {
    "one seed": (SMALL | {"seeds": 1}, None, "One network per condition"),
    "one ratio": (SMALL | {"ratios": (3.5,)}, None, "to ratio 3.5, then fine-tuned"),
    "two data sets": (
        SMALL | {"datasets": ("a", "b")},
        None,
        "2 data sets stand for themselves",
    ),
    "no control": (SMALL | {"arms": ("dense", "finetuned")}, None, "No control arm"),
    "only pruned": (SMALL | {"arms": ("dense", "pruned")}, None, "pruned, not fine-tuned"),
    "pruned beside control": (
        SMALL | {"arms": ("dense", "control", "pruned")},
        None,
        "none is compared with it",
    ),
    "unbalanced": (
        SMALL | {"support": tuple(range(100, 1100, 100))},
        None,
        "Classes of unequal size",
    ),
    "accuracy 0": (SMALL, without(correct=DEAD), "undefined slopes left out"),
    "equal recalls": (SMALL, without(correct=FLAT), "No slope is defined"),
    "hundred classes": (
        SMALL | {"n_classes": 100, "support": 50, "seeds": 2},
        None,
        "Of 100 classes, the 18 that lose most",
    ),
    "no parameters": (
        SMALL,
        lambda log: log.drop("n_params", "n_remaining"),
        "The achieved ratios are unknown",
    ),
    "a missing cell": (
        SMALL,
        lambda log: log.filter(~((pl.col("seed") == 2) & (pl.col("ratio") == 50))),
        "2 cells missing, because",
    ),
}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::distortion.errors.LogWarning")
@pytest.mark.parametrize("case", AWKWARD)
def test_an_awkward_log_gives_a_report_that_says_what_is_missing(case, tmp_path, no_png):
    planted, change, words = AWKWARD[case]
    log = planted_log(**planted)
    paths = report(log if change is None else change(log), tmp_path / "r")
    Page(paths[0].read_text(encoding="utf-8"))
    assert words in paths[1].read_text(encoding="utf-8")


def test_copied_seeds_are_reported(tmp_path, quick):
    one = planted_log(**SMALL | {"seeds": 1})
    copies = pl.concat([one.with_columns(seed=pl.lit(seed, pl.Int64)) for seed in range(3)])
    with pytest.warns(LogWarning):
        paths = report(copies, tmp_path / "r")
    assert paths[1].read_text(encoding="utf-8").count("Copied seeds") == 2


def test_failed_cells_are_listed_with_their_reason(log, tmp_path, quick):
    read = read_log(log)
    cell = {c: None for c in read.failed.columns} | {
        "study": "planted",
        "dataset": "digits",
        "model": "net",
        "seed": 9,
        "method": "magnitude",
        "arm": "finetuned",
        "ratio": 50.0,
        "reason": "loss is <NaN>",
    }
    failed = pl.DataFrame([cell], schema=read.failed.schema)
    paths = report(replace(read, failed=failed), tmp_path / "r")
    text = paths[1].read_text(encoding="utf-8")
    assert "| magnitude | finetuned | 50 | 9 | loss is &lt;NaN> |" in text
    assert "1 cell recorded as failed" in text


def test_what_failed_for_every_network_is_not_called_complete(log, tmp_path, quick):
    read = read_log(log)
    cell = {c: None for c in read.failed.columns} | {
        "study": "planted",
        "dataset": "digits",
        "model": "net",
        "recipe": "",
        "intervention": "pruning",
        "method": "magnitude",
        "arm": "finetuned",
        "ratio": 99.0,
        "split": "test",
        "reason": "diverged",
    }
    failed = pl.DataFrame([cell | {"seed": seed} for seed in range(3)], schema=read.failed.schema)
    text = report(replace(read, failed=failed), tmp_path / "r")[1].read_text(encoding="utf-8")
    assert "No cell is missing" not in text
    assert "3 cells missing, because other networks have them or they failed" in text


CONTROL = pl.col("arm") == "control"


def two_interventions(log: pl.DataFrame) -> pl.DataFrame:
    compressed = pl.col("arm").is_in(["pruned", "finetuned"])
    other = log.filter(compressed).with_columns(intervention=pl.lit("quantization"))
    first = log.with_columns(intervention=pl.lit("pruning"))
    return pl.concat([first, other])


def control_elsewhere(log: pl.DataFrame) -> pl.DataFrame:
    where = pl.when(CONTROL).then(pl.lit("fine-tuning")).otherwise(pl.lit("pruning"))
    return log.with_columns(intervention=where)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "maps"),
    [(two_interventions, 2), (control_elsewhere, 1)],
    ids=["two interventions", "control under its own name"],
)
def test_the_control_stands_with_every_intervention(change, maps, log, tmp_path, no_png):
    out = tmp_path / "r"
    report(change(log), out)
    drawn = sorted((out / "figures").glob("classes*.csv"))
    assert len(drawn) == maps
    for path in drawn:
        assert "control" in pl.read_csv(path)["arm"].to_list()
    planes = pl.read_csv(out / "figures" / "accuracy.csv")
    assert planes.filter(CONTROL).height == 1


def test_what_has_no_such_arm_is_not_claimed_to_have_it(tmp_path, quick):
    whole = planted_log(**SMALL | {"methods": ("magnitude", "random")}, datasets=("a", "b"))
    early = (pl.col("arm") == "finetuned") & (
        (pl.col("dataset") == "b") | (pl.col("method") == "random")
    )
    text = report(whole.filter(~early), tmp_path / "r")[1].read_text(encoding="utf-8")
    assert "This is about 3 networks: model net, trained on a (10" in text
    assert "pruned by magnitude to ratios" in text
    assert "for data set b and method random" in text
    assert "Not asked: the only data set is a." in text


def test_models_and_data_sets_that_are_not_crossed(tmp_path, quick):
    one = planted_log(**SMALL | {"models": ("lenet",)}, datasets=("mnist",))
    other = planted_log(**SMALL | {"models": ("resnet",), "seeds": 2}, datasets=("cifar",))
    half = other.filter(~CONTROL)
    text = report(pl.concat([one, half]), tmp_path / "r")[1].read_text(encoding="utf-8")
    assert "2 to 3 per condition" in text
    assert "Only 2 to 3 networks per condition" in text
    assert "lenet on mnist" in text
    assert "resnet on cifar" in text
    assert "(10 classes, 4,000 test images each)" in text
    assert "2 of 4 conditions without a control arm" in text
    assert "2 of 4 conditions have no control" in text


def test_no_loss_exceeds_what_there_was_to_lose(tmp_path, quick):
    shaken = planted_log(**SMALL | {"seeds": 2}, shuffled=("magnitude",), spread=0.15)
    paths = report(shaken, tmp_path / "r")
    table = pl.read_csv(tmp_path / "r" / "tables" / "classes.csv")
    assert (table["conf_low"] >= -table["recall_dense"] - 1e-12).all()
    assert (table["conf_high"] <= 1 - table["recall_dense"] + 1e-12).all()
    raw = json.loads(paths[2].read_text(encoding="utf-8"))["findings"]
    lows = [f["conf_low"] or 0 for f in raw if f["family"] == "class"]
    assert min(lows) == -1, "the findings are cut at what a change can be, not at what there was"
    assert "cut where a recall would fall" in paths[1].read_text(encoding="utf-8")


def test_of_many_settings_the_first_are_drawn_and_the_page_says_so(tmp_path, quick, monkeypatch):
    monkeypatch.setattr("distortion.contents.parts.MOST_CONTEXTS", 1)
    out = tmp_path / "r"
    paths = report(planted_log(**SMALL | {"models": ("a", "b")}), out)
    assert len(list((out / "figures").glob("balances*.svg"))) == 1
    assert len(list((out / "figures").glob("classes*.svg"))) == 1
    assert "first 1 of 2 settings" in paths[1].read_text(encoding="utf-8")


def test_the_control_of_other_networks_is_no_control(tmp_path, quick):
    tested = planted_log(**SMALL | {"arms": ("dense", "finetuned")}, datasets=("a",))
    others = planted_log(**SMALL | {"arms": ("dense", "control")}, datasets=("b",))
    text = report(pl.concat([tested, others]), tmp_path / "r")[1].read_text(encoding="utf-8")
    assert "No control arm: no network" in text
    assert "No network that was tested has a control" in text
    assert "fine-tuning alone, the slope" not in text
    assert "for data set b" in text
