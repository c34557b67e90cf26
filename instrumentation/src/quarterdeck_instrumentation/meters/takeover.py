"""Whose MeterProvider makes the instruments: the service's own if it sets one, whenever it does; else ours.

Ours is set when telemetry begins in a worker, if OpenTelemetry's metrics are imported by then, or else when they are.
Instruments that were made before are proxies, which record from then on. A service may still set its own provider
after that, which OpenTelemetry would otherwise refuse: proxies go over to it, and its data come to the page through a
reader that every SDK provider is given when it is made. Its views and its other readers work as before.
"""

from __future__ import annotations

import os
import sys
from functools import wraps
from typing import TYPE_CHECKING, Any

from quarterdeck_instrumentation.failures import failed
from quarterdeck_instrumentation.meters.home import home
from quarterdeck_instrumentation.settings import effective

if TYPE_CHECKING:
    from types import ModuleType

_API = "opentelemetry.metrics"
_OWN_PROVIDER = "OTEL_PYTHON_METER_PROVIDER"
"""Names the entry point of a provider that OpenTelemetry's API loads itself."""


class _State:
    begun = False
    """Whether telemetry has begun in this process or in one that it was forked from."""
    why = "OpenTelemetry's metrics are not imported"
    """Why whoever makes the instruments does."""


def begin() -> None:
    """Make ours the global provider, now or when OpenTelemetry's metrics are imported, unless the service has one."""
    _State.begun = True
    module = sys.modules.get(_API)
    if module is not None:
        patch_api(module)


def patch_api(module: ModuleType) -> None:
    """Set our provider, if telemetry has begun and the service has set none."""
    if not _State.begun:
        return
    internal: Any = sys.modules[f"{module.__name__}._internal"]  # the API itself says only what it would use
    chosen = internal._METER_PROVIDER  # noqa: SLF001 -- likewise
    if chosen is not None:
        if not _is_ours(chosen):
            _attach(chosen)
        return
    if os.environ.get(_OWN_PROVIDER):
        _State.why = f"{_OWN_PROVIDER} names it"
        return
    from opentelemetry.util._once import Once  # noqa: PLC0415 -- imported with the API

    from quarterdeck_instrumentation.meters.provider import LeanMeterProvider  # noqa: PLC0415 -- few services need it

    module.set_meter_provider(LeanMeterProvider())
    _State.why = "the service has set none"
    # The service may have its own all the same: it would have, without us.
    internal._METER_PROVIDER_SET_ONCE = Once()  # noqa: SLF001 -- likewise


def patch_sdk(module: ModuleType) -> None:
    """Have every `MeterProvider` of the SDK made with a reader for the page."""
    provider = module.MeterProvider
    construct = provider.__init__

    @wraps(construct)
    def constructing(self: Any, metric_readers: Any = (), *arguments: Any, **options: Any) -> None:
        readers = _with_ours(metric_readers)
        construct(self, readers, *arguments, **options)
        _belong(readers, self)

    provider.__init__ = constructing


def _with_ours(readers: Any) -> Any:
    try:
        if not effective(os.environ).metrics_page:  # what is not shown need not be read: its own readers push it
            return readers
        from quarterdeck_instrumentation.meters.sdk import PageReader  # noqa: PLC0415 -- only where the SDK's metrics are

        readers = list(readers)
        return readers if any(isinstance(each, PageReader) for each in readers) else [*readers, PageReader()]
    except Exception as error:  # noqa: BLE001 -- the service's own provider must be made as without us
        failed("metrics", "the service's own OpenTelemetry metrics cannot be shown on the page", error)
        return readers


def _belong(readers: Any, provider: Any) -> None:
    for reader in readers:
        if reader in _readers():
            reader.belong_to(provider)


def _attach(provider: Any) -> None:
    """Have the data of *provider*, which the service made before we could see it, come to the page."""
    _State.why = f"the service has set {type(provider).__qualname__}"
    if any(reader.belongs_to(provider) for reader in _readers()):
        return
    add = getattr(provider, "add_metric_reader", None)  # from SDK 1.40
    if add is not None:
        from quarterdeck_instrumentation.meters.sdk import PageReader  # noqa: PLC0415 -- likewise

        reader = PageReader()
        add(reader)
        _belong((reader,), provider)


def _is_ours(provider: Any) -> bool:
    module = sys.modules.get("quarterdeck_instrumentation.meters.provider")
    return module is not None and type(provider) is module.LeanMeterProvider


def _readers() -> list[Any]:
    sdk = sys.modules.get("quarterdeck_instrumentation.meters.sdk")
    return [] if sdk is None else [source for source in home.sources if isinstance(source, sdk.PageReader)]


def facts() -> dict[str, Any]:
    """Return who makes OpenTelemetry's instruments in this process and why, for whoever looks for missing metrics."""
    internal = sys.modules.get(f"{_API}._internal")
    provider = getattr(internal, "_METER_PROVIDER", None)
    lean = _is_ours(provider)
    client = sys.modules.get("quarterdeck_instrumentation.meters.prometheus")
    return {
        "meter_provider": None if provider is None else "quarterdeck" if lean else type(provider).__qualname__,
        "because": _State.why if provider is None or lean else f"the service has set {type(provider).__qualname__}",
        "on_the_page": lean or bool(_readers()),
        "readers_for_the_page": len(_readers()),
        "prometheus_client": client is not None,
        "not_on_the_page": dict(home.names.refused),
    }
