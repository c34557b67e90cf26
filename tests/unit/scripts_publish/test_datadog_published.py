"""Datadog made what the catalogue says, through its API as its own description has it, and through its failures."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from tests.unit.scripts_publish.conftest import CATALOGUE, MORE, wanted
from tests.unit.scripts_publish.datadog_server import KEYS

from quarterdeck_contract.errors import QuarterdeckError
from quarterdeck_dashboards.datadog.downtimes import of_rollout
from quarterdeck_scripts.publish import plan as plans
from quarterdeck_scripts.publish.plan import Act

if TYPE_CHECKING:
    from tests.unit.scripts_publish.conftest import Desk

    from quarterdeck_scripts.audit import AuditLog

PAGE_BY_1H = "checkout burns availability, page by 1h (prod)"


def test_all_is_made_as_the_description_allows(desk: Desk) -> None:
    """A first apply makes objectives, then the monitors that need their ids, then dashboards, each with our marks."""
    every = wanted(CATALOGUE + MORE, whole=True)

    desk.apply(every)

    assert desk.names("slo") == ["checkout: availability (prod)", "orders: fast (prod)"]
    assert [each.name for each in every if each.kind == "monitor"] == [
        each["name"] for each in desk.server.objects["monitor"].values()
    ]
    burn, slo = desk.one("monitor", PAGE_BY_1H), desk.one("slo", "checkout")
    assert burn["query"] == f'burn_rate("{slo["id"]}").over("30d").long_window("1h").short_window("5m") > 14.4'
    assert {
        "managed-by:quarterdeck",
        "quarterdeck-env:prod",
        "quarterdeck-key:slo/checkout/availability/metric",
    } <= set(slo["tags"])
    assert all("quarterdeck-env:prod" in each["description"] for each in desk.server.objects["dashboard"].values())


def test_a_second_apply_changes_nothing(desk: Desk) -> None:
    """What Datadog adds of its own, ids, times and defaults, is no difference."""
    desk.apply(wanted())

    plan = desk.apply(wanted())

    assert {step.act for step in plan.steps} == {Act.KEEP}
    assert desk.server.changes() == []


def test_what_somebody_changed_is_shown_and_mended(desk: Desk) -> None:
    """A threshold that was edited in the browser is told by its field, with what it is and what it should be."""
    desk.apply(wanted())
    monitor = desk.one("monitor", PAGE_BY_1H)
    desk.server.edit("monitor", str(monitor["id"]), options=monitor["options"] | {"thresholds": {"critical": 99.0}})

    (step,) = desk.apply(wanted()).changes

    assert (step.act, step.why) == (Act.CHANGE, plans.DRIFT)
    assert [str(each) for each in step.differences] == ["options.thresholds.critical: 99.0 → 14.4"]
    assert desk.one("monitor", PAGE_BY_1H)["options"]["thresholds"] == {"critical": 14.4}
    assert desk.plan(wanted()).changes == ()


def test_what_somebody_renamed_is_found_and_named_again(desk: Desk) -> None:
    """A name is no identity: the key in the tags is."""
    desk.apply(wanted())
    slo = desk.one("slo", "checkout")
    desk.server.edit("slo", slo["id"], name="ours no more?")

    (step,) = desk.apply(wanted()).changes

    assert [str(each) for each in step.differences] == ["name: 'ours no more?' → 'checkout: availability (prod)'"]
    assert [each["id"] for each in desk.server.objects["slo"].values()] == [slo["id"]]


def test_what_the_catalogue_changed_is_told_from_drift(desk: Desk) -> None:
    """An objective that was raised changes the SLO in place, which keeps its history."""
    desk.apply(wanted())

    changes = desk.apply(wanted(CATALOGUE.replace("99.5", "99.9"))).changes

    assert {(step.act, step.why) for step in changes} == {(Act.CHANGE, plans.NEWS)}
    assert changes[0].differences[0].field == "description"
    assert str(changes[0].differences[1]) == "thresholds[0].target: 99.5 → 99.9"


def test_a_service_that_is_gone_takes_its_own_with_it(desk: Desk) -> None:
    """Monitors go before the objective that they refer to, which Datadog would not delete else."""
    desk.apply(wanted(CATALOGUE + MORE))

    plan = desk.apply(wanted())

    deleted = [step.resource.kind for step in plan.changes if step.act is Act.DELETE]
    assert deleted[-1] == "slo"
    assert set(deleted[:-1]) == {"monitor"}
    assert [name for kind in ("slo", "monitor") for name in desk.names(kind) if "orders" in name] == []


def test_a_service_with_another_name_is_another_service(desk: Desk) -> None:
    """A renamed service has everything made anew, and nothing of the old name is left."""
    desk.apply(wanted())

    desk.apply(wanted(CATALOGUE.replace("checkout", "till")))

    assert desk.names("slo") == ["till: availability (prod)"]
    assert [name for name in desk.names("monitor") if "checkout" in name] == []


@pytest.mark.parametrize("kind", ["slo", "monitor", "dashboard"])
def test_what_is_not_ours_is_left_alone_and_said(desk: Desk, kind: str) -> None:
    """Something with our name and without our tags is not touched; everything that does not need it is done."""
    ours = next(each for each in wanted() if each.kind == kind and "burn_rate" not in str(each.body))
    foreign = desk.server.put(kind, ours.body)
    before = dict(foreign)

    with pytest.raises(QuarterdeckError, match="has this name and not our marks") as raised:
        desk.apply(tuple(each for each in wanted() if "burn_rate" not in str(each.body)))

    assert raised.value.exit_code == 1
    assert desk.server.objects[kind][str(foreign["id"])] == before
    assert [each.resource.key for each in desk.plan(wanted()).left] == [ours.key]


def test_an_answer_that_is_lost_makes_nothing_twice(desk: Desk) -> None:
    """After a creation without an answer it is looked for by its key before it is made again."""
    desk.server.faults += [("POST", "/api/v1/slo", "lost"), ("POST", "/api/v1/monitor", "lost")]

    desk.apply(wanted())

    assert desk.names("slo") == ["checkout: availability (prod)"]
    assert len(desk.names("monitor")) == len(set(desk.names("monitor")))
    assert desk.plan(wanted()).changes == ()


def test_an_answer_that_never_comes_makes_nothing_twice(desk: Desk) -> None:
    """The change was made and Datadog says nothing: the wait ends, and what was made is found."""
    desk.timeout = 1.0
    desk.server.faults += [("POST", "/api/v1/slo", "silent"), ("GET", "/api/v1/monitor", "silent")]

    desk.apply(wanted())

    assert desk.names("slo") == ["checkout: availability (prod)"]
    assert desk.server.changes().count(("POST", "/api/v1/slo")) == 1
    assert desk.plan(wanted()).changes == ()


def test_a_change_whose_answer_is_lost_is_made_once_more(desk: Desk) -> None:
    """To send the same body again does no harm, so it is sent until it is answered."""
    desk.apply(wanted())
    desk.server.edit("slo", desk.one("slo", "checkout")["id"], name="another")
    desk.server.faults += [("PUT", "/api/v1/slo", "lost"), ("PUT", "/api/v1/slo", 500)]

    desk.apply(wanted())

    assert desk.server.changes() == [("PUT", f"/api/v1/slo/{desk.one('slo', 'checkout')['id']}")] * 3
    assert desk.slept != []


def test_a_server_error_is_tried_again_after_a_look(desk: Desk) -> None:
    """A creation that ended in a server error may have been made: it is looked for, and then made."""
    desk.server.faults += [("POST", "/api/v1/slo", 500)]

    desk.apply(wanted())

    assert desk.names("slo") == ["checkout: availability (prod)"]


def test_a_rate_limit_is_waited_for(desk: Desk) -> None:
    """For as long as X-RateLimit-Reset says, and no longer."""
    desk.server.faults += [("POST", "/api/v1/monitor", 429)]
    began = desk.clock.now()

    desk.apply(wanted())

    assert round(desk.clock.now() - began, 1) == 7.1
    assert desk.plan(wanted()).changes == ()


def test_a_rate_limit_that_lasts_ends_the_run_which_goes_on_later(desk: Desk) -> None:
    """What was done is said, and what was not; the next run does the rest."""
    desk.server.faults += [("POST", "/api/v1/monitor", 429)] * 20

    with pytest.raises(QuarterdeckError, match=r"1 made and \d+ not"):
        desk.apply(wanted())
    assert desk.names("monitor") == []
    desk.server.faults.clear()
    desk.apply(wanted())

    assert desk.plan(wanted()).changes == ()


def test_what_fails_keeps_nothing_else_from_being_done(desk: Desk) -> None:
    """An objective that is refused leaves out the monitors that need its id, and only those."""
    desk.server.faults += [("POST", "/api/v1/slo", 400)]

    with pytest.raises(QuarterdeckError, match="made and 4 not"):
        desk.apply(wanted())
    assert "checkout is down (prod)" in desk.names("monitor")
    desk.apply(wanted())

    assert desk.plan(wanted()).changes == ()


def test_an_edit_after_the_plan_is_not_overwritten(desk: Desk) -> None:
    """Whoever saves while the plan is read wins: the step is refused, and the next plan shows it."""
    desk.apply(wanted())
    number = str(desk.one("monitor", PAGE_BY_1H)["id"])
    desk.server.edit("monitor", number, message="first")
    publication = desk.publication(wanted())
    plan = publication.plan()
    desk.server.edit("monitor", number, message="second")

    with pytest.raises(QuarterdeckError, match="0 made and 1 not"):
        publication.carry_out(plan, None, "datadog apply", lambda _: None)

    assert desk.server.objects["monitor"][number]["message"] == "second"
    (step,) = desk.plan(wanted()).changes
    assert step.differences[0].found == "second"


def test_what_goes_while_it_is_to_be_deleted_is_no_error(desk: Desk) -> None:
    """Somebody else deleted it first: it is gone, which is what was asked for."""
    desk.apply(wanted())
    number = str(desk.one("monitor", PAGE_BY_1H)["id"])
    desk.server.faults += [("DELETE", f"/api/v1/monitor/{number}", lambda: desk.server.objects["monitor"].pop(number))]

    desk.destroy()

    assert desk.server.objects["monitor"] == {}


def test_short_pages_hide_nothing(desk: Desk) -> None:
    """A page with less than was asked for is not taken for the last one."""
    desk.apply(wanted(CATALOGUE + MORE))
    desk.server.longest_page = 1

    assert desk.plan(wanted(CATALOGUE + MORE)).changes == ()


def test_two_of_one_key_become_one(desk: Desk) -> None:
    """The older one stays, because its history does, and its monitors are not touched."""
    desk.apply(wanted())
    old = desk.one("slo", "checkout")
    copied = {name: old[name] for name in ("name", "type", "thresholds", "tags", "description", "sli_specification")}
    desk.server.put("slo", copied)

    changes = desk.apply(wanted()).changes

    assert [(step.act, step.why) for step in changes] == [(Act.DELETE, plans.SECOND)]
    assert list(desk.server.objects["slo"]) == [old["id"]]


def test_to_destroy_leaves_what_is_not_ours(desk: Desk) -> None:
    """Neither another environment's nor anybody else's is deleted."""
    desk.apply(wanted())
    desk.apply(wanted(environment="staging"), "staging")
    foreign = desk.server.put("monitor", {"name": "theirs", "type": "query alert", "query": "q", "tags": ["a:b"]})

    desk.destroy()

    assert desk.names("slo") == ["checkout: availability (staging)"]
    assert [name for name in desk.names("monitor") if not name.endswith("(staging)")] == ["theirs"]
    assert desk.server.objects["monitor"][str(foreign["id"])]["tags"] == ["a:b"]
    assert len(desk.server.objects["dashboard"]) == 1


def test_a_downtime_is_a_lease(desk: Desk) -> None:
    """It is prolonged in place, outlives an apply of the catalogue, and is cancelled with everything else."""
    hours = [datetime(2026, 11, 23, hour, tzinfo=UTC) for hour in (4, 5)]
    until = [of_rollout("checkout", "prod", "WorkersSaturated", hour) for hour in hours]

    desk.apply((until[0],))
    desk.apply((until[1],))
    desk.apply(wanted())
    (downtime,) = desk.server.objects["downtime"].values()
    assert (downtime["end"], downtime.get("canceled")) == (1795410000, None)
    assert downtime["monitor_tags"] == [
        "service:checkout",
        "env:prod",
        "alert:workerssaturated",
        "severity:ticket",
    ]

    desk.destroy()
    assert downtime["canceled"] is not None


def test_no_key_is_ever_said(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    """Not even when the answer itself has it."""
    desk.server.faults += [("GET", "/api/v1/slo", 400)]

    with pytest.raises(QuarterdeckError) as raised:
        desk.plan(wanted())

    said = f"{raised.value}{capsys.readouterr()}"
    assert "told to say 400, …" in said
    assert not any(key in said for key in KEYS.values())


def test_every_change_is_in_the_audit_log(desk: Desk, audit: AuditLog) -> None:
    """Written down before with the plan, and after with what was done and what was not."""
    desk.apply(wanted(), audit=audit)
    desk.server.edit("slo", desk.one("slo", "checkout")["id"], name="another")
    desk.server.faults += [("PUT", "/api/v1/slo", 400)]
    with pytest.raises(QuarterdeckError):
        desk.apply(wanted(), audit=audit)

    entries = audit.verify().entries
    assert [(each.action, each.phase, each.outcome) for each in entries] == [
        ("datadog apply", "before", ""),
        ("datadog apply", "after", "done"),
        ("datadog apply", "before", ""),
        ("datadog apply", "after", "failed: 0 made and 1 not, as said above"),
    ]
    assert entries[1].after[0] == "create slo/checkout/availability/metric"
    assert entries[2].before[-1]["act"] == "keep"
