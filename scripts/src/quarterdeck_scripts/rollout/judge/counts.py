"""What is counted of both sides: requests, bad ones among them, route by route. Plain data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Counts:
    """Requests, and how many of them were bad."""

    requests: int = 0
    bad: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.requests + other.requests, self.bad + other.bad)

    def __sub__(self, other: Counts) -> Counts:
        return Counts(self.requests - other.requests, self.bad - other.bad)

    @property
    def share(self) -> float:
        """Share of bad requests, 0 to 1; 0 without requests."""
        return self.bad / self.requests if self.requests else 0.0


OTHER_ROUTES = "all other routes"
"""Stands for the routes beyond `criteria.Criteria.most_routes`."""


@dataclass(frozen=True, slots=True)
class RouteCounts:
    """What both sides counted on one route."""

    route: str
    """Method and template, `POST /pay`, or OTHER_ROUTES."""
    canary: Counts = Counts()
    stable: Counts = Counts()


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts of both sides for one objective, since the canary was created."""

    canary: Counts = Counts()
    stable: Counts = Counts()
    routes: tuple[RouteCounts, ...] = ()
    """The same, route by route, in the order in which they were first seen; empty where routes are not told apart."""

    @classmethod
    def of(cls, routes: tuple[RouteCounts, ...]) -> Tally:
        """Return the tally of all *routes* together."""
        return cls(
            sum((each.canary for each in routes), Counts()), sum((each.stable for each in routes), Counts()), routes
        )

    def since(self, earlier: Tally) -> Tally:
        """Return what was counted since *earlier*."""
        before = {each.route: each for each in earlier.routes}
        routes = tuple(
            RouteCounts(each.route, each.canary - then.canary, each.stable - then.stable)
            for each in self.routes
            for then in (before.get(each.route, RouteCounts(each.route)),)
        )
        return Tally(self.canary - earlier.canary, self.stable - earlier.stable, routes)


@dataclass(frozen=True, slots=True)
class Batch:
    """What both sides counted between two looks."""

    canary: Counts
    stable: Counts
    seconds: float
    """Time between the looks."""
    routes: tuple[RouteCounts, ...] = ()
    """The same, route by route; empty where routes are not told apart."""
