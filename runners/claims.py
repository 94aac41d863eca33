"""Claims: which networks a sweep computes now, so that sweeps on one folder share the work.

A claim is a small file where the shard will be, created by one sweep only (O_EXCL). It is a hint
and no more: shards alone say what is done. Where claims are lost or cannot be made, a network is
computed twice at worst.

A claim is stale when its process is gone from this machine, or when it was not touched for EXPIRY
seconds of our monotonic clock. So no time of one clock is compared with that of another, and
clocks may differ and jump.
"""

import json
import os
import secrets
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from runners.study import NetworkSpec

BEAT = 20.0  # seconds between two touches of a claim
EXPIRY = 300.0  # seconds without a touch after which a claim is stale


class Claims:
    """The claims of one sweep; they are touched while the block runs, and given up at its end."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self._mine: set[Path] = set()
        self._seen: dict[Path, tuple[tuple[int, bytes], float]] = {}
        self._mark = json.dumps(_process() | {"token": secrets.token_hex(8)}).encode()
        self._ended = threading.Event()
        self._beats = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> "Claims":
        self._beats.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._beats.join()
        for path in list(self._mine):
            self._give_up(path)

    def take(self, network: NetworkSpec) -> bool:
        """Claim a network; return False while another sweep has a claim that is not stale."""
        path = _path(network, self.out)
        if path in self._mine or not isinstance(path, Path):  # object stores know no claims
            return True
        for _ in range(2):
            try:
                with path.open("xb") as file, suppress(OSError):  # the disk may be full
                    file.write(self._mark)
            except FileExistsError:
                if not self._remove_if_stale(path):
                    return False
            except OSError:
                return True  # no claims can be made here
            else:
                self._mine.add(path)
                return True
        return False  # others were faster, twice

    def release(self, network: NetworkSpec) -> None:
        """Give up the claim on a network."""
        self._give_up(_path(network, self.out))

    def _give_up(self, path: Path) -> None:
        self._mine.discard(path)
        with suppress(OSError):
            if path.read_bytes() == self._mark:
                path.unlink()

    def _remove_if_stale(self, path: Path) -> bool:
        """Return whether the way is free."""
        try:
            seen = path.stat().st_mtime_ns, path.read_bytes()
        except OSError:
            return True
        before, since = self._seen.get(path, (None, 0.0))
        if before != seen:
            before, since = self._seen[path] = seen, time.monotonic()
        if not _is_gone(seen[1]) and time.monotonic() - since < EXPIRY:
            return False
        aside = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
        with suppress(OSError):
            path.rename(aside)
            if aside.read_bytes() != seen[1]:  # another sweep was faster: this is its new claim
                os.link(aside, path)
            aside.unlink()
        return True

    def _beat(self) -> None:
        while not self._ended.wait(BEAT):
            for path in list(self._mine):
                with suppress(OSError):
                    if path.read_bytes() == self._mark:
                        os.utime(path)


def is_claimed(network: NetworkSpec, out: Path) -> bool:
    """Return whether a sweep says that it computes a network, as far as can be seen at once."""
    try:
        return not _is_gone(_path(network, out).read_bytes())
    except OSError:
        return False


def drop_claim(network: NetworkSpec, out: Path) -> None:
    """Remove whatever claim there is on a network that is done."""
    _path(network, out).unlink(missing_ok=True)


def _path(network: NetworkSpec, out: Path) -> Path:
    return network.folder(out) / f".{network.run_id}.claim"


def _process() -> dict[str, str | int]:
    """Return what tells this process from all others: machine, boot, id and time of start."""
    boot = _read("/proc/sys/kernel/random/boot_id")
    with suppress(OSError):
        boot += os.readlink("/proc/self/ns/pid")  # ids of two containers mean different processes
    host = f"{socket.gethostname()} {_read('/etc/machine-id')}"
    return {"host": host, "boot": boot, "pid": os.getpid(), "start": _start(os.getpid()) or ""}


def _is_gone(mark: bytes) -> bool:
    """Return whether the process that made a claim has certainly ended."""
    try:
        owner, here = json.loads(mark), _process()
        if owner["host"] != here["host"]:
            return False
        if owner["boot"] != here["boot"]:
            # another boot of this machine has ended, another container may run
            return bool(owner["boot"][:36] != str(here["boot"])[:36])
        start = _start(owner["pid"])
        return start is None or start != owner["start"]
    except (ValueError, TypeError, KeyError):
        return False  # not yet written, or damaged


def _start(pid: int) -> str | None:
    """Return when a process started, in ticks since boot, "" if unknown; None if it has ended."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except OSError:  # it is somebody else's
        pass
    state, *fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split() or [""]
    return None if state in ("Z", "X") else (fields[18] if fields else "")


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError:
        return ""
