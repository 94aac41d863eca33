"""Small studies for the tests: seconds, not minutes."""

from functools import partial
from pathlib import Path

import torch

from runners.backends import LOOP, Backend
from runners.compression import compress
from runners.masks import prunable_tensors
from runners.methods.method import Parent
from runners.nets import build
from runners.networkrun import run_networks
from runners.replicas import Training
from runners.report import silent
from runners.studyfile import parse_study
from runners.train import train

BACKENDS = [LOOP, Backend("grouped", 8), Backend("gemm", 8)]
STACKED = BACKENDS[1]


def table(**changes):
    """Return the content of a small study file on digits, with some keys changed."""
    return {
        "seeds": 2,
        "ratios": [2, 10],
        "dataset": [{"name": "digits", "test_share": 0.5, "train_limit": 200}],
        "model": [{"name": "mlp", "widths": [24, 12]}],
        "method": [{"name": "magnitude"}],
        "recipe": [{"batch_size": 40, "dense": [[2, 0.1]], "finetune": [[1, 0.05]]}],
    } | changes


def study(**changes):
    """Return a small study, named tiny unless a change says otherwise."""
    return parse_study(table(**changes), Path("tiny.toml"))


def network(**changes):
    """Return the first network of a small study."""
    return study(**changes).networks[0]


def run_network(spec, data, report=silent, backend=STACKED):
    """Return the table and the provenance of a network that is computed here."""
    return left_by(spec, data, report, backend)[:2]


def left_by(spec, data, report=silent, backend=STACKED):
    """Return all that a network leaves, its predictions included."""
    [(_, result)] = run_networks([spec], data, backend, lambda _: report)
    if isinstance(result, Exception):
        raise result
    return result


def train_replicas(replicas, data, recipe, schedule, backend=LOOP):
    """Train replicas through a schedule; return their outcomes, in order."""
    trainings = [Training(replica, recipe, schedule) for replica in replicas]
    outcomes = dict(train(trainings, data, backend))
    return [outcomes[training] for training in trainings]


def parent(spec, data, net=None):
    """Return what the methods of a network work on: `net`, or an untrained one as if trained."""
    model, shape = spec.model, data.train.shape
    initial = partial(build, model.name, model.options, shape, data.n_classes, seed=0)
    return Parent(net or initial(), initial, data, spec.recipe, spec.streams, spec.ratios)


def compressed(spec, data, net=None, train_round=None):
    """Return the copies of a network by method and ratio."""
    copies = {}
    for step in compress(parent(spec, data, net), spec.methods):
        if isinstance(step, Training):
            train_round(step)
        else:
            method, made = step
            copies[method.label, made.ratio] = made
    return copies


def mask(made):
    """Return the flat mask of a compressed copy."""
    return torch.cat([part.flatten() for part in made.finetune.replica.masks]).bool()


def flat(net):
    """Return the prunable weights of a network in one vector."""
    return torch.cat([w.detach().flatten() for w in prunable_tensors(net)])
