"""Blocks of Prometheus' storage, from text, and the same under other names: a hundred services for the price of one.

The layout is that of tsdb/docs/format/index.md in github.com/prometheus/prometheus, version 2. A name is stored as
itself in the table of symbols and in that of postings, each of which a checksum follows, and by number elsewhere.
"""

from __future__ import annotations

import json
import os
import struct
import subprocess
import tempfile
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

LENGTH = timedelta(hours=1458)
"""A length that a block can have: two hours, tripled six times."""
_HOUR = timedelta(hours=1)
_SYMBOLS, _POSTINGS = 0, 5
"""Places in the table of contents of where these two begin."""
_CONTENTS = struct.Struct(">6QI")


def write(promtool: Path, data: Path, text: Iterable[str]) -> Path:
    """Make a block of OpenMetrics *text*, all of which lies in one stretch of LENGTH; return its folder."""
    with tempfile.NamedTemporaryFile("w", dir=data.parent, suffix=".txt", encoding="ascii") as file:
        file.writelines(text)
        file.flush()
        length = f"--max-block-duration={LENGTH // _HOUR}h"
        command = [promtool, "tsdb", "create-blocks-from", "openmetrics", length, file.name, data]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    (block,) = data.iterdir()
    return block


def copy(block: Path, number: int, old: str, new: str) -> None:
    """Make another *block* beside it, in which *old* is called *new*; *number*, below a thousand, is in its identity.

    Its samples are the same file: only the index is another.
    """
    assert len(old) == len(new), "lengths are written before names"
    identity = f"{block.name[:-3]}{number:03}"
    made = block.with_name(identity)
    (made / "chunks").mkdir(parents=True)
    for each in (block / "chunks").iterdir():
        os.link(each, made / "chunks" / each.name)
    (made / "index").write_bytes(_renamed((block / "index").read_bytes(), old.encode(), new.encode()))
    (made / "tombstones").write_bytes((block / "tombstones").read_bytes())
    meta = json.loads((block / "meta.json").read_text())
    meta["ulid"], meta["compaction"]["sources"] = identity, [identity]
    (made / "meta.json").write_text(json.dumps(meta))


def _renamed(index: bytes, old: bytes, new: bytes) -> bytes:
    contents = _CONTENTS.unpack(index[-_CONTENTS.size :])
    changed = bytearray(index)
    for part in (_SYMBOLS, _POSTINGS):
        begin = contents[part] + 4
        end = begin + int.from_bytes(index[begin - 4 : begin])
        table = index[begin:end].replace(old, new)
        changed[begin : end + 4] = table + _checksum(table).to_bytes(4)
    return bytes(changed)


def _row(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
    return byte


_ROWS = tuple(map(_row, range(256)))


def _checksum(data: bytes) -> int:
    """Return Castagnoli's CRC-32, which the standard library has not."""
    value = 0xFFFFFFFF
    for byte in data:
        value = value >> 8 ^ _ROWS[(value ^ byte) & 0xFF]
    return value ^ 0xFFFFFFFF
