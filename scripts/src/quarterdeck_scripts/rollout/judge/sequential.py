"""Anytime-valid evidence from counts: e-processes for a rate ratio and for a proportion, and their bounds.

Both tests share one shape. A likelihood is written down over a geometric grid of values around a threshold.
The evidence *against* a value v is a mixture likelihood ratio of the values on one side of it:

    above(v) = sum over j >= 1 of weight_j x L(v x step^j) / L(v)       evidence that the truth is above v
    below(v) = the same downwards, with some weight on exactly zero     evidence that the truth is below v

Guarantee. Each term is a non-negative supermartingale that begins at 1 whenever the truth is at or below v
(at or above, for `below`), so by Ville's inequality the probability that it *ever* reaches 1/alpha is at most
alpha, however often one looks and whatever makes one stop.

The ratio's likelihood is conditional: given a batch with n_c canary and n_s stable requests, an error falls on
the canary with chance r w / (1 + r w), w = n_c / n_s, where r is the ratio of the two error ratios. The
baseline's own level drops out, so it may wander from batch to batch (a peak, an incident that hits both). That
is Lindon and Malek, "Anytime-valid inference for multinomial count data", NeurIPS 2022, arXiv:2011.03567, and
the canary test of Lindon et al., arXiv:2205.14762. It is exact for Poisson counts, and holds for Bernoulli
requests without approximation because (1 + p x)^n <= exp(n p x): a batch's term has a mean of at most
exp(n_c p_c (a - 1) + n_s p_s (b - 1)) = 1 at p_c = r p_s. The proportion's likelihood is the binomial one.
A batch may be in parts, a part a route, each with its own split: their likelihoods multiply. So it does not
matter either that the canary is asked more for routes that fail more, as long as r holds on each of them.
Turning tests into bounds: Howard et al., "Time-uniform, nonparametric, nonasymptotic confidence sequences", 2021.

What it takes for granted: given its batch, a request fails independently of the others. Failures that come
in bursts weaken the guarantee; `criteria.Criteria.fail_scrapes` is there for that.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_STEPS_PER_OCTAVE = 4
"""Grid resolution: 19 % a step, finer than the spread of any ratio after 25 errors."""

_REACH = 24
"""Steps the mixture reaches from the value under test: 6 octaves, a 64-fold change."""

_SPAN = 48
"""Steps the grid spans on either side of the threshold: 12 octaves. Bounds beyond are open."""

_TYPICAL_OCTAVES = 1.5
"""Mean distance of the mixture: a change of about threefold beyond the threshold. Smaller ones need all the
weight they can get, larger ones show themselves in seconds. Medians differ by about a tenth between 1 and 4."""

_WEIGHT_OF_ZERO = 0.2
"""Downward weight of "never fails": what makes an error-free canary pass soon."""


def _weights(total: float) -> tuple[float, ...]:
    raw = [math.exp(-step / _STEPS_PER_OCTAVE / _TYPICAL_OCTAVES) for step in range(1, _REACH + 1)]
    return tuple(math.log(total * weight / sum(raw)) for weight in raw)


_LOG_WEIGHTS_UP = _weights(1.0)
_LOG_WEIGHTS_DOWN = _weights(1.0 - _WEIGHT_OF_ZERO)
_FACTORS = tuple(2.0 ** (step / _STEPS_PER_OCTAVE) for step in range(-_SPAN, _SPAN + 1))
_LOG_FACTORS = tuple(map(math.log, _FACTORS))
_UP = range(_SPAN + 1, _SPAN + 1 + _REACH)
_DOWN = range(_SPAN - 1, _SPAN - 1 - _REACH, -1)


@dataclass(frozen=True, slots=True)
class Curve:
    """A log-likelihood over a geometric grid; the middle of the grid is the threshold."""

    values: tuple[float, ...]
    """Grid, ascending."""
    log_likelihood: tuple[float, ...]
    """At each of `values`, up to a constant."""
    log_likelihood_at_zero: float
    """At the value 0: minus infinity once an error was seen."""

    def above(self, at: int = _SPAN) -> float:
        """Return the logarithm of the evidence that the truth is above the grid's value number *at*."""
        base = self.log_likelihood[at]
        terms = zip(_LOG_WEIGHTS_UP, self.log_likelihood[at + 1 : at + 1 + _REACH], strict=False)
        return _log_sum([weight + value - base for weight, value in terms])

    def below(self, at: int = _SPAN) -> float:
        """Return the logarithm of the evidence that the truth is below the grid's value number *at*."""
        base = self.log_likelihood[at]
        down = self.log_likelihood[max(0, at - _REACH) : at][::-1]
        terms = [weight + value - base for weight, value in zip(_LOG_WEIGHTS_DOWN, down, strict=False)]
        return _log_sum([*terms, math.log(_WEIGHT_OF_ZERO) + self.log_likelihood_at_zero - base])

    def lower_bound(self, alpha: float) -> float:
        """Return what the truth is above, with an error chance of at most *alpha* over all time; 0 if nothing is."""
        need = -math.log(alpha)
        kept = bisect_left(range(len(self.values)), True, key=lambda at: self.above(at) < need)
        if kept in {0, len(self.values)}:
            return self.values[-1] if kept else 0.0
        return _between(self.values[kept - 1], self.values[kept], self.above(kept - 1), self.above(kept), need)

    def upper_bound(self, alpha: float) -> float:
        """Return what the truth is below, with an error chance of at most *alpha* over all time; else infinity."""
        need = -math.log(alpha)
        rejected = bisect_left(range(len(self.values)), True, key=lambda at: self.below(at) >= need)
        if rejected in {0, len(self.values)}:
            return math.inf if rejected else self.values[0]
        return _between(
            self.values[rejected], self.values[rejected - 1], self.below(rejected), self.below(rejected - 1), need
        )


