"""Datadog's event stream and downtimes, each call held to Datadog's own description, where that is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.unit.scripts_publish.datadog_server import KEYS, DatadogServer
from tests.unit.scripts_publish.description import judge

from quarterdeck_scripts.adapters.json_api import JsonApi
from quarterdeck_scripts.datadog.store import DatadogStore
from quarterdeck_scripts.notices.datadog_downtimes import DatadogDowntimes
from quarterdeck_scripts.notices.datadog_events import DatadogEvents
from quarterdeck_scripts.notices.silences import Quiet
from quarterdeck_scripts.ports import FakeClock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from quarterdeck_scripts.notices.notice import Notice

QUIET = Quiet("prod", "shop", "checkout", ("WorkersSaturated", "EventLoopStalled"))


@pytest.fixture
def server() -> Iterator[DatadogServer]:
    """Return a Datadog on loopback; nothing may be said to it, or by it, that its description has not."""
    running = DatadogServer(judge())
    try:
        yield running
        assert running.wrong == []
    finally:
        running.close()


@pytest.fixture
def clock() -> FakeClock:
    """Return Datadog's time."""
    return FakeClock(1_800_000_000.0)


@pytest.fixture
def downtimes(server: DatadogServer, clock: FakeClock) -> DatadogDowntimes:
    """Return downtimes that wait in no time."""
    store = DatadogStore(JsonApi(server.url, KEYS, called="Datadog", clock=FakeClock()), "prod")
    return DatadogDowntimes(store, clock.now)


def running(server: DatadogServer) -> dict[str, int]:
    """Return the downtimes that are not over: of which alert, until when."""
    return {
        next(tag for tag in each["monitor_tags"] if tag.startswith("alert:")): each["end"]
        for each in server.objects["downtime"].values()
        if not each.get("canceled")
    }


def test_a_run_is_events_that_datadog_puts_together(server: DatadogServer, began: Notice, ended: Notice) -> None:
    """With the tags that dashboards and monitors have; the API key is enough."""
    api = JsonApi(server.url, {"DD-API-KEY": KEYS["DD-API-KEY"]}, called="Datadog", clock=FakeClock())

    for notice in (began, ended):
        DatadogEvents(api).hear(notice)

    first, second = server.events
    assert first == {
        "title": "checkout: rollout of v2 began (prod)",
        "text": "it runs localhost/checkout:v1",
        "alert_type": "info",
        "aggregation_key": "checkout-v2-20270115T080000Z",
        "date_happened": 1_800_000_000,
        "source_type_name": "quarterdeck",
        "tags": ["quarterdeck-rollout", "service:checkout", "env:prod", "kube_namespace:shop", "version:v2"],
    }
    assert (second["alert_type"], second["aggregation_key"]) == ("error", first["aggregation_key"])


def test_a_downtime_is_prolonged_in_place(server: DatadogServer, downtimes: DatadogDowntimes, clock: FakeClock) -> None:
    """One for each alert, however often it is held, and by whatever process."""
    downtimes.hold(QUIET, 300)
    clock.sleep(60)
    downtimes.hold(QUIET, 300)

    assert running(server) == {"alert:workerssaturated": 1_800_000_360, "alert:eventloopstalled": 1_800_000_360}
    assert len(server.objects["downtime"]) == 2


def test_only_tickets_of_the_one_service_are_quiet(server: DatadogServer, downtimes: DatadogDowntimes) -> None:
    """All four tags have to be on a monitor."""
    downtimes.hold(QUIET, 300)

    assert [each["monitor_tags"] for each in server.objects["downtime"].values()] == [
        ["service:checkout", "env:prod", f"alert:{alert}", "severity:ticket"]
        for alert in ("workerssaturated", "eventloopstalled")
    ]


def test_released_downtimes_are_cancelled_and_nobody_elses(server: DatadogServer, downtimes: DatadogDowntimes) -> None:
    """Of another service's rollout, or of somebody's own."""
    downtimes.hold(QUIET, 300)
    downtimes.hold(Quiet("prod", "shop", "orders", ("OpenFilesNearLimit",)), 300)
    server.put("downtime", {"message": "theirs", "scope": ["*"], "monitor_tags": ["alert:theirs"], "end": 1})

    downtimes.release(QUIET)
    downtimes.release(QUIET)

    assert running(server) == {"alert:openfilesnearlimit": 1_800_000_300, "alert:theirs": 1}
