"""Sentences on planted findings, and limitations exactly when the facts call for them."""

import re
from dataclasses import replace

import polars as pl
import pytest

from distortion.catalogue import DATASET, METHOD, MODEL
from distortion.designs import CONDITION
from distortion.prose import limitations as lim
from distortion.prose.beyond import beyond
from distortion.prose.contrasts import compared_in_words, not_asked
from distortion.prose.headline import headline as answer
from distortion.prose.losers import largest_losses
from distortion.prose.methods import READING
from distortion.prose.methods import tests_in_words as describe_tests
from distortion.prose.population import population
from distortion.prose.reservations import DEPARTS, FEW_ERRORS, reservations
from distortion.prose.verdict import verdict
from distortion.scope import Dataset, Scope
from distortion.settings import Settings
from distortion.verdicts import FINDINGS

SCOPE = Scope(
    datasets=(Dataset("digits", 10, 900, True, 0.1),),
    models=("small", "large"),
    pairs=(("digits", "small"), ("digits", "large")),
    methods=("magnitude", "random"),
    ratios=(2.0, 10.0, 50.0),
    interventions=("pruning",),
    untested=(),
    arms=("dense", "control", "finetuned"),
    networks=20,
    trained=20,
    fewest=10,
    most=10,
    conditions=12,
    uncontrolled=0,
    cells=160,
    failed=0,
    missing=0,
    undefined=0,
    dead=0,
    ratio_error=0.0,
    accuracy_lost=0.0,
    notes=(),
    provenance=True,
    arm="finetuned",
    split="test",
    settings=Settings(),
)
DEFAULTS = {
    "study": "s",
    "dataset": "digits",
    "model": "small",
    "recipe": "",
    "intervention": "pruning",
    "method": "magnitude",
    "ratio": 10.0,
    "arm": "finetuned",
    "split": "test",
    "conf_level": 0.99,
    "null": 1.0,
    "side": "two-sided",
    "correction": "bonferroni",
    "kappa": 1.3,
    "kappa_low": 1.1,
    "kappa_high": 1.5,
    "rho": 0.9,
}
MEASURED = ("estimate", "conf_low", "conf_high", "kappa", "kappa_low", "kappa_high")
VALUES = {
    "intensifies": (1.5, 1.4, 1.6, 1.6, 1.5, 1.7),
    "evens out": (0.8, 0.7, 0.9, 0.85, 0.8, 0.9),
    "reorders and widens": (-0.5, -0.9, -0.1, 6.0, 4.0, 9.0),
    "slope below 1": (0.9, 0.85, 0.95, 0.98, 0.9, 1.1),
    "undecided": (1.05, 0.9, 1.2, 1.1, 0.9, 1.3),
    "no test": (1.3, None, None, 1.4, None, None),
}


def found(*rows: dict, family: str = "cell") -> pl.DataFrame:
    """Findings with the columns of the catalogue; what is not given is a default or null."""
    complete = []
    for row in rows:
        values = VALUES.get(row.get("verdict", ""))
        known = dict(zip(MEASURED, values or (), strict=False))
        complete.append(DEFAULTS | {"family": family} | known | row)
    frame = pl.DataFrame(complete, schema=FINDINGS) if complete else pl.DataFrame(schema=FINDINGS)
    return frame.with_columns(class_label=pl.coalesce("class_name", pl.col("class_id").cast(str)))


def series(verdicts: str, **more) -> list[dict]:
    """Cells at ratios 2, 10, 50, each by the initial of its verdict in VALUES."""
    words = {name[0]: name for name in VALUES}
    ratios = (2.0, 10.0, 50.0)
    return [
        {"ratio": t, "verdict": words[letter]} | more
        for t, letter in zip(ratios, verdicts, strict=True)
    ]


def conditions(cells: pl.DataFrame, **more) -> pl.DataFrame:
    means = {"accuracy_dense": 0.95, "accuracy": 0.8, "variance_dense": 0.01, "variance": 0.04}
    means |= more
    return cells.select(CONDITION).with_columns(**{k: pl.lit(v) for k, v in means.items()})


def headline(cells: pl.DataFrame, versus: pl.DataFrame, **more) -> str:
    return answer(cells, versus, conditions(cells, **more))


def tell(cells, control=None, versus=None, classes=None, scope=SCOPE, **more) -> str:
    empty = found()
    parts = (control, versus, classes)
    given = [empty if part is None else part for part in parts]
    return " ".join(verdict(scope, cells, *given, conditions(cells, **more)))


