"""The audit log: every change, written down before it is made, and after.

Belongs here: entries and their chain of hashes, the log in the cluster and its copy on disk, and whether they
are intact. A change whose entry cannot be written is not made.

Does not belong here: what the changes are.
"""

from __future__ import annotations

from quarterdeck_scripts.audit.chain import Break, Entry, verify_chain
from quarterdeck_scripts.audit.log import AuditLog, Change, Verification, actor_here, actor_of

__all__ = ["AuditLog", "Break", "Change", "Entry", "Verification", "actor_here", "actor_of", "verify_chain"]
