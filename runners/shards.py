"""The shards of a study on disk: whole or damaged, of this version of the study or of another."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields, replace
from pathlib import Path
from typing import Any

import polars as pl

from distortion.errors import StudyError
from distortion.log import HASHES, PREDICTIONS, is_complete, write_failure
from distortion.places import digest
from distortion.provenance import FAILURE
from distortion.schema import CELL, DENSE
from runners.provenance import now
from runners.recorder import Cell, cell_key
from runners.study import NetworkSpec, Study

Record = dict[str, Any]
DEFAULTS = {item.name: item.default for item in fields(NetworkSpec) if item.default is not MISSING}


def damaged(network: NetworkSpec, out: Path) -> str | None:
    """Return what is wrong with the files of a finished network; None if nothing is."""
    files = shard, provenance, *predictions = _files(network, out)
    if not shard.exists():
        return None
    for path in files:
        if not path.exists():
            return f"{path} is missing."
    cells, hashes = [], {}
    for path in (shard, *predictions):
        try:
            content = path.read_bytes()
            cells.append(pl.read_parquet(content).select(CELL).unique().sort(CELL))
        except (pl.exceptions.PolarsError, OSError) as error:
            return f"{path} is damaged ({str(error).splitlines()[0]})."
        hashes[path.name] = digest(content)
    if not all(found.equals(cells[0]) for found in cells):
        return f"{predictions[0]} is damaged (its cells are not those of {shard.name})."
    try:
        record = read_record(provenance)
        _check(record, network)
    except (OSError, ValueError) as error:
        return f"{provenance} is damaged ({error})."
    for name, then in record.get(HASHES, {}).items():
        if hashes.get(name, then) != then:
            return f"{name} is damaged (its hash is not the one in {provenance.name})."
    return None


def read_record(path: Path) -> Record:
    """Return the content of a provenance file; OSError or ValueError if it holds none."""
    record = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(record, dict):
        raise ValueError("it is not a JSON object")
    for key in ("cells", "failed"):
        cells = record.get(key, [])
        if not isinstance(cells, list) or not all(isinstance(cell, dict) for cell in cells):
            raise ValueError(f"`{key}` is not a list of cells")
    return record


def failed_cells(network: NetworkSpec, out: Path) -> list[Record]:
    """Return the cells that failed in a finished network; none if it is not finished."""
    return finished_record(network, out).get("failed", [])


def finished_record(network: NetworkSpec, out: Path) -> Record:
    """Return the provenance of a finished network; empty if it is not finished."""
    if not is_complete(network.folder(out), network.run_id):
        return {}
    try:
        return read_record(_files(network, out)[1])
    except (OSError, ValueError):
        return {}  # `damaged` says what is wrong


def remove(network: NetworkSpec, out: Path) -> None:
    """Delete the files of a network."""
    for path in _files(network, out):
        path.unlink(missing_ok=True)


def remove_parts(network: NetworkSpec, out: Path) -> None:
    """Delete what a process that was killed while it wrote has left of a network."""
    for path in network.folder(out).glob(f".{network.run_id}.*.part"):
        path.unlink(missing_ok=True)


def record_failure(network: NetworkSpec, out: Path, reason: str, details: str) -> None:
    """Note on disk that a network could not be computed, unless another sweep has computed it."""
    folder = network.folder(out)
    if is_complete(folder, network.run_id):
        return
    before = read_failure(network, out) or {}
    attempts = before.get("attempts", 0)
    cell = Cell(DENSE, 0)
    record = {
        **network.key,
        "run_id": network.run_id,
        "configuration": network.configuration,
        "finished": now(),
        "attempts": attempts + 1 if isinstance(attempts, int) else 1,
        "reason": reason,
        "traceback": details,
        "cells": [],
        "failed": [{**cell_key(network, cell, split), "reason": reason} for split in network.count],
    }
    write_failure(record, folder, network.run_id)


def read_failure(network: NetworkSpec, out: Path) -> Record | None:
    """Return the record of a network that could not be computed; None if there is none."""
    path = network.folder(out) / f"{network.run_id}{FAILURE}"
    if not path.exists():
        return None
    try:
        return read_record(path)
    except (OSError, ValueError) as error:
        return {"reason": f"its record {path} is damaged ({error})"}


def remove_old_failures(study: Study, out: Path) -> None:
    """Delete the failure records of networks of this study that are done or configured anew."""
    current = _Current(study)
    for path, record in _records(study.folder(out), FAILURE):
        now_id = current.run_id(record)
        done = (path.parent / f"{now_id}.parquet").exists()
        if now_id is not None and (now_id != record.get("run_id") or done):
            path.unlink(missing_ok=True)


def refuse_other_versions(study: Study, out: Path) -> None:
    """Raise StudyError if the study's folder holds networks of another configuration."""
    folder, current = study.folder(out), _Current(study)
    others: list[NetworkSpec] = []
    differing: set[str] = set()
    for path, record in _records(folder, ".json"):
        network = current.network(record)
        if network is None or network.run_id == record.get("run_id", path.stem):
            continue
        others.append(network)
        then, configured = record.get("configuration") or {}, network.configuration
        absent = {key: DEFAULTS.get(key) for key in configured}  # keys that came later
        differing |= {key for key in configured if configured[key] != {**absent, **then}[key]}
    if others:
        differences = ", ".join(sorted(differing)) or "the version of the runners"
        raise StudyError(_mixture(study, folder, others, "another configuration", differences))


