"""What happened, in plain words."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from quarterdeck_scripts.demo.acts import Paged, RolledOut


def summarize(rollouts: Sequence[RolledOut], paged: Paged, *, requests: int, failed: int, seconds: float) -> str:
    """Return the end of the demo: each rollout with its verdict and numbers, the page, the customers."""
    lines = ["", "What happened", ""]
    for each in rollouts:
        lines += [f"  {each.release.tag}  {each.record.ending}", *_verdict(each), ""]
    lines += [
        f"  {paged.alert}  paged {paged.detected:.0f} s after the first bad answer of a version forced past the gate",
        f"      runbook: {paged.runbook_url}",
        f"      remedy:  {paged.remedy}",
        f"      mended {paged.mended:.0f} s after that; {paged.failed:,} requests failed until then",
        "",
        (
            f"  Customers made {requests:,} requests in {seconds:.0f} s; {failed:,} failed "
            f"({sum(each.failed for each in rollouts):,} of them while the gate was judging)."
        ),
    ]
    return "\n".join(lines)


def _verdict(rolled_out: RolledOut) -> list[str]:
    assessment = rolled_out.record.replay()
    lines = [f"      {rolled_out.record.reason}"]
    if assessment is not None:
        lines = [f"      {judgement.verdict}: {judgement.explanation}" for judgement in assessment.judgements]
    if rolled_out.judged and rolled_out.logged:
        lines.append(
            f"      counted {rolled_out.judged.requests:,} requests and {rolled_out.judged.errors:,} errors of the "
            f"canary; its own log said {rolled_out.logged.requests:,} and {rolled_out.logged.errors:,}"
        )
    lines.append(
        f"      {rolled_out.seconds:.0f} s from the command to the end; {rolled_out.failed:,} requests failed meanwhile"
    )
    return lines
