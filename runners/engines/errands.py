"""What an engine has done elsewhere: the choice of a back-end, a group as a stream of messages."""

from collections.abc import Iterator
from queue import SimpleQueue
from threading import Thread

import torch

from runners.backends import Backend
from runners.datasets import Dataset
from runners.groups import Group
from runners.nets import build
from runners.study import NetworkSpec
from runners.tuning import choose
from runners.worker import Computed, Deliver, Message, Setup, Worker, raised

Item = tuple[int, Message | Computed]  # the position of a network in its group


def choose_for(
    wanted: str, network: NetworkSpec, data: Dataset, device: torch.device, jobs: int
) -> tuple[Backend, str | None]:
    """Return the back-end for networks like this one on a device that `jobs` workers share."""
    model, shape = network.model, data.train.shape
    net = build(model.name, model.options, shape, data.n_classes, seed=0)
    return choose(wanted, net, data, network.recipe, device, jobs)


def messages(
    group: Group, setup: Setup, data: Dataset | None = None, deliver: Deliver | None = None
) -> Iterator[Item]:
    """Compute a group, yield its messages as they come.

    `data` saves loading the data set, and `deliver` is that of a `Worker`. The work is done in a
    thread: what a signal handler raises in the main thread is not taken for an error of a network.
    """
    queue: SimpleQueue[Item | None] = SimpleQueue()
    Thread(target=_compute, args=(group, setup, data, deliver, queue), daemon=True).start()
    while (item := queue.get()) is not None:
        yield item


def _compute(
    group: Group,
    setup: Setup,
    data: Dataset | None,
    deliver: Deliver | None,
    queue: "SimpleQueue[Item | None]",
) -> None:
    try:
        worker = Worker(setup, deliver)
        if data is not None:
            worker.datasets[group.networks[0].dataset.label] = data.to(worker.device)
        worker.compute(group, lambda position, message: queue.put((position, message)))
    except Exception as error:  # a plugin that cannot be imported there, for example
        for position in range(len(group.networks)):
            queue.put((position, raised(error)))
    finally:
        queue.put(None)
