"""What jobs of SLURM do: pickled here, called there."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from submitit.helpers import DelayedSubmission

from distortion.log import is_complete
from runners.backends import Backend
from runners.engines.errands import choose_for, messages
from runners.engines.letters import post
from runners.groups import Group
from runners.study import NetworkSpec
from runners.tuning import Notes
from runners.worker import Again, Setup, Worker


@dataclass(frozen=True)
class Order:
    """What a job does: compute a group. Called again after a requeue, it goes on with the rest."""

    setup: Setup
    group: Group
    letters: Path

    def __call__(self) -> None:
        """Compute the networks that are not done; write shards and messages."""
        out = self.setup.out
        networks = [n for n in self.group.networks if not is_complete(n.folder(out), n.run_id)]
        with self.letters.open("ab") as file:
            if file.tell():
                file.write(b"\n")  # the line before may be cut off
                for network in networks:
                    post(file, network.run_id, Again("its job was stopped; it begins again"))
            if networks:
                group = replace(self.group, networks=tuple(networks))
                for position, message in messages(group, self.setup):
                    post(file, networks[position].run_id, message)

    def checkpoint(self) -> DelayedSubmission:
        """Return what submitit requeues when the job is preempted or its time is up."""
        return DelayedSubmission(self)


@dataclass(frozen=True)
class Errand:
    """A job that chooses a back-end."""

    wanted: str
    network: NetworkSpec
    setup: Setup

    def __call__(self) -> tuple[Backend, Notes]:
        """Measure on the node, with its data set."""
        worker = Worker(self.setup)
        data = worker.data(self.network)
        return choose_for(self.wanted, self.network, data, torch.device(self.setup.device), 1)
