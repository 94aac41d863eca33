"""One network from initial weights to counts: dense, control, pruned and fine-tuned arms."""

import copy
from collections.abc import Sequence
from functools import partial
from itertools import product
from typing import Any

import polars as pl
import torch
from torch import nn

from distortion.errors import StudyError
from distortion.schema import CONTROL, DENSE, FINETUNED, PRUNED
from runners.compression import Unmade, compress
from runners.datasets import Dataset
from runners.masking import whole
from runners.methods import METHODS
from runners.methods.method import Compressed, MethodSpec, Parent, Training
from runners.nets import build
from runners.recorder import Cell, Recorder, reason_of
from runners.report import Report, silent
from runners.study import NetworkSpec
from runners.train import Outcome, train


def run_network(
    spec: NetworkSpec, data: Dataset, device: torch.device, report: Report = silent
) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Train, compress, fine-tune and count one network; return its rows and its provenance.

    A cell whose training diverges has no rows; `provenance["failed"]` names it with the reason.
    If that is the dense cell, the table is empty.
    """
    net = _initial(spec, data, device)
    recorder = Recorder(spec, data, net)
    if _dense(net, recorder, report):
        _arms(net, recorder, report)
    return recorder.table, recorder.provenance(net)


def _initial(spec: NetworkSpec, data: Dataset, device: torch.device) -> nn.Module:
    """Return the network before training."""
    name, options, seed = spec.model.name, spec.model.options, spec.streams.seed("weights")
    return build(name, options, data.train.shape, data.n_classes, seed=seed).to(device)


def _dense(net: nn.Module, recorder: Recorder, report: Report) -> bool:
    """Train and count the dense network; return whether it can be compressed."""
    spec = recorder.spec
    cell = Cell(DENSE, recorder.n_params)
    training = Training(whole(net, spec.streams.child(DENSE)), spec.recipe, spec.recipe.dense)
    return _train_and_count([cell], [training], recorder, report) == [True]


def _arms(net: nn.Module, recorder: Recorder, report: Report) -> None:
    """Run the control, pruned and fine-tuned arms; the dense network is left as it is."""
    spec = recorder.spec
    control = whole(copy.deepcopy(net), spec.streams.child(CONTROL))
    cells = [Cell(CONTROL, recorder.n_params)]
    trainings = [Training(control, spec.recipe, spec.recipe.finetune)]
    device = next(net.parameters()).device
    initial = partial(_initial, spec, recorder.data, device)
    parent = Parent(net, initial, recorder.data, spec.recipe, spec.streams, spec.ratios)
    train_round = partial(_train_round, recorder=recorder, report=report)
    report("scores")
    copies = compress(parent, spec.methods, train_round)
    while True:
        with recorder.stage("scores"):
            method, made = next(copies, (None, None))
        if method is None or made is None:
            break
        if isinstance(made, Unmade):
            _fail(method, made, recorder)
            continue
        if made.pruned is not None:
            cell = _cell(PRUNED, method, made)
            report(str(cell))
            with recorder.stage(PRUNED), recorder.attempt(cell):
                recorder.count(made.pruned, cell)
            report(cells=1)
        if made.finetune is not None:
            cells.append(_cell(FINETUNED, method, made))
            trainings.append(made.finetune)
    _train_and_count(cells, trainings, recorder, report)


def _fail(spec: MethodSpec, unmade: Unmade, recorder: Recorder) -> None:
    """Record the cells of networks that a method could not make."""
    method, reason = METHODS[spec.name], reason_of(unmade.error)
    for arm, ratio in product(method.arms, unmade.ratios):
        missing = Compressed(ratio, recorder.n_params)
        recorder.fail(_cell(arm, spec, missing), reason)


def _train_round(training: Training, recorder: Recorder, report: Report) -> None:
    """Train a network that a method needs on its way; raise StudyError if that fails."""
    report(training.purpose)
    outcome = _train(training, recorder, report)
    if outcome.failure:
        raise StudyError(f"{training.purpose}: {outcome.failure}")


def _train(training: Training, recorder: Recorder, report: Report) -> Outcome:
    # one by one, because an error ends the generator
    [outcome] = train(
        [training.replica],
        recorder.data,
        training.recipe,
        training.schedule,
        partial(report, epochs=1),
    )
    return outcome


def _train_and_count(
    cells: Sequence[Cell], trainings: Sequence[Training], recorder: Recorder, report: Report
) -> list[bool]:
    """Train the networks of cells; return which of them could be counted."""
    counted = []
    for cell, training in zip(cells, trainings, strict=True):
        report(str(cell))
        counted.append(False)
        with recorder.stage(cell.arm), recorder.attempt(cell):
            outcome = _train(training, recorder, report)
            if outcome.failure:
                recorder.fail(cell, outcome.failure)
            else:
                counted[-1] = recorder.count(training.replica.net, cell, outcome.train_loss)
        report(cells=1)
    return counted


def _cell(arm: str, spec: MethodSpec, made: Compressed) -> Cell:
    return Cell(
        arm,
        made.n_remaining,
        spec.label,
        made.ratio,
        made.mean_theta_grad,
        made.mean_decay_term,
        METHODS[spec.name].intervention,
    )
