"""Adds up the workers: the living from their files, the ended from totals, so that no counter ever goes backwards.

An ended worker's counters are folded into the totals, and its files removed: size and time stay flat however often
workers are replaced. The totals name the workers folded in, in the same stroke that adds them, so dying between
that and the removal counts nobody twice.
"""

from __future__ import annotations

from array import array
from operator import add
from typing import TYPE_CHECKING

from quarterdeck_contract.labels import OVERFLOW
from quarterdeck_instrumentation.exposition import snapshot as format_
from quarterdeck_instrumentation.exposition.snapshot import CorruptSnapshotError, Snapshot
from quarterdeck_instrumentation.failures import failed
from quarterdeck_instrumentation.foreign import Foreign, Merge, bare, family, form_of, lasts, merge_of
from quarterdeck_instrumentation.registry import CREATED, SERIES, VALUE, describe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from quarterdeck_contract.metrics import Metric
    from quarterdeck_instrumentation.exemplars import Exemplar
    from quarterdeck_instrumentation.exposition.store import Folder

_MERGES: dict[Merge, Callable[[float, float], float]] = {Merge.SUM: add, Merge.GREATEST: max, Merge.LEAST: min}


_GONE = 1000
"""Sums that are kept although no worker has them at present, beyond as many as there are: a removed series may come
back."""


class Sum:
    """One metric with one label set, over all workers."""

    __slots__ = ("_merge", "created", "exemplars", "family", "labels", "metric", "numbers", "prefixes", "workers")

    def __init__(self, metric: Metric, labels: tuple[str, ...]) -> None:
        self.metric = metric
        self.family = family(metric)
        """Its metric's name on the page."""
        self._merge = _MERGES.get(merge_of(metric))
        self.labels = labels
        self.prefixes: list[str] = []
        """What the page writes before each number: made once, by the page."""
        self.clear()

    def clear(self) -> None:
        """Forget what was added."""
        self.workers = 0
        self.created = 0.0
        self.numbers = array("d")
        self.exemplars: dict[int, Exemplar] = {}

    def add(self, created: float, numbers: array[float]) -> None:
        """Add one worker's numbers, in the order of the registry, without the time of creation.

        A time of creation that is no number says that the worker has no such series at present.
        """
        if created != created:  # noqa: PLR0124 -- what only "not a number" is
            return
        self.workers += 1
        if self.workers == 1:
            self.created, self.numbers = created, numbers
            return
        if self._merge is None:  # the latest
            if created > self.created:
                self.created, self.numbers = created, numbers
            return
        self.created = min(self.created, created)
        self.numbers = array("d", map(self._merge, self.numbers, numbers))

    def add_exemplar(self, bucket: int, exemplar: Exemplar) -> None:
        """Keep *exemplar* if it is the newest of its bucket."""
        kept = self.exemplars.get(bucket)
        if kept is None or kept.timestamp < exemplar.timestamp:
            self.exemplars[bucket] = exemplar


class Sums:
    """Sums by metric and labels, and for each source of snapshots the way from its values to them."""

    def __init__(self) -> None:
        self.metrics: dict[str, Metric] = {}
        """By name of the family; of those that differ in their labels alone, the first."""
        self._sums: dict[tuple[str, ...], Sum] = {}
        self._ways: dict[str, tuple[format_.Index, list[tuple[Sum, int, int]]]] = {}

    def of(self, snapshots: dict[str, Snapshot]) -> list[Sum]:
        """Return the sums over *snapshots*, which are named so that the next call is cheaper."""
        for each in self._sums.values():
            each.clear()
        self._ways = {name: way for name, way in self._ways.items() if name in snapshots}
        for name, snapshot in snapshots.items():
            way = self._way(name, snapshot.index)
            values = snapshot.values
            for total, start, stop in way:
                total.add(values[start + CREATED], values[start + VALUE : stop])
            for series, bucket, exemplar in snapshot.exemplars:
                way[series][0].add_exemplar(bucket, exemplar)
        shown = [each for each in self._sums.values() if each.workers]
        if len(self._sums) > 2 * len(shown) + _GONE:
            self._sums = {key: each for key, each in self._sums.items() if each.workers}
            self._ways = {}
        return shown

    def _way(self, name: str, index: format_.Index) -> list[tuple[Sum, int, int]]:
        known = self._ways.get(name)
        if known is not None and known[0] is index:
            return known[1]
        spelt = {id(each): _Spelt(each) for each in index.metrics}
        for metric in index.metrics:
            family = spelt[id(metric)].family
            before = self.metrics.get(family)
            if before is None or (_gives_way(before) and not _gives_way(metric)):
                self.metrics[family] = metric
        way = [(self._sum(each, spelt[id(each.metric)]), each.start, each.stop) for each in index.series]
        self._ways[name] = (index, way)
        return way

    def _sum(self, series: format_.Series, spelt: _Spelt) -> Sum:
        metric = self.metrics[spelt.family]
        if metric is not series.metric and _shape(metric) != _shape(series.metric):
            if _gives_way(metric) is _gives_way(series.metric):  # or it was said when the name was refused
                failed("store", f"{metric.name} differs between workers, so only the first one's is shown")
            return Sum(series.metric, series.labels)  # takes the values, and is on no page
        key = spelt.key(series.labels)
        found = self._sums.get(key)
        if found is None:
            found = self._sums[key] = Sum(series.metric, series.labels)
        return found


