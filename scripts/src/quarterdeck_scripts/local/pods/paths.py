"""Mount paths without mounts: values that name a path below a mount get the real folder's path. Pure.

A container has its own root directory; ours has the machine's. So where an argument or an environment value
begins with a mount path, it is rewritten, also after `=` (`--config.file=/etc/prometheus/prometheus.yml`). What
a program has compiled in or reads from a file stays as it is: such a file must use relative paths.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

Mounts = dict[str, str]
"""Mount path, absolute and without a trailing slash, to the folder or file that stands for it."""


def rewrite(value: str, mounts: Mapping[str, str]) -> str:
    """Return *value* with each mount path in it replaced: at its start and after `=`, whole components only.

    >>> rewrite("--config.file=/etc/app/app.yml", {"/etc/app": "/state/etc/app"})
    '--config.file=/state/etc/app/app.yml'
    >>> rewrite("/etc/apple", {"/etc/app": "/state/etc/app"})
    '/etc/apple'
    """
    if not mounts:
        return value
    longest_first = sorted(mounts, key=len, reverse=True)
    pattern = rf"(^|=)({'|'.join(map(re.escape, longest_first))})(?=/|$)"
    return re.sub(pattern, lambda match: match[1] + mounts[match[2]], value)


def normalised(mount_path: str) -> str:
    """Return a mount path without a trailing slash, so that components can be compared.

    >>> normalised("/etc/app/")
    '/etc/app'
    """
    return mount_path.rstrip("/") or "/"
