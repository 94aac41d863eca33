import copy

import pytest
import torch
from torch import nn
from torch.nn import functional

import runners
from distortion.errors import StudyError
from runners.gradients import GradientOptions, data_gradient
from runners.masking import pruned
from runners.masks import prunable_tensors, size_of
from runners.methods import METHODS, Weights
from runners.methods.scores import Scored
from runners.nets import build
from runners.seeds import Streams
from tests.runners.studies import compressed, flat, mask, network

EPSILON = 5e-4
STREAMS = Streams((0,))


def weights(n=200, decay=EPSILON, sizes=(200,)):
    draw = torch.Generator().manual_seed(0)
    theta, gradient = torch.randn(2, n, generator=draw).unbind()
    return Weights(theta, gradient, decay, sizes, torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("name", "formula"),
    [
        ("magnitude", lambda t, g, e: abs(t)),
        ("gradient", lambda t, g, e: abs(t * (g + e * t))),
        ("undecayed", lambda t, g, e: abs(-t * (g + e * t) + e * t * t)),  # as the paper prints it
        ("undecayed-released", lambda t, g, e: -t * g + e * t * t),
        ("undecayed-released-abs", lambda t, g, e: abs(-t * g + e * t * t)),
    ],
)
def test_scores_follow_their_formulas(name, formula):
    w = weights(decay=0.3)
    expected = [
        formula(t, g, 0.3) for t, g in zip(w.theta.tolist(), w.gradient.tolist(), strict=True)
    ]
    torch.testing.assert_close(
        METHODS[name].score(w).double(), torch.tensor(expected).double(), rtol=1e-5, atol=1e-6
    )


def test_at_a_stationary_point_undecayed_orders_as_magnitude():
    """Where g = -eps theta the loss with decay is flat; Good et al. (2022), section 4."""
    w = weights()
    stationary = Weights(w.theta, -EPSILON * w.theta, EPSILON, w.sizes, w.generator)
    order = torch.argsort(METHODS["undecayed"].score(stationary))
    assert torch.equal(order, torch.argsort(METHODS["magnitude"].score(stationary)))
    assert METHODS["gradient"].score(stationary).abs().max() < 1e-9


def test_only_the_released_score_has_a_two_sided_mask():
    assert {
        name for name, m in METHODS if isinstance(m, Scored) and m.select is runners.two_sided
    } == {"undecayed-released"}


def test_random_pruning_draws_from_its_generator():
    one, two = METHODS["random"].score(weights()), METHODS["random"].score(weights())
    assert torch.equal(one, two)
    assert sorted(one.tolist()) == list(range(200))


@pytest.mark.parametrize("keep", [1, 10, 55, 110, 219])
def test_random_layerwise_keeps_the_same_share_of_each_layer(keep):
    sizes = (20, 40, 160)
    mask = runners.largest(METHODS["random-layerwise"].score(weights(220, sizes=sizes)), keep)
    for part, size in zip(mask.split(sizes), sizes, strict=True):
        assert abs(int(part.sum()) - keep * size / 220) <= 1


def loss_gradient(net, inputs, labels):
    net.zero_grad()
    functional.cross_entropy(net(inputs), labels).backward()
    return torch.cat([w.grad.flatten() for w in prunable_tensors(net)])


@pytest.fixture
def net():
    shape = (1, 8, 8)
    convolution = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten())
    torch.manual_seed(0)
    runners.register_network("bn", lambda shape, n: nn.Sequential(convolution, nn.Linear(144, n)))
    return build("bn", {}, shape, 10, seed=0)


def test_the_full_gradient_is_that_of_the_mean_loss_over_all_training_images(net, digits):
    spec = network()
    ours = data_gradient(net, digits, spec.recipe, GradientOptions(), STREAMS)
    inputs = digits.normalised(digits.train.pixels)
    theirs = loss_gradient(net.eval(), inputs, digits.train.labels)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-7)


def test_batches_limit_the_images_and_train_mode_uses_batch_statistics(net, digits):
    spec = network()
    order = torch.randperm(len(digits.train), generator=STREAMS.generator("gradient"))[:40]
    inputs, labels = digits.normalised(digits.train.pixels[order]), digits.train.labels[order]
    for mode in ("eval", "train"):
        options = GradientOptions(batches=1, mode=mode)
        ours = data_gradient(net, digits, spec.recipe, options, STREAMS)
        theirs = loss_gradient(copy.deepcopy(net).train(mode == "train"), inputs, labels)
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-7)


