"""Dashboards as files: as committed, written once, and nothing foreign touched."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from click.testing import CliRunner

from quarterdeck_dashboards import dashboards
from quarterdeck_dashboards.catalogue import load
from quarterdeck_dashboards.dashboards import files
from quarterdeck_dashboards.dashboards.command import dashboards as group

if TYPE_CHECKING:
    from pathlib import Path

    from quarterdeck_dashboards.catalogue import Catalogue


def test_committed_dashboards_are_what_the_catalogue_generates(root: Path) -> None:
    """Rebuild them with `quarterdeck dashboards generate`."""
    tree = files.generated(load(root / "services.yaml"))

    assert files.differences(tree, root / "dashboards/generated") == ""


def test_every_dashboard_is_a_file_for_each_vendor_named_by_its_uid(catalogue: Catalogue) -> None:
    """Grafana's has the uid inside, Datadog's at the end of its description: so both are found again."""
    tree = {path: json.loads(text) for path, text in files.generated(catalogue).items()}
    uids = [each.uid for each in dashboards.of(catalogue)]

    assert sorted(tree) == sorted(f"{vendor}/{uid}.json" for vendor in ("datadog", "grafana") for uid in uids)
    assert [tree[f"grafana/{uid}.json"]["uid"] for uid in uids] == uids
    assert [tree[f"datadog/{uid}.json"]["description"].split()[-1] for uid in uids] == uids


def test_generating_twice_gives_the_same_bytes(catalogue: Catalogue) -> None:
    """No clock, no order of a set."""
    assert files.generated(catalogue) == files.generated(catalogue)


def test_writing_changes_only_what_differs_and_removes_only_its_own(catalogue: Catalogue, tmp_path: Path) -> None:
    """A service that is gone takes its files along; a dashboard of the user's stays."""
    tree = files.generated(catalogue)
    assert files.write(tree, tmp_path) == sorted(tree)
    (tmp_path / "grafana/own.json").write_text("{}")

    fewer = {path: text for path, text in tree.items() if "orders" not in path}
    changed = files.write(fewer, tmp_path)

    assert changed == ["datadog/quarterdeck-service-orders.json", "grafana/quarterdeck-service-orders.json"]
    assert (tmp_path / "grafana/own.json").exists()
    assert files.write(fewer, tmp_path) == []


def test_check_passes_on_what_generate_wrote_and_shows_what_changed(root: Path, tmp_path: Path) -> None:
    """Exit code 0, then 1 with a diff on stdout."""
    options = ["--services", str(root / "services.yaml"), "--out", str(tmp_path)]
    runner = CliRunner()

    generated = runner.invoke(group, ["generate", *options], standalone_mode=False)
    fresh = runner.invoke(group, ["check", *options], standalone_mode=False)
    path = tmp_path / "grafana/quarterdeck-fleet.json"
    path.write_text(path.read_text().replace('"title": "Fleet"', '"title": "Fleets"'))
    stale = runner.invoke(group, ["check", *options], standalone_mode=False)

    assert (generated.return_value, len(generated.stdout.splitlines())) == (0, 12)
    assert (fresh.return_value, fresh.stdout) == (0, "")
    assert stale.return_value == 1
    assert '- "title": "Fleets",\n' in stale.stdout
    assert "run `quarterdeck dashboards generate`" in stale.stderr