def refuse_other_sources(
    study: Study, out: Path, data: Mapping[str, str], plugins: Mapping[str, str]
) -> None:
    """Raise StudyError if networks of the study were made of other images or plugins.

    `data` are the hashes of data sets by label, `plugins` those of the plugins by name.
    """
    folder, current = study.folder(out), _Current(study)
    others: list[NetworkSpec] = []
    differing: set[str] = set()
    for _, record in _records(folder, ".json"):
        network = current.network(record)
        if network is None:
            continue
        label, then = network.dataset.label, record.get("plugins")
        changed = {
            f"the source of plugin {name}"
            for name, digest in (then.items() if isinstance(then, dict) else ())
            if plugins.get(name, digest) != digest
        }
        if label in data and record.get("data_hash", data[label]) != data[label]:
            changed.add(f"the images of data set {label}")
        if changed:
            others.append(network)
            differing |= changed
    if others:
        differences = ", ".join(sorted(differing))
        raise StudyError(_mixture(study, folder, others, "other data or code", differences))


class _Current:
    """What the networks of a study are now, whatever their seed, by the key of a record."""

    def __init__(self, study: Study) -> None:
        self.networks = {self._labels(network.key): network for network in study.networks}

    def network(self, record: Record) -> NetworkSpec | None:
        """Return the network that a record is about, as the study configures it."""
        network, seed = self.networks.get(self._labels(record)), record.get("seed")
        if network is None or not isinstance(seed, int):
            return None
        return replace(network, seed=seed)

    def run_id(self, record: Record) -> str | None:
        """Return the run id that the network of a record has now."""
        network = self.network(record)
        return None if network is None else network.run_id

    @staticmethod
    def _labels(record: Mapping[str, Any]) -> tuple[str, ...]:
        return tuple(str(record.get(c, "")) for c in ("study", "dataset", "model", "recipe"))


def _records(folder: Path, suffix: str) -> Iterator[tuple[Path, Record]]:
    """Yield the readable records of finished networks (".json") or failed ones (FAILURE)."""
    for path in sorted(folder.rglob(f"*{suffix}")) if folder.is_dir() else []:
        failure = path.name.endswith(FAILURE)
        if failure != (suffix == FAILURE) or not (failure or path.with_suffix(".parquet").exists()):
            continue
        try:
            yield path, read_record(path)
        except (OSError, ValueError):
            continue  # of no network of this study, or computed again


def _mixture(
    study: Study, folder: Path, others: list[NetworkSpec], made_with: str, differing: str
) -> str:
    return (
        f"{folder} holds {len(others)} network(s) of the study {study.name!r} that were made "
        f"with {made_with}, for example {others[0]}; what differs: {differing}. A log cannot "
        f"hold two versions of one network: give the study another name, choose another folder "
        f"with -o, or delete {folder}."
    )


def _check(record: Record, network: NetworkSpec) -> None:
    """Raise ValueError if a record is not that of a finished network."""
    missing = [key for key in ("run_id", "configuration", "cells", "failed") if key not in record]
    if missing:
        raise ValueError(f"it lacks {', '.join(missing)}")
    if record["run_id"] != network.run_id:
        raise ValueError("it is of another network")


def _files(network: NetworkSpec, out: Path) -> tuple[Path, ...]:
    """The shard of a network, its provenance, and its predictions where the study stores them."""
    suffixes = (".parquet", ".json", *([PREDICTIONS] if network.predictions else []))
    return tuple(network.folder(out) / f"{network.run_id}{suffix}" for suffix in suffixes)