def test_taking_a_gradient_leaves_the_network_untouched(net, digits):
    before = copy.deepcopy(net.state_dict())
    options = GradientOptions(batches=1, mode="train")
    data_gradient(net, digits, network().recipe, options, STREAMS)
    assert all(torch.equal(before[key], value) for key, value in net.state_dict().items())
    assert all(p.grad is None for p in net.parameters())


def test_augmented_gradients_differ_from_plain_ones(net, digits):
    recipe = network(recipe={"crop_padding": 2, "dense": [[1, 0.1]], "finetune": [[1, 0.1]]}).recipe
    plain, augmented = (
        data_gradient(net, digits, recipe, GradientOptions(augmented=augmented), STREAMS)
        for augmented in (False, True)
    )
    assert not torch.allclose(plain, augmented)


RELEASED = [
    {"name": "undecayed", "label": "matched", "match": "undecayed-released"},
    {"name": "undecayed-released", "batches": 1, "mode": "train", "decay": EPSILON},
]


def test_a_matched_method_keeps_as_many_weights_as_the_other_one_really_kept(digits):
    spec = network(ratios=[2, 4], method=RELEASED)
    made = compressed(spec, digits)
    asked = {2: 0.5, 4: 0.25}
    for ratio in (2, 4):
        released, matched = (mask(made[name, ratio]) for name in ("undecayed-released", "matched"))
        assert int(matched.sum()) == int(released.sum())
        assert not torch.equal(matched, released)
        assert released.double().mean() > 1.2 * asked[ratio]  # it prunes less than it is asked to


def test_sizes_behind_the_score_are_recorded_where_a_gradient_was_taken(digits):
    spec = network(method=[{"name": "magnitude"}, {"name": "undecayed", "decay": 0.5}])
    made = compressed(spec, digits)
    net = build(spec.model.name, spec.model.options, (1, 8, 8), 10, seed=0)
    theta = flat(net)
    assert made["magnitude", 2].mean_theta_grad is None
    assert made["undecayed", 2].mean_decay_term == pytest.approx(float(0.5 * (theta**2).mean()))
    gradient = data_gradient(net, digits, spec.recipe, GradientOptions(), spec.streams)
    expected = float((theta * gradient).abs().mean())
    assert made["undecayed", 2].mean_theta_grad == pytest.approx(expected)


def test_results_do_not_depend_on_the_other_methods_of_the_study(digits):
    alone = compressed(network(method=[{"name": "random"}]), digits)
    among = compressed(
        network(method=[{"name": "magnitude"}, {"name": "random"}, *RELEASED]), digits
    )
    assert torch.equal(mask(alone["random", 10]), mask(among["random", 10]))


def small_weights_last(weights, *, power: float = 1.0):
    """Magnitude to some power."""
    return weights.theta.abs() ** power


def test_a_method_is_registered_in_a_line_and_takes_options(digits):
    runners.register_method("powered", small_weights_last)
    made = compressed(
        network(method=[{"name": "magnitude"}, {"name": "powered", "power": 2}]), digits
    )
    assert torch.equal(mask(made["powered", 10]), mask(made["magnitude", 10]))


class Reinitialized(runners.Method):
    """Magnitude masks on the initial weights, trained anew."""

    def compress(self, parent, spec):
        theta = flat(parent.net).abs()
        for ratio in parent.ratios:
            kept = runners.largest(theta, parent.keep(ratio))
            replica = pruned(parent.initial(), kept, parent.streams.child(spec.label, ratio))
            training = runners.Training(replica, parent.recipe, parent.recipe.dense)
            yield runners.Compressed(
                ratio, round(size_of(parent.net).total / ratio), None, training
            )


def test_a_method_that_is_no_score_is_registered_too(digits):
    runners.register_method("reinitialized", Reinitialized())
    spec = network(method=[{"name": "magnitude"}, {"name": "reinitialized"}])
    made = compressed(spec, digits)
    assert torch.equal(mask(made["reinitialized", 10]), mask(made["magnitude", 10]))
    assert spec.n_cells == 2 + 4 + 4


def test_a_score_may_be_that_of_the_initial_weights(digits):
    runners.register_method("early", small_weights_last, before_training=True)
    spec = network(method=[{"name": "early"}])
    assert spec.n_cells == 2 + 2
    made = compressed(spec, digits)["early", 2]
    assert (made.pruned, made.finetune.schedule) == (None, spec.recipe.dense)


@pytest.mark.parametrize(
    ("score", "message"),
    [
        (lambda w: w.theta[:-1], "one score per prunable weight"),
        (lambda w: w.theta / 0 * 0, "not finite"),
    ],
)
def test_a_method_with_unusable_scores_is_refused(score, message, digits):
    runners.register_method("broken", score)
    with pytest.raises(StudyError, match=message):
        compressed(network(method=[{"name": "broken"}]), digits)
