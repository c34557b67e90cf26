"""The binaries that the local environment and the tests are made of: a control plane, Prometheus, checkers.

Belongs here: which tools at which versions (`catalogue`), where each may come from (PATH, the cache, the
official release, the Go module proxy), and the rule that only a verified binary is ever returned.

Does not belong here: starting the tools as servers (`quarterdeck_scripts.local`) or what they are asked.
"""

from __future__ import annotations

from quarterdeck_scripts.tools.installation import install

__all__ = ["install"]
