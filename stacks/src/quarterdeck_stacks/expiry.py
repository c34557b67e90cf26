"""Which changes' environments are older than they say: whoever clears up destroys their stacks. Pure."""

from __future__ import annotations

from datetime import datetime
from itertools import groupby
from typing import TYPE_CHECKING, Any

from quarterdeck_contract.kubernetes import DOMAIN
from quarterdeck_dashboards.duration import parse_duration
from quarterdeck_stacks.reach import PREVIEW

if TYPE_CHECKING:
    from collections.abc import Iterable

TTL = f"{DOMAIN}/ttl"
"""Label on a change's namespaces, a duration: how long after their creation its stack may be destroyed."""


def expired(namespaces: Iterable[dict[str, Any]], now: datetime) -> list[str]:
    """Return the stacks all of whose *namespaces* are older than they say.

    One that does not say it in a way that can be read keeps its stack: nothing is destroyed by a typing error.
    """
    marked = sorted((each for each in namespaces if _stack(each)), key=_stack)
    return [name for name, of_one in groupby(marked, _stack) if all(_is_old(each, now) for each in of_one)]


def _stack(namespace: dict[str, Any]) -> str:
    return str(namespace["metadata"].get("labels", {}).get(PREVIEW, ""))


def _is_old(namespace: dict[str, Any], now: datetime) -> bool:
    try:
        kept = parse_duration(namespace["metadata"]["labels"].get(TTL, ""))
        return datetime.fromisoformat(namespace["metadata"]["creationTimestamp"]) + kept < now
    except (KeyError, ValueError):
        return False
