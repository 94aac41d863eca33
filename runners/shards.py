"""The shards of a study on disk: whole or damaged, of this version of the study or of another."""

import json
from pathlib import Path

import polars as pl

from distortion.errors import StudyError
from distortion.log import is_complete, read_provenance
from runners.study import NetworkSpec, Study


def damaged(network: NetworkSpec, out: Path) -> str | None:
    """Return what is wrong with the files of a finished network; None if nothing is."""
    if not is_complete(network.folder(out), network.run_id):
        return None
    shard, provenance = _files(network, out)
    try:
        pl.read_parquet(shard, glob=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        return f"{shard} is damaged ({str(error).splitlines()[0]})."
    try:
        json.loads(provenance.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        return f"{provenance} is damaged ({error})."
    return None


def remove(network: NetworkSpec, out: Path) -> None:
    """Delete the files of a network."""
    for path in _files(network, out):
        path.unlink(missing_ok=True)


def refuse_other_versions(study: Study, out: Path) -> None:
    """Raise StudyError if the study's folder holds one of its networks, configured differently."""
    folder = study.folder(out)
    expected = {tuple(network.key.values()): network for network in study.networks}
    others: list[NetworkSpec] = []
    differing: set[str] = set()
    for record in read_provenance(folder) if folder.is_dir() else []:
        network = expected.get(tuple(record.get(column, "") for column in study.networks[0].key))
        if network is None or record["run_id"] == network.run_id:
            continue
        if (network.folder(out) / f"{record['run_id']}.parquet").exists():
            others.append(network)
            then = record["configuration"]
            now = network.configuration
            differing |= {key for key in now if now[key] != then.get(key)}
    if others:
        raise StudyError(
            f"{folder} holds {len(others)} network(s) of the study {study.name!r} that were made "
            f"with another configuration, for example {others[0]}; what differs: "
            f"{', '.join(sorted(differing)) or 'the version of the runners'}. A log cannot hold "
            f"two versions of one network: give the study another name, choose another folder "
            f"with -o, or delete {folder}."
        )


def _files(network: NetworkSpec, out: Path) -> tuple[Path, Path]:
    stem = network.folder(out) / network.run_id
    return stem.with_suffix(".parquet"), stem.with_suffix(".json")
