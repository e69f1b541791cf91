"""Power of a complex Morlet wavelet transform.

The wavelet is ``psi(t) = (pi B)^(-1/2) exp(-t^2 / B) exp(2 pi i C t)`` with bandwidth B and centre
frequency C (written ``cmorB-C``), sampled at ``t = m / a`` and cut where ``|t| > 6``. The
coefficient at row b is ``a^(-1/2) sum_n x[n] conj(psi((n - b) / a))``, with zeros beyond the ends.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import fft

from mosaic_dagster.features.kernels.arrays import BoolArray, FloatArray

_CUT = 6.0


@dataclass(frozen=True)
class Morlet:
    """A complex Morlet wavelet.

    Attributes
    ----------
    bandwidth, center
        B and C of the formula in the module's docstring.
    """

    bandwidth: float
    center: float

    def scales(self, frequencies: FloatArray, fps: float) -> FloatArray:
        """Scale a in rows at which each frequency (Hz) is seen, shape of ``frequencies``."""
        return fps / (frequencies * self.center)

    def kernel(self, scale: float) -> npt.NDArray[np.complex128]:
        """``a^(-1/2) psi(m / a)`` for ``|m| <= 6 a``, shape (2 floor(6 a) + 1,)."""
        reach = int(_CUT * scale)
        t = np.arange(-reach, reach + 1) / scale
        envelope = np.exp(-(t**2) / self.bandwidth) / np.sqrt(np.pi * self.bandwidth * scale)
        kernel: npt.NDArray[np.complex128] = envelope * np.exp(2j * np.pi * self.center * t)
        return kernel


def wavelet_power(signal: FloatArray, wavelet: Morlet, scales: FloatArray) -> FloatArray:
    """Squared modulus of the coefficients, shape (n_rows, n_scales).

    Parameters
    ----------
    signal
        Finite values of one run, shape (n_rows,).
    wavelet
        The wavelet.
    scales
        Scales in rows, shape (n_scales,).

    Notes
    -----
    A unit sine at exactly a scale's frequency has power a / 4 away from the ends. A sum with
    ``conj(psi(-t)) = psi(t)`` is a convolution, done by FFT with room for the kernel, so that
    nothing wraps around.
    """
    n_rows = len(signal)
    power = np.empty((n_rows, len(scales)))
    for column, scale in enumerate(scales):
        kernel = wavelet.kernel(float(scale))
        reach = len(kernel) // 2
        size = fft.next_fast_len(n_rows + 2 * reach)
        spectrum = fft.fft(signal, size) * fft.fft(kernel, size)
        coefficients = fft.ifft(spectrum)[reach : reach + n_rows]
        power[:, column] = coefficients.real**2 + coefficients.imag**2
    return power


def edge_influence(n_rows: int, wavelet: Morlet, scales: FloatArray) -> BoolArray:
    """Where the ends of a run weigh on the coefficients, shape (n_rows, n_scales).

    True where the nearest end row is closer than ``sqrt(B) a``.
    """
    rows = np.arange(n_rows)
    distance = np.minimum(rows, n_rows - 1 - rows)
    reach = np.sqrt(wavelet.bandwidth) * scales
    return np.asarray(distance[:, None] < reach[None, :])