@dataclass(frozen=True, slots=True)
class RatioLikelihood:
    """Likelihood of the ratio canary / stable of two error ratios, over batches with their own traffic split.

    Likelihoods of several routes add up (`+`) to that of a ratio which is the same on each.
    """

    threshold: float
    canary_errors: float = 0
    pressures: tuple[float, ...] = (0.0,) * len(_FACTORS)
    """Per grid value r: the sum over batches of errors x ln(1 + r w)."""
    expected: float = 0.0
    """Canary errors to expect, given all errors, if the ratio were the threshold."""

    @property
    def seems_above(self) -> bool:
        """Whether the likelihood grows at the threshold. It has one peak: else there is no evidence to be above it."""
        return self.canary_errors > self.expected

    def add(
        self, canary_requests: float, canary_errors: float, stable_requests: float, stable_errors: float
    ) -> RatioLikelihood:
        """Return the likelihood with one more batch. A batch without errors, or without one side, says nothing."""
        errors = canary_errors + stable_errors
        if not (errors and canary_requests and stable_requests):
            return self
        split = self.threshold * canary_requests / stable_requests
        pressures = tuple([p + errors * each for p, each in zip(self.pressures, _pressures(split), strict=True)])
        expected = self.expected + errors * split / (1 + split)
        return RatioLikelihood(self.threshold, self.canary_errors + canary_errors, pressures, expected)

    def __add__(self, other: RatioLikelihood) -> RatioLikelihood:
        pressures = tuple([a + b for a, b in zip(self.pressures, other.pressures, strict=True)])
        canary_errors, expected = self.canary_errors + other.canary_errors, self.expected + other.expected
        return RatioLikelihood(self.threshold, canary_errors, pressures, expected)

    def above(self) -> float:
        """Return the logarithm of the evidence that the ratio is above the threshold: `curve().above()`, sooner."""
        base, p, n = self.pressures[_SPAN], self.pressures, self.canary_errors
        terms = [w + n * _LOG_FACTORS[at] - p[at] + base for w, at in zip(_LOG_WEIGHTS_UP, _UP, strict=True)]
        return _log_sum(terms)

    def below(self) -> float:
        """Return the logarithm of the evidence that the ratio is below the threshold: `curve().below()`, sooner."""
        base, p, n = self.pressures[_SPAN], self.pressures, self.canary_errors
        terms = [w + n * _LOG_FACTORS[at] - p[at] + base for w, at in zip(_LOG_WEIGHTS_DOWN, _DOWN, strict=True)]
        return _log_sum(terms if n else [*terms, math.log(_WEIGHT_OF_ZERO) + base])

    def curve(self) -> Curve:
        """Return the likelihood over ratios around the threshold."""
        values = tuple(self.threshold * factor for factor in _FACTORS)
        pairs = zip(values, self.pressures, strict=True)
        curve = tuple(self.canary_errors * math.log(value) - pressure for value, pressure in pairs)
        return Curve(values, curve, -math.inf if self.canary_errors else 0.0)


