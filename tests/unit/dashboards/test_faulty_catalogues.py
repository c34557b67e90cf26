"""What a wrong `services.yaml` is answered with: each file in `faulty_catalogues/` begins with its exact message."""

from __future__ import annotations

from pathlib import Path

import pytest

from quarterdeck_contract.errors import EXIT_USAGE
from quarterdeck_dashboards.catalogue import parse
from quarterdeck_dashboards.catalogue.problem import FileError

FAULTY = sorted((Path(__file__).parent / "faulty_catalogues").glob("*.yaml"))
MARK = "#! "


@pytest.mark.parametrize("path", FAULTY, ids=lambda path: path.stem)
def test_a_fault_gives_its_one_exact_message(path: Path) -> None:
    """File, line, column, field, what was expected, what was found, and the nearest word where there is one."""
    text = path.read_text(encoding="utf-8")

    with pytest.raises(FileError) as caught:
        parse(text, "services.yaml")

    (problem,) = caught.value.problems
    assert [line.removeprefix(MARK) for line in text.splitlines() if line.startswith(MARK)] == [
        problem.describe("services.yaml")
    ]
    assert caught.value.exit_code == EXIT_USAGE


def test_there_are_enough_faults_to_mean_something() -> None:
    """A folder that moved would otherwise pass with nothing in it."""
    assert len(FAULTY) >= 75


def test_all_errors_of_a_file_come_in_one_message() -> None:
    """First line first: wrong values, duplicates beside them, and duplicate keys."""
    with pytest.raises(FileError) as caught:
        parse(
            "version: 1\n"
            "runbook_base_url: https://example.org/runbooks/\n"
            "services:\n"
            "  - name: checkout\n"
            "    owner: payments\n"
            "    image: a/b:v1\n"
            "    image: a/b:v2\n"
            "    slos:\n"
            "      - {name: a, kind: availability, objective: 100}\n"
            "      - {name: a, kind: latency, objective: 99}\n"
            "  - {name: checkout, ownr: payments, image: a/b:v1}\n",
            "services.yaml",
        )

    assert str(caught.value) == (
        "Expected services.yaml to be a catalogue of services.\n"
        "Found 6 errors:\n"
        "  services.yaml:7:5: services[0].image: expected each key once (first in line 6), found it again\n"
        "  services.yaml:9:50: services[0].slos[0].objective: expected less than 100 percent, found 100: it leaves no "
        "error budget, so a single failed request breaks it for good\n"
        "  services.yaml:10:9: services[0].slos[1].threshold: expected a threshold, the longest good duration, for an "
        "SLO of the kind latency, found none\n"
        "  services.yaml:10:16: services[0].slos[1].name: expected each SLO name once (first in line 9), found 'a' "
        "again\n"
        "  services.yaml:11:12: services[1].name: expected each service name once (first in line 4), found 'checkout' "
        "again\n"
        "  services.yaml:11:22: services[1].ownr: expected one of the keys name, namespace, owner, tier, language, "
        "framework, image, port, replicas, max_replicas, resources, routes, health, openapi, dependencies, callers, "
        "links, runbooks, metrics, slos or rollout, found the unknown key 'ownr'; did you mean owner?.\n"
        "Next: correct these lines and run the command again."
    )


def test_a_bomb_of_aliases_is_refused_before_it_is_written_out() -> None:
    """Nine anchors of nine aliases each would be 387 million values."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]

    with pytest.raises(FileError) as caught:
        parse("\n".join(lines), "services.yaml")

    (problem,) = caught.value.problems
    assert (problem.expected, problem.found) == ("at most 200000 values", "more, by aliases of aliases")


def test_a_bomb_of_merge_keys_is_refused_too() -> None:
    """Merging writes nothing out, so it is counted as well."""
    lines = ["a0: &a0 {x: 1}"]
    lines += [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}" for n in range(1, 9)]

    with pytest.raises(FileError) as caught:
        parse("\n".join(lines), "services.yaml")

    assert caught.value.problems[0].found == "more, by aliases of aliases"


def test_nesting_that_would_end_the_interpreter_is_refused() -> None:
    """200,000 brackets: composing them recursively overflows the C stack."""
    with pytest.raises(FileError) as caught:
        parse("[" * 200_000, "services.yaml")

    assert caught.value.problems[0].describe("f") == "f:1:34: expected at most 32 levels of nesting, found more"


def test_a_control_character_is_named_with_its_place() -> None:
    """The YAML parser gives such an error no line."""
    with pytest.raises(FileError) as caught:
        parse("version: 1\nowner: a\x07b\n", "services.yaml")

    assert caught.value.problems[0].describe("f") == r"f:2:9: expected YAML, found the control character '\x07'"
