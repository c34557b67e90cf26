"""What the doctor has looked at, as plain values: everything that findings are decided from, and no secret."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum


class Holder(Enum):
    """Who listens on the page's port."""

    NOBODY = "nobody"
    OURS = "a service that runs under Quarterdeck"
    OTHER = "another program"
    IMPOSSIBLE = "nobody, and nobody can"


@dataclass(frozen=True, slots=True)
class Need:
    """A requirement of an installed distribution that is not met."""

    distribution: str
    version: str
    requirement: str
    """As the distribution states it, for example `opentelemetry-api==1.45.1`."""
    found: str
    """Version that is installed; empty: none."""


@dataclass(frozen=True, slots=True)
class Port:
    """The port of the page."""

    host: str
    number: int
    holder: Holder
    by: str = ""
    """What holds it, if that can be known: process id and command; or why nobody can."""


@dataclass(frozen=True, slots=True)
class Page:
    """The page of a service that runs under Quarterdeck."""

    series: dict[str, int]
    """Metric family → series it has on the page."""
    overflowing: tuple[str, ...]
    """Families with an overflow series: label sets beyond the limit share it."""
    labels: dict[str, tuple[tuple[str, int], ...]] = field(default_factory=dict)
    """Metric family → each of its labels with how many values it has, the one with most first."""


class Stage(Enum):
    """How far an attempt to reach the collector came."""

    DNS = "its name cannot be resolved"
    TCP = "no connection can be made"
    TLS = "no trust can be established"
    HTTP = "it does not take spans"
    DONE = "it takes spans"


@dataclass(frozen=True, slots=True)
class Reach:
    """A real attempt to reach the collector."""

    url: str
    """Without credentials."""
    stage: Stage
    """The stage that failed, or DONE."""
    detail: str
    """What was answered or raised."""
    posted: bool = True
    """Whether an empty batch was posted; over gRPC the connection alone is tried."""


@dataclass(frozen=True, slots=True)
class Hook:
    """A module that something is to be patched in."""

    module: str
    patch: str
    """Module and function that patches it."""
    early: bool
    """Whether it was imported before the instrumentation was."""
    failure: str = ""
    """Why it could not be patched; empty: it was."""


@dataclass(frozen=True, slots=True)
class Process:
    """What a Python process of the command said of itself."""

    pid: int
    arguments: str
    hooks: tuple[Hook, ...] = ()
    instrumentors: tuple[str, ...] = ()
    """Modules of OpenTelemetry's own instrumentors that are loaded."""
    failures: tuple[tuple[str, str], ...] = ()
    """Component and what was said of its failure."""
    provider: str = ""
    """Class of the tracer provider; empty: none is set."""
    why_sdk: str = ""
    """Why the SDK makes the spans of our provider; empty: it does not."""
    native_fastapi: str = ""
    meter_provider: str = ""
    """Who makes OpenTelemetry's instruments: `quarterdeck`, a class, or nobody."""
    why_meter_provider: str = ""
    off_the_page: dict[str, str] = field(default_factory=dict)
    """Instruments of the service that are not on the page, and why."""
    agents: tuple[str, ...] = ()
    """Other agents that are imported."""
    settings: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Setting → value and who says so, where that is not the default."""
    began: bool = False
    """Whether a server has called an application here, or is about to."""


@dataclass(frozen=True, slots=True)
class Run:
    """The command, run for a while."""

    command: tuple[str, ...]
    seconds: float
    """How long it ran."""
    status: int | None
    """Its exit status; None: it was still running, and was ended."""
    error: str = ""
    """Why it could not be started."""
    processes: tuple[Process, ...] = ()


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything."""

    python: tuple[int, int, int]
    packages: dict[str, str]
    """Distribution → version: ours, OpenTelemetry's, and the frameworks there are hooks for."""
    needs: tuple[Need, ...] = ()
    duplicates: tuple[str, ...] = ()
    """Distributions that are installed more than once."""
    distros: tuple[str, ...] = ()
    """Entry points of `opentelemetry_distro` and of `opentelemetry_configurator`, as name and distribution: `distro
    (opentelemetry-distro)`."""
    distro_chosen: str = ""
    """`OTEL_PYTHON_DISTRO`."""
    configurator_chosen: str = ""
    """`OTEL_PYTHON_CONFIGURATOR`."""
    enabled: bool = True
    settings: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Setting → value and who says so, `default` included."""
    said: tuple[tuple[str, str], ...] = ()
    """Component and what was said while the settings were read."""
    unknown_variables: tuple[str, ...] = ()
    """Variables beginning with `OTEL_` or `QUARTERDECK_` that nobody here reads."""
    ignored_variables: tuple[tuple[str, str], ...] = ()
    """Variables of OpenTelemetry's that are set and not heeded here, and what is so instead."""
    variables: frozenset[str] = frozenset()
    """Names of all variables beginning with `OTEL_` or `QUARTERDECK_` that are set."""
    config_file: str = ""
    """`OTEL_CONFIG_FILE`."""
    config_file_used: bool = False
    exporters: tuple[str, ...] = ()
    lean: bool = False
    why_sdk: tuple[str, ...] = ()
    sampler: str = ""
    """Its name and argument; empty: no spans are made, or a file describes it."""
    page_wanted: bool = True
    port: Port | None = None
    page: Page | None = None
    reach: Reach | None = None
    """Of the collector of spans."""
    reach_metrics: Reach | None = None
    """Of the collector that metrics are pushed to."""
    proxy: str = ""
    """The variable that names a proxy which the collector would be reached through; empty: none."""
    folder: str = ""
    """Where workers share their values."""
    folder_error: str = ""
    """Why nothing can be written there; empty: it can."""
    multiproc_dir: str = ""
    """`PROMETHEUS_MULTIPROC_DIR`."""
    multiproc_dir_error: str = ""
    agents: tuple[str, ...] = ()
    """Other agents that this environment starts: variables and folders on PYTHONPATH."""
    run: Run | None = None