@lru_cache(maxsize=256)  # a route's batch is added to the route's likelihood, and to the whole's
def _pressures(split: float) -> tuple[float, ...]:
    """Return ln(1 + r w) over the grid, of one error; *split* is r w at the threshold."""
    return tuple([math.log1p(split * factor) for factor in _FACTORS])


def proportion_above(requests: float, errors: float, threshold: float) -> float:
    """Return the logarithm of the evidence that an error ratio is above *threshold*, 0 to 1, both excluded."""
    base, *costs = _costs(threshold, _UP)
    terms = [
        w + errors * _LOG_FACTORS[at] - requests * (cost - base)
        for w, at, cost in zip(_LOG_WEIGHTS_UP, _UP, costs, strict=True)
    ]
    return _log_sum(terms)


def proportion_below(requests: float, errors: float, threshold: float) -> float:
    """Return the logarithm of the evidence that an error ratio is below *threshold*, 0 to 1, both excluded."""
    base, *costs = _costs(threshold, _DOWN)
    terms = [
        w + errors * _LOG_FACTORS[at] - requests * (cost - base)
        for w, at, cost in zip(_LOG_WEIGHTS_DOWN, _DOWN, costs, strict=True)
    ]
    return _log_sum(terms if errors else [*terms, math.log(_WEIGHT_OF_ZERO) + requests * base])


@lru_cache(maxsize=256)  # thresholds are settings: a service has a few
def _costs(threshold: float, grid: range) -> tuple[float, ...]:
    """Return what a request that succeeds takes from the likelihood, at *threshold* and at the *grid*'s values."""
    odds = threshold / (1 - threshold)
    return (math.log1p(odds), *(math.log1p(odds * _FACTORS[at]) for at in grid))


def proportion_curve(requests: float, errors: float, threshold: float) -> Curve:
    """Return the binomial likelihood of an error ratio around *threshold* (0 to 1, both excluded).

    The grid is geometric in the odds, so that it stays below 1.
    """
    odds = [threshold / (1 - threshold) * factor for factor in _FACTORS]
    curve = tuple(errors * math.log(o) - requests * math.log1p(o) for o in odds)
    return Curve(tuple(o / (1 + o) for o in odds), curve, -math.inf if errors else 0.0)


def ratio_growth(canary: float, stable: float, split: float, threshold: float) -> float:
    """Return the evidence about the ratio that one canary request brings on average, in nats.

    Args:
        canary: error ratio of the canary, 0 to 1.
        stable: error ratio of the stable version, 0 to 1.
        split: canary requests per stable request.
        threshold: ratio under test.
    """
    per_request = canary + stable / split
    if per_request == 0:
        return 0.0
    return per_request * _divergence(canary / per_request, threshold * split / (1 + threshold * split))


def proportion_growth(canary: float, threshold: float) -> float:
    """Return the evidence about the canary's error ratio that one request brings on average, in nats."""
    return _divergence(canary, threshold)


def _divergence(p: float, q: float) -> float:
    """Return the Kullback-Leibler divergence of two coins, in nats; *q* is neither 0 nor 1."""
    heads = p * math.log(p / q) if p > 0 else 0.0
    tails = (1 - p) * math.log((1 - p) / (1 - q)) if p < 1 else 0.0
    return heads + tails


def _log_sum(terms: Sequence[float]) -> float:
    top = max(terms, default=-math.inf)
    return top if top == -math.inf else top + math.log(sum([math.exp(term - top) for term in terms]))


def _between(rejected: float, kept: float, evidence: float, less: float, need: float) -> float:
    """Interpolate, geometrically, where the evidence falls through *need* between two grid values."""
    if math.isinf(evidence) or math.isinf(less):
        return rejected
    share = (evidence - need) / (evidence - less)
    return float(rejected * (kept / rejected) ** share)