def test_intensification_has_its_start_its_size_and_its_accuracy():
    cells = found(*series("uii"), *series("uuu", method="random"))
    text = tell(cells, scope=replace(SCOPE, models=("small",)))
    assert "above 1 in 2 (gaps intensify) and undecided in 4" in text
    assert "intensification is first detected at ratio 10 for magnitude; at no ratio" in text
    assert "α = 1.50 [1.40, 1.60] (magnitude, ratio 10)" in text
    assert "from 95.0% to 80.0%" in text


def test_a_start_that_does_not_last_is_said_not_to():
    assert "not at every larger ratio" in tell(found(*series("uiu")))
    assert "not at every larger ratio" not in tell(found(*series("uii")))


def test_starts_differ_between_models():
    cells = found(*series("iii"), *series("uui", model="large"), *series("uuu", model="huge"))
    assert "first detected at ratio 2 to 50 for magnitude in 2 of 3 models" in tell(cells)


def test_evening_out():
    text = tell(found(*series("eee")))
    assert "below 1 with a smaller spread in 3 (gaps even out)" in text
    assert "ntensification" not in text


def test_reordering_is_not_evening_out():
    text = tell(found(*series("rrr")))
    assert "is not an evening out" in text
    assert "κ = 6.00 [4.00, 9.00]" in text
    assert "gaps even out" not in text


def test_nothing_found_is_said_plainly():
    cells = found(*series("uuu"))
    assert headline(cells, found()) == (
        "No change of the gaps between classes was detected in any of 3 conditions."
    )
    assert "Undecided is not unchanged: half of these intervals reach ± 0.15" in tell(cells)


def test_an_undecided_slope_does_not_hide_a_larger_spread():
    rows = [row | {"kappa": 9.0, "kappa_low": 3.0, "kappa_high": 20.0} for row in series("uuu")]
    assert "In 3 undecided conditions" in tell(found(*rows))
    assert "(up to κ = 9.00 [3.00, 20.00] at magnitude, ratio 2)" in tell(found(*rows))
    unsure = [row | {"kappa_low": 0.5} for row in rows]
    assert "relative to accuracy" not in tell(found(*unsure))


def test_one_seed_claims_nothing():
    cells = found(*series("nnn"))
    assert headline(cells, found()).startswith("Nothing could be tested")
    text = tell(cells)
    assert "no test is possible" in text
    assert "run from 1.30 to 1.30" in text
    assert "intensif" not in text


def test_one_condition_reads_as_one():
    cells = found({"verdict": "intensifies", "rho": 0.94})
    assert headline(cells, found()) == (
        "The gaps between classes widened relative to accuracy in the one condition tested."
    )
    text = tell(cells, scope=replace(SCOPE, models=("small",), networks=10))
    assert (
        "The slope is α = 1.50 [1.40, 1.60], with κ = 1.60 [1.50, 1.70] and ρ = 0.94: gaps "
        "intensify."
    ) in text
    assert "grows from 10.0 to 20.0 points (SD)" in text
    assert "1 conditions" not in text


@pytest.mark.parametrize("word", ["cause", "due to", "because of pruning", "effect of pruning"])
def test_without_control_nothing_is_attributed(word):
    scope = replace(SCOPE, uncontrolled=SCOPE.conditions)
    text = tell(found(*series("iii")), scope=scope)
    assert "There is no control arm" in text
    assert word not in text
    assert "fine-tuning alone" not in headline(found(*series("iii")), found())


def test_control_and_differences_from_it():
    control = found({"arm": "control", "method": "none", "ratio": 1.0, "verdict": "evens out"})
    versus = found(
        {"verdict": "larger slope", "estimate": 0.5},
        {"verdict": "undecided", "ratio": 50.0},
        family="versus control",
    )
    cells = found(*series("uei"))
    text = tell(cells, control, versus)
    assert (
        "Fine-tuning alone, with nothing removed, gives α = 0.80 [0.70, 0.90] (gaps even out)"
        in text
    )
    assert "larger in 1 of 2 conditions, smaller in 0, undecided in 1" in text
    assert headline(cells, versus).endswith(
        "compared with fine-tuning alone, the slope α is larger in 1 of 2 conditions that have a "
        "control."
    )


