"""Fetch one file over HTTP, with a SHA-256 that is known beforehand."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pooch  # type: ignore[import-untyped] # it has no annotations
import requests

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_CHUNK = 1 << 18
"""Bytes fetched between two reports of progress."""


class DownloadError(Exception):
    """The file can not be had; the text says why, as a clause."""


class UnreachableError(DownloadError):
    """The host does not answer, so its other files need not be tried."""


def fetch(
    url: str, sha256: str, folder: Path, *, deadlines: tuple[float, float], on_progress: Callable[[str], None]
) -> Path:
    """Fetch *url* into *folder* and return the file, which has the SHA-256 *sha256*.

    Args:
        url: where the file is; redirects are followed.
        sha256: 64 hexadecimal digits.
        folder: where the file goes; nothing is left there after an error.
        deadlines: seconds for the connection, and between two pieces of the file.
        on_progress: told how much is there, as in `12.3 of 20.1 MB`.

    Raises:
        UnreachableError: the host does not answer.
        DownloadError: what it answers is not that file.
    """
    pooch.get_logger().setLevel("ERROR")  # what it would say, the errors below say
    downloader = pooch.HTTPDownloader(progressbar=_Bytes(on_progress), chunk_size=_CHUNK, timeout=deadlines)
    try:
        pooch.retrieve(url, known_hash=f"sha256:{sha256}", fname="download", path=folder, downloader=downloader)
    except requests.exceptions.ChunkedEncodingError as error:  # also without chunks: fewer bytes than announced
        raise DownloadError("the transfer ended before the file was whole") from error
    except (requests.ConnectionError, requests.Timeout) as error:
        raise UnreachableError(f"{urlsplit(url).netloc} does not answer") from error
    except requests.HTTPError as error:
        raise DownloadError(f"the answer was {error}") from error
    except requests.RequestException as error:
        raise DownloadError(f"the transfer broke: {error}") from error
    except ValueError as error:  # pooch's, for another hash; it has deleted the file
        raise DownloadError("its SHA-256 is not the pinned one") from error
    return folder / "download"


class _Bytes:
    """The progress bar that pooch asks for: counts bytes, says megabytes."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.total = 0
        self._done = 0
        self._say = say

    def update(self, count: int) -> None:
        """Count *count* more bytes; pooch says whole chunks, also for a last one that is shorter."""
        self._done += count
        if self.total:
            self._say(f"{min(self._done, self.total) / 1e6:.1f} of {self.total / 1e6:.1f} MB")
        else:
            self._say(f"{self._done / 1e6:.1f} MB")

    def reset(self) -> None:
        """Begin again; pooch does so at the end, to say the total once."""
        self._done = 0

    def close(self) -> None:
        """Nothing is held open."""
