"""From a service's OpenAPI document to objectives: one for each operation, or for the one that is named.

Source: https://spec.openapis.org/oas/v3.1.1 (and 2.0, whose paths and operationIds are the same). Only paths, methods
and operationIds are read: no reference is followed.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from quarterdeck_contract.labels import HTTP_METHOD

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from collections.abc import Set as AbstractSet

    from quarterdeck_dashboards.catalogue.model import Service
    from quarterdeck_dashboards.catalogue.objective import Slo

_METHODS = frozenset(method.lower() for method in HTTP_METHOD.values)
LONGEST_NAME = 50
"""Characters of a name, as everywhere in the catalogue."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a document."""

    id: str
    """Its operationId."""
    method: str
    """Upper case."""
    path: str
    """Template: `/users/{id}`."""


def operations(text: str) -> tuple[Operation, ...]:
    """Return the operations of an OpenAPI document, in JSON or YAML, that have an operationId.

    Raises:
        ValueError: it is none, or has no such operation, or two with one operationId.
    """
    try:
        document = yaml.load(text, Loader=yaml.CSafeLoader)
    except yaml.YAMLError as error:
        raise ValueError("text that is neither JSON nor YAML") from error
    paths = document.get("paths") if isinstance(document, dict) else None
    if not isinstance(paths, dict):
        raise ValueError("no `paths`")  # noqa: TRY004 -- a wrong file, not a wrong call
    found = tuple(_operations(paths))
    if not found:
        raise ValueError("no operation with an operationId")
    seen: set[str] = set()
    for each in found:
        if each.id in seen:
            raise ValueError(f"the operationId {each.id} twice")
        seen.add(each.id)
    return found


def _operations(paths: dict[str, Any]) -> Iterator[Operation]:
    for path, item in paths.items():
        for method, operation in item.items() if isinstance(item, dict) else ():
            if method in _METHODS and isinstance(operation, dict) and isinstance(operation.get("operationId"), str):
                yield Operation(operation["operationId"], method.upper(), path)


def expanded(service: Service, known: Iterable[Operation]) -> Service:
    """Return *service* with its objectives' operations resolved to routes and methods, and without the document.

    So it can be written down, and read where the document is not: in the cluster.

    Raises:
        UnknownOperationError: an objective names an operation that is not *known*.
    """
    by_id = {operation.id: operation for operation in known}
    taken = {slo.name for slo in service.slos}
    slos: list[Slo] = []
    for index, slo in enumerate(service.slos):
        if slo.each is not None:
            for operation in by_id.values():
                name = _name(slo.name, operation.id, taken)
                taken.add(name)
                slos.append(_of(slo, operation, name))
        elif slo.operation is not None:
            if slo.operation not in by_id:
                raise UnknownOperationError(index, slo.operation, tuple(by_id))
            slos.append(_of(slo, by_id[slo.operation], slo.name))
        else:
            slos.append(slo)
    return service.model_copy(update={"slos": tuple(slos), "openapi": None, "routes": service.routes or len(by_id)})


class UnknownOperationError(Exception):
    """An objective of an operation that the document does not have."""

    def __init__(self, index: int, operation: str, known: tuple[str, ...]) -> None:
        super().__init__(operation)
        self.index = index
        """Of the objective, in the service."""
        self.operation = operation
        self.known = known


def _of(slo: Slo, operation: Operation, name: str) -> Slo:
    settled = {"name": name, "each": None, "operation": None}
    return slo.model_copy(update={**settled, "route": operation.path, "method": operation.method})


_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+")


def _name(prefix: str, identifier: str, taken: AbstractSet[str]) -> str:
    """Return the name of an objective of one operation: short enough, and not *taken*, by a hash where need be.

    >>> _name("availability", "createOrder", set())
    'availability-create-order'
    >>> _name("availability", "read_the_item_of_an_order_orders__id__items__item__get", set())
    'availability-read-the-item-of-an-order-orde-3480d1'
    """
    name = f"{prefix}-{_HUMP.sub('-', identifier).strip('-').lower()}"
    if len(name) <= LONGEST_NAME and name not in taken:
        return name
    digest = hashlib.sha256(identifier.encode()).hexdigest()[:6]
    return f"{name[: LONGEST_NAME - 1 - len(digest)].rstrip('-')}-{digest}"