def test_near_chance_networks_are_not_interpreted():
    text = tell(found(*series("uui")), accuracy=0.12)
    assert "fell to near chance, down to 12.0%" in text
    assert "near chance" not in tell(found(*series("uui")), accuracy=0.5)


def lost(*losses: tuple[str, float, str], **more) -> list[dict]:
    return [
        {
            "class_id": i,
            "class_name": name,
            "ratio": 50.0,
            "measure": "recall_change",
            "estimate": change,
            "conf_low": change - 0.05,
            "conf_high": change + 0.05,
            "verdict": word,
        }
        | more
        for i, (name, change, word) in enumerate(losses)
    ]


def test_the_class_that_loses_most_is_named_with_its_loss():
    classes = found(
        *lost(("cat", -0.2, "loses"), ("dog", -0.1, "loses")),
        *lost(("cat", -0.3, "loses"), ("dog", 0.1, "gains"), method="random"),
        *lost(("cat", -0.9, "loses"), arm="control", method="none", ratio=1.0),
        family="class",
    )
    text = tell(found(*series("iii"), *series("iii", method="random")), classes=classes)
    assert "the largest mean loss is that of “cat” in 2 of 2 methods" in text
    assert "−30.0 [−35.0, −25.0] points (random, ratio 50)" in text
    assert "−90" not in text, "the control arm loses nothing to compression"


def test_an_undetected_loss_is_not_claimed():
    classes = found(*lost(("cat", -0.2, "undecided")), family="class")
    text = tell(found(*series("iii")), classes=classes)
    assert "no loss of a single class is detected" in text
    assert "20.0 points, of class “cat”" in text


def test_largest_losses_stay_in_the_order_of_the_series():
    classes = found(
        *lost(("a", -0.1, "loses"), ("b", -0.2, "loses"), ("c", 0.1, "gains")),
        *lost(("a", -0.5, "loses"), method="random"),
        family="class",
    )
    assert largest_losses(classes, 2)["estimate"].to_list() == [-0.2, -0.1, -0.5]


def test_population():
    assert population(SCOPE) == (
        "This is about 20 networks, 10 per condition: models small and large, trained on "
        "digits (10 classes, 900 test images); pruned by magnitude and random to ratios 2, 10 and "
        "50, then fine-tuned."
    )
    assert population(replace(SCOPE, arm="pruned")).endswith("2, 10 and 50, not fine-tuned.")
    other = replace(SCOPE, interventions=("quantization",), fewest=3, most=5)
    assert "3 to 5 per condition" in population(other)
    assert "compressed by magnitude" in population(other)


def test_comparisons_in_words():
    one_sided = found(
        {"verdict": "larger slope", "side": "greater"}, {"verdict": "undecided", "side": "greater"}
    )
    assert compared_in_words(one_sided) == "Larger in 1 and undecided in 1 of 2 comparisons."
    two_sided = found({"verdict": "smaller slope"})
    assert compared_in_words(two_sided) == (
        "Larger in 0, smaller in 1 and undecided in 0 of 1 comparison."
    )


ALWAYS = {
    lim.few_classes,
    lim.one_dataset,
    lim.dilution,
    lim.one_test_set,
    lim.uncorrected,
    lim.own_definition,
}
CALLED_FOR = [
    (lim.no_control, {"uncontrolled": 12}, "No control arm"),
    (lim.part_control, {"uncontrolled": 5}, "5 of 12 conditions without a control arm"),
    (lim.few_networks, {"fewest": 9}, "9 to 10 networks per condition: small"),
    (lim.few_networks, {"fewest": 4, "most": 4}, "Only 4 networks per condition"),
    (lim.few_networks, {"fewest": 1, "most": 10}, "Only 1 to 10 networks per condition"),
    (lim.few_networks, {"fewest": 1, "most": 1}, "nothing can be tested"),
    (lim.one_model, {"models": ("net",)}, "One model"),
    (lim.unbalanced, {"datasets": (Dataset("d", 2, 9, False, 0.8),)}, "only approximate"),
    (lim.falling_accuracy, {"accuracy_lost": 0.2}, "up to 20.0 points"),
    (lim.achieved_ratio, {"ratio_error": 0.3}, "up to 30.0%"),
    (lim.achieved_ratio, {"ratio_error": None}, "unknown"),
    (lim.undefined_slopes, {"undefined": 2, "dead": 1}, "2 undefined slopes left out"),
    (lim.incomplete, {"missing": 3, "failed": 1}, "3 cells missing, 1 cell recorded as failed"),
    (lim.noted, {"notes": ("Copied seeds: …",)}, "Copied seeds"),
    (lim.untested_images, {"provenance": False}, "No provenance"),
]


