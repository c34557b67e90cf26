"""Services that are rolled out together are all promoted, or all as they were: also when a run dies on its way."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.rollouts import Killed

from quarterdeck_contract.errors import RefusedError
from quarterdeck_contract.kubernetes import ROLLOUT_STATE
from quarterdeck_scripts.kube.client import JSON_PATCH, MERGE_PATCH, path
from quarterdeck_scripts.kube.workloads import promote_patch
from quarterdeck_scripts.rollout import beginning, going_back
from quarterdeck_scripts.rollout.steering.session import Steering
from quarterdeck_scripts.rollout.steps.state import Ending
from quarterdeck_scripts.rollout.steps.train import Member

if TYPE_CHECKING:
    from quarterdeck_scripts.rollout.steps.actions import Outcome

CHECKOUT, PAYMENTS = Member("checkout", "localhost/checkout:v2"), Member("payments", "localhost/payments:v2")

OLD, NEW = [False] * 2, [True] * 2


@pytest.fixture
def shop(world: Any) -> Any:
    """Return the world with a second service, which the first one calls."""
    head, _, service = world.catalogue.partition("  - name: checkout\n")
    calls = "    dependencies: [{name: payments}]\n"
    other = service.replace("checkout", "payments")
    world.catalogue = f"{head}  - name: checkout\n{calls}{service}  - name: payments\n{other}"
    world.deploy("payments", "localhost/payments:v1")
    world.pass_time(30)
    return world


def roll_out(shop: Any, *members: Member) -> Outcome:
    """Type `rollout start` for *members*, checkout and payments unless given."""
    found = beginning.starts(shop.session, members or (CHECKOUT, PAYMENTS), (), "")
    return beginning.carry_out(found)[0]


def is_new(shop: Any) -> list[bool]:
    """Return whether the pods of checkout, and of payments, are of the new version; nothing is left of a rollout."""
    assert shop.deployments() == ["checkout", "payments"]
    found = []
    for service in ("checkout", "payments"):
        assert ROLLOUT_STATE not in (shop.deployment(service)["metadata"].get("annotations") or {})
        images = [image for image in shop.images() if f"/{service}:" in image]
        assert images in ([f"localhost/{service}:v1"] * 3, [f"localhost/{service}:v2"] * 3)
        found.append(images[0].endswith("v2"))
    return found


def test_what_is_called_is_promoted_before_its_caller_begins(shop: Any) -> None:
    """In the order of the catalogue's dependencies, whatever order they are typed in."""
    assert roll_out(shop).ending is Ending.PROMOTED

    changed = [where for method, where in shop.cluster.requests if method == "POST" and "/deployments" in where]
    assert is_new(shop) == NEW
    assert len(changed) == 4  # two services, two canaries
    creations = [entry for entry in _changes(shop) if entry == "create canary"]
    assert len(creations) == 2


def test_a_caller_that_fails_takes_back_what_it_calls(shop: Any) -> None:
    """Its own rollout ends as it did, the other one's says with whom it went."""
    shop.behave(CHECKOUT.image, failing=0.05)

    outcome = roll_out(shop)

    assert outcome.ending is Ending.ROLLED_BACK
    assert outcome.reason.startswith("checkout: ")
    assert is_new(shop) == OLD


def test_what_is_called_fails_before_its_caller_begins(shop: Any) -> None:
    """Nothing is done to the caller."""
    shop.behave(PAYMENTS.image, failing=0.05)
    before = shop.deployment("checkout")["spec"]

    assert roll_out(shop).ending is Ending.ROLLED_BACK

    assert is_new(shop) == OLD
    assert shop.deployment("checkout")["spec"] == before


def test_a_service_that_has_its_version_is_left_as_it_is(shop: Any) -> None:
    """It is no part of the train, and not taken back with it."""
    roll_out(shop, PAYMENTS)
    shop.behave(CHECKOUT.image, failing=0.05)

    assert roll_out(shop).ending is Ending.ROLLED_BACK

    assert is_new(shop) == [False, True]


class Mortal:
    """A cluster that kills its client before or after one change of a Deployment."""

    def __init__(self, cluster: Any, number: int, when: str) -> None:
        self._cluster, self._left, self._when = cluster, number, when
        self.struck = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cluster, name)

    def request(self, method: str, where: str, **options: Any) -> Any:
        """Pass on, or die."""
        rehearsed = (options.get("query") or {}).get("dryRun")
        if method == "GET" or rehearsed or "/deployments" not in where:
            return self._cluster.request(method, where, **options)
        strikes, self._left = self._left == 0, self._left - 1
        self.struck = self.struck or strikes
        if strikes and self._when == "before":
            raise Killed
        answer = self._cluster.request(method, where, **options)
        if strikes:
            raise Killed
        return answer


