"""What an estimator needs of a network, as data: which networks lack it, in words."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from distortion.counts import Counts
from distortion.repairs.moments import usable_networks
from distortion.schema import CONTROL

Mask = NDArray[np.bool_]


def _no_detail(counts: Counts) -> str:
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """Something without which an estimate is undefined.

    Attributes
    ----------
    words : what is needed
    met : counts to the networks (M,) that have it; None: seen only in the estimate itself
    detail : counts to what is the matter, in words; "" where there is nothing to add
    """

    words: str
    met: Callable[[Counts], Mask] | None = None
    detail: Callable[[Counts], str] = _no_detail


def networks_with(needs: Sequence[Need], counts: Counts) -> Mask:
    """Networks (M,) that have all that can be seen beforehand."""
    met = [need.met(counts) for need in needs if need.met is not None]
    return np.asarray(np.logical_and.reduce([np.full(counts.size[0], True), *met]))


def lacking(needs: Sequence[Need], counts: Counts, undefined: Mask) -> str:
    """What the networks (M,) without an estimate need: only what one of them lacks."""
    words, unexplained = [], undefined.copy()
    for need in needs:
        if need.met is not None and (undefined & ~need.met(counts)).any():
            words.append(need.words + need.detail(counts))
            unexplained &= need.met(counts)
    if unexplained.any():
        words += [need.words for need in needs if need.met is None]
    return ", and ".join(words)


def _two(counts: Counts) -> Mask:
    return np.full(counts.size[0], usable_networks(counts).sum() > 1)


def _spread_before(counts: Counts) -> Mask:
    return np.asarray(np.ptp(counts.dense / counts.n, axis=1) > 0)


def _spread_after(counts: Counts) -> Mask:
    return np.asarray(np.ptp(counts.correct / counts.n, axis=1) > 0)


def _kept(counts: Counts) -> Mask:
    return np.asarray(np.isfinite(counts.kept_by_network).all(axis=1))


def _images(counts: Counts) -> Mask:
    return np.asarray((counts.n > 1).all(axis=1))


def _single(counts: Counts) -> str:
    names = np.array(counts.class_names)[(counts.n == 1).any(axis=0)]
    return f" (one image: class {', '.join(names)})"


def _control(counts: Counts) -> Mask:
    if counts.control is None or counts.condition["arm"] == CONTROL:
        return np.full(counts.size[0], False)
    with_accuracy = np.nansum(counts.control, axis=1) > 0
    return np.asarray(np.isfinite(counts.control).all(axis=1) & with_accuracy)


ACCURACY: Final = Need(words="an accuracy above 0", met=usable_networks)
SPREAD: Final = Need(words="dense recalls that differ between classes", met=_spread_before)
SPREAD_AFTER: Final = Need(words="recalls that differ between classes after", met=_spread_after)
TWO: Final = Need(words="two networks", met=_two)
KEPT: Final = Need(words="kept (images correct before and after)", met=_kept)
IMAGES: Final = Need(words="two test images of every class", met=_images, detail=_single)
HAS_CONTROL: Final = Need(
    words="a control (trained further, nothing removed) other than itself", met=_control
)
