"""What Datadog should have of the catalogue: objectives, burn-rate and other monitors, dashboards, as values.

Built with the models of Datadog's own client, which refuse what its API has no field for. Whatever Datadog cannot
state is left out and said (`left_out`), never approximated in silence.

Does not belong here: sending anything (`quarterdeck_scripts.datadog`).
"""

from __future__ import annotations

from quarterdeck_dashboards.datadog.resources import left_out, resources

__all__ = ["left_out", "resources"]
