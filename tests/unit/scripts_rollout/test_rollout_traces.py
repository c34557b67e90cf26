"""Traces are named so that one opens the telling ones first."""

from __future__ import annotations

from quarterdeck_scripts.ports import Exemplar
from quarterdeck_scripts.rollout.acting.traces import lines
from quarterdeck_scripts.rollout.judge import queries


def exemplar(trace: str, status: str, seconds: float) -> Exemplar:
    """Return a request that was counted."""
    said = {"http_request_method": "POST", "http_route": "/pay", "http_response_status_code": status, "pod": "c"}
    return Exemplar(said, trace, seconds, 1_700_000_000.25)


def test_failed_requests_come_first_then_the_slowest() -> None:
    """A trace that is named twice is one line; a counter without labels has a line too."""
    found = [
        exemplar("a", "200", 0.1),
        exemplar("b", "503", 0.01),
        exemplar("a", "200", 0.1),
        exemplar("c", "200", 2),
        Exemplar({}, "d", 0.05, 0),
    ]

    assert list(lines(found)) == [
        "b  POST /pay: 503 after 0.010 s, pod c, 2023-11-14T22:13:20.250+00:00",
        "c  POST /pay: 200 after 2.000 s, pod c, 2023-11-14T22:13:20.250+00:00",
        "a  POST /pay: 200 after 0.100 s, pod c, 2023-11-14T22:13:20.250+00:00",
        "d  - -: no status after 0.050 s, pod -, 1970-01-01T00:00:00.000+00:00",
    ]


def test_no_more_are_named_than_anybody_opens() -> None:
    """A busy service has thousands."""
    assert len(list(lines(exemplar(str(n), "200", 1) for n in range(1000)))) == 100


def test_those_of_one_version_are_asked_for() -> None:
    """Whichever way it was let in."""
    assert queries.served("shop", "checkout", "v2") == (
        'http_server_request_duration_seconds_bucket{namespace="shop",service="checkout",track=~"stable|canary",'
        'version="v2"}'
    )
