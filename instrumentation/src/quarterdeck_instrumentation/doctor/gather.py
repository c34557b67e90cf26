"""Looks at the environment, the installed packages, this machine and the collector; the one impure step."""

from __future__ import annotations

import sys
from dataclasses import fields
from typing import TYPE_CHECKING

from quarterdeck_instrumentation import activation, declarative, failures, providers, settings
from quarterdeck_instrumentation.doctor import machine, packages
from quarterdeck_instrumentation.doctor.facts import Facts, Reach, Stage
from quarterdeck_instrumentation.doctor.reach import reach
from quarterdeck_instrumentation.doctor.variables import ignored, unknown
from quarterdeck_instrumentation.exposition import session
from quarterdeck_instrumentation.spans import sampling, target

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quarterdeck_instrumentation.settings import Settings

_PROXIES = {"http": ("http_proxy", "HTTP_PROXY"), "https": ("https_proxy", "HTTPS_PROXY")}
"""Scheme → variables that name a proxy for it."""
_MULTIPROC = "PROMETHEUS_MULTIPROC_DIR"


def gather(environ: dict[str, str]) -> Facts:
    """Look at everything that can be seen without running the service."""
    failures.forget()
    chosen = settings.effective(environ)
    origins = settings.origins(environ)
    asked = declarative.asked(environ)
    plan = providers.plan(chosen, asked)
    traced = bool(chosen.traces_exporters)
    versions, needs, duplicates = packages.installed()
    listens = chosen.metrics_page and chosen.metrics_server
    port, page = machine.port(chosen.metrics_host, chosen.metrics_port) if listens else (None, None)
    folder = session.base(environ)
    multiproc = environ.get(_MULTIPROC, "")
    providers.readable(dict(environ))
    return Facts(
        python=sys.version_info[:3],
        packages=versions,
        needs=needs,
        duplicates=duplicates,
        distros=packages.named("opentelemetry_distro") + packages.named("opentelemetry_configurator"),
        distro_chosen=environ.get("OTEL_PYTHON_DISTRO", ""),
        configurator_chosen=environ.get("OTEL_PYTHON_CONFIGURATOR", ""),
        enabled=activation.enabled(environ),
        settings={
            each.name: (settings.shown(chosen, each.name), origins.get(each.name, "default")) for each in fields(chosen)
        },
        unknown_variables=unknown(environ),
        ignored_variables=ignored(environ),
        variables=frozenset(name for name in environ if name.startswith(("OTEL_", "QUARTERDECK_"))),
        config_file=environ.get(declarative.VARIABLE, ""),
        config_file_used=declarative.used(environ),
        exporters=chosen.traces_exporters,
        lean=plan.lean and not plan.why,
        why_sdk=plan.why,
        sampler=_sampler(asked) if traced and asked is environ else "",
        page_wanted=chosen.metrics_page,
        port=port,
        page=page,
        reach=_reach(chosen, asked),
        reach_metrics=_tried(environ, "METRICS", post=True) if chosen.metrics_push else None,
        proxy=_proxy(chosen, asked),
        folder=folder,
        folder_error=machine.writable(folder),
        multiproc_dir=multiproc,
        multiproc_dir_error=machine.writable(multiproc) if multiproc else "",
        agents=packages.started_by_path(environ.get("PYTHONPATH", "")),
        said=tuple(failures.said()),  # last: looking at the above is what says it
    )


def _sampler(environ: Mapping[str, str]) -> str:
    if sampling.read(environ) is None and sampling.load(environ) is None:
        return sampling.DEFAULT
    return f"{sampling.named(environ)} {environ.get(sampling.ARGUMENT, '')}".strip()


def _reach(chosen: Settings, environ: Mapping[str, str]) -> Reach | None:
    """Try the collector, if spans go to one; what other exporters need only they know."""
    if not any(name.startswith(providers.OTLP) for name in chosen.traces_exporters):
        return None
    grpc = "otlp_proto_grpc" in providers.plan(chosen, environ).exporters
    return _tried(_of_grpc(environ) if grpc else environ, "TRACES", post=not grpc)


def _tried(environ: Mapping[str, str], signal: str, *, post: bool) -> Reach:
    try:
        return reach(target.read(environ, signal), post=post)
    except ValueError as error:
        return Reach(str(error).split(" ", 1)[0], Stage.DNS, str(error))


def _of_grpc(environ: Mapping[str, str]) -> dict[str, str]:
    """Return *environ* with the endpoint of an exporter that speaks gRPC: another port, and a scheme may be missing."""
    names = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
    endpoint = next((environ[name] for name in names if environ.get(name)), "http://localhost:4317")
    return {**environ, names[0]: endpoint if "://" in endpoint else f"http://{endpoint}"}


def _proxy(chosen: Settings, environ: Mapping[str, str]) -> str:
    """Return the variable of a proxy that a client which heeds proxies would use, and the lean path does not."""
    if not providers.plan(chosen, environ).lean:
        return ""
    try:
        to = target.read(environ)
    except ValueError:
        return ""
    spared = environ.get("no_proxy", environ.get("NO_PROXY", "")).replace(" ", "").split(",")
    if "*" in spared or any(entry and to.host.endswith(entry.lstrip(".")) for entry in spared):
        return ""
    return next((name for name in _PROXIES[to.scheme] if environ.get(name)), "")
