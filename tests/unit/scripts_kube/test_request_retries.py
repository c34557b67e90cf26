"""Which requests are sent again after which failure, and when."""

from __future__ import annotations

import pytest

from quarterdeck_contract.errors import UsageError
from quarterdeck_scripts.kube.client import ApiError, StaleError, UnreachableError
from quarterdeck_scripts.kube.retries import Backoff, may_be_sent_again, may_pass

LOST = UnreachableError("an answer", "a timeout", "wait")
UNSENT = UnreachableError("an answer", "connection refused", "wait", sent=False)


def refusal(status: int, retry_after: float | None = None) -> ApiError:
    """Return an answer of the server."""
    return ApiError(status, "Reason", "message", retry_after=retry_after)


@pytest.mark.parametrize("error", [LOST, UNSENT, StaleError("a", "b", "c"), *map(refusal, (429, 500, 502, 503, 504))])
def test_a_get_may_be_sent_again_after_whatever_passes(error: Exception) -> None:
    """It changes nothing."""
    assert may_be_sent_again("GET", "/api/v1/pods", error)


@pytest.mark.parametrize("error", [UsageError("a", "b", "c"), *map(refusal, (400, 401, 403, 404, 409, 410, 422))])
@pytest.mark.parametrize("method", ["GET", "PATCH"])
def test_what_does_not_pass_is_told_at_once(method: str, error: Exception) -> None:
    """Another request may help, the same one does not."""
    assert not may_be_sent_again(method, "/api/v1/pods", error)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_a_change_is_sent_again_only_when_it_was_not_carried_out(method: str) -> None:
    """Never sent, or refused for want of room; everything else is for its caller to read back."""
    assert [may_be_sent_again(method, "/api/v1/pods", error) for error in (UNSENT, refusal(429))] == [True, True]
    unknown = (LOST, *map(refusal, (500, 502, 503, 504)))
    assert not any(may_be_sent_again(method, "/api/v1/pods", error) for error in unknown)


def test_who_looks_first_may_try_after_more() -> None:
    """A conflict, and whatever may have been carried out; not what will be refused again."""
    assert all(map(may_pass, (LOST, UNSENT, *map(refusal, (409, 429, 500, 501, 504)))))
    assert not any(map(may_pass, (None, UsageError("a", "b", "c"), *map(refusal, (401, 403, 404, 422)))))


def test_a_disruption_budgets_429_is_an_answer() -> None:
    """The eviction would be refused again: what protects the pod is named by who asked."""
    assert not may_be_sent_again("POST", "/api/v1/namespaces/shop/pods/a/eviction", refusal(429, 10))


def test_pauses_double_up_to_the_most() -> None:
    """Drawn at their longest."""
    backoff = Backoff(draw=lambda: 1.0)

    assert [backoff.pause() for _ in range(7)] == [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 8.0]


def test_a_random_half_is_left_out() -> None:
    """Drawn at their shortest."""
    backoff = Backoff(draw=lambda: 0.0)

    assert [backoff.pause() for _ in range(3)] == [0.125, 0.25, 0.5]


def test_the_server_is_given_the_time_it_asks_for() -> None:
    """And a little more, so that those who were refused together do not come back together."""
    assert Backoff(draw=lambda: 1.0).pause(refusal(429, 3)) == 3.25
    assert Backoff(draw=lambda: 1.0).pause(refusal(429, 0)) == 0
    assert Backoff(draw=lambda: 1.0).pause(refusal(500)) == 0.25
