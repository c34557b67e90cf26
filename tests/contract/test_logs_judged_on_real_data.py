"""A canary that answers well and logs errors, judged by what its process says and a real Prometheus keeps."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

import pytest
from tests.programs import until

from quarterdeck_scripts.adapters.prometheus import PrometheusApi
from quarterdeck_scripts.rollout.judge.criteria import Bad, Criteria, Objective
from quarterdeck_scripts.rollout.judge.evidence import PodFact
from quarterdeck_scripts.rollout.judge.guards import Rules
from quarterdeck_scripts.rollout.judge.logged import LogRules
from quarterdeck_scripts.rollout.judge.measure import Measurer
from quarterdeck_scripts.rollout.judge.record import RolloutRecord
from quarterdeck_scripts.rollout.judge.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.contract.conftest import Service
    from tests.contract.scraping import Prometheus

    from quarterdeck_scripts.rollout.judge.verdict import Assessment

pytestmark = pytest.mark.tools

SOURCE = """
import logging
import os

from fastapi import FastAPI

app = FastAPI()


@app.get("/pay")
async def pay() -> str:
    if os.environ["VERSION"] == "v2":
        logging.getLogger("shop").error("the receipt was not written")
    return "paid"


@app.get("/healthz")
async def healthz() -> None:
    pass
"""

SOON = Criteria(warm_up=0.0, stale_scrapes=60, guards=Rules(logs=LogRules(lasts=10.0, records=5)))
"""The rules as they are, but for ten seconds instead of five minutes, and no pod cold or stale: a machine may be."""


def test_a_canary_that_logs_errors_fails(
    service: Callable[..., Service], prometheus_of: Callable[..., Prometheus]
) -> None:
    """Whatever its requests say; and of its own record, read again, the same is said."""
    canary, stable = (service(source=SOURCE, VERSION=version).ready(1) for version in ("v2", "v1"))
    target = {"cluster": "local", "namespace": "shop", "service": "checkout"}
    targets = {
        running.metrics_port: {**target, "pod": track, "track": track, "version": version}
        for running, track, version in ((canary, "canary", "v2"), (stable, "stable", "v1"))
    }
    prometheus = prometheus_of(canary.metrics_port, interval="1s", others=targets)
    record = RolloutRecord(
        *("id", "checkout", "shop", "local", "uid", "x:v2", "x:v1", "anna", time.time(), 1.0, 600.0),
        SOON,
        (Objective("availability", Bad.FAILED, 0.0025),),
        since=time.time(),
    )
    measurer = Measurer(PrometheusApi(prometheus.url), record, version="v2")
    pods = [PodFact("canary", "canary", True, True), PodFact("stable", "stable", True, False)]

    def failed() -> Assessment | None:
        for _ in range(2):
            assert (canary.get("/pay"), stable.get("/pay")) == ((200, '"paid"'), (200, '"paid"'))
        found = measurer.look(pods)
        assert found.verdict is not Verdict.PASS, found.explanation
        return found if found.verdict is Verdict.FAIL else None

    assessment: Any = until(failed, "the verdict", 300.0)

    said = (
        r"Logs: the canary has logged \d+ errors within \d+ s, all the time, \d+ on 100 requests; the stable pods 0\."
    )
    assert re.fullmatch(said, assessment.explanation), assessment.explanation
    assert record.readings[-1].tallies[0].canary.bad == 0
    assert RolloutRecord.from_json(record.to_json()).replay() == assessment
