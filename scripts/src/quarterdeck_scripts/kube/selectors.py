"""Label and field selectors, as the API server reads them. Pure.

Source: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/ and …/field-selectors/.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quarterdeck_scripts.kube.client import Json

_TERM = re.compile(
    r"""\s*(?:
        !\s*(?P<absent>[^\s,!=()]+)
      | (?P<key>[^\s,!=()]+)\s*(?:
            (?P<equality>==|=|!=)\s*(?P<value>[^\s,()=!]*)
          | \s(?P<word>in|notin)\s*\((?P<values>[^()]*)\)
        )?
    )\s*(?:,|$)""",
    re.VERBOSE,
)


def selects(selector: Json, labels: Mapping[str, str]) -> bool:
    """Return whether a LabelSelector object (`matchLabels`, `matchExpressions`) selects *labels*.

    >>> selects({"matchLabels": {"app": "a"}}, {"app": "a", "track": "stable"})
    True
    """
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    return all(
        _holds(labels, each["key"], each["operator"].lower(), each.get("values") or [])
        for each in selector.get("matchExpressions") or []
    )


def label_query(selector: Json) -> str:
    """Return a LabelSelector object as the query parameter `labelSelector`.

    >>> label_query({"matchLabels": {"app": "a"}, "matchExpressions": [{"key": "old", "operator": "DoesNotExist"}]})
    'app=a,!old'
    """
    terms = [f"{key}={value}" for key, value in (selector.get("matchLabels") or {}).items()]
    for each in selector.get("matchExpressions") or []:
        key, operator = each["key"], each["operator"].lower()
        values = f"({','.join(each.get('values') or [])})"
        terms.append({"exists": key, "doesnotexist": f"!{key}"}.get(operator, f"{key} {operator} {values}"))
    return ",".join(terms)


def matches_labels(query: str, labels: Mapping[str, str]) -> bool:
    """Return whether the query parameter `labelSelector` selects *labels*.

    >>> matches_labels("app in (a, b),!old", {"app": "b"})
    True

    Raises:
        ValueError: *query* is no selector.
    """
    position = 0
    holds = True
    while position < len(query):
        term = _TERM.match(query, position)
        if term is None:
            raise ValueError(f"unable to parse requirement: {query[position:]!r}")
        position = term.end()
        holds = holds and _term_holds(term, labels)
    return holds


def _term_holds(term: re.Match[str], labels: Mapping[str, str]) -> bool:
    if term["absent"]:
        return term["absent"] not in labels
    if term["equality"]:
        return (labels.get(term["key"]) == term["value"]) is (term["equality"] != "!=")
    if term["word"]:
        return _holds(labels, term["key"], term["word"], [value.strip() for value in term["values"].split(",")])
    return term["key"] in labels


def _holds(labels: Mapping[str, str], key: str, operator: str, values: list[str]) -> bool:
    match operator:
        case "in":
            return labels.get(key) in values
        case "notin":
            return labels.get(key) not in values
        case "exists":
            return key in labels
        case _:
            return key not in labels


def matches_fields(query: str, found: Json) -> bool:
    """Return whether the query parameter `fieldSelector` selects the object *found*.

    >>> matches_fields("spec.nodeName=n1,status.phase!=Failed", {"spec": {"nodeName": "n1"}})
    True
    """
    for term in filter(None, query.split(",")):
        key, negated, value = re.fullmatch(r"([^=!]+)(!?)={1,2}(.*)", term).groups()  # type: ignore[union-attr]
        if (str(field(found, key)) == value) is bool(negated):
            return False
    return True


def field_names(query: str) -> list[str]:
    """Return the fields that a `fieldSelector` asks about."""
    return [re.split(r"!?=", term)[0] for term in query.split(",") if term]


def field(found: Any, dotted: str) -> Any:
    """Return the value at a dotted path; an empty string where there is none, as the API server takes it."""
    for key in dotted.split("."):
        found = found.get(key, "") if isinstance(found, dict) else ""
    return found
