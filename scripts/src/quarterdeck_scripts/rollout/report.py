"""Rollouts as one HTML page that stands alone: no script, no font, no picture from elsewhere. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING

from quarterdeck_scripts.rollout.charts import Band, Chart, Line, draw
from quarterdeck_scripts.rollout.judge.counts import Tally
from quarterdeck_scripts.rollout.judge.criteria import Bad
from quarterdeck_scripts.rollout.judge.explain import duration, percent
from quarterdeck_scripts.rollout.steps.state import Ending

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from quarterdeck_scripts.rollout.judge.evidence import Reading
    from quarterdeck_scripts.rollout.judge.record import RolloutRecord
    from quarterdeck_scripts.rollout.judge.verdict import Estimate, Judgement

_GOOD = {Ending.PROMOTED}
_BAD = {Ending.ROLLED_BACK}


def render(rollouts: Sequence[RolloutRecord]) -> str:
    """Return *rollouts*, in that order, as one HTML page."""
    services = ", ".join(dict.fromkeys(record.service for record in rollouts)) or "none"
    style = files(__package__).joinpath("report.css").read_text(encoding="utf-8")
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="color-scheme" content="light dark">',
        f"<title>Rollouts of {escape(services)}</title>",
        f"<style>\n{style}</style></head><body><main>",
        f"<h1>Rollouts of {escape(services)}</h1>",
        *_contents(rollouts),
        *(part for record in rollouts for part in _rollout(record)),
        "</main></body></html>",
    ]
    return "\n".join(parts) + "\n"


def _contents(rollouts: Sequence[RolloutRecord]) -> Iterator[str]:
    if len(rollouts) > 1:
        yield '<ul class="contents">'
        for record in rollouts:
            yield f'<li><a href="#{escape(record.id)}">{_versions(record)}</a> {_badge(record)}</li>'
        yield "</ul>"


def _rollout(record: RolloutRecord) -> Iterator[str]:
    began = datetime.fromtimestamp(record.began, UTC)
    yield f'<section id="{escape(record.id)}">'
    yield f"<h2>{_versions(record)} {_badge(record)}</h2>"
    yield f'<p class="reason">{escape(record.reason)}</p>'
    yield (
        f'<p class="facts">{escape(record.environment)} · {escape(record.namespace)}/{escape(record.service)} · begun '
        f'<time datetime="{began.isoformat(timespec="seconds")}">{began:%Y-%m-%d %H:%M:%S} UTC</time> by '
        f"{escape(record.by)} · {duration(max(0.0, record.ended - record.began))} in all</p>"
    )
    if record.forced:
        yield f'<p class="warning">The gate was passed by, without a verdict: {escape(record.forced)}</p>'
    yield from _evidence(record)
    yield from _steps(record)
    yield from _queries(record)
    yield "</section>"


def _evidence(record: RolloutRecord) -> Iterator[str]:
    assessment = record.replay()
    if assessment is None:
        yield "<p>Nothing was measured.</p>"
        return
    yield "<h3>The verdict's numbers</h3>"
    if assessment.alarm:
        yield f'<p class="warning">{escape(assessment.alarm)}</p>'
    yield from _table(record, assessment.judgements)
    for index, judgement in enumerate(assessment.judgements):
        yield f"<h3>{escape(_heading(judgement))}</h3>"
        yield f"<figure>{draw(_share_chart(record, index))}"
        yield (
            "<figcaption>Since the canary was created, all requests so far. Shaded: where the canary's true share is, "
            "at every moment at once. Dashed: the most it may be.</figcaption></figure>"
        )
        yield from _routes(judgement)
    yield "<h3>Requests</h3>"
    yield f"<figure>{draw(_rate_chart(record))}"
    yield "<figcaption>Requests a second between two looks.</figcaption></figure>"
    causes = [(reading, cause) for reading in record.readings for cause in reading.causes]
    if causes:
        yield "<details><summary>Moments without a judgement</summary><ul>"
        yield from (f"<li>{_at(record, reading)}: {escape(cause)}</li>" for reading, cause in causes)
        yield "</ul></details>"


def _routes(judgement: Judgement) -> Iterator[str]:
    """Show each route where there are several, those that fail or are suspect first."""
    if not judgement.routes:
        return
    ordered = sorted(judgement.routes, key=lambda each: (not each.failed, not each.suspect))
    unfolded = " open" if judgement.route else ""
    yield f'<details{unfolded}><summary>Route by route</summary><div class="wide"><table><thead><tr>'
    yield (
        "".join(f'<th scope="col">{name}</th>' for name in ("Route", "", "Canary", "Stable", "At most"))
        + "</tr></thead>"
    )
    yield "<tbody>"
    for each in ordered:
        state = "FAIL" if each.failed else "suspect" if each.suspect else "" if each.telling else "too few requests"
        cells = (
            f"{each.canary.bad:,} of {each.canary.requests:,}",
            f"{each.stable.bad:,} of {each.stable.requests:,}",
            percent(each.share_high),
        )
        yield f'<tr><th scope="row">{escape(each.route)}</th><td>{state}</td>'
        yield "".join(f'<td class="number">{cell}</td>' for cell in cells) + "</tr>"
    yield (
        '</tbody></table></div><p class="note">At most: what the canary\'s true share on this route is below. Too few '
        "requests: a canary that fails all of them would not have been seen.</p></details>"
    )


def _table(record: RolloutRecord, judgements: Sequence[Judgement]) -> Iterator[str]:
    yield '<div class="wide"><table><thead><tr><th scope="col">Objective</th><th scope="col">Verdict</th>'
    yield '<th scope="col">Canary</th><th scope="col">Stable</th><th scope="col">Times stable</th>'
    yield '<th scope="col">True share of the canary</th><th scope="col">Allowed</th></tr></thead><tbody>'
    for each in judgements:
        cells = (
            f"{each.canary.bad:,} of {each.canary.requests:,}<br>{percent(each.canary.share)}",
            f"{each.stable.bad:,} of {each.stable.requests:,}<br>{percent(each.stable.share)}",
            _times(each.effect),
            f"{percent(each.canary_share.low)} to {percent(each.canary_share.high or 1.0)}",
            f"{percent(each.allowed)}",
        )
        yield f'<tr><th scope="row">{escape(_heading(each))}</th>'
        yield f'<td><span class="badge {_tone(each.verdict)}">{each.verdict}</span></td>'
        yield "".join(f'<td class="number">{cell}</td>' for cell in cells) + "</tr>"
    criteria = record.criteria
    yield "</tbody></table></div>"
    yield (
        f'<p class="note">Allowed is the larger of {criteria.ratio:g} times the stable share and '
        f"{percent(criteria.budget_share)} of the objective's error budget. Each lower bound is wrong with a chance of "
        f"at most {percent(criteria.false_fail * (1 - criteria.route_share) / max(1, len(judgements)))}, "
        "each upper bound of at most "
        f"{percent(criteria.false_pass / 2)}, over the whole rollout and however often it was looked at.</p>"
    )


def _share_chart(record: RolloutRecord, index: int) -> Chart:
    canary, stable, allowed, low, high = [], [], [], [], []
    for reading, trials in record.trials():
        if reading.causes:
            continue
        time, trial = reading.at - record.since, trials[index]
        if trial.canary.requests:
            share = trial.share()
            canary.append((time, trial.canary.share))
            low.append((time, share.low))
            high.append((time, share.high or 1.0))
        if trial.stable.requests:
            stable.append((time, trial.stable.share))
        allowed.append((time, trial.allowed))
    objective = record.objectives[index]
    what = (
        "failed requests"
        if objective.bad is Bad.FAILED
        else f"requests over {(objective.threshold or 0) * 1000:.0f} ms"
    )
    return Chart(
        title=f"Share of {what} over time, canary and stable, with what is allowed",
        x_label="seconds since the canary was created",
        y_label=f"{what}, %",
        lines=(
            Line("canary", "canary", tuple(canary)),
            Line("stable", "stable", tuple(stable)),
            Line("allowed", "allowed", tuple(allowed)),
        ),
        format_y=lambda share: f"{share * 100:.3g}",
        band=Band(tuple(low), tuple(high)),
        floor=2 * objective.floor,
    )


def _rate_chart(record: RolloutRecord) -> Chart:
    canary, stable = [], []
    index = next(n for n, objective in enumerate(record.objectives) if objective.bad is Bad.FAILED)
    at, then = record.since, Tally()
    for reading in record.readings:
        if reading.causes or reading.at <= at:
            continue
        seconds, time, now = reading.at - at, reading.at - record.since, reading.tallies[index]
        canary.append((time, (now.canary.requests - then.canary.requests) / seconds))
        stable.append((time, (now.stable.requests - then.stable.requests) / seconds))
        at, then = reading.at, now
    return Chart(
        title="Requests a second over time, canary and stable",
        x_label="seconds since the canary was created",
        y_label="requests/s",
        lines=(Line("canary", "canary", tuple(canary)), Line("stable", "stable", tuple(stable))),
        format_y=lambda rate: f"{rate:g}",
        floor=1.0,
    )


def _steps(record: RolloutRecord) -> Iterator[str]:
    yield '<h3>Steps</h3><div class="wide"><table><thead><tr><th scope="col">At</th><th scope="col">Took</th>'
    yield '<th scope="col">Step</th><th scope="col">Where it ended</th></tr></thead><tbody>'
    for step in record.steps:
        at = duration(max(0.0, step.at - record.began))
        yield f'<tr><td class="number">{at}</td><td class="number">{step.seconds:.1f} s</td>'
        yield f"<td>{escape(step.title)}</td><td>{escape(step.detail)}</td></tr>"
    yield "</tbody></table></div>"


def _queries(record: RolloutRecord) -> Iterator[str]:
    if record.queries:
        yield "<details><summary>What Prometheus was asked</summary>"
        for name, text in record.queries.items():
            yield f"<p>{escape(name)}</p><pre><code>{escape(text)}</code></pre>"
        yield "</details>"


def _versions(record: RolloutRecord) -> str:
    origin, image = record.origin.rpartition(":")[2], record.image.rpartition(":")[2]
    return f"{escape(record.service)}: {escape(origin)} → {escape(image)}"


def _badge(record: RolloutRecord) -> str:
    ending = record.ending or "running"
    tone = "good" if ending in _GOOD else "bad" if ending in _BAD else "open"
    return f'<span class="badge {tone}">{escape(ending)}</span>'


def _tone(verdict: str) -> str:
    return {"PASS": "good", "FAIL": "bad"}.get(verdict, "open")


def _heading(judgement: Judgement) -> str:
    objective = judgement.objective
    if objective.bad is Bad.FAILED:
        return f"{objective.name}: failed requests"
    return f"{objective.name}: requests over {(objective.threshold or 0) * 1000:.0f} ms"


def _times(effect: Estimate) -> str:
    value = "&ndash;" if effect.value is None else f"{effect.value:.2g}"
    high = "no bound" if effect.high is None else f"{effect.high:.2g}"
    return f"{value}<br>{effect.low:.2g} to {high}"


def _at(record: RolloutRecord, reading: Reading) -> str:
    return duration(max(0.0, reading.at - record.since))
