"""The networks of each arm: dense, compressed copies, control."""

import copy
from collections.abc import Generator, Iterable, Iterator, Sequence
from functools import partial
from itertools import product

from torch import nn

from distortion.errors import StudyError
from distortion.schema import CONTROL, DENSE, FINETUNED, PRUNED
from runners.bench import Bench, Candidate, Run, settle
from runners.compression import Made, Step, Unmade, compress
from runners.halving import is_device_lost
from runners.masking import whole
from runners.methods import METHODS
from runners.methods.method import Compressed, MethodSpec, Parent
from runners.recipe import Schedule
from runners.recorder import Cell, reason_of
from runners.replicas import Outcome, Training
from runners.study import NetworkSpec
from runners.train import train

ROUNDS = "rounds"  # stage of the trainings that methods need on the way
UNTRAINED = Outcome(None)


def dense(run: Run) -> Candidate:
    """Return a network that is to be trained from its initial weights."""
    return _whole(run, DENSE, run.net, run.spec.recipe.dense)


def arms(
    runs: Iterable[Run], bench: Bench, broken: list[tuple[NetworkSpec, Exception]]
) -> Iterator[Candidate]:
    """Yield the control and the compressed copies of dense networks, for fine-tuning.

    Copies are counted before. What the methods of all networks need trained on the way trains
    together. A network that cannot be compressed at all goes to `broken`.
    """
    compressing = {run: compress(_parent(run, bench), run.spec.methods) for run in runs}
    problems: dict[Run, Exception] = {}
    asked: dict[Training, Run] = {}

    def on_epoch(training: Training, epochs: int) -> None:
        asked[training].report(training.purpose, epochs=epochs)

    while compressing:
        asked.clear()
        for run, steps in list(compressing.items()):
            run.report("scores")
            try:
                with run.recorder.stage("scores"):
                    made, training = _advance(steps, problems.pop(run, None))
            except Exception as error:
                if is_device_lost(error):
                    raise
                broken.append((run.spec, error))
                del compressing[run]
                continue
            candidates = _copies(run, made, bench)
            run.missing += len(candidates)
            yield from candidates
            if training:
                asked[training] = run
            else:
                del compressing[run]
                schedule = run.spec.recipe.finetune
                yield _whole(run, CONTROL, copy.deepcopy(run.net), schedule)
        for training, outcome in train(list(asked), bench.data, bench.backend, on_epoch):
            run = asked[training]
            run.recorder.spend(ROUNDS, outcome.seconds)
            if not outcome.is_sound:
                reason = f"{training.purpose}: {outcome.failure}"
                problems[run] = outcome.error or StudyError(reason)


def _whole(run: Run, arm: str, net: nn.Module, schedule: Schedule) -> Candidate:
    training = Training(whole(net, run.spec.streams.child(arm)), run.spec.recipe, schedule)
    return Candidate(Cell(arm, run.recorder.n_params), run, net, training)


def _advance(
    steps: Generator[Step, None, None], problem: Exception | None
) -> tuple[list[Made], Training | None]:
    """Return what is made of a network until it needs a training, and that training, if any.

    `problem` is what went wrong with the training before.
    """
    made: list[Made] = []
    step = steps.throw(problem) if problem else next(steps, None)
    while step is not None and not isinstance(step, Training):
        made.append(step)
        step = next(steps, None)
    return made, step


def _copies(run: Run, made: Sequence[Made], bench: Bench) -> list[Candidate]:
    """Count the compressed copies of a network; return those that are to be fine-tuned."""
    pruned, finetuned = [], []
    for method, copied in made:
        if isinstance(copied, Unmade):
            _fail(run, method, copied)
            continue
        if copied.pruned is not None:
            cell = _cell(run, PRUNED, method, copied)
            pruned.append(Candidate(cell, run, copied.pruned))
        if copied.finetune is not None:
            cell = _cell(run, FINETUNED, method, copied)
            net = copied.finetune.replica.net
            finetuned.append(Candidate(cell, run, net, copied.finetune))
    for candidate, evaluation in bench.evaluate(pruned).items():
        run.report(str(candidate.cell))
        settle(candidate, UNTRAINED, evaluation)
    return finetuned


def _fail(run: Run, spec: MethodSpec, unmade: Unmade) -> None:
    """Record the cells of networks that a method could not make."""
    reason, n_params = reason_of(unmade.error), run.recorder.n_params
    for arm, ratio in product(METHODS[spec.name].arms, unmade.ratios):
        run.recorder.fail(_cell(run, arm, spec, Compressed(ratio, n_params)), reason)


def _parent(run: Run, bench: Bench) -> Parent:
    spec, initial = run.spec, partial(bench.initial, run.spec)
    return Parent(run.net, initial, bench.data, spec.recipe, spec.streams, spec.ratios)


def _cell(run: Run, arm: str, spec: MethodSpec, made: Compressed) -> Cell:
    return Cell(
        arm,
        made.n_remaining,
        spec.label,
        made.ratio,
        made.mean_theta_grad,
        made.mean_decay_term,
        METHODS[spec.name].intervention,
    )
