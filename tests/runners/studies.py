"""Small studies for the tests: seconds, not minutes."""

from pathlib import Path

from runners.backends import LOOP, Backend
from runners.networkrun import run_networks
from runners.report import silent
from runners.studyfile import parse_study

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


def run_network(spec, data, device, report=silent, backend=STACKED):
    """Return the table and the provenance of a network that is computed here."""
    [(_, result)] = run_networks([spec], data, device, backend, lambda _: report)
    if isinstance(result, Exception):
        raise result
    return result
