"""The binaries that the local environment and the tests are made of: a control plane, Prometheus, checkers.

Belongs here: which tools at which versions (`catalogue`), where each may come from (PATH, the cache, the
official release, the Go module proxy), and the rule that only a verified binary is ever returned.

Does not belong here: starting the tools as servers (`quarterdeck_scripts.local`) or what they are asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quarterdeck_scripts.tools.installation import install

__all__ = ["install"]


def __getattr__(name: str) -> Any:
    # Imported when asked for: `quarterdeck --help` imports this package, and has no 30 ms for what it needs.
    if name == "install":
        from quarterdeck_scripts.tools.installation import install  # noqa: PLC0415 -- see above

        return install
    raise AttributeError(name)
