import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from runners.masks import largest, layerwise, prunable_tensors, two_sided
from runners.methods import METHODS
from runners.methods.scores import Scored
from tests.runners.studies import compressed, flat, mask, network

SCORES = sorted(
    name for name, m in METHODS if isinstance(m, Scored) and name != "undecayed-released"
)


def test_layerwise_by_hand():
    # half of each layer: of 4 weights the 2 largest, of 2 the larger one
    scores = torch.tensor([9.0, 8.0, 7.0, 6.0, 2.0, 1.0])
    assert layerwise(scores, 3, [4, 2]).tolist() == [True, True, False, False, True, False]
    assert largest(scores, 3).tolist() == [True, True, True, False, False, False]


def test_of_equal_scores_the_first_of_each_layer_stay():
    assert layerwise(torch.ones(6), 3, [4, 2]).tolist() == [True, True, False, False, True, False]


@given(sizes=st.lists(st.integers(1, 40), min_size=1, max_size=5), data=st.data())
def test_layers_keep_equal_shares_exact_in_sum_and_only_shrink(sizes, data):
    p = sum(sizes)
    few = data.draw(st.integers(0, p))
    many = data.draw(st.integers(few, p))
    scores = torch.rand(p, generator=torch.Generator().manual_seed(data.draw(st.integers(0, 9))))
    small, large = (layerwise(scores, keep, sizes) for keep in (few, many))
    assert (int(small.sum()), int(large.sum())) == (few, many)
    assert not (small & ~large).any()
    for part, size in zip(small.split(sizes), sizes, strict=True):
        # rounding moves a layer by 1 at most, and the common share by 1 / p per layer
        assert abs(int(part.sum()) - few * size / p) <= 1 + len(sizes) * size / p
        assert part.any() or few < len(sizes)


@given(factor=st.floats(0.01, 100))
def test_scaling_a_layer_changes_the_global_mask_only(factor):
    scores = torch.rand(60, generator=torch.Generator().manual_seed(0))
    scaled = torch.cat([scores[:20] * factor, scores[20:]])
    assert torch.equal(layerwise(scaled, 30, [20, 40]), layerwise(scores, 30, [20, 40]))


def test_another_rule_holds_within_layers_too():
    scores = torch.tensor([-2.0, 0.4, 3.0, -1.0, 0.1, 5.0, 1.0])
    expected = [*two_sided(scores[:5], 3), *two_sided(scores[5:], 1)]
    assert layerwise(scores, 4, [5, 2], two_sided).tolist() == [bool(x) for x in expected]


@pytest.mark.parametrize("name", SCORES)
def test_every_score_has_both_scopes(name, digits):
    blocks = [{"name": name}, {"name": name, "scope": "layerwise", "label": "within"}]
    spec = network(method=blocks)
    made = compressed(spec, digits)
    sizes = [w.numel() for w in prunable_tensors(made["within", 2].finetune.replica.net)]
    for ratio in (2, 10):
        everywhere, within = mask(made[name, ratio]), mask(made["within", ratio])
        assert int(everywhere.sum()) == int(within.sum())
        assert made["within", ratio].n_remaining == made[name, ratio].n_remaining
        share = float(within.double().mean())
        for part in within.split(sizes):
            assert abs(int(part.sum()) - share * len(part)) <= 1


def test_the_scope_is_part_of_the_name_in_the_log(digits):
    spec = network(method=[{"name": "magnitude"}, {"name": "magnitude", "scope": "layerwise"}])
    assert [m.label for m in spec.methods] == ["magnitude", "magnitude-layerwise"]
    made = compressed(spec, digits)
    weights = flat(made["magnitude", 2].pruned)
    assert int((weights != 0).sum()) == int(mask(made["magnitude", 2]).sum())


def test_the_usual_scope_written_down_keeps_the_id():
    explicit = network(method=[{"name": "magnitude", "scope": "global"}])
    assert explicit.run_id == network().run_id
