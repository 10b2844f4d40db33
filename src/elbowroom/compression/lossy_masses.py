"""Masses of whole-number codes: a mixture of normals over steps, told in the file in numbers of 16 bits."""

import math
import struct
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .masses import Below, Nested, Whole
from .portable import Array, exp, log, normal_below
from .stack import Damaged, Stack

__all__ = ["CodeMasses"]

_COMPONENTS, _ROUNDS, _ROWS_FOR_FIT = (1, 2, 4, 8, 16, 32, 64), 60, 4_000
_PATIENCE = 2
_NARROWEST = 0.05
_ROWS_AT_ONCE = 1_024
_START = struct.Struct("<HH")
_LEAST = 1e-200


@dataclass(frozen=True)
class CodeMasses:
    """Masses of rows of codes: p(k) = Σ w ∏ P(k_d), where P is what a normal holds within half a step of k_d.

    A row is coded latent by latent, each given those before it, so that it takes −log p(k) and the components say what
    latents have to do with one another.

    Parameters
    ----------
    low, high : array
        [D]: the least and the greatest code of each latent in the file. Where they are equal nothing is coded.
    weights : array
        [K], above 0.
    means, scales : array
        [K, A] in steps, of those latents whose codes differ.

    Examples
    --------
    >>> codes = np.random.default_rng(0).normal(0.0, 2.0, (500, 3))
    >>> masses = CodeMasses.fitted(codes)
    >>> whole, stack = np.rint(codes).astype(np.int64), Stack.primed(2)
    >>> masses.push(stack, whole)
    >>> bool((masses.pop(stack, 500) == whole).all())
    True
    """

    low: Whole
    high: Whole
    weights: Array
    means: Array
    scales: Array

    @property
    def told(self) -> NDArray[np.intp]:
        """Latents whose codes differ."""
        return np.flatnonzero(self.high > self.low)

    @classmethod
    def fitted(cls, codes: Array) -> "CodeMasses":
        """The mixture, of 1 to 64 components, with which codes and the file's own account of it are shortest.

        Parameters
        ----------
        codes : array
            [n, D] in steps, before they are rounded.

        Returns
        -------
        CodeMasses
            Of numbers that 16 bits hold.
        """
        whole = np.rint(codes).astype(np.int64)
        low, high = whole.min(0), whole.max(0)
        some = np.linspace(0, len(codes) - 1, min(len(codes), _ROWS_FOR_FIT)).astype(np.int64)
        best, least, worse = None, math.inf, 0
        for components in _COMPONENTS:
            if best is not None and (components * 10 > len(codes) or worse == _PATIENCE):
                break
            found = cls._of(codes[some], low, high, components)
            length = found.nats(whole[some]).mean() * len(codes) / math.log(2) + 8 * len(zlib.compress(found.packed()))
            worse += 1
            if length < least:
                best, least, worse = found, length, 0
        assert best is not None
        return best

    @classmethod
    def _of(cls, codes: Array, low: Whole, high: Whole, components: int) -> "CodeMasses":
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.mixture import GaussianMixture

        inside = codes[:, high > low]
        weights, means, scales = np.ones(1), np.zeros((1, 0)), np.ones((1, 0))
        if inside.shape[1]:
            model = GaussianMixture(
                components, covariance_type="diag", reg_covar=_NARROWEST**2, random_state=0, max_iter=_ROUNDS
            )
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                model.fit(inside)
            weights, means, scales = model.weights_, model.means_, np.sqrt(model.covariances_)
        few = [one.astype("<f2").astype(np.float64) for one in (np.maximum(weights, 1e-4), means, scales)]
        return cls(low, high, *few)

    def packed(self) -> bytes:
        """All its numbers."""
        start = _START.pack(len(self.low), len(self.weights))
        spans = np.stack([self.low, self.high]).astype("<i2").tobytes()
        return start + spans + b"".join(one.astype("<f2").tobytes() for one in (self.weights, self.means, self.scales))

    @classmethod
    def unpacked(cls, content: bytes) -> "CodeMasses":
        """From `packed`; Damaged for what cannot be."""
        if len(content) < _START.size:
            raise Damaged
        size, components = _START.unpack_from(content)
        spans_end = _START.size + 4 * size
        spans = np.frombuffer(content[_START.size : spans_end].ljust(4 * size, b"\0"), "<i2").astype(np.int64)
        low, high = spans.reshape(2, size)
        told = int((high > low).sum())
        numbers = np.frombuffer(content[spans_end:][: 2 * (len(content[spans_end:]) // 2)], "<f2").astype(np.float64)
        wanted = components * (1 + 2 * told)
        if not 1 <= components <= _COMPONENTS[-1] or (high < low).any() or len(content) != spans_end + 2 * wanted:
            raise Damaged
        weights, means, scales = np.split(numbers, [components, components * (1 + told)])
        if not np.isfinite(numbers).all() or (weights <= 0).any() or (scales <= 0).any():
            raise Damaged
        return cls(low, high, weights, means.reshape(components, told), scales.reshape(components, told))

    def push(self, stack: Stack, whole: Whole) -> None:
        """Put rows of codes [n, D] on the stack."""
        for rows in reversed(_parts(len(whole))):
            held = list(self._coders(whole[rows]))
            for place, coder in reversed(held):
                coder.push(stack, whole[rows, place] - self.low[place])

    def pop(self, stack: Stack, n: int) -> Whole:
        """Take n rows from the stack."""
        found = np.tile(self.low, (n, 1))
        for rows in _parts(n):
            block = found[rows]
            for place, coder in self._coders(block):
                block[:, place] += coder.pop(stack, len(block))
        return found

    def nats(self, whole: Whole) -> Array:
        """What rows take, [n], up to what lies outside the span of their codes."""
        joint = np.tile(np.log(self.weights / self.weights.sum()), (len(whole), 1))
        for i, place in enumerate(self.told):
            joint = joint + log(self._within(i, whole[:, place]))
        top = joint.max(1)
        found: Array = -(top + np.log(np.exp(joint - top[:, None]).sum(1)))
        return found

    def _coders(self, whole: Whole) -> Iterator[tuple[int, Nested]]:
        """Each latent's coder given the codes before it, which are looked at when the next is asked for."""
        logs = np.tile(log(self.weights), (len(whole), 1))
        for i, place in enumerate(self.told.tolist()):
            weights = exp(logs - logs.max(1, keepdims=True))
            yield place, Nested(int(self.high[place] - self.low[place]) + 1, self._below(i, place, weights))
            logs = logs + log(self._within(i, whole[:, place]))

    def _within(self, i: int, whole: Whole) -> Array:
        """What each component holds within half a step of codes [n]: [n, K]."""
        t = [(whole[:, None] + half - self.means[:, i]) / self.scales[:, i] for half in (-0.5, 0.5)]
        sign = np.where(t[0] + t[1] > 0, -1.0, 1.0)
        return np.maximum(sign * (normal_below(sign * t[1]) - normal_below(sign * t[0])), _LEAST)

    def _below(self, i: int, place: int, weights: Array) -> Below:
        mean, scale, low = self.means[:, i], self.scales[:, i], float(self.low[place]) - 0.5
        total, middle = np.zeros(len(weights)), np.zeros(len(weights))
        for k in range(len(mean)):  # in this order, so that the sums are the same everywhere
            total, middle = total + weights[:, k], middle + weights[:, k] * mean[k]

        def below(places: Whole) -> Array:
            at = low + places
            sign = np.where((at[:, :1] + at[:, -1:]) * total[:, None] > 2.0 * middle[:, None], -1.0, 1.0)
            sums = np.zeros(at.shape)
            for k in range(len(mean)):
                sums = sums + weights[:, k : k + 1] * normal_below(sign * (at - mean[k]) / scale[k])
            return sign * sums

        return below


def _parts(n: int) -> list[slice]:
    return [slice(start, min(start + _ROWS_AT_ONCE, n)) for start in range(0, n, _ROWS_AT_ONCE)]
