"""What a cluster that the stack makes is like: network, machines, windows, tags."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from enum import StrEnum

from quarterdeck_stacks.settings.keys import assignments, count, flag, key, text, texts

_PREFIX = 16
_SHORTEST_WINDOW = 4
_DAY = 24


class Day(StrEnum):
    """A day of the week, in the order of `datetime.weekday`."""

    MONDAY = "Mon"
    TUESDAY = "Tue"
    WEDNESDAY = "Wed"
    THURSDAY = "Thu"
    FRIDAY = "Fri"
    SATURDAY = "Sat"
    SUNDAY = "Sun"


@dataclass(frozen=True, slots=True)
class UpgradeWindow:
    """When the cloud may replace nodes and upgrade the control plane: once a week, in UTC."""

    day: Day
    hour: int
    minute: int
    hours: int
    """How long it lasts: at least 4, which is what AKS and GKE ask for."""


@dataclass(frozen=True, slots=True)
class NodePool:
    """Machines of one kind."""

    name: str
    machine: str
    """The cloud's name of the machine: `m7g.xlarge`, `e2-standard-4`, `Standard_D4s_v5`."""
    smallest: int | None
    """Nodes that are always there; None is not said, which is one. EKS in Auto Mode has no such bound: it follows the
    pods."""
    largest: int
    """Nodes that are never exceeded."""
    spot: bool
    """Whether the cloud may take a node back at any time, for a lower price."""
    disk: int
    """GB of a node's disk."""

    @property
    def floor(self) -> int:
        """Nodes that are always there, where the cloud keeps any."""
        return 1 if self.smallest is None else self.smallest


_SIZES = {"medium": 1, "large": 2, "xlarge": 4}


def vcpus(machine: str) -> int | None:
    """Return how many virtual processors an EC2 instance type has, by the rule that its name follows.

    None where it does not follow it: burstable and bare-metal machines.

    >>> vcpus("m7g.large"), vcpus("c7i.4xlarge"), vcpus("t3.large")
    (2, 16, None)
    """
    family, _, size = machine.partition(".")
    multiple = re.fullmatch(r"([1-9]\d*)xlarge", size)
    if family.startswith("t") or not (size in _SIZES or multiple):
        return None
    return int(multiple[1]) * 4 if multiple else _SIZES[size]


def _network(value: str) -> str:
    try:
        network = ipaddress.IPv4Network(value)
    except ValueError:
        raise ValueError(f"expected a private IPv4 network such as 10.64.0.0/16, found {value!r}") from None
    if not network.is_private or network.prefixlen != _PREFIX:
        raise ValueError(f"expected a private IPv4 network of /{_PREFIX}, found {value!r}")
    return value


def _networks(value: str) -> tuple[str, ...]:
    found = texts(value)
    for each in found:
        try:
            ipaddress.ip_network(each)
        except ValueError:
            raise ValueError(f"expected networks such as 203.0.113.0/24, found {each!r}") from None
    return found


def _window(value: str) -> UpgradeWindow:
    match = re.fullmatch(rf"({'|'.join(Day)}) ([01]\d|2[0-3]):([0-5]\d) (\d{{1,2}})h", value)
    if not match or not _SHORTEST_WINDOW <= int(match[4]) < _DAY:
        raise ValueError(f"expected a weekly window in UTC such as Sun 03:00 4h, of 4 to 23 hours, found {value!r}")
    return UpgradeWindow(Day(match[1]), int(match[2]), int(match[3]), int(match[4]))


def _pools(value: str) -> tuple[NodePool, ...]:
    pools = tuple(_pool(each) for each in texts(value))
    names = [pool.name for pool in pools]
    if len(set(names)) < len(names):
        raise ValueError(f"expected every pool to have a name of its own, found {', '.join(names)}")
    return pools