@pytest.mark.parametrize(("limitation", "facts", "words"), CALLED_FOR)
def test_a_limitation_appears_exactly_when_called_for(limitation, facts, words):
    assert limitation(SCOPE) is None
    text = limitation(replace(SCOPE, **facts))
    assert words in text
    assert text in lim.limitations(replace(SCOPE, **facts))


def test_a_sound_study_has_only_the_limitations_of_every_study():
    assert len(lim.limitations(SCOPE)) == len(ALWAYS)
    assert {limitation for limitation, _, _ in CALLED_FOR} | ALWAYS == set(lim.LIMITATIONS)


def test_many_classes_are_not_called_few():
    hundred = (Dataset("cifar100", 100, 10_000, True, 0.01),)
    assert lim.few_classes(replace(SCOPE, datasets=hundred)) is None
    ten = (Dataset("cifar10", 10, 10_000, True, 0.1),)
    text = lim.few_classes(replace(SCOPE, datasets=hundred + ten))
    assert "a slope of cifar10 is a line through 10 points" in text


def test_several_data_sets_are_said_to_be_few():
    two = replace(SCOPE, datasets=(SCOPE.datasets[0], Dataset("b", 10, 900, True, 0.1)))
    assert "2 data sets stand for themselves" in lim.one_dataset(two)
    assert "classes of digits" in lim.one_dataset(SCOPE)


def test_methods_say_which_variance_and_correction():
    text = " ".join(describe_tests(SCOPE, [0.99]))
    assert "99%" in text
    assert "Welch's" in text
    assert "between networks (seeds)" in text
    assert "below 0.05" in text
    chosen = Settings(equal_variances=True, correction="holm")
    pooled = " ".join(describe_tests(replace(SCOPE, settings=chosen), [0.9]))
    assert "pooled variance" in pooled
    assert "Holm" in pooled


def test_a_slope_below_one_is_no_narrowing_while_the_spread_is_undecided():
    cells = found(*series("sss"))
    said = headline(cells, found())
    assert said == (
        "No change of the gaps between classes was detected in any of 3 conditions; in 3 of them "
        "the slope lies below 1, which noise alone can do."
    )
    text = tell(cells)
    assert "below 1 with an undecided spread in 3 (which noise alone can do)" in text
    mixed = headline(found(*series("ise")), found())
    assert mixed == (
        "In 1 of 3 conditions the gaps between classes widened relative to accuracy, in 1 they "
        "narrowed relative to accuracy and in 1 the slope lies below 1, which noise alone can do."
    )
    one = tell(found({"verdict": "slope below 1"}))
    assert "below 1, the spread undecided" in one
    for words in (said, text, one):
        assert not re.search(r"narrow|even out|shrink|evens out", words)
    assert any("slope below 1" in term for term, _ in READING)


def test_gaps_that_widen_relative_to_accuracy_alone_are_told_apart():
    cells = found(*series("iii"))
    shrunk = {"variance": 0.005}
    assert headline(cells, found(), **shrunk).endswith(
        "relative to accuracy; in plain recall, though, they shrank in 3 of those 3."
    )
    text = tell(cells, **shrunk)
    assert "farther apart in 0 of these 3 and closer together in 3" in text
    assert "α rises because accuracy falls" in text
    assert "plain recall" not in headline(cells, found())
    assert "farther apart in all 3 of these" in tell(cells)


def test_chance_is_the_largest_class_not_the_number_of_classes():
    cells = found(*series("uuu"))
    three = replace(SCOPE, datasets=(Dataset("digits", 3, 900, True, 1 / 3),))
    assert "near chance" not in tell(cells, scope=three, accuracy=0.62)
    skewed = replace(SCOPE, datasets=(Dataset("digits", 3, 900, False, 0.8),))
    assert "near chance" in tell(cells, scope=skewed, accuracy=0.81)
    elsewhere = replace(SCOPE, datasets=(Dataset("other", 3, 900, False, 0.8),))
    assert "near chance" not in tell(cells, scope=elsewhere, accuracy=0.1)


