"""Grafana's variables in a query, replaced by what can stand there, so that what is left is PromQL.

Source: https://grafana.com/docs/grafana/latest/dashboards/variables/variable-syntax/ and
/dashboards/variables/add-template-variables/#global-variables.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from quarterdeck_dashboards.check.shape import PLACEHOLDER
from quarterdeck_dashboards.duration import format_duration

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta

_VARIABLE = re.compile(r"\$\{(\w+)(?:\.[^:{}]*)?(?::[^{}]*)?\}|\$(\w+)")
_OLD = re.compile(r"\[\[(\w+)(?::[^\[\]]*)?\]\]")
_DURATION = re.compile(r"(?:\d+(?:ms|[smhdwy]))+")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_NUMBERS = {"__interval_ms": "60000", "__range_s": "3600", "__range_ms": "3600000", "__from": "1", "__to": "2"}
_DEFAULT_WINDOW = "5m"


def substituted(text: str, variables: Mapping[str, str], rate_window: timedelta | None) -> str:
    """Return *text* with PromQL, or PLACEHOLDER, where Grafana's variables stood.

    Args:
        text: as the dashboard has it.
        variables: the dashboard's own, with their present value.
        rate_window: four scrapes, which `$__rate_interval` is at least; `$__interval` can be as little as one.

    >>> from datetime import timedelta
    >>> substituted('rate(a{b=~"$b"}[$__rate_interval])', {"b": "All"}, timedelta(minutes=1))
    'rate(a{b=~"quarterdeck_placeholder"}[1m])'
    """
    durations = {"__range": "1h"}
    if rate_window is not None:
        durations |= {"__rate_interval": format_duration(rate_window), "__interval": format_duration(rate_window / 4)}
    known = {**variables, **_NUMBERS, **dict.fromkeys(("__rate_interval", "__interval"), _DEFAULT_WINDOW), **durations}
    text = _OLD.sub(lambda match: f"${{{match[1]}}}", text)

    def replacement(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if name not in known:
            return match[0]  # `$1` of label_replace, or a mistake that the parser will name
        if _is_duration(text[: match.start()]):
            return known[name] if _DURATION.fullmatch(known[name]) else _DEFAULT_WINDOW
        return known[name] if _NUMBER.fullmatch(known[name]) else PLACEHOLDER

    return _VARIABLE.sub(replacement, text)


def _is_duration(before: str) -> bool:
    """Say whether what comes after *before* is a duration: in brackets, or after `offset`."""
    outside = re.sub(r'"(?:[^"\\]|\\.)*"', "", before)
    in_text = outside.count('"') % 2 == 1
    return not in_text and (outside.rfind("[") > outside.rfind("]") or outside.rstrip().endswith("offset"))
