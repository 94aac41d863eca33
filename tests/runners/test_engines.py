"""Engines without a cluster: options, what is missing, what becomes of networks."""

import sys

import pytest

from distortion.errors import StudyError
from runners import engines
from runners.backends import LOOP
from runners.engines import open_engine
from runners.engines.letters import Letterbox, post
from runners.engines.options import read_options
from runners.engines.tries import MOST_LOSSES, Tries
from runners.worker import Again, Finished, Raised, Step
from tests.runners.studies import study


def test_options_are_read_as_in_toml_or_as_they_are():
    texts = ["gpus=0.25", "cpus = 2", "wait=true", "slurm_partition=gpu", "slurm_time=2:00:00"]
    assert read_options([*texts, 'slurm_setup=["module load x"]', "a=b=c"]) == {
        "gpus": 0.25,
        "cpus": 2,
        "wait": True,
        "slurm_partition": "gpu",
        "slurm_time": "2:00:00",
        "slurm_setup": ["module load x"],
        "a": "b=c",
    }


@pytest.mark.parametrize(
    ("engine", "options", "message"),
    [
        ("local", ["gpus"], r"'gpus': write KEY=VALUE"),
        ("local", ["gpus=1"], r"--engine local: unknown key 'gpus'. It takes no options"),
        ("ray", ["gpus=1", "gpus=2"], r"'gpus' is given twice"),
        ("ray", ["gpu=1"], r"--engine ray: unknown key 'gpu'. Did you mean 'gpus'"),
        ("ray", ["gpus=many"], r"--engine ray: gpus must be a number"),
        ("ray", ["gpus=2"], r"gpus must be at most 1"),
        ("ray", ["cpus=0"], r"must not be negative, nor all be 0"),
        ("ray", ["address=ray://head:10001"], r"cannot stream to a Ray client .*ray job submit"),
        ("submitit", ["cluster=pbs"], r'cluster is "slurm" or "local"'),
    ],
)
def test_wrong_options_are_named(engine, options, message):
    if engine != "local":
        pytest.importorskip(engine, reason=f"{engine} is not installed")
    with pytest.raises(StudyError, match=message), open_engine(engine, options, (), print):
        pass


@pytest.mark.parametrize(("name", "module"), [("ray", "ray"), ("submitit", "slurm")])
def test_a_missing_engine_says_what_to_install(name, module, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, f"runners.engines.{module}", raising=False)
    monkeypatch.delattr(engines, module, raising=False)
    message = rf'needs {name}, which is not installed.*pip install "distortion\[runners,{name}\]"'
    with pytest.raises(StudyError, match=message), open_engine(name, (), (), print):
        pass


def test_networks_of_a_process_that_died_are_tried_alone_and_then_given_up():
    tries, networks = Tries(), study(seeds=2).networks
    first = list(tries.after_death(networks, LOOP, "it died"))
    assert [(network, message) for network, message, _ in first] == [(n, Again()) for n in networks]
    assert [group.networks for _, _, group in first] == [(n,) for n in networks]
    [(network, message, group)] = tries.after_death(networks[:1], LOOP, "it died")
    assert (network, message, group) == (networks[0], Raised("it died, 2 times"), None)


def test_networks_of_a_lost_node_stay_together_until_it_happens_too_often():
    tries, networks = Tries(), study(seeds=2).networks
    for _ in range(MOST_LOSSES - 1):
        again = list(tries.after_loss(networks, LOOP, "its node was lost"))
        assert [message for _, message, _ in again] == [
            Again("its node was lost; computed again later")
        ] * 2
        assert [group and group.networks for _, _, group in again] == [networks, None]
    given_up = tries.after_loss(networks, LOOP, "its node was lost")
    assert [message for _, message, _ in given_up] == [Raised("its node was lost, 5 times")] * 2


def test_letters_are_read_once_and_whole(tmp_path):
    path = tmp_path / "job.letters"
    box = Letterbox(path)
    assert box.empty() == []
    sent = [Step("dense", 3, 0), Finished(1.5, 0.9, 0, ""), Again("later"), Raised("no", "…")]
    with path.open("ab") as file:
        for message in sent:
            post(file, "run", message)
        file.write(b'["run", "Ste')
        file.flush()
        assert box.empty() == [("run", message) for message in sent]
        file.write(b"\n")
        post(file, "other", Again())
    assert box.empty() == [("other", Again())]
    assert box.empty() == []


@pytest.fixture
def ray():
    return pytest.importorskip("ray", reason="Ray is not installed")


def test_a_cluster_that_cannot_be_reached_is_an_error(ray, monkeypatch):
    def init(**_):
        raise ConnectionError("no cluster")

    monkeypatch.setattr(ray, "init", init)
    message = r"cluster 'auto' cannot be reached \(no cluster\).*ray start --head"
    with pytest.raises(StudyError, match=message), open_engine("ray", (), (), print):
        pass


def test_workers_share_gpus_and_their_number_follows_from_the_nodes(ray, monkeypatch):
    from runners.engines.ray import Ray, RayOptions

    nodes = [
        {"Alive": True, "Resources": {"CPU": 16.0, "GPU": 2.0}},
        {"Alive": True, "Resources": {"CPU": 3.0, "GPU": 1.0}},
        {"Alive": True, "Resources": {"CPU": 8.0}},
        {"Alive": False, "Resources": {"CPU": 64.0, "GPU": 8.0}},
    ]
    monkeypatch.setattr(ray, "nodes", lambda: nodes)
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 27.0, "GPU": 3.0})
    assert Ray(RayOptions(gpus=0.25)).settle("auto", None) == ("cuda", 8 + 3)
    assert Ray(RayOptions()).settle("auto", None) == ("cuda", 3)
    assert Ray(RayOptions(cpus=2)).settle("cpu", None) == ("cpu", 8 + 1 + 4)
    assert Ray(RayOptions(cpus=100)).settle("cpu", 5) == ("cpu", 5)
    with pytest.raises(StudyError, match=r"has room for a worker .*num_cpus.*--jobs"):
        Ray(RayOptions(cpus=100)).settle("cpu", None)
