"""What an engine has done elsewhere: the choice of a back-end, a group as a stream of messages."""

from collections.abc import Iterator
from contextlib import suppress
from queue import SimpleQueue
from threading import Event, Thread

import torch

from runners.backends import Backend
from runners.bench import Result
from runners.datasets import Dataset
from runners.groups import Group
from runners.halving import is_device_lost
from runners.nets import build
from runners.study import NetworkSpec
from runners.tuning import Notes, choose
from runners.worker import Deliver, Message, Send, Setup, Worker, raised

Item = tuple[int, Message | Result]  # the position of a network in its group


def choose_for(
    wanted: str, network: NetworkSpec, data: Dataset, device: torch.device, jobs: int
) -> tuple[Backend, Notes]:
    """Return the back-end for networks like this one on a device that `jobs` workers share."""
    model, shape = network.model, data.train.shape
    net = build(model.name, model.options, shape, data.n_classes, seed=0)
    return choose(wanted, net, data, network.recipe, device, jobs)


class Ended(BaseException):
    """Ends the thread of a group; no error of a network, and so not an Exception."""


def messages(
    group: Group, setup: Setup, data: Dataset | None = None, deliver: Deliver | None = None
) -> Iterator[Item]:
    """Compute a group, yield its messages as they come.

    `data` saves loading the data set, and `deliver` is that of a `Worker`. The work is done in a
    thread: what a signal handler raises in the main thread is not taken for an error of a network.
    The thread ends with the next epoch when the generator is closed. Raises what says that the
    device is lost: the process should end.
    """
    queue: SimpleQueue[Item | Exception | None] = SimpleQueue()
    stop = Event()

    def send(position: int, message: Message | Result) -> None:
        if stop.is_set():
            raise Ended
        queue.put((position, message))

    def work() -> None:
        try:
            with suppress(Ended):
                _compute(group, setup, data, deliver, send)
            queue.put(None)
        except Exception as error:
            queue.put(error)

    thread = Thread(target=work, daemon=True)
    thread.start()
    try:
        while (item := queue.get()) is not None:
            if isinstance(item, Exception):
                raise item
            yield item
    finally:
        stop.set()
        thread.join()  # a process that ends while a thread is in torch crashes


def _compute(
    group: Group, setup: Setup, data: Dataset | None, deliver: Deliver | None, send: Send
) -> None:
    try:
        worker = Worker(setup, deliver)
        if data is not None:
            worker.datasets[group.networks[0].dataset.label] = data.to(worker.device)
    except Exception as error:  # a plugin that cannot be imported there, for example
        if is_device_lost(error):
            raise
        for position in range(len(group.networks)):
            send(position, raised(error))
    else:
        worker.compute(group, send)
