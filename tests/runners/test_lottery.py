from dataclasses import replace

import pytest
import torch

from distortion.errors import StudyError
from runners.backends import LOOP
from runners.compression import compress
from runners.masking import whole
from runners.masks import largest, prunable_tensors, size_of
from runners.methods import METHODS
from runners.methods.lottery import LotteryOptions
from runners.recipe import learning_rates, n_epochs, split
from runners.replicas import Training
from runners.train import train
from tests.runners.studies import flat, mask, network, parent, train_replicas

TOTAL = 64 * 24 + 24 + 24 * 12 + 12 + 12 * 10 + 10
RECIPE = {"batch_size": 40, "dense": [[3, 0.1, "one-cycle"]], "finetune": [[1, 0.05]]}


def lottery(**options):
    return network(method=[{"name": "lottery", **options}], recipe=RECIPE)


def run(spec, digits):
    """Return the dense parent, the trainings on the way with the weights before, and the copies."""
    own = parent(spec, digits)
    replica = as_dense(own.initial(), spec)
    train_replicas([replica], digits, spec.recipe, spec.recipe.dense)
    own = replace(own, net=replica.net)
    rounds = []

    def train_round(training):
        before = flat(training.replica.net).clone()
        [(_, outcome)] = train([training], digits, LOOP)
        assert outcome.is_sound
        rounds.append((training, before))

    made = {}
    for step in compress(own, spec.methods):
        if isinstance(step, Training):
            train_round(step)
        else:
            made[step[1].ratio] = step[1]
    return own, rounds, made


def as_dense(net, spec):
    return whole(net, spec.streams.child("dense"))


def round_mask(training):
    return torch.cat([part.flatten() for part in training.replica.masks]).bool()


def test_rounds_by_hand():
    assert LotteryOptions().steps(2) == pytest.approx((1.25, 1.25**2, 1.25**3, 2))
    assert LotteryOptions().steps(1.25**3) == pytest.approx((1.25, 1.25**2, 1.25**3))
    assert LotteryOptions(pruning_fraction=0.5).steps(10) == pytest.approx((2, 4, 8, 10))
    assert LotteryOptions(rounds=3).steps(8) == pytest.approx((2, 4, 8))
    assert LotteryOptions(rounds=1).steps(8) == (8,)


def test_a_schedule_is_split_without_changing_a_learning_rate():
    schedule = ((2, 0.1), (4, 0.2, "one-cycle"), (3, 0.3, "cosine"))
    for epochs in range(10):
        early, late = split(schedule, epochs)
        assert (n_epochs(early), n_epochs(late)) == (epochs, 9 - epochs)
        assert learning_rates(early, 5) + learning_rates(late, 5) == learning_rates(schedule, 5)
    assert split(split(schedule, 4)[1], 1)[1] == split(schedule, 5)[1]


def test_every_round_takes_the_smallest_weights_of_the_trained_network(digits):
    spec = lottery(pruning_fraction=0.5)
    own, rounds, made = run(spec, digits)
    start, size = flat(own.initial()), size_of(own.net)
    assert [training.purpose for training, _ in rounds] == ["lottery round"] * 3  # 2, 4, 8
    trained, before = flat(own.net), torch.ones_like(start, dtype=torch.bool)
    for step, (training, weights) in zip((2, 4, 8), rounds, strict=True):
        now = round_mask(training)
        assert torch.equal(now, largest(trained.abs().masked_fill(~before, -1), size.keep(step)))
        assert torch.equal(weights, start * now)  # rewound to the initial weights
        assert not (now & ~before).any()
        assert not flat(training.replica.net)[~now].any()
        trained, before = flat(training.replica.net), now
    last = made[10]
    assert torch.equal(mask(last), largest(trained.abs().masked_fill(~before, -1), size.keep(10)))
    assert torch.equal(flat(last.pruned), trained * mask(last))  # right after pruning
    assert torch.equal(flat(last.finetune.replica.net), start * mask(last))
    assert last.finetune.schedule == split(spec.recipe.dense, 0)[1]
    assert last.n_remaining == round(TOTAL / 10)


def test_the_first_round_is_one_shot_pruning_of_the_dense_network(digits):
    own, rounds, made = run(lottery(rounds=1), digits)
    assert not rounds
    theta = flat(own.net)
    assert torch.equal(mask(made[2]), largest(theta.abs(), int(mask(made[2]).sum())))


def test_rewinding_to_an_early_epoch_gives_the_dense_network_of_that_epoch(digits):
    spec = lottery(rounds=2, rewinding_epochs=1)
    own, rounds, made = run(spec, digits)
    early, late = split(spec.recipe.dense, 1)
    dense = as_dense(own.initial(), spec)
    train_replicas([dense], digits, spec.recipe, early)
    assert rounds[0][0].purpose == "lottery rewinding point"
    for training, weights in rounds[1:]:
        assert torch.equal(weights, flat(dense.net) * round_mask(training))
        assert training.schedule == late
    rewound = made[2].finetune.replica.net
    assert torch.equal(flat(rewound), flat(dense.net) * mask(made[2]))
    others = [p for p in rewound.parameters() if p.ndim == 1]
    expected = [p for p in dense.net.parameters() if p.ndim == 1]
    assert all(torch.equal(a, b) for a, b in zip(others, expected, strict=True))


def test_a_ratio_does_not_depend_on_the_others(digits):
    both = lottery(pruning_fraction=0.5)
    alone = replace(both, ratios=(10.0,))
    assert torch.equal(mask(run(alone, digits)[2][10]), mask(run(both, digits)[2][10]))


def test_layerwise_rounds_keep_the_same_share_of_each_layer(digits):
    _, _, made = run(lottery(pruning_fraction=0.5, scope="layerwise"), digits)
    sizes = [w.numel() for w in prunable_tensors(made[10].pruned)]
    parts = mask(made[10]).split(sizes)
    share = float(mask(made[10]).double().mean())
    assert all(abs(int(part.sum()) - share * len(part)) <= 1 for part in parts)


def test_epochs_are_known_beforehand(digits):
    for options in ({}, {"rounds": 3}, {"rewinding_epochs": 2}, {"pruning_fraction": 0.6}):
        spec = lottery(**options)
        _, rounds, made = run(spec, digits)
        trainings = [training for training, _ in rounds] + [m.finetune for m in made.values()]
        assert all(isinstance(training, Training) for training in trainings)
        counted = sum(n_epochs(training.schedule) for training in trainings)
        [method] = spec.methods
        assert METHODS["lottery"].n_epochs(method, spec.ratios, spec.recipe) == counted


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rounds": 0}, r"\[\[method\]\] 1: rounds must be at least 1"),
        ({"rounds": 3, "pruning_fraction": 0.2}, "rounds or pruning_fraction, not both"),
        ({"pruning_fraction": 1.0}, "between 0 and 1"),
        ({"rewinding_epochs": -1}, "must not be negative"),
        ({"rewinding": 1}, "unknown key 'rewinding'. Did you mean 'rewinding_epochs'"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(StudyError, match=message):
        lottery(**options)


def test_a_rewinding_point_after_training_is_refused(digits):
    spec = lottery(rewinding_epochs=3)
    [method] = spec.methods
    net = parent(spec, digits).net
    with pytest.raises(StudyError, match="rewound to epoch 3, but dense training has 3"):
        METHODS["lottery"].check(net, method, spec.ratios, spec.recipe)
