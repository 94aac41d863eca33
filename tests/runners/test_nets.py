import pytest
import torch
from torch import nn

import runners
from distortion.errors import StudyError
from runners.masks import prunable_tensors, size_of
from runners.nets import build
from runners.nets.classifier import find_classifier
from runners.nets.resnet import Block

MNIST, CIFAR = (1, 28, 28), (3, 32, 32)


@pytest.mark.parametrize(
    ("name", "shape", "total", "prunable"),
    [
        # total parameters, and prunable ones, in the code of Good et al. (2022)
        ("resnet20", CIFAR, 269_722, 267_696),
        ("resnet32", CIFAR, 464_154, 461_232),
        ("resnet44", CIFAR, 658_586, 654_768),
        ("resnet56", CIFAR, 853_018, 848_304),
        ("resnet110", CIFAR, 1_727_962, 1_719_216),
        ("lenet", MNIST, 60_074, 58_998),
        # LeCun et al. (1998) with full connections between the convolutions
        ("lenet5", MNIST, 61_706, 60_630),
        ("mlp-small", (1, 8, 8), 51_770, 51_200),
        ("mlp-large", (1, 8, 8), 168_890, 167_936),
    ],
)
def test_parameter_counts(name, shape, total, prunable):
    size = size_of(build(name, {}, shape, 10, seed=0))
    assert (size.total, size.prunable) == (total, prunable)


@pytest.mark.parametrize("name", ["resnet20", "lenet", "lenet5", "mlp"])
def test_networks_fit_other_images_and_classes(name):
    net = build(name, {}, (3, 40, 36), 7, seed=0)
    assert net(torch.zeros(2, 3, 40, 36)).shape == (2, 7)


def weights(net):
    return torch.cat([p.detach().flatten() for p in net.parameters()])


def test_initial_weights_depend_on_the_seed_alone():
    torch.manual_seed(1)
    first = weights(build("lenet", {}, MNIST, 10, seed=3))
    torch.manual_seed(2)
    assert torch.equal(weights(build("lenet", {}, MNIST, 10, seed=3)), first)
    assert not torch.equal(weights(build("lenet", {}, MNIST, 10, seed=4)), first)


def test_building_leaves_the_global_generator_alone():
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    build("lenet", {}, MNIST, 10, seed=3)
    assert torch.equal(torch.rand(3), expected)


def test_option_a_shortcut_subsamples_and_pads_with_zero_channels():
    x = torch.arange(2 * 4 * 4.0).view(1, 2, 4, 4)
    out = Block(2, 4, stride=2).shortcut(x)
    assert out.shape == (1, 4, 2, 2)
    assert torch.equal(out[0, 1:3], x[0, :, ::2, ::2])
    assert not out[0, [0, 3]].any()


def test_pooling_before_relu_equals_the_order_of_the_papers_code():
    x = torch.randn(3, 6, 26, 26, generator=torch.Generator().manual_seed(0))
    one, two = x.clone().requires_grad_(), x.clone().requires_grad_()
    ours = nn.functional.relu(nn.functional.max_pool2d(one, 2))
    theirs = nn.functional.max_pool2d(nn.functional.relu(two), 2)
    ours.square().sum().backward()
    theirs.square().sum().backward()
    assert torch.equal(ours, theirs)
    assert torch.equal(one.grad, two.grad)


def test_the_last_linear_is_the_classifier_unless_another_module_is_marked():
    net = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2))
    assert find_classifier(net) is net[1]
    runners.mark_classifier(net[0])
    assert find_classifier(net) is net[0]
    assert [tuple(w.shape) for w in prunable_tensors(net)] == [(2, 3)]


def test_a_convolutional_classifier_can_be_marked():
    head = nn.Conv2d(8, 10, 1)
    net = nn.Sequential(nn.Conv2d(1, 8, 3), head)
    with pytest.raises(StudyError, match="mark_classifier"):
        find_classifier(net)
    runners.mark_classifier(head)
    assert prunable_tensors(net) == [net[0].weight]


def test_a_network_is_registered_in_a_line():
    runners.register_network("flat", lambda shape, n: nn.Sequential(nn.Flatten(), nn.Linear(64, n)))
    assert size_of(build("flat", {}, (1, 8, 8), 10, seed=0)).total == 650


def test_a_network_that_does_not_fit_the_images_is_refused():
    runners.register_network("fixed", lambda shape, n: nn.Sequential(nn.Flatten(), nn.Linear(9, n)))
    with pytest.raises(StudyError, match=r"'fixed' cannot take images of \(1, 8, 8\)"):
        build("fixed", {}, (1, 8, 8), 10, seed=0)


def test_a_network_with_wrong_outputs_is_refused():
    runners.register_network("nine", lambda shape, n: nn.Sequential(nn.Flatten(), nn.Linear(64, 9)))
    with pytest.raises(StudyError, match=r"must return logits of \(1, 10\)"):
        build("nine", {}, (1, 8, 8), 10, seed=0)


def test_an_unknown_network_gets_the_nearest_name():
    with pytest.raises(StudyError, match="Did you mean 'resnet20'"):
        build("resnet-20", {}, CIFAR, 10, seed=0)
