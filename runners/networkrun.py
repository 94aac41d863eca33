"""One network from initial weights to counts: dense, control, pruned and fine-tuned arms."""

import copy
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import product
from typing import Any

import polars as pl
import torch
from torch import Tensor, nn

from distortion.schema import CONTROL, DENSE, FINETUNED, PRUNED
from runners.datasets import Dataset
from runners.masks import prunable_tensors, unflatten
from runners.nets import build
from runners.pruning import Pruning, prunings
from runners.recipe import Schedule
from runners.recorder import Cell, Recorder, reason_of
from runners.report import Report, silent
from runners.study import NetworkSpec
from runners.train import Replica, train


def run_network(
    spec: NetworkSpec, data: Dataset, device: torch.device, report: Report = silent
) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Train, prune, fine-tune and count one network; return its rows and its provenance.

    A cell whose training diverges has no rows; `provenance["failed"]` names it with the reason.
    If that is the dense cell, the table is empty.
    """
    net = build(
        spec.model.name,
        spec.model.options,
        data.train.shape,
        data.n_classes,
        seed=spec.streams.seed("weights"),
    ).to(device)
    recorder = Recorder(spec, data, net)
    if _dense(net, recorder, report):
        _arms(net, recorder, report)
    return recorder.table, recorder.provenance(net)


def _dense(net: nn.Module, recorder: Recorder, report: Report) -> bool:
    """Train and count the dense network; return whether it can be pruned."""
    spec = recorder.spec
    cell = Cell(DENSE, recorder.n_params)
    replica = Replica(net, _nothing_pruned(net), spec.streams.child(DENSE))
    counted = _train_and_count([cell], [replica], spec.recipe.dense, recorder, report)
    return counted == [True]


def _arms(net: nn.Module, recorder: Recorder, report: Report) -> None:
    """Run the control, pruned and fine-tuned arms; the dense network is left as it is."""
    spec = recorder.spec
    control = Replica(copy.deepcopy(net), _nothing_pruned(net), spec.streams.child(CONTROL))
    cells, replicas = [Cell(CONTROL, recorder.n_params)], [control]
    report("scores")
    with recorder.stage("scores"):
        plan = _plan(net, recorder)
    for pruning in plan:
        replica = _pruned(net, pruning, spec)
        cell = _cell(PRUNED, pruning, recorder.n_params)
        report(str(cell))
        with recorder.stage(PRUNED), recorder.attempt(cell):
            recorder.count(replica.net, cell)
        report(cells=1)
        cells.append(_cell(FINETUNED, pruning, recorder.n_params))
        replicas.append(replica)
    _train_and_count(cells, replicas, spec.recipe.finetune, recorder, report)


def _plan(net: nn.Module, recorder: Recorder) -> list[Pruning]:
    """Return the prunings of all methods that can be scored; the cells of the others fail.

    Raises what the last method raised if none can be.
    """
    spec = recorder.spec
    try:
        return prunings(net, recorder.data, spec)
    except Exception:  # whatever it is, the other methods go on
        plan, failures = [], []
    torch.cuda.empty_cache()  # in case memory ran out; without a GPU nothing happens
    for method in spec.methods:  # again one by one; each has its own random streams
        matched = [other for other in spec.methods if other.label == method.match]
        try:
            made = prunings(net, recorder.data, replace(spec, methods=(*matched, method)))
            plan += [pruning for pruning in made if pruning.method == method.label]
        except Exception as error:
            if not plan and method is spec.methods[-1]:
                raise
            failures.append((method, reason_of(error)))
    for method, reason in failures:
        for arm, ratio in product((PRUNED, FINETUNED), spec.ratios):
            recorder.fail(Cell(arm, recorder.n_params, method.label, ratio), reason)
    return plan


def _train_and_count(
    cells: Sequence[Cell],
    replicas: Sequence[Replica],
    schedule: Schedule,
    recorder: Recorder,
    report: Report,
) -> list[bool]:
    """Take the networks of cells through a schedule; return which of them could be counted."""
    counted = []
    for cell, replica in zip(cells, replicas, strict=True):
        report(str(cell))
        counted.append(False)
        with recorder.stage(cell.arm), recorder.attempt(cell):
            # one by one, because an error ends the generator
            [outcome] = train(
                [replica], recorder.data, recorder.spec.recipe, schedule, partial(report, epochs=1)
            )
            if outcome.failure:
                recorder.fail(cell, outcome.failure)
            else:
                counted[-1] = recorder.count(replica.net, cell, outcome.train_loss)
        report(cells=1)
    return counted


def _pruned(net: nn.Module, pruning: Pruning, spec: NetworkSpec) -> Replica:
    """Return a pruned copy of the dense network, ready for fine-tuning."""
    copied = copy.deepcopy(net)
    tensors = prunable_tensors(copied)
    masks = _as_factors(pruning.mask, tensors)
    with torch.no_grad():
        for tensor, mask in zip(tensors, masks, strict=True):
            tensor.mul_(mask)
    return Replica(copied, masks, spec.streams.child(pruning.method, pruning.ratio))


def _nothing_pruned(net: nn.Module) -> tuple[Tensor, ...]:
    return tuple(torch.ones_like(tensor) for tensor in prunable_tensors(net))


def _as_factors(mask: Tensor, tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Return a flat mask (p,) as 0/1 factors in the shape and memory layout of each tensor."""
    pieces = unflatten(mask, tensors)
    return tuple(
        torch.empty_like(tensor).copy_(piece) for tensor, piece in zip(tensors, pieces, strict=True)
    )


def _cell(arm: str, pruning: Pruning, n_params: int) -> Cell:
    n_pruned = int((~pruning.mask).sum())
    return Cell(
        arm,
        n_params - n_pruned,
        pruning.method,
        pruning.ratio,
        pruning.mean_theta_grad,
        pruning.mean_decay_term,
    )
