"""From an alert to its page, and to commands that run as they are printed."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

import click
import pytest

from quarterdeck_contract.errors import InconclusiveError, UsageError
from quarterdeck_dashboards import alerts as generated
from quarterdeck_dashboards.catalogue import load
from quarterdeck_scripts.runbook import advice
from quarterdeck_scripts.runbook.alerts import Alert, choose, parse_alerts
from quarterdeck_scripts.runbook.command import run
from quarterdeck_scripts.runbook.ports import FakeAlertmanager
from quarterdeck_scripts.runbook.registry import runbooks
from quarterdeck_scripts.runbook.session import Asked

if TYPE_CHECKING:
    from pathlib import Path

    from quarterdeck_dashboards.catalogue import Catalogue

BASE = "https://quarterdeck.dev/runbooks/"


@pytest.fixture
def catalogue(root: Path) -> Catalogue:
    """Return the catalogue of this repository."""
    return load(root / "services.yaml")


def alert(name: str = "ErrorBudgetBurn", page: str = "error-budget-burn", **labels: str) -> dict[str, Any]:
    """Return an alert as Alertmanager's API gives it."""
    annotations = {"runbook_url": f"{BASE}{page}/", "summary": "checkout burns"}
    return {"labels": {"alertname": name, "service": "checkout", **labels}, "annotations": annotations}


def parsed(*found: dict[str, Any]) -> list[Alert]:
    """Return alerts as Alertmanager tells them."""
    return parse_alerts(FakeAlertmanager(found).alerts())


class TestReadingAlerts:
    def test_the_api_and_a_webhook_and_a_single_one_are_read(self) -> None:
        """Each form gives the same alert."""
        single = alert()

        for document in ([single], {"version": "4", "alerts": [single]}, single):
            (found,) = parse_alerts(document)
            assert str(found) == "ErrorBudgetBurn of checkout"

    def test_what_is_resolved_does_not_fire(self) -> None:
        """A webhook's payload has both."""
        payload = {"alerts": [{**alert(), "status": "resolved"}, {**alert("ServiceDown"), "status": "firing"}]}

        assert [str(found) for found in parse_alerts(payload)] == ["ServiceDown of checkout"]

    @pytest.mark.parametrize("document", [None, 7, "x", {}, {"alerts": "x"}, [1], {"labels": []}, [{"labels": None}]])
    def test_anything_else_is_a_usage_error(self, document: Any) -> None:
        """The forms that are taken are named."""
        with pytest.raises(UsageError, match="Alertmanager's API or webhook"):
            parse_alerts(document)


class TestChoosing:
    def test_several_of_one_name_and_service_are_one(self) -> None:
        """A page and a ticket of two objectives have the same page."""
        found = parsed(alert(severity="page", slo="availability"), alert(severity="ticket", slo="latency"))

        assert choose(found, None, None).service == "checkout"

    def test_several_services_have_to_be_told_apart(self) -> None:
        """The commands are for one; which, nobody guesses."""
        found = parsed(alert(), alert(service="payment"))

        with pytest.raises(UsageError, match="several: ErrorBudgetBurn of checkout, ErrorBudgetBurn of payment"):
            choose(found, "ErrorBudgetBurn", None)
        assert choose(found, "ErrorBudgetBurn", "payment").service == "payment"

    @pytest.mark.parametrize(("name", "service"), [("ErrorBudgetBurm", None), (None, "payment")])
    def test_what_does_not_fire_is_said_with_what_does(self, name: str | None, service: str | None) -> None:
        """A misspelt name shows beside the right one."""
        with pytest.raises(UsageError, match="firing: ErrorBudgetBurn of checkout"):
            choose(parsed(alert()), name, service)

    def test_the_watchdog_is_meant_by_its_name_alone(self) -> None:
        """It always fires, so it would always be the second one."""
        watchdog = alert("Watchdog", "watchdog", service="prometheus")

        assert choose(parsed(watchdog, alert()), None, None).name == "ErrorBudgetBurn"
        assert choose(parsed(watchdog, alert()), "Watchdog", None).name == "Watchdog"
        with pytest.raises(UsageError, match="firing: none"):
            choose(parsed(watchdog), None, None)

    def test_nothing_fires(self) -> None:
        """That is said, and not taken for an answer; the next step does not ask to name one of none."""
        with pytest.raises(UsageError, match="firing: none") as nothing:
            choose([], None, None)

        assert "name one" not in nothing.value.next_step


