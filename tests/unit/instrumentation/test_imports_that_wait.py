"""Contrib's modules import what they seldom use when they use it, and work as if they had imported it."""

from __future__ import annotations

import builtins
import subprocess
import sys
import threading
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest
from packaging.version import Version

from quarterdeck_instrumentation import contrib, late

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MODULE = """
from costly import VALUE, Thing, make
from costly import Thing as Other

seen = VALUE

def use():
    return [make(3), Thing().name, Other.kind]
"""
COSTLY = """
VALUE, kind = 1, 2
class Thing:
    kind = "a thing"
    name = "thing"
def make(number):
    return [number]
"""


@pytest.fixture
def waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have `cheap` wait for `costly`."""
    (tmp_path / "costly.py").write_text(COSTLY)
    (tmp_path / "cheap.py").write_text(MODULE)
    (tmp_path / "whole.py").write_text("import xml.dom\nuse = lambda: (xml.dom.Node.ELEMENT_NODE, xml.__name__)\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(late.WAITING, "cheap", frozenset(("costly",)))
    monkeypatch.setitem(late.WAITING, "whole", frozenset(("xml.dom",)))
    yield
    for name in ("cheap", "costly", "whole"):
        sys.modules.pop(name, None)


@pytest.mark.usefixtures("waiting")
def test_what_is_taken_is_there_when_it_is_used() -> None:
    """Called, or asked for an attribute; and until then nothing is imported."""
    with late.Imports():
        cheap = import_module("cheap")
    assert "costly" not in sys.modules

    assert cheap.use() == [[3], "thing", "a thing"]
    assert "costly" in sys.modules


@pytest.mark.usefixtures("waiting")
def test_a_package_is_there_when_it_is_used() -> None:
    """`import a.b` gives `a`, of which both what it has and `b` can be asked."""
    with late.Imports():
        whole = import_module("whole")

    assert whole.use() == (1, "xml")


@pytest.mark.usefixtures("waiting")
def test_others_import_as_ever() -> None:
    """Outside the block, and in it whoever is not named."""
    with late.Imports():
        assert import_module("costly").VALUE == 1
    assert import_module("cheap").seen == 1


def test_blocks_of_several_threads_leave_python_as_it_was() -> None:
    """Whichever ends first."""
    original = builtins.__import__
    inside, leave = threading.Event(), threading.Event()

    def other() -> None:
        with late.Imports():
            inside.set()
            leave.wait(30)

    thread = threading.Thread(target=other)
    with late.Imports():
        thread.start()
        assert inside.wait(30)
    assert builtins.__import__ is not original
    leave.set()
    thread.join()
    assert builtins.__import__ is original


@pytest.mark.parametrize("restores", [False, True], ids=["for good", "until after the block"])
def test_what_replaces_the_import_within_a_block_stays(*, restores: bool) -> None:
    """Also a block later, which once called itself until Python gave up."""
    code = (
        "import builtins, sys\n"
        "from quarterdeck_instrumentation import late\n"
        "with late.Imports():\n"
        "    below = builtins.__import__\n"
        "    seen = []\n"
        "    def theirs(*given):\n"
        "        seen.append(given[0])\n"
        "        return below(*given)\n"
        "    builtins.__import__ = theirs\n"
        f"if {restores}:\n"
        "    builtins.__import__ = below\n"
        "late.WAITING['__main__'] = frozenset(('chunk', 'colorsys'))\n"
        "import colorsys\n"
        "assert 'colorsys' in sys.modules\n"
        "with late.Imports():\n"
        "    import chunk\n"
        "    import wave\n"
        "assert 'wave' in sys.modules and 'chunk' not in sys.modules\n"
        f"assert ('wave' in seen) is not {restores}\n"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("module", [name for name in late.CONSTANTS if name != "packaging"])
def test_what_is_known_is_what_is_there(module: str) -> None:
    """Each constant, in the release of the conventions that is installed."""
    known = late.CONSTANTS[module]

    assert {name: getattr(import_module(module), name) for name in known} == known


def test_releases_are_compared_as_packaging_does() -> None:
    """Those that the conventions have had."""
    releases = ("1.4.0", "1.21.0", "1.25.0", "1.9.1")
    version = late.CONSTANTS["packaging"]["version"].Version

    assert sorted(releases, key=version) == sorted(releases, key=Version)


def test_each_instrumentor_is_where_its_entry_point_says() -> None:
    """Of those that are installed here; in an environment with all of them, of all."""
    places = {
        name: f"opentelemetry.instrumentation.{module}:{kind}"
        for name, (module, kind) in ((name, place.split(":")) for name, place in contrib.PLACES.items())
    }
    installed = {each.name: each.value for each in entry_points(group="opentelemetry_instrumentor")}

    assert "sqlite3" in installed
    assert {name: installed[name] for name in places if name in installed} == {
        name: place for name, place in places.items() if name in installed
    }
    assert {name for name in places if find_spec(places[name].partition(":")[0])} <= set(installed) | {"httpx2"}


def test_an_instrumentor_that_is_not_installed_is_none() -> None:
    """Nor one of a package that is not there at all."""
    assert not contrib.Known("nothing", "no_such", "Instrumentor").is_installed()
    code = (
        "import sys\n"
        "sys.modules['opentelemetry.instrumentation'] = None\n"
        "from quarterdeck_instrumentation.contrib import Known\n"
        "print(Known('sqlite3', 'sqlite3', 'SQLite3Instrumentor').is_installed())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