GOOD = [(0.0, number) for number in range(3, 12)]
"""Changes of Deployments from payments' promotion on: it (3) and the canary's deletion; a note, a canary, a note, a
promotion, a deletion for checkout (5 to 9); both notes cleared. Earlier ones are those of one service alone."""
BAD = [(0.05, number) for number in range(7, 13)]
"""Those from checkout's FAIL on: its note and its canary's deletion; payments' note and roll-back; both notes."""


CASES = [(*case, "before") for case in (*GOOD, *BAD)] + [(*GOOD[-1], "after"), (*BAD[-1], "after")]
"""After a change is before the next one, but for the last."""


@pytest.mark.parametrize(("failing", "number", "when"), CASES)
def test_killed_at_any_change_it_comes_to_the_same_end(shop: Any, failing: float, number: int, when: str) -> None:
    """The same command goes on: no canary is made twice, and what was decided stands."""
    shop.behave(CHECKOUT.image, failing=failing)
    real = shop.cluster
    shop.cluster = mortal = Mortal(real, number, when)
    with pytest.raises(Killed):
        roll_out(shop)
    shop.cluster = real
    shop.pass_time(31)

    found = beginning.starts(shop.session, (CHECKOUT, PAYMENTS), (), "")
    if found:
        beginning.carry_out(found)

    assert mortal.struck
    over = failing and number == BAD[-1][1] and when == "after"  # the note went: the next command begins anew
    assert is_new(shop) == (OLD if failing else NEW)
    creations = [where for method, where in real.requests if method == "POST" and where.endswith("/deployments")]
    assert len(creations) == (6 if over else 4)


def test_either_service_leads_to_the_whole_train(shop: Any) -> None:
    """Whoever goes on need not know what it was begun with."""
    real = shop.cluster
    shop.cluster = Mortal(real, 6, "before")
    with pytest.raises(Killed):
        roll_out(shop)
    shop.cluster = real
    shop.pass_time(31)

    assert roll_out(shop, PAYMENTS).ending is Ending.PROMOTED

    assert is_new(shop) == NEW


def test_another_version_of_a_service_under_way_is_refused(shop: Any) -> None:
    """Also while it waits, promoted, for the others."""
    real = shop.cluster
    shop.cluster = Mortal(real, 6, "before")
    with pytest.raises(Killed):
        roll_out(shop)
    shop.cluster = real
    shop.pass_time(31)

    with pytest.raises(RefusedError, match=r"one of payments=localhost/payments:v2 checkout=localhost/checkout:v2"):
        roll_out(shop, Member("payments", "localhost/payments:v3"))


