"""CIFAR ResNets of He et al. (2016, section 4.2) with option-A shortcuts.

Depth 6k + 2: one 3x3 convolution, three stages of k blocks with 16, 32 and 64 channels, global
average pooling and a linear classifier. The shortcuts have no parameters: where a stage halves
the image, they take every second pixel and fill the new channels with zeros.
"""

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional


class Block(nn.Module):
    """Two 3x3 convolutions with batch normalisation, and the option-A shortcut around them."""

    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.new_channels = n_out - n_in
        self.conv1 = nn.Conv2d(n_in, n_out, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(n_out)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(n_out)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, n_in, h, w) to (n, n_out, h / stride, w / stride)."""
        out = functional.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return functional.relu(out + self.shortcut(x))

    def shortcut(self, x: Tensor) -> Tensor:
        """Return `x` (..., n_in, h, w), subsampled and padded with zero channels as needed."""
        if self.stride == 1 and not self.new_channels:
            return x
        before = self.new_channels // 2
        subsampled = x[..., :: self.stride, :: self.stride]
        return functional.pad(subsampled, (0, 0, 0, 0, before, self.new_channels - before))


def cifar_resnet(depth: int, shape: tuple[int, int, int], n_classes: int) -> nn.Module:
    """Return the CIFAR ResNet of a depth 6k + 2, weights drawn by Kaiming's normal rule."""
    blocks = (depth - 2) // 6
    layers: list[nn.Module] = [
        nn.Conv2d(shape[0], 16, 3, padding=1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
    ]
    n_in = 16
    for n_out in (16, 32, 64):
        for _ in range(blocks):
            layers.append(Block(n_in, n_out, stride=1 if n_in == n_out else 2))
            n_in = n_out
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(n_in, n_classes)]
    net = nn.Sequential(*layers)
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight)
    return net


def resnet(depth: int) -> Callable[[tuple[int, int, int], int], nn.Module]:
    """Return the factory of the CIFAR ResNet of one depth."""

    def factory(shape: tuple[int, int, int], n_classes: int) -> nn.Module:
        return cifar_resnet(depth, shape, n_classes)

    factory.__doc__ = f"CIFAR ResNet-{depth} with option-A shortcuts (He et al. 2016)."
    return factory