def _pool(value: str) -> NodePool:
    name, *words = value.split()
    given = dict(word.partition("=")[::2] for word in words)
    numbers = [given.get(each, standard) for each, standard in (("min", "0"), ("max", ""), ("disk", "100"))]
    wrong = (
        not re.fullmatch(r"[a-z][a-z0-9]{0,11}", name)
        or not given.get("type")
        or not all(number.isdecimal() for number in numbers)
        or given.keys() - {"type", "min", "max", "disk", "spot"}
        or given.get("spot", "")
    )
    smallest, largest, disk = (0, 0, 0) if wrong else (int(number) for number in numbers)
    if wrong or not 0 <= smallest <= largest or largest < 1:
        raise ValueError(f"expected pools such as 'general type=m7g.xlarge min=2 max=6 spot disk=100', found {value!r}")
    return NodePool(name, given["type"], smallest if "min" in given else None, largest, "spot" in given, disk)


@dataclass(frozen=True, slots=True)
class Ranges:
    """A network of /16 cut up: the same pieces in every cloud, so that two clusters can be told to be neighbours."""

    network: str

    @property
    def nodes(self) -> list[str]:
        """Networks of /18 for nodes, one for each of up to three zones; where zones share one, it is the first."""
        return self._quarters()[:3]

    @property
    def services(self) -> str:
        """The network of /20 for the addresses of Services, where the cloud asks for one: in the second quarter."""
        return str(next(ipaddress.IPv4Network(self._quarters()[1]).subnets(new_prefix=20)))

    @property
    def name_server(self) -> str:
        """The address among `services` that pods ask for names."""
        return str(ipaddress.IPv4Network(self.services)[10])

    @property
    def pods(self) -> str:
        """The network of /17 for pods, where they have addresses apart from their nodes': the upper half."""
        return str(list(ipaddress.IPv4Network(self.network).subnets(new_prefix=17))[1])

    @property
    def ways_out(self) -> list[str]:
        """Networks of /24 for what leads out of the cluster, one for each of up to three zones: in the last quarter."""
        return [str(each) for each in ipaddress.IPv4Network(self._quarters()[3]).subnets(new_prefix=24)][:3]

    def _quarters(self) -> list[str]:
        return [str(each) for each in ipaddress.IPv4Network(self.network).subnets(new_prefix=18)]


@dataclass(frozen=True, slots=True)
class CloudSettings:
    """What a cluster that the stack makes is like; nothing of it is read where the cluster exists."""

    account: str = key("clusterAccount", text)
    """AWS account, Google project or Azure subscription. Credentials for another one are refused by the provider."""
    region: str = key("clusterRegion", text)
    """The cloud's name of the region."""
    zones: tuple[str, ...] = key("clusterZones", texts)
    """Zones that nodes are spread over, as the cloud names them; three make a zone's end a small event."""
    network: str = key("clusterNetwork", _network)
    """IPv4 network of /16 for the cluster's nodes, pods and services, which `Ranges` cuts up; it may be no other's."""
    private_api: bool = key("clusterPrivateApi", flag)
    """Whether the API server answers inside that network alone; `pulumi up` must then run there."""
    api_from: tuple[str, ...] = key("clusterApiFrom", _networks)
    """With a public API: networks that it answers to. Empty is everybody who has credentials."""
    admins: tuple[str, ...] = key("clusterAdmins", texts)
    """Who administers the cluster beside its maker: ARNs of roles (EKS), object ids of Entra groups (AKS)."""
    pools: tuple[NodePool, ...] = key("nodePools", _pools)
    """Node pools, each `NAME type=MACHINE min=N max=N [spot] [disk=GB]`."""
    upgrade_window: UpgradeWindow = key("upgradeWindow", _window)
    """When nodes may be replaced for upgrades: `DAY HH:MM Nh`, in UTC."""
    audit_days: int = key("auditDays", count(1, 3650))
    """How long the control plane's audit log is kept, in days."""
    tags: dict[str, str] = key("costTags", assignments)
    """Tags or labels on everything in the cloud that costs, each `name=value`, beside the environment's name."""