def test_conditions_without_a_control_are_counted():
    control = found({"arm": "control", "method": "none", "ratio": 1.0, "verdict": "undecided"})
    versus = found(*[{"verdict": "larger slope", "estimate": 0.5}] * 2, family="versus control")
    scope = replace(SCOPE, conditions=6, uncontrolled=4)
    text = tell(found(*series("uei"), *series("uei", model="b")), control, versus, scope=scope)
    assert "larger in 2 of 2 conditions that have a control" in text
    assert "4 of 6 conditions have no control" in text


def test_pairs_are_written_where_models_and_data_sets_are_not_crossed():
    two = (Dataset("mnist", 10, 100, True, 0.1), Dataset("cifar", 5, 50, True, 0.2))
    scope = replace(
        SCOPE,
        datasets=two,
        models=("lenet", "resnet20"),
        pairs=(("mnist", "lenet"), ("cifar", "resnet20")),
        untested=(("dataset", ("svhn",)), ("method", ("random", "l1"))),
    )
    text = population(scope)
    assert (
        "lenet on mnist (10 classes, 100 test images) and resnet20 on cifar (5 classes, 50 test "
        "images)" in text
    )
    assert (
        "nothing on the arm finetuned and the split “test” for data set svhn and methods random "
        "and l1" in text
    )


def test_why_two_levels_were_not_compared():
    rows = found(
        {"dataset": "a", "model": "m", "recipe": "x"}, {"dataset": "b", "model": "n", "recipe": "y"}
    )
    assert not_asked(rows, METHOD) == "Not asked: the only method is magnitude."
    text = not_asked(rows, MODEL)
    assert text == "Not asked: of the models m and n, no two share a data set or a recipe."
    assert "data sets a and b, no two share a model" in not_asked(rows, DATASET)
    assert "--reference-model" in not_asked(rows, DATASET)
    crossed = found(
        {"dataset": "a", "ratio": 2.0},
        {"dataset": "b", "ratio": 4.0, "method": "magnitude"},
        {"dataset": "a", "ratio": 4.0, "method": "random"},
    )
    assert "at once" in not_asked(crossed, DATASET)


def test_losses_name_what_varies_and_drop_no_data_set():
    rows = [row for d in "abcde" for row in lost(("cat", -0.2, "loses"), dataset=d)]
    text = tell(found(*series("iii")), classes=found(*rows, family="class"))
    assert "largest losses on d and e stand in the table" in text
    rows = lost(("cat", -0.2, "loses")) + lost(("dog", -0.3, "loses"), recipe="y", method="r")
    text = tell(found(*series("iii")), classes=found(*rows, family="class"))
    assert "in 1 of 2 combinations of recipe and method" in text


EXCESS = {
    "w": ("wider than accuracy explains", 0.2, 0.1, 0.3),
    "n": ("narrower than accuracy explains", -0.2, -0.3, -0.1),
    "u": ("undecided", 0.0, -0.1, 0.1),
    "x": ("no test", None, None, None),
}
GAMMA = {
    "a": ("classes draw apart", 1.2, 1.1, 1.3),
    "t": ("classes draw together", 0.8, 0.7, 0.9),
    "u": ("undecided", 1.0, 0.9, 1.1),
    "x": ("no test", None, None, None),
}


def judged(letters: str, known: dict, family: str, **more) -> pl.DataFrame:
    """Findings at ratios 2, 10, 50 whose verdicts are the letters."""
    columns = ("verdict", "estimate", "conf_low", "conf_high")
    rows = [
        {"ratio": t, "caveat": ""} | dict(zip(columns, known[letter], strict=True)) | more
        for t, letter in zip((2.0, 10.0, 50.0), letters, strict=False)
    ]
    return found(*rows, family=family)


def left(cells, excess="", latent="", versus="", method=None, equal=None, **more) -> str:
    none = found()
    return " ".join(
        beyond(
            cells,
            judged(excess, EXCESS, "excess", **more),
            judged(latent, GAMMA, "latent"),
            judged(versus, GAMMA, "latent versus control"),
            none if method is None else method,
            none if equal is None else equal,
            conditions(cells).clear(),
        )
    )


