"""Power of a complex Morlet wavelet transform.

The wavelet is ``psi(t) = (pi B)^(-1/2) exp(-t^2 / B) exp(2 pi i C t)`` with bandwidth B and centre
frequency C (written ``cmorB-C``), sampled at ``t = m / a`` and cut where ``|t| > 6``. The
coefficient at row b is ``a^(-1/2) sum_n x[n] conj(psi((n - b) / a))``, with zeros beyond the ends.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mosaic_dagster.features.kernels.arrays import BoolArray, FloatArray

_CUT = 6.0
_SCALES = 4
"""Scales that are transformed at once; more would not stay in the processor's cache."""


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


def kernel_spectra(n_rows: int, wavelet: Morlet, scales: FloatArray) -> FloatArray:
    """Fourier transforms of the kernels, shape (n_scales, n_frequencies).

    Parameters
    ----------
    n_rows
        Length of the signals that they are for.
    wavelet
        The wavelet.
    scales
        Scales in rows, shape (n_scales,).

    Notes
    -----
    Around row 0 a kernel is its own mirror image, conjugated, so that its transform is real.
    Where a kernel is longer than the signal, the rest of it meets only zeros and is cut off. There
    is room for the longest one beyond the signal's end, so that nothing wraps around.
    """
    from scipy import fft

    kernels = [wavelet.kernel(float(scale)) for scale in scales]
    reaches = [min(len(kernel) // 2, max(n_rows - 1, 0)) for kernel in kernels]
    size = fft.next_fast_len(n_rows + max(reaches, default=0))
    spectra = np.empty((len(kernels), size))
    for row, (kernel, reach) in enumerate(zip(kernels, reaches, strict=True)):
        middle = len(kernel) // 2
        around = np.zeros(size, dtype=np.complex128)
        around[: reach + 1] = kernel[middle : middle + reach + 1]
        around[size - reach :] = kernel[middle - reach : middle]
        spectra[row] = fft.fft(around).real
    return spectra


def wavelet_power(signal: FloatArray, spectra: FloatArray) -> FloatArray:
    """Squared modulus of the coefficients, shape (n_scales, n_rows).

    Parameters
    ----------
    signal
        Finite values of one run, shape (n_rows,).
    spectra
        What :func:`kernel_spectra` gives for this number of rows.

    Notes
    -----
    A unit sine at exactly a scale's frequency has power a / 4 away from the ends. A sum with
    ``conj(psi(-t)) = psi(t)`` is a convolution, done by FFT.
    """
    from scipy import fft

    n_rows = len(signal)
    spectrum = fft.fft(signal, spectra.shape[1])
    power = np.empty((len(spectra), n_rows))
    for start in range(0, len(spectra), _SCALES):
        some = slice(start, start + _SCALES)
        found = fft.ifft(spectra[some] * spectrum, axis=1, overwrite_x=True)[:, :n_rows]
        power[some] = found.real**2 + found.imag**2
    return power


def edge_influence(n_rows: int, wavelet: Morlet, scales: FloatArray) -> BoolArray:
    """Where the ends of a run weigh on the coefficients, shape (n_rows, n_scales).

    True where the nearest end row is closer than ``sqrt(B) a``.
    """
    rows = np.arange(n_rows)
    distance = np.minimum(rows, n_rows - 1 - rows)
    reach = np.sqrt(wavelet.bandwidth) * scales
    return np.asarray(distance[:, None] < reach[None, :])
