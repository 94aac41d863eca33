"""Networks of one shape from initial weights to counts: dense, control, pruned, fine-tuned arms.

Dense networks train together, then the control and pruned copies of all of them, in stacks of the
size that the back-end gives. Each network is handed over as soon as its last cell is counted.
"""

import copy
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice, product
from typing import Any

import polars as pl
import torch
from torch import Tensor, nn

from distortion.schema import CONTROL, DENSE, FINETUNED, PRUNED
from runners.backends import Backend
from runners.datasets import Dataset, Images
from runners.evaluation import Evaluation, evaluate
from runners.masks import prunable_tensors, unflatten
from runners.nets import build
from runners.pruning import Pruning, prunings
from runners.recipe import Recipe, Schedule
from runners.recorder import Cell, Recorder, reason_of
from runners.replicas import Outcome, Replica
from runners.report import Report
from runners.study import NetworkSpec
from runners.train import train

Result = tuple[pl.DataFrame, dict[str, Any]]
UNTRAINED = Outcome(None)


@dataclass(eq=False)
class Run:
    """A network on its way; `missing` is the number of its replicas that are not counted yet."""

    spec: NetworkSpec
    net: nn.Module
    recorder: Recorder
    report: Report
    missing: int = 0

    @property
    def result(self) -> Result:
        """The rows of the network and its provenance."""
        return self.recorder.table, self.recorder.provenance(self.net)


@dataclass(frozen=True, eq=False)
class Candidate(Replica):
    """A replica that will be a cell of a network."""

    cell: Cell
    run: Run


@dataclass(frozen=True, slots=True)
class Bench:
    """What the networks of a stack share."""

    data: Dataset
    backend: Backend

    @property
    def sets(self) -> dict[str, Images]:
        """The images that every network is evaluated on."""
        sets = {"test": self.data.test, "validation": self.data.validation}
        return {name: images for name, images in sets.items() if len(images)}


def run_networks(
    specs: Sequence[NetworkSpec],
    data: Dataset,
    device: torch.device,
    backend: Backend,
    report_of: Callable[[NetworkSpec], Report],
) -> Iterator[tuple[NetworkSpec, Result | Exception]]:
    """Train, prune, fine-tune and count networks that differ in their seeds only.

    Yields each network once, when it is done, with its rows and its provenance, or with the
    error that ended it. A cell whose training diverges has no rows; `provenance["failed"]` names
    it with the reason. If that is the dense cell, the table is empty.
    """
    bench = Bench(data, backend)
    runs, alive = [], []
    for spec in specs:
        try:
            runs.append(_begin(spec, bench, device, report_of(spec)))
        except Exception as error:  # whatever it is, the other networks go on
            yield spec, error
    if not runs:
        return
    recipe = runs[0].spec.recipe
    dense = (_candidate(run, DENSE, run.net) for run in runs)
    for candidate, outcome, evaluation in _trained(dense, recipe, recipe.dense, bench):
        run = candidate.run
        try:
            counted = _settle(candidate, outcome, evaluation)
        except Exception as error:
            yield run.spec, error
            continue
        if counted:
            alive.append(run)
        else:
            yield run.spec, run.result
    broken: list[tuple[NetworkSpec, Exception]] = []
    arms = _arms(alive, bench, broken)
    for candidate, outcome, evaluation in _trained(arms, recipe, recipe.finetune, bench):
        run = candidate.run
        _settle(candidate, outcome, evaluation)
        run.missing -= 1
        if not run.missing:
            yield run.spec, run.result
    yield from broken


def _begin(spec: NetworkSpec, bench: Bench, device: torch.device, report: Report) -> Run:
    model, data = spec.model, bench.data
    seed = spec.streams.seed("weights")
    net = build(model.name, model.options, data.train.shape, data.n_classes, seed=seed).to(device)
    return Run(spec, net, Recorder(spec, data, net, str(bench.backend)), report)


def _trained(
    candidates: Iterable[Candidate], recipe: Recipe, schedule: Schedule, bench: Bench
) -> Iterator[tuple[Candidate, Outcome, Evaluation | Exception | None]]:
    """Take candidates through a schedule; yield each with its outcome, and evaluated if sound."""

    def on_epoch(candidate: Candidate, epochs: int) -> None:
        candidate.run.report(str(candidate.cell), epochs=epochs)

    pairs = train(candidates, bench.data, recipe, schedule, bench.backend, on_epoch)
    while together := list(islice(pairs, bench.backend.size)):
        evaluations = _evaluated([c for c, outcome in together if outcome.is_sound], bench)
        for candidate, outcome in together:
            candidate.run.recorder.spend(candidate.cell.arm, outcome.seconds)
            yield candidate, outcome, evaluations.get(candidate)