class TestAdvice:
    def test_a_burn_has_three_remedies_with_their_arguments(self, catalogue: Catalogue) -> None:
        """In the order of what helps most often; half as many pods again as the catalogue says."""
        found = advice.on(parsed(alert())[0], catalogue, "prod").to_json()

        target = ["--service", "checkout", "--env", "prod"]
        assert [list(remedy["arguments"]) for remedy in found["remedies"]] == [
            ["runbook", "run", "roll-back", *target],
            ["runbook", "run", "restart", *target],
            ["runbook", "run", "scale", *target, "--replicas", "5"],
        ]
        assert found["page"] == "error-budget-burn"
        assert found["url"] == f"{BASE}error-budget-burn/"
        assert found["queries"][0]["promql"] == (
            'sum by (version) (rate(http_server_request_duration_seconds_count{service="checkout",'
            'http_response_status_code=~"5.."}[5m]))'
        )

    def test_every_alert_that_is_generated_leads_to_a_page(self, catalogue: Catalogue) -> None:
        """Each page is found by the URL that the alert carries, and its remedies are actions."""
        every = runbooks()
        for name, page in generated.RUNBOOKS.items():
            found = advice.on(parsed(alert(name, page))[0], catalogue, "local")
            assert found.runbook.id == page
            assert all(every[remedy.action].action for remedy in found.runbook.page.remedies)

    def test_every_command_is_one_that_run_takes(self, catalogue: Catalogue) -> None:
        """Parsed by the command line itself, with options that fit the action."""
        for page in runbooks().values():
            for command in advice.on(parsed(alert("X", page.id))[0], catalogue, "local").commands:
                words = shlex.split(command.line)
                assert words[:3] == ["quarterdeck", "runbook", "run"]
                given = run.make_context("run", words[3:]).params
                action = runbooks()[given["action"]].action
                assert action
                options = {key: given[key] for key in ("service", "node", "replicas", "undo", "force", "within")}
                Asked(given["action"], action, **options).require_fitting()

    def test_a_time_that_is_none_is_refused_with_one_that_is(self) -> None:
        """The step can be typed as it is written."""
        action = runbooks()["restart"].action
        assert action
        with pytest.raises(UsageError, match=r"Found 'soon'\.\nNext: write `--within 5m`\."):
            Asked("restart", action, "checkout", None, None, undo=False, force=False, within="soon").require_fitting()

    def test_the_text_has_all_that_is_needed_at_night(self, catalogue: Catalogue) -> None:
        """What it means, what to look at, what to type."""
        text = str(advice.on(parsed(alert())[0], catalogue, "local"))

        assert text.startswith("ErrorBudgetBurn of checkout: checkout burns\n")
        assert "## First look" in text
        assert "If it began with a new version:\n  quarterdeck runbook run roll-back --service checkout" in text

    def test_an_alert_about_no_service_has_a_page_and_no_command(self, catalogue: Catalogue) -> None:
        """Prometheus itself is nothing that is rolled back."""
        found = parsed(alert("PrometheusRulesFailing", "prometheus-unhealthy", service="prometheus"))[0]

        assert advice.on(found, catalogue, "local").to_json()["remedies"] == []

    def test_labels_cannot_smuggle_in_a_command(self, catalogue: Catalogue) -> None:
        """A service that the catalogue does not have gets no command line at all."""
        found = parsed(alert(service="checkout; rm -rf /"))[0]

        assert advice.on(found, catalogue, "local").commands == ()

    def test_an_alert_of_another_cluster_is_not_mixed_up(self, catalogue: Catalogue) -> None:
        """The commands would go to the wrong environment."""
        with pytest.raises(UsageError, match="--env prod"):
            advice.on(parsed(alert(cluster="prod"))[0], catalogue, "staging")

    @pytest.mark.parametrize(
        ("url", "found"),
        [
            (None, "none"),
            ("https://wiki.example/burn", "https://wiki.example/burn"),
            (f"{BASE}nothing-like-it/", "'nothing-like-it'"),
        ],
    )
    def test_a_page_that_is_not_ours_needs_a_person(self, catalogue: Catalogue, url: str | None, found: str) -> None:
        """No URL, a foreign one, and one to a page that is not there: exit code 3."""
        annotations = {} if url is None else {"runbook_url": url}
        entry = {"labels": {"alertname": "A", "service": "checkout"}, "annotations": annotations}

        with pytest.raises(InconclusiveError) as caught:
            advice.on(parsed(entry)[0], catalogue, "local")

        assert caught.value.found == found
        assert caught.value.exit_code == 3


class TestWhatRunTakes:
    @pytest.mark.parametrize(
        ("arguments", "found"),
        [
            (["restart"], "no --service"),
            (["drain", "--service", "checkout"], "no --node"),
            (["restart", "--service", "checkout", "--node", "n1"], "--node"),
            (["restart", "--service", "checkout", "--replicas", "3"], "--replicas"),
            (["scale", "--service", "checkout", "--replicas", "3", "--undo"], "--undo"),
            (["restart", "--service", "checkout", "--within", "soon"], "'soon'"),
        ],
    )
    def test_options_of_another_action_are_refused(self, arguments: list[str], found: str) -> None:
        """Before any cluster is asked: exit code 2."""
        with pytest.raises(UsageError) as caught:
            run.main(args=arguments, standalone_mode=False)

        assert caught.value.found == found

    def test_a_page_names_its_remedies(self) -> None:
        """Who runs the page of an alert is told what runs."""
        with pytest.raises(UsageError, match="roll-back, restart, scale"):
            run.main(args=["error-budget-burn", "--service", "checkout"], standalone_mode=False)

    def test_an_unknown_action_names_the_known(self) -> None:
        """All four."""
        with pytest.raises(UsageError, match="drain, restart, roll-back, scale"):
            run.main(args=["reboot"], standalone_mode=False)

    def test_a_negative_number_is_no_number(self) -> None:
        """Click says so."""
        with pytest.raises(click.BadParameter):
            run.main(args=["scale", "--service", "checkout", "--replicas", "-1"], standalone_mode=False)
