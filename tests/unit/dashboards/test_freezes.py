"""Freezes hold by the clock on a wall, each week or once, in summer and in winter."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from quarterdeck_dashboards.catalogue import Freeze, parse

WEEKEND = Freeze(name="weekend", begins="fri 16:00", ends="mon 08:00", time_zone="Europe/Berlin")
HOLIDAYS = Freeze(name="holidays", begins="2026-12-23 12:00", ends="2027-01-04 08:00", time_zone="America/New_York")


def at(text: str) -> datetime:
    """Return a time in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "until"),
    [
        ("2026-11-20T14:59", None),
        ("2026-11-20T15:00", "2026-11-23T07:00"),
        ("2026-11-22T23:59", "2026-11-23T07:00"),
        ("2026-11-23T06:59", "2026-11-23T07:00"),
        ("2026-11-23T07:00", None),
        ("2026-11-25T12:00", None),
        # In summer Berlin is two hours ahead; on the last weekend of October the clock is put back.
        ("2026-07-24T13:59", None),
        ("2026-07-24T14:00", "2026-07-27T06:00"),
        ("2026-10-23T14:00", "2026-10-26T07:00"),
    ],
)
def test_a_weekly_freeze_holds_from_its_day_to_its_day(now: str, until: str | None) -> None:
    """From the minute it begins to the one it ends in, which is free again."""
    assert WEEKEND.until(at(now)) == (at(until) if until else None)


@pytest.mark.parametrize(
    ("now", "until"),
    [
        ("2026-11-23T00:30", None),
        ("2026-11-23T02:00", "2026-11-23T05:00"),
        ("2026-11-23T05:00", None),
    ],
)
def test_a_weekly_freeze_within_one_day_does_not_wrap(now: str, until: str | None) -> None:
    """Two hours on Mondays are not the rest of the week."""
    night = Freeze(name="backup", begins="mon 02:00", ends="mon 05:00", time_zone="UTC")

    assert night.until(at(now)) == (at(until) if until else None)


def test_a_freeze_around_the_week_begins_the_week_before() -> None:
    """From Sunday night to Monday morning, asked on Monday."""
    night = Freeze(name="night", begins="sun 22:00", ends="mon 06:00", time_zone="UTC")

    assert night.until(at("2026-11-23T05:00")) == at("2026-11-23T06:00")
    assert night.until(at("2026-11-22T21:59")) is None


@pytest.mark.parametrize(
    ("now", "held"),
    [
        ("2026-12-23T16:59", False),
        ("2026-12-23T17:00", True),
        ("2027-01-04T12:59", True),
        ("2027-01-04T13:00", False),
        ("2027-12-24T13:00", False),
    ],
)
def test_a_freeze_with_dates_holds_once(now: str, held: bool) -> None:  # noqa: FBT001 -- parametrised
    """By New York's clock, five hours behind in winter."""
    assert (HOLIDAYS.until(at(now)) is not None) == held


def test_a_freeze_is_about_all_services_or_those_it_names() -> None:
    """As the catalogue has them."""
    catalogue = parse(
        "version: 1\n"
        "runbook_base_url: https://example.org/runbooks/\n"
        "services:\n"
        "  - {name: checkout, owner: payments, image: 'a/b:v1'}\n"
        "freezes:\n"
        "  - {name: peak, begins: 2026-11-27 00:00, ends: 2026-11-28 00:00, time_zone: UTC, services: [checkout]}\n",
        "services.yaml",
    )

    (peak,) = catalogue.freezes
    assert (peak.concerns("checkout"), peak.concerns("cart"), WEEKEND.concerns("cart")) == (True, False, True)
