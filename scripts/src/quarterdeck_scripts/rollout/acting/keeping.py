"""Keeps copies of the ConfigMaps that the stable version reads, and puts them back: see `copies`."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from quarterdeck_contract.errors import RefusedError
from quarterdeck_scripts.kube.client import ApiError
from quarterdeck_scripts.kube.revisions import present_number, revisions
from quarterdeck_scripts.rollout.acting import copies
from quarterdeck_scripts.rollout.acting.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quarterdeck_scripts.kube.client import Json


class Keeping(Writer):
    """The ConfigMaps of one service."""

    def keep(self) -> None:
        """Copy what the stable version reads now, and drop copies that nobody can go back to."""
        stable = self._view.stable()
        present = self._view.config_maps(stable["spec"]["template"])
        replica_sets = self._view.replica_sets()
        number = present_number(stable, replica_sets)
        there = {each["metadata"]["name"]: each for each in self._view.copies()}
        for found in present.values():
            wanted = copies.copy_of(stable, found, rollout=self._record.id, image=self._record.image, revision=number)
            before = there.get(wanted["metadata"]["name"])
            notes = wanted["metadata"]["annotations"]
            if before is None:
                self._lock.holds()
                with self._change("keep a copy", wanted, None, f"of {found['metadata']['name']}"):
                    made = self._create(wanted)
                self._confirm_copy({**wanted, **made})
            elif copies.content_of(before) != copies.content_of(found) or before["metadata"]["annotations"] != notes:
                self._replace("keep a copy", before, found, f"of {found['metadata']['name']}, as it is now", notes)
        templates = [each.template for each in revisions(stable, replica_sets)]
        for each in copies.outdated(there.values(), [stable["spec"]["template"], *templates]):
            self._drop(each, "its revision is gone")

    def _confirm_copy(self, made: Json) -> None:
        """See that the lock was still ours when the copy *made* came to be; else delete it, if nobody has taken it up.

        Whoever took over keeps and drops copies of the same names.

        Raises:
            RefusedError: the lock is somebody else's.
        """
        try:
            self._lock.holds()
        except RefusedError:
            as_made = {key: made["metadata"][key] for key in ("uid", "resourceVersion")}
            # One that was changed or is gone since is theirs.
            with suppress(ApiError), self._change("withdraw", made, None, "somebody else took the rollout over"):
                self._delete(made, preconditions=as_made)
            raise

    def put_back(self, image: str) -> str:
        """Make the ConfigMaps of the version before *image* as they were; return what cannot be put back."""
        wanted = self._view.restoration(image)
        for missing in wanted.create:
            self._lock.holds()
            with self._change("restore", missing, None, self._record.reason or "put everything back"):
                self._create(missing)
        for present, kept in wanted.replace:
            self._replace("restore", present, kept, self._record.reason or "put everything back")
        return "; ".join(wanted.lost)

    def forget(self, image: str) -> None:
        """Drop the copies that served to go back from *image*: whoever lets it in again, they are older than that."""
        found = [*self._view.kept_for(self._view.stable(), image), *self._view.served()]
        for each in {each["metadata"]["name"]: each for each in found}.values():
            self._drop(each, "its rollout is gone back from")

    def _drop(self, kept: Json, why: str) -> None:
        self._lock.holds()
        with self._change("drop a copy", kept, None, why):
            self._delete(kept)

    def _replace(
        self, action: str, present: Json, other: Json, why: str, notes: Mapping[str, str] | None = None
    ) -> None:
        """Give one ConfigMap the content of another, and *notes* as annotations."""
        self._lock.holds()
        content = copies.content_of(other)
        patch: Json = {"metadata": {"annotations": notes}} if notes else {}
        for part in ("data", "binaryData"):
            then, now = present.get(part) or {}, content.get(part) or {}
            if then or now:
                patch[part] = {**dict.fromkeys(then), **now}
        with self._change(action, present, None, why):
            self._patch(present, patch)