@pytest.mark.parametrize(
    ("excess", "latent", "words"),
    [
        ("uuu", "uuu", "(the loss of accuracy alone could explain it in all of these)"),
        ("uwu", "uuu", "(the loss of accuracy alone could explain it in 2 of these)"),
        ("uxn", "ttt", "could explain it in all of the 2 where that could be tested)"),
        ("uuu", "aau", "(the loss of accuracy alone could explain it in 1 of these)"),
        ("uuu", "xxx", "could explain it in all of these)"),
    ],
)
def test_the_headline_says_what_lost_accuracy_alone_could_explain(excess, latent, words):
    cells = found(*series("iii"))
    said = answer(
        cells,
        found(),
        conditions(cells),
        judged(excess, EXCESS, "excess"),
        judged(latent, GAMMA, "latent"),
    )
    assert said.startswith(
        "In 3 of 3 conditions the gaps between classes widened relative to accuracy ("
    )
    assert words in said


@pytest.mark.parametrize(
    ("verdicts", "excess", "latent"),
    [("iii", "www", "uuu"), ("iii", "uuu", "aaa"), ("uue", "uuu", "uuu"), ("iii", "xxx", "ttt")],
)
def test_the_headline_does_not_bring_up_accuracy_otherwise(verdicts, excess, latent):
    cells = found(*series(verdicts))
    frames = judged(excess, EXCESS, "excess"), judged(latent, GAMMA, "latent")
    assert "accuracy alone" not in answer(cells, found(), conditions(cells), *frames)


def test_one_condition_that_accuracy_could_explain():
    cells = found({"verdict": "intensifies"})
    excess = judged("u", EXCESS, "excess", ratio=10.0)
    assert answer(cells, found(), conditions(cells), excess, found()) == (
        "The gaps between classes widened relative to accuracy in the one condition tested (the "
        "loss of accuracy alone could explain it)."
    )


def test_what_is_left_is_counted_and_not_explained():
    cells = found(*series("iii"))
    text = left(cells, "wun", "att", "uut")
    assert "the spread κ is wider in 1 of 3 conditions (at most by a factor of 1.22" in text
    assert "narrower in 1 and cannot be told from it in 1." in text
    assert "classes draw apart in 1 of 3 conditions, together in 2" in text
    assert "compared with the control, apart in 0 of 3 and together in 1." in text
    assert not re.search(r"cause|due to|effect of|because", text)


def test_without_a_test_nothing_is_said_to_be_left():
    cells = found(*series("nnn"))
    assert left(cells, "xxx", "xxx") == ""
    assert left(cells) == ""
    assert "control" not in left(cells, "uuu", "uuu")


def test_what_is_left_in_one_condition():
    cells = found({"verdict": "intensifies"})
    text = left(cells, "w", "u")
    assert "the spread is wider: by a factor of 1.22 [1.11, 1.35]." in text
    assert "no change of the distances between classes is detected: γ = 1.00 [0.90, 1.10]." in text


def test_an_excess_of_few_errors_is_said_to_be_too_high():
    cells = found(*series("iii"))
    assert "too high" in left(cells, "wuu", caveat=f"3 wrong images: {FEW_ERRORS}")
    assert "too high" not in left(cells, "wuu")


def test_methods_at_equal_accuracy_stand_beside_those_at_equal_ratio():
    cells = found(*series("iii"))
    method = found({"verdict": "larger slope"}, {"verdict": "smaller slope"}, family="method")
    equal = found({"verdict": "undecided"}, {"verdict": "no test"}, family="method at …")
    assert left(cells, method=method, equal=equal) == (
        "Where two methods are equally accurate, their slopes α are found to differ in 0 of 1 "
        "comparison (1 more could not be compared); at the same ratio, they differ in 2 of 2."
    )


def test_reservations_appear_exactly_when_called_for():
    cells = found(*series("iii"), *series("iii", method="random"))
    same = conditions(cells)
    method = found({"verdict": "undecided"}, family="method")
    none = found()
    fine = judged("uuu", GAMMA, "latent"), judged("uuu", EXCESS, "excess")
    assert reservations(same, *fine, method) == []
    apart = same.with_columns(
        accuracy=pl.when(pl.col("method") == "random").then(0.5).otherwise("accuracy")
    )
    assert "up to 30.0 points apart (ratio 2)" in reservations(apart, *fine, method)[0]
    assert reservations(apart, *fine, none) == []
    leaves = judged("uuu", GAMMA, "latent", caveat=f"{DEPARTS} alike")
    assert "In 3 of 3 conditions the classes leave" in reservations(same, leaves, none, none)[0]
    few = judged("ww", EXCESS, "excess", caveat=f"4 wrong images: {FEW_ERRORS}")
    assert "(2 conditions)" in reservations(same, none, few, none)[0]
