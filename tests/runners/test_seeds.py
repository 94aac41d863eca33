from contextlib import nullcontext

import pytest
import torch

from runners.seeds import Streams, derived_seed, stream


def draw(generator):
    return torch.rand(5, generator=generator).tolist()


def test_a_stream_depends_on_its_key_alone():
    torch.manual_seed(1)
    first = draw(stream(3, "digits", "order"))
    torch.manual_seed(2)
    assert draw(stream(3, "digits", "order")) == first


def test_every_part_of_the_key_matters():
    base = (3, "digits", "mlp", "quick", "magnitude", 10.0, "order")
    others = [
        (4, *base[1:]),
        (*base[:-1], "augmentation"),
        (*base[:5], 20.0, "order"),
        (3, "digitsm", "lp", "quick", "magnitude", 10.0, "order"),
    ]
    seeds = {derived_seed(*key) for key in [base, *others]}
    assert len(seeds) == len(others) + 1


def test_seeds_are_frozen():
    """A change here would change every result: it must be meant, and raise RESULTS_VERSION."""
    assert derived_seed(0, "digits", "order") == 6022067668067517198


def test_drawing_from_one_purpose_does_not_move_another():
    streams = Streams((0, "digits"))
    untouched = draw(streams.generator("augmentation"))
    draw(streams.generator("order"))
    assert draw(streams.generator("augmentation")) == untouched
    assert draw(streams.generator("order")) != untouched


def test_the_streams_of_a_cell_differ_from_those_of_its_network_and_of_other_cells():
    network = Streams((0, "digits"))
    cells = [network, network.child("magnitude", 2.0), network.child("magnitude", 4.0)]
    assert len({cell.seed("order") for cell in cells}) == 3


@pytest.mark.parametrize(("used", "kept"), [(False, []), (True, [1])])
def test_only_the_gpu_in_use_is_seeded(used, kept, monkeypatch):
    asked = []

    def fork_rng(devices=None):
        asked.append(devices)
        return nullcontext()

    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: used)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
    monkeypatch.setattr(torch.random, "fork_rng", fork_rng)
    monkeypatch.setattr(torch, "manual_seed", lambda seed: None)
    with Streams((0,)).seeded("noise"):
        pass
    assert asked == [kept]
