"""What other servers say of how many requests they serve at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.contract.servers.conftest import Running

UWSGI = ("uwsgi", "--http-socket", "127.0.0.1:{port}", "--module", "app:app", "--disable-logging", "--die-on-term")


def test_uwsgi_says_its_threads(serving: Callable[..., Running]) -> None:
    """Of both workers together."""
    service = serving("wsgi", *UWSGI, "--master", "--processes", "2", "--threads", "3").instrumented(2)

    def all_said() -> bool:
        page = service.page()
        return page is not None and page.value("quarterdeck_worker_capacity", pool="requests") == 6.0

    service.wait_for(all_said, "all six threads")