def test_abort_puts_the_whole_train_back(shop: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """By the name of any of its services, also of one that had been promoted."""
    real = shop.cluster
    shop.cluster = Mortal(real, 6, "after")
    with pytest.raises(Killed):
        roll_out(shop)
    shop.cluster = real
    shop.pass_time(31)

    assert going_back.abort(shop.session, ["payments"], yes=True, dry_run=False, take_over=False) == 0

    assert is_new(shop) == OLD
    assert "checkout: aborted. Aborted by anna@bridge" in capsys.readouterr().out


def test_an_abort_that_is_killed_is_not_begun_anew(shop: Any) -> None:
    """Whoever types the first command again goes on putting it back."""
    real = shop.cluster
    shop.cluster = Mortal(real, 6, "after")
    with pytest.raises(Killed):
        roll_out(shop)
    shop.cluster = Mortal(real, 2, "before")  # checkout is put back, payments is not
    shop.pass_time(31)
    with pytest.raises(Killed):
        going_back.abort(shop.session, ["checkout"], yes=True, dry_run=False, take_over=False)
    shop.cluster = real
    shop.pass_time(31)

    assert roll_out(shop).ending is Ending.ABORTED

    assert is_new(shop) == OLD


def test_what_went_together_is_gone_on_with_and_tried_again_together(shop: Any) -> None:
    """`resume` and `retry` of one service know the others, and their versions and order, from what it left."""
    shop.behave(CHECKOUT.image, failing=0.05)
    real = shop.cluster
    shop.cluster = Mortal(real, 6, "before")
    with pytest.raises(Killed):
        roll_out(shop)
    shop.cluster = real
    shop.pass_time(31)

    assert Steering(shop.session, "payments", yes=True, dry_run=False).go_on("text") == 1
    assert is_new(shop) == OLD
    shop.behave(CHECKOUT.image, failing=0.0)
    shop.pass_time(60)

    assert Steering(shop.session, "checkout", yes=True, dry_run=False).retry("text", "") == 0
    assert is_new(shop) == NEW


def test_a_member_refused_after_another_was_begun_takes_all_back(shop: Any) -> None:
    """What refuses the caller comes while the other one is judged: a refusal would leave that one promoted."""

    def scale_up() -> None:
        shop.controllers.faults["localhost/checkout:v1"] = "ContainerCreating"
        more = {"spec": {"replicas": 4}}
        shop.cluster.request("PATCH", path("Deployment", "shop", "checkout"), body=more, content_type=MERGE_PATCH)

    shop.at_time[shop.clock.now() - shop.begin + 10] = scale_up

    outcome = roll_out(shop)

    assert outcome.ending is Ending.INCONCLUSIVE
    assert outcome.reason.startswith("checkout: refused: expected checkout to be settled")
    assert {image for image in shop.images() if "payments" in image} == {"localhost/payments:v1"}
    assert ROLLOUT_STATE not in (shop.deployment("payments")["metadata"].get("annotations") or {})


def test_abort_of_a_train_that_is_promoted_and_half_cleared_finishes_it(
    shop: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """One whose note is gone would stay behind: none goes back, the other note goes, and how all go back is said."""
    real = shop.cluster
    shop.cluster = Mortal(real, 10, "after")
    with pytest.raises(Killed):
        roll_out(shop)
    shop.cluster = real
    shop.pass_time(31)
    assert ROLLOUT_STATE not in (shop.deployment("payments")["metadata"].get("annotations") or {})

    assert going_back.abort(shop.session, ["checkout"], yes=True, dry_run=True, take_over=False) == 0
    assert going_back.abort(shop.session, ["checkout"], yes=True, dry_run=False, take_over=False) == 0

    assert is_new(shop) == NEW
    out, err = capsys.readouterr()
    said = "all of which is promoted; `quarterdeck rollout undo payments checkout` takes it back"
    assert f"Plan: clear what is noted of checkout's rollout, {said}\n" in err
    assert f"checkout: promoted. A{said[1:]}\n" in out
    assert "Put the stable version back" not in err


def test_each_member_is_noted_by_the_name_of_its_record(shop: Any) -> None:
    """Also one that begins minutes after it was planned: what is asked of it, and copies it keeps, go by that."""
    real = shop.cluster
    shop.cluster = Mortal(real, 6, "after")
    with pytest.raises(Killed):
        roll_out(shop)
    shop.cluster = real

    for service in ("payments", "checkout"):
        state = json.loads(shop.deployment(service)["metadata"]["annotations"][ROLLOUT_STATE])
        assert (shop.session(service).records / f"{state['id']}.json").is_file()


def test_undo_takes_the_caller_back_first(shop: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """In reverse of the order in which they went; rehearsed, nothing goes."""
    roll_out(shop)
    shop.pass_time(60)

    assert going_back.undo(shop.session, ["payments", "checkout"], yes=True, dry_run=True) == 0
    assert is_new(shop) == NEW
    assert going_back.undo(shop.session, ["payments", "checkout"], yes=True, dry_run=False) == 0

    assert is_new(shop) == OLD
    out, err = capsys.readouterr()
    assert out.index("checkout: undone") < out.index("payments: undone")
    assert "Put the stable version back\n    ~ Deployment shop/checkout\n" in err


def _changes(shop: Any) -> list[str]:
    """Return the actions in the audit log, each once."""
    entries = shop.session().audit().verify().entries
    return [entry.action.removeprefix("rollout: ") for entry in entries if entry.phase == "before"]


@pytest.mark.parametrize("broken", [False, True])
def test_abort_puts_a_member_back_whose_state_is_no_use(shop: Any, *, broken: bool) -> None:
    """What it goes to is known from the others; where it is not whole again, the abort is no success."""
    names = (str(PAYMENTS), str(CHECKOUT))
    for member, text in ((PAYMENTS, "{}"), (CHECKOUT, "")):
        session = shop.session(member.service)
        plan = session.plan(member.image, session.view().inspect(), train=names)
        body = {"metadata": {"annotations": {ROLLOUT_STATE: text or plan.new.to_annotation()}}}
        where = path("Deployment", "shop", member.service)
        if text:
            patch = promote_patch(shop.deployment(member.service), member.image)
            shop.cluster.request("PATCH", where, body=patch, content_type=JSON_PATCH)
        shop.cluster.request("PATCH", where, body=body, content_type=MERGE_PATCH)
    if broken:
        shop.controllers.faults["localhost/payments:v1"] = "CrashLoopBackOff"

    code = going_back.abort(shop.session, ["checkout"], yes=True, dry_run=False, take_over=False)

    assert code == int(broken)
    image = shop.deployment("payments")["spec"]["template"]["spec"]["containers"][0]["image"]
    assert image == "localhost/payments:v1"
    assert broken or is_new(shop) == OLD
