"""Families as `prometheus_client` collects them, brought to the page: each type as it can be added up over workers."""

from __future__ import annotations

import os
from functools import lru_cache
from itertools import pairwise
from math import inf
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from quarterdeck_contract.labels import Label
from quarterdeck_contract.metrics import Kind
from quarterdeck_instrumentation.exemplars import Exemplar
from quarterdeck_instrumentation.foreign import Foreign, Merge, label_text
from quarterdeck_instrumentation.meters.attributes import Labels
from quarterdeck_instrumentation.meters.home import home
from quarterdeck_instrumentation.meters.names import Owner

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from quarterdeck_instrumentation.meters.readings import Reading

    Clock = Callable[[tuple[str, ...], float], float]
    """From a series and its value to the Unix time at which it was set to that."""

    Pairs = tuple[tuple[str, str], ...]
    """Names and values of labels."""

_MODES = {"sum": Merge.SUM, "max": Merge.GREATEST, "min": Merge.LEAST, "mostrecent": Merge.LATEST}
"""A gauge's `multiprocess_mode`, with or without `live` before it: then only workers that live count."""


def take(reading: Reading, family: Any, mode: str, set_at: Clock) -> None:
    """Bring *family* to the page, unless its names are somebody's who comes first.

    Args:
        reading: what it is brought to.
        family: a `prometheus_client.Metric`, or what has the same attributes.
        mode: a gauge's `multiprocess_mode`; for any other, nothing.
        set_at: asked where the value that was set last is wanted.
    """
    if family.type in ("histogram", "summary"):
        _take_distributions(reading, family)
        return
    of_process = (("pid", str(os.getpid())),) if mode.endswith("all") else ()
    created = {_key(each): each.value for each in family.samples if each.name == f"{family.name}_created"}
    metrics: dict[str, Foreign | None] = {}
    for sample in family.samples:
        if sample.name not in metrics:
            found = _metric(family, sample.name, mode)
            ours = found is not None and home.names.take(found, Owner.PROMETHEUS_CLIENT)
            metrics[sample.name] = found if ours else None
        metric = metrics[sample.name]
        if metric is None:
            continue
        key = _key(sample)
        began = set_at((sample.name, *key), sample.value) if metric.merge is Merge.LATEST else created.get(key)
        labels = _labels((*sample.labels.items(), *of_process))
        reading.number(metric, labels, float(sample.value), created=began, exemplar=_exemplar(sample.exemplar))


def _take_distributions(reading: Reading, family: Any) -> None:
    for metric, labels, parts in _distributions(family):
        if home.names.take(metric, Owner.PROMETHEUS_CLIENT):
            total, counts, created, exemplars = parts
            reading.distribution(metric, labels, total, counts, created=created, exemplars=exemplars)


def _metric(family: Any, sample: str, mode: str) -> Foreign | None:
    """Return the metric that a sample called *sample* is of; None: it says when another began."""
    name, unit, text = family.name, family.unit, family.documentation
    if family.type == "counter":
        return Foreign(sample, unit, Kind.COUNTER, text, spelt=True) if sample == f"{name}_total" else None
    if family.type == "gauge" and sample == name:
        merge = _MODES.get(mode.removeprefix("live"), Merge.GREATEST)
        kind = Kind.UP_DOWN_COUNTER if merge is Merge.SUM else Kind.GAUGE
        return Foreign(name, unit, kind, text, merge=merge, lasts=mode in _MODES, spelt=True)
    if (family.type, sample) in (("info", f"{name}_info"), ("stateset", name)):
        return Foreign(sample, "", Kind.GAUGE, text, merge=Merge.GREATEST, form=family.type, spelt=True)
    # A type that says nothing of how to add it up, for example a gauge histogram.
    return Foreign(sample, "", Kind.GAUGE, text, merge=Merge.GREATEST, form="unknown", spelt=True)


_Parts = tuple[float, list[float], "float | None", "dict[int, Exemplar]"]
"""Sum, count of each bucket alone, time of creation, exemplars by bucket."""


def _distributions(family: Any) -> Iterator[tuple[Foreign, Labels, _Parts]]:
    """Yield the series of a histogram or summary. A summary's quantiles cannot be added up: they are left out."""
    form = "summary" if family.type == "summary" else ""
    series: dict[Pairs, tuple[dict[str, float], list[Any]]] = {}
    for sample in family.samples:
        if "quantile" in sample.labels:
            continue
        key = tuple((name, value) for name, value in sample.labels.items() if name != "le")
        parts, buckets = series.setdefault(key, ({}, []))
        if "le" in sample.labels:
            buckets.append((float(sample.labels["le"]), sample.value, sample.exemplar))
        else:
            parts[sample.name.removeprefix(family.name)] = sample.value
    for key, (parts, found) in series.items():
        buckets = [(inf, parts.get("_count", 0.0), None)] if form else sorted(found, key=itemgetter(0))
        bounds = tuple(bound for bound, _, _ in buckets if bound < inf)
        if len(bounds) != len(buckets) - 1:
            raise ValueError(f"a series of {family.name} has no bucket without a bound")
        metric = Foreign(
            family.name, family.unit, Kind.HISTOGRAM, family.documentation, (), bounds, form=form, spelt=True
        )
        cumulative = [0.0, *(float(count) for _, count, _ in buckets)]
        counts = [count - below for below, count in pairwise(cumulative)]
        exemplars = {number: _exemplar(each) for number, (_, _, each) in enumerate(buckets)}
        kept = {number: each for number, each in exemplars.items() if each is not None}
        yield metric, _labels(key), (parts.get("_sum", 0.0), counts, parts.get("_created"), kept)


def _key(sample: Any) -> tuple[str, ...]:
    return tuple(sample.labels.values())


@lru_cache(maxsize=4096)
def _label(name: str) -> Label:
    return Label(name, "")


def _labels(pairs: Pairs) -> Labels:
    return Labels(tuple([_label(name) for name, _ in pairs]), tuple([value for _, value in pairs]), None)


def _exemplar(found: Any) -> Exemplar | None:
    if found is None:
        return None
    text = ",".join(label_text(_label(name).prometheus, value) for name, value in found.labels.items())
    return Exemplar(float(found.value), float(found.timestamp or 0.0), "", "", text)
