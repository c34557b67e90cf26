"""What differs between two objects is said without the server's bookkeeping, and without secrets."""

from __future__ import annotations

from quarterdeck_scripts.kube.differences import differences


def test_bookkeeping_is_no_difference() -> None:
    """Versions, generations, managers and the status change with every write."""
    before = {"metadata": {"name": "a", "resourceVersion": "1", "generation": 1}, "status": {"replicas": 1}}
    after = {"metadata": {"name": "a", "resourceVersion": "2", "managedFields": []}, "status": {}}

    assert differences(before, after) == ()


def test_containers_are_compared_by_name() -> None:
    """One that comes before the others is no change of all."""
    before = {"spec": {"containers": [{"name": "app", "image": "app:1"}]}}
    after = {"spec": {"containers": [{"name": "proxy", "image": "proxy:1"}, {"name": "app", "image": "app:2"}]}}

    assert differences(before, after) == (
        "~ spec.containers[app].image: app:1 → app:2",
        '+ spec.containers[proxy]: {"image": "proxy:1", "name": "proxy"}',
    )


def test_a_secret_that_changed_shows_that_it_did() -> None:
    """The line is there; neither value is."""
    before = {"spec": {"env": [{"name": "API_TOKEN", "value": "old"}]}}
    after = {"spec": {"env": [{"name": "API_TOKEN", "value": "new"}]}}

    assert differences(before, after) == ("~ spec.env[API_TOKEN].value: (not shown) → (not shown)",)


def test_a_list_of_plain_values_is_compared_as_a_whole() -> None:
    """Arguments have no names."""
    assert differences({"args": ["a", "b"]}, {"args": ["a", "c"]}) == ('~ args: ["a", "b"] → ["a", "c"]',)


def test_what_is_gone_is_said() -> None:
    """A value that is no longer there, and a list that is empty now."""
    before = {"spec": {"paused": True, "env": [{"name": "A", "value": "1"}]}}

    assert differences(before, {"spec": {"env": []}}) == (
        '~ spec.env: [{"name": "A", "value": "1"}] → []',
        "- spec.paused: true",
    )
