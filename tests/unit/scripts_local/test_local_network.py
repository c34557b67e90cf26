"""Environments on one machine share addresses, ports and names without getting in each other's way."""

from __future__ import annotations

import socket
from uuid import uuid4

import pytest

from quarterdeck_scripts.local import network
from quarterdeck_scripts.local.pods.fields import UnresolvedError
from quarterdeck_scripts.local.pods.services import Addresses


def test_a_name_is_claimed_by_one_until_it_lets_go() -> None:
    """Nothing stays behind: the claim is gone with its holder."""
    name = uuid4().hex
    first = network.claim(name)
    assert first is not None
    assert network.claim(name) is None

    first.close()

    with network.claim(name) or pytest.fail("still claimed"):
        pass


def test_two_environments_have_two_networks() -> None:
    """Whatever others on this machine claim or let go meanwhile."""
    first, held = network.claim_prefix()
    second, other = network.claim_prefix()
    with held, other:
        assert {first, second} <= {*network.PREFIXES}
        assert first != second


def test_free_ports_are_different_and_free() -> None:
    """As many as are asked for."""
    ports = network.free_ports(3)

    assert len({*ports}) == 3
    assert not any(network.port_taken(network.LOOPBACK, port) for port in ports)


def test_a_port_is_taken_by_who_listens_on_every_address() -> None:
    """That is the program one does not think of."""
    with socket.socket() as other:
        other.bind(("0.0.0.0", 0))
        other.listen()
        port = other.getsockname()[1]

        assert network.port_taken("127.77.1.0", port)
        assert network.answers("127.77.1.0", port)
    assert not network.port_taken("127.77.1.0", port)
    assert not network.answers("127.77.1.0", port)


def test_pods_get_addresses_one_after_another_and_not_a_used_one_again_soon() -> None:
    """A client that still has the old address must not meet another pod there."""
    addresses = Addresses("127.77")

    assert [addresses.take(uid) for uid in "ab"] == ["127.77.1.0", "127.77.1.1"]
    addresses.release("a")

    assert addresses.take("c") == "127.77.1.2"


def test_a_pod_that_asks_for_an_address_gets_it_when_it_is_free() -> None:
    """Asking again is no conflict with itself."""
    addresses = Addresses("127.77")
    assert addresses.take("a", "127.77.0.90") == "127.77.0.90"
    assert addresses.take("a", "127.77.0.90") == "127.77.0.90"

    with pytest.raises(UnresolvedError, match=r"address 127\.77\.0\.90 is in use by the pod with UID a"):
        addresses.take("b", "127.77.0.90")
    addresses.release("a")

    assert addresses.take("b", "127.77.0.90") == "127.77.0.90"


@pytest.mark.parametrize("wanted", ["127.78.0.90", "10.0.0.1", "localhost"])
def test_an_address_of_another_network_is_refused_with_the_way_out(wanted: str) -> None:
    """The stack was rendered for another environment."""
    with pytest.raises(UnresolvedError, match=r"deploy the stack with loopbackPrefix=127\.77"):
        Addresses("127.77").take("a", wanted)
