"""The rules as a Pulumi policy pack: `pulumi up --policy-pack policy`.

pulumi-policy runs in a virtual environment of its own, which Pulumi makes from the pack's requirements: it asks for an
older protobuf than Pulumi's other packages may have.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pulumi_policy import (  # type: ignore[import-not-found, unused-ignore]  # only in the pack's own environment
    EnforcementLevel,
    PolicyConfigSchema,
    PolicyPack,
    ResourceValidationPolicy,
    StackValidationPolicy,
)

from quarterdeck_stacks.policy import access, pods, together

if TYPE_CHECKING:
    from collections.abc import Callable

    from quarterdeck_stacks.policy.rule import ObjectRule, StackRule

NAME = "quarterdeck"

_KUBERNETES = "kubernetes:"
_NAMESPACES = "exemptNamespaces"


def serve() -> None:
    """Serve the pack to the Pulumi CLI that started this process; a violation keeps an update from beginning."""
    PolicyPack(
        NAME,
        [
            *(_of_object(rule) for rule in (*pods.RULES, *access.RULES)),
            *(_of_stack(rule) for rule in together.RULES),
        ],
        enforcement_level=EnforcementLevel.MANDATORY,
    )


def _schema(exempt: frozenset[str]) -> PolicyConfigSchema:
    """Return a rule's configuration: `{"quarterdeck-restricted": {"exemptNamespaces": ["quarterdeck-node"]}}`."""
    listed: dict[str, Any] = {"type": "array", "items": {"type": "string"}, "default": sorted(exempt)}
    return PolicyConfigSchema({_NAMESPACES: listed})


def _of_object(rule: ObjectRule) -> Any:
    def validate(arguments: Any, report: Callable[[str], None]) -> None:
        if arguments.resource_type.startswith(_KUBERNETES):
            for wrong in rule.check(_plain(arguments.props), _exempt(arguments, rule.exempt)):
                report(wrong)

    return ResourceValidationPolicy(rule.name, rule.says, validate, config_schema=_schema(rule.exempt))


def _of_stack(rule: StackRule) -> Any:
    def validate(arguments: Any, report: Callable[[str], None]) -> None:
        objects = [_plain(each.props) for each in arguments.resources if each.resource_type.startswith(_KUBERNETES)]
        for wrong in rule.check(objects, _exempt(arguments, rule.exempt)):
            report(wrong)

    return StackValidationPolicy(rule.name, rule.says, validate, config_schema=_schema(rule.exempt))


def _exempt(arguments: Any, default: frozenset[str]) -> frozenset[str]:
    return frozenset(arguments.get_config().get(_NAMESPACES, default))


def _plain(value: Any) -> Any:
    """Return *value* without pulumi-policy's proxies; a value that is not known before the update raises its error."""
    if isinstance(value, Mapping):
        return {key: _plain(value[key]) for key in value}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(each) for each in value]
    return value