class _Spelt:
    """A metric's names as the page has them: there, two that OpenTelemetry tells apart may be one series."""

    __slots__ = ("_foreign", "_labels", "family")

    def __init__(self, metric: Metric) -> None:
        self.family = bare(metric)
        self._foreign = isinstance(metric, Foreign)
        self._labels = [label.prometheus for label in metric.labels] if self._foreign else []

    def key(self, labels: tuple[str, ...]) -> tuple[str, ...]:
        """Return what the series with these *labels*, in the order of the metric's, is known by."""
        if not self._foreign:
            return (self.family, *labels)
        if self._labels and not labels:
            return (self.family, OVERFLOW.name)
        pairs = sorted([pair for pair in zip(self._labels, labels, strict=False) if pair[1]])
        return (self.family, *[text for pair in pairs for text in pair])


def _gives_way(metric: Metric) -> bool:
    """Say whether *metric* leaves its name to one of OpenTelemetry's."""
    return isinstance(metric, Foreign) and metric.spelt


def _shape(metric: Metric) -> tuple[str, object, Merge]:
    """Return what two metrics of one family have to agree in."""
    return form_of(metric), metric.buckets, merge_of(metric)


class Collector:
    """What the worker that serves the page knows of all workers."""

    def __init__(self, folder: Folder | None, own_name: str, own: Callable[[], Snapshot]) -> None:
        """Collect from *folder*; *own* gives this worker's own last snapshot that is safely written down.

        Without a folder there is this worker alone.

        Raises:
            OSError: what the ended workers counted cannot be read at this moment; without it counters would go back.
        """
        self._folder = folder
        self._own_name = own_name
        self._own = own
        self._sums = Sums()
        self._living: dict[str, Snapshot] = {}
        self._totals = Snapshot()
        if folder is not None:
            self._take_over(folder)

    def collect(self) -> tuple[Iterable[Metric], list[Sum]]:
        """Return every metric, and the sums over all workers there are and were."""
        self.fold()
        snapshots = {"": self._totals, **self._living, self._own_name: self._own()}
        sums = self._sums.of(snapshots)
        return self._sums.metrics.values(), sums

    def fold(self) -> None:
        """Read the living, and add the ended to the totals."""
        if self._folder is None:
            return
        try:
            ended = self._read_all(self._folder)
        except FileNotFoundError:
            return  # this process is ending and removed the folder, or the workers are about to make it anew
        except OSError as error:
            failed("store", "the workers' folder cannot be read, so the page shows their last values", error)
            return
        if ended:
            self._fold(self._folder, ended)

    def _read_all(self, folder: Folder) -> dict[str, Snapshot]:
        ended: dict[str, Snapshot] = {}
        for name in folder.workers():
            if name == self._own_name:
                continue
            last = self._living.get(name)
            try:
                lives = folder.lives(name)  # asked before reading: what an ended worker wrote is final
                snapshot = folder.read(name, last.index if last is not None else None)
            except CorruptSnapshotError as error:
                failed("store", "a worker's values cannot be read, so the page shows its last ones", error)
                snapshot = None
            except OSError as error:
                failed("store", "a worker's file cannot be opened, so the page shows its last values", error)
                continue
            if last is not None and (snapshot is None or snapshot.sequence < last.sequence):
                snapshot = last  # what was shown is not taken back
            if not lives:
                ended[name] = snapshot or Snapshot()
            elif snapshot is not None:
                self._living[name] = snapshot
        return ended

    def _fold(self, folder: Folder, ended: dict[str, Snapshot]) -> None:
        totals = fold(self._totals, ended)
        try:
            folder.write_totals(format_.encode(totals.sequence, totals.index.text, totals.values.tobytes()))
        except OSError as error:
            failed("store", "what the ended workers counted cannot be written down; it is tried again", error)
            self._living.update({name: fold(Snapshot(), {name: each}) for name, each in ended.items()})
            return
        self._totals = totals
        for name in ended:
            folder.forget(name)
            self._living.pop(name, None)

    def _take_over(self, folder: Folder) -> None:
        try:
            self._totals = folder.read_totals() or Snapshot()
        except CorruptSnapshotError as error:  # any other, too many open files for one, may be over in a moment
            failed("store", "what the ended workers counted cannot be read, so counters begin anew", error)
        for name in self._totals.index.folded:
            folder.forget(name)


def fold(totals: Snapshot, ended: dict[str, Snapshot]) -> Snapshot:
    """Return *totals* with the lasting values of *ended*, and their names."""
    sums = [each for each in Sums().of({"": totals, **ended}) if lasts(each.metric)]
    metrics: dict[str, int] = {}
    lines: list[str] = []
    values = array("d")
    for each in sums:
        described = describe(each.metric)
        if described not in metrics:
            metrics[described] = len(metrics)
            lines.append(described)
        lines.append(format_.line(SERIES, metrics[described], each.labels))
        values.append(each.created)
        values.extend(each.numbers)
    lines += [format_.line(format_.FOLDED, name) for name in ended]
    return Snapshot(totals.sequence + 1, format_.parse("\n".join(lines).encode()), values)
