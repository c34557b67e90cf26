"""What this machine says: who holds the page's port, what a running service shows, and whether a folder is writable."""

from __future__ import annotations

import errno
import glob
import os
import socket
import tempfile
from contextlib import suppress
from http.client import HTTPConnection, HTTPException

from quarterdeck_contract import metrics
from quarterdeck_contract.labels import OVERFLOW
from quarterdeck_contract.naming import series_names
from quarterdeck_instrumentation import cardinality
from quarterdeck_instrumentation.doctor.facts import Holder, Page, Port
from quarterdeck_instrumentation.testing import parse

_TIMEOUT = 3.0
"""Seconds a page may take."""
_MOST = 1 << 26
"""Bytes of a page that are read."""
_MARK = series_names(metrics.BUILD_INFO)[0]
"""A series that only our page has."""
_SUFFIXES = ("_bucket", "_count", "_sum", "_total", "_created")


def port(host: str, number: int) -> tuple[Port, Page | None]:
    """Return who listens on *number*, and the page if it is one of ours. Nothing stays open."""
    text = _asked(host, number)
    if text is not None and f"\n{_MARK}" in f"\n{text}":
        page = None
        with suppress(ValueError):  # of a newer release, in a form that is not known here
            page = read(text)
        return Port(host, number, Holder.OURS, _holder(number)), page
    if text is not None:
        return Port(host, number, Holder.OTHER, _holder(number)), None
    try:
        with socket.create_server((host, number), family=_family(host, number)):
            return Port(host, number, Holder.NOBODY), None
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return Port(host, number, Holder.OTHER, _holder(number)), None
        return Port(host, number, Holder.IMPOSSIBLE, str(error)), None


def read(text: str) -> Page:
    """Count the series of each metric family on a page."""
    series: dict[str, set[tuple[tuple[str, str], ...]]] = {}
    overflowing = set()
    for sample in parse(text).samples:
        family = next((sample.name.removesuffix(end) for end in _SUFFIXES if sample.name.endswith(end)), sample.name)
        labels = {name: value for name, value in sample.labels.items() if name != "le"}
        series.setdefault(family, set()).add(tuple(sorted(labels.items())))
        if OVERFLOW.prometheus in labels:
            overflowing.add(family)
    flat = ((family, dict(each)) for family, found in series.items() for each in found)
    usages = cardinality.report(
        (
            (family, list(labels), [] if OVERFLOW.prometheus in labels else list(labels.values()))
            for family, labels in flat
        ),
        len(series),
    )
    return Page(
        {family: len(found) for family, found in series.items()},
        tuple(sorted(overflowing)),
        {usage.metric: usage.labels for usage in usages},
    )


def writable(folder: str) -> str:
    """Return why nothing can be written in *folder*; nothing if it can. What is written is removed at once."""
    existing = folder
    while not os.path.exists(existing) and os.path.dirname(existing) != existing:
        existing = os.path.dirname(existing)  # what is missing is made when it is needed
    try:
        with tempfile.TemporaryFile(dir=existing) as file:
            file.write(b"\0" * 4096)
    except OSError as error:
        return f"{type(error).__name__}: {error}"
    return ""


def _asked(host: str, number: int) -> str | None:
    """Return the page behind the port; empty if what listens there has none, None if nothing listens."""
    connection = HTTPConnection("127.0.0.1" if host in ("", "0.0.0.0") else host, number, timeout=_TIMEOUT)  # noqa: S104 -- compared, not bound
    try:
        connection.request("GET", "/metrics")
        return connection.getresponse().read(_MOST).decode("utf-8", "replace")
    except ConnectionRefusedError:
        return None
    except (OSError, HTTPException):
        return "" if connection.sock is not None else None
    finally:
        connection.close()


def _family(host: str, number: int) -> socket.AddressFamily:
    return socket.getaddrinfo(host or None, number, type=socket.SOCK_STREAM)[0][0]


def _holder(number: int) -> str:
    """Return process id and command of who listens on *number*, as far as this user may know; Linux only."""
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with suppress(OSError), open(table, encoding="ascii") as file:
            for line in file.readlines()[1:]:
                words = line.split()
                if words[1].endswith(f":{number:04X}") and words[3] == "0A":  # listening
                    inodes.add(f"socket:[{words[9]}]")
    for descriptor in glob.iglob("/proc/[0-9]*/fd/*") if inodes else ():
        with suppress(OSError):
            if os.readlink(descriptor) in inodes:
                pid = descriptor.split("/")[2]
                with open(f"/proc/{pid}/comm", encoding="utf-8") as file:
                    return f"process {pid}, {file.read().strip()}"
    return ""
