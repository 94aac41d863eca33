"""Three ways to convolve the images of m networks, each with its own kernels.

`grouped` is one convolution with m groups: the fastest on a CPU, where channels stand last in
memory. GPUs have slow gradients for grouped convolutions (pytorch#70954, #73764). For them are
`gemm`, which gathers the patches and multiplies them in a batch of matrix products, and `each`:
one convolution per network, on a GPU side by side in streams.

array    size
x        (n, m c, h, w)
weight   (m, c_out, c / groups, height, width) of the kernels
bias     (m, c_out) or None
"""

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional

N_STREAMS = 8  # convolutions of small networks that a GPU runs side by side

Convolution = Callable[[nn.Conv2d, Tensor, Tensor, Tensor | None], Tensor]


def grouped(layer: nn.Conv2d, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Convolve with one group per network."""
    return functional.conv2d(
        x,
        weight.flatten(0, 1),
        None if bias is None else bias.flatten(),
        layer.stride,
        layer.padding,
        layer.dilation,
        len(weight) * layer.groups,
    )


def gemm(layer: nn.Conv2d, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Convolve as a batch of matrix products over patches; grouped layers and names as above."""
    if layer.groups > 1 or isinstance(layer.padding, str):
        return grouped(layer, x, weight, bias)
    m, n = len(weight), len(x)
    patches = functional.unfold(x, layer.kernel_size, layer.dilation, layer.padding, layer.stride)
    columns = patches.unflatten(1, (m, -1)).permute(1, 2, 0, 3).flatten(2)
    out = multiply(weight.flatten(2), columns, bias)
    size = zip(x.shape[2:], *_geometry(layer), strict=True)
    h, w = (
        (i + 2 * pad - gap * (kernel - 1) - 1) // step + 1 for i, kernel, pad, gap, step in size
    )
    return out.unflatten(2, (n, h, w)).permute(2, 0, 1, 3, 4).flatten(1, 2)


def each(layer: nn.Conv2d, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Convolve network by network."""
    m = len(weight)
    biases = [None] * m if bias is None else list(bias)

    def convolve(i: int) -> Tensor:
        return functional.conv2d(
            parts[i], weight[i], biases[i],
            layer.stride, layer.padding, layer.dilation, layer.groups,
        )  # fmt: skip

    parts = x.chunk(m, 1)
    if not x.is_cuda:
        return torch.cat([convolve(i) for i in range(m)], 1)
    here = torch.cuda.current_stream(x.device)
    outputs: list[Tensor] = []
    for i in range(m):
        stream = _streams(x.device)[i % N_STREAMS]
        stream.wait_stream(here)
        with torch.cuda.stream(stream):
            outputs.append(convolve(i))
    for stream in _streams(x.device)[:m]:
        here.wait_stream(stream)
    return torch.cat(outputs, 1)


@cache
def _streams(device: torch.device) -> tuple[torch.cuda.Stream, ...]:
    return tuple(torch.cuda.Stream(device) for _ in range(N_STREAMS))


def multiply(weight: Tensor, x: Tensor, bias: Tensor | None) -> Tensor:
    """Return weight (m, out, in) times x (m, in, n), plus bias (m, out): all m at once."""
    if bias is None:
        return torch.bmm(weight, x)
    return torch.baddbmm(bias.unsqueeze(-1), weight, x)


def _geometry(layer: nn.Conv2d) -> tuple[tuple[int, ...], ...]:
    padding = layer.padding
    assert not isinstance(padding, str)
    return layer.kernel_size, padding, layer.dilation, layer.stride


CONVOLUTIONS: dict[str, Convolution] = {"grouped": grouped, "gemm": gemm, "each": each}
