"""One annotation for a run, opened once and closed by whoever ends it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from quarterdeck_contract.errors import QuarterdeckError
from quarterdeck_dashboards.catalogue import load
from quarterdeck_dashboards.dashboards.common import marks
from quarterdeck_scripts.adapters.json_api import JsonApi
from quarterdeck_scripts.notices.annotations import GrafanaAnnotations
from quarterdeck_scripts.notices.notice import Occasion
from quarterdeck_scripts.ports import FakeClock

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.office import Office

    from quarterdeck_scripts.notices.notice import Notice

RUN = "checkout-v2-20270115T080000Z"
LOOK = ("GET", f"/api/annotations?tags=run%3A{RUN}&type=annotation&limit=1", b"")


def grafana(office: Office) -> GrafanaAnnotations:
    """Return a Grafana that a new process speaks to."""
    return GrafanaAnnotations(
        JsonApi(office.url, {"Authorization": "Bearer t"}, called="Grafana", clock=FakeClock(), within=1)
    )


def test_a_run_is_one_region_from_its_beginning_to_its_end(
    office: Office, began: Notice, ended: Notice, json_answer: Callable[[Any], Any]
) -> None:
    """Opened with tags that dashboards can ask for, closed with how it ended."""
    office.answers = [json_answer([]), json_answer({"id": 7, "message": "Annotation added"}), json_answer({})]
    listener = grafana(office)

    listener.hear(began)
    listener.hear(ended)

    opened, closed = office.got[1:]
    assert office.got[0] == LOOK
    assert opened == (
        "POST",
        "/api/annotations",
        {
            "time": 1_800_000_000_000,
            "tags": ["quarterdeck-rollout", f"run:{RUN}", "service:checkout", "env:prod"],
            "text": "checkout: rollout of v2 began (prod)<br>it runs localhost/checkout:v1",
        },
    )
    assert closed == (
        "PATCH",
        "/api/annotations/7",
        {
            "text": "checkout: rolled back v2 (prod)<br>errors: 12 of 600 &lt;requests&gt; failed",
            "timeEnd": 1_800_000_600_000,
        },
    )


def test_whoever_ends_a_run_closes_what_another_opened(
    office: Office, ended: Notice, json_answer: Callable[[Any], Any]
) -> None:
    """Its id is found by the run's tag; nothing is made a second time."""
    office.answers = [json_answer([{"id": 12}]), json_answer({})]

    grafana(office).hear(ended)

    assert [call[:2] for call in office.got] == [LOOK[:2], ("PATCH", "/api/annotations/12")]


def test_an_answer_that_is_lost_opens_no_second_one(
    office: Office, began: Notice, json_answer: Callable[[Any], Any]
) -> None:
    """The next notice looks first."""
    listener = grafana(office)
    office.answers = [json_answer([]), (500, b"lost", {})]
    with pytest.raises(QuarterdeckError):
        listener.hear(began)
    office.answers = [json_answer([{"id": 3}]), json_answer({})]

    listener.hear(replace(began, occasion=Occasion.GOING_BACK))

    assert [call[0] for call in office.got] == ["GET", "POST", "GET", "PATCH"]


def test_a_run_that_nobody_opened_is_drawn_when_it_ends(
    office: Office, ended: Notice, json_answer: Callable[[Any], Any]
) -> None:
    """From its beginning on, as one of an undo is."""
    office.answers = [json_answer([]), json_answer({"id": 1})]

    grafana(office).hear(ended)

    body = office.got[1][2]
    assert (body["time"], body["timeEnd"]) == (1_800_000_000_000, 1_800_000_600_000)


def test_a_services_dashboard_asks_for_what_its_rollouts_tell(
    office: Office, began: Notice, json_answer: Callable[[Any], Any], root: Path
) -> None:
    """All tags that it asks for are on the annotation."""
    office.answers = [json_answer([]), json_answer({"id": 1})]
    service = load(root / "services.yaml").service(began.service)

    grafana(office).hear(began)

    (asked,) = [mark.told for mark in marks(service) if mark.told]
    assert set(asked) <= set(office.got[1][2]["tags"])