def _evaluated(
    candidates: Sequence[Candidate], bench: Bench
) -> dict[Candidate, Evaluation | Exception]:
    start = time.perf_counter()
    evaluations = dict(evaluate(candidates, bench.data, bench.sets, bench.backend))
    spent = time.perf_counter() - start
    for candidate in candidates:
        candidate.run.recorder.spend(candidate.cell.arm, spent / len(candidates))
    return evaluations


def _settle(
    candidate: Candidate, outcome: Outcome, evaluation: Evaluation | Exception | None
) -> bool:
    """Count a cell, or record why that cannot be; return whether it was counted.

    Raises what ended the training of a dense network, which is then tried again another time.
    """
    recorder, cell, counted = candidate.run.recorder, candidate.cell, False
    with recorder.attempt(cell):
        if outcome.error:
            raise outcome.error
        if isinstance(evaluation, Exception):
            raise evaluation
        if evaluation is None:
            recorder.fail(cell, str(outcome.failure))
        else:
            counted = recorder.count(cell, evaluation, outcome.train_loss)
    candidate.run.report(cells=1)
    return counted


def _arms(
    runs: Iterable[Run], bench: Bench, broken: list[tuple[NetworkSpec, Exception]]
) -> Iterator[Candidate]:
    """Yield the control and the pruned copies of dense networks, for fine-tuning.

    Pruned copies are counted before. A network that cannot be pruned at all goes to `broken`.
    """
    for run in runs:
        run.report("scores")
        try:
            with run.recorder.stage("scores"):
                plan = _plan(run)
            pruned = [_pruned(run, pruning) for pruning in plan]
        except Exception as error:
            broken.append((run.spec, error))
            continue
        for candidate, evaluation in _evaluated(pruned, bench).items():
            run.report(str(candidate.cell))
            _settle(candidate, UNTRAINED, evaluation)
        run.missing = 1 + len(pruned)
        yield _candidate(run, CONTROL, copy.deepcopy(run.net))
        for candidate in pruned:
            yield replace(candidate, cell=replace(candidate.cell, arm=FINETUNED))


def _plan(run: Run) -> list[Pruning]:
    """Return the prunings of all methods that can be scored; the cells of the others fail.

    Raises what the last method raised if none can be.
    """
    spec, recorder = run.spec, run.recorder
    try:
        return prunings(run.net, recorder.data, spec)
    except Exception:  # whatever it is, the other methods go on
        plan, failures = [], []
    torch.cuda.empty_cache()  # in case memory ran out; without a GPU nothing happens
    for method in spec.methods:  # again one by one; each has its own random streams
        matched = [other for other in spec.methods if other.label == method.match]
        try:
            made = prunings(run.net, recorder.data, replace(spec, methods=(*matched, method)))
            plan += [pruning for pruning in made if pruning.method == method.label]
        except Exception as error:
            if not plan and method is spec.methods[-1]:
                raise
            failures.append((method, reason_of(error)))
    for method, reason in failures:
        for arm, ratio in product((PRUNED, FINETUNED), spec.ratios):
            recorder.fail(Cell(arm, recorder.n_params, method.label, ratio), reason)
    return plan


def _candidate(run: Run, arm: str, net: nn.Module) -> Candidate:
    """Return a network of which nothing is pruned, as a candidate for an arm."""
    masks = tuple(torch.ones_like(tensor) for tensor in prunable_tensors(net))
    cell = Cell(arm, run.recorder.n_params)
    return Candidate(net, masks, run.spec.streams.child(arm), cell, run)


def _pruned(run: Run, pruning: Pruning) -> Candidate:
    """Return a pruned copy of the dense network."""
    net = copy.deepcopy(run.net)
    tensors = prunable_tensors(net)
    masks = _as_factors(pruning.mask, tensors)
    with torch.no_grad():
        for tensor, mask in zip(tensors, masks, strict=True):
            tensor.mul_(mask)
    cell = Cell(
        PRUNED,
        run.recorder.n_params - int((~pruning.mask).sum()),
        pruning.method,
        pruning.ratio,
        pruning.mean_theta_grad,
        pruning.mean_decay_term,
    )
    streams = run.spec.streams.child(pruning.method, pruning.ratio)
    return Candidate(net, masks, streams, cell, run)


def _as_factors(mask: Tensor, tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Return a flat mask (p,) as 0/1 factors in the shape and memory layout of each tensor."""
    pieces = unflatten(mask, tensors)
    return tuple(
        torch.empty_like(tensor).copy_(piece) for tensor, piece in zip(tensors, pieces, strict=True)
    )
