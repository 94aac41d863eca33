"""The unit of a sweep: networks that differ in their seeds only, computed together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from runners.backends import Backend
from runners.study import NetworkSpec

Shape = tuple[str, str, str]  # data set, model and recipe
PER_WORKER = 2  # groups of a shape per worker at least, so that none idles for long at the end


@dataclass(frozen=True, slots=True)
class Group:
    """Networks of one shape, and how they are run."""

    networks: tuple[NetworkSpec, ...]
    backend: Backend


def shape_of(network: NetworkSpec) -> Shape:
    """Return what networks must share to be stacked."""
    return network.dataset.label, network.model.label, network.recipe.name


def make_groups(
    networks: Sequence[NetworkSpec], backends: Mapping[Shape, Backend], jobs: int
) -> list[Group]:
    """Return all networks in groups, in the order of their first networks."""
    by_shape: dict[Shape, list[NetworkSpec]] = {}
    for network in networks:
        by_shape.setdefault(shape_of(network), []).append(network)
    groups = []
    for shape, members in by_shape.items():
        backend = backends[shape]
        shares = PER_WORKER * jobs if jobs > 1 else 1
        size = min(backend.size, -(-len(members) // shares))
        cuts = range(0, len(members), size)
        groups += [Group(tuple(members[cut : cut + size]), backend) for cut in cuts]
    position = {network: i for i, network in enumerate(map(id, networks))}
    return sorted(groups, key=lambda group: position[id(group.networks[0])])
