"""Wavelets, stacks and summaries over time beside plain numpy, scipy and pandas."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd  # noqa: TID251
import polars as pl
from scipy.ndimage import gaussian_filter1d

from benchmarks.features.case import Case, Columns

_FREQUENCIES = np.geomspace(0.2, 5.0, 25)
_OFFSETS = range(-60, 61, 5)
_SIGMA = 30.0
_BANDWIDTH = 1.5


def all_components(tracks: pl.DataFrame) -> pl.DataFrame:
    """All keypoint coordinates relative to the centre, named like components."""
    keys = ("frame", "time", "id", "fps", "group", "sequence")
    values = [
        (pl.col(f"pose{axis}{k}") - pl.col(axis)).alias(f"PC{2 * k + (axis == 'Y')}")
        for k in range(7)
        for axis in "XY"
    ]
    return tracks.select(*keys, *values)


def pairs_of_components(tracks: pl.DataFrame) -> pl.DataFrame:
    """The first six of them as a table of pairs."""
    table = all_components(tracks).select(pl.exclude([f"PC{k}" for k in range(6, 14)]))
    table = table.rename({"id": "id1"})
    return table.with_columns(id2=1 - pl.col("id1"), perspective=pl.col("id1"))


def clusters(tracks: pl.DataFrame) -> pl.DataFrame:
    """A cluster by where an animal looks, null where the heading is missing."""
    twelfth = (pl.col("ANGLE") * 6 / np.pi).floor()
    return tracks.select("frame", "id", "fps", "group", "sequence", cluster=twelfth).with_columns(
        pl.col("cluster").fill_nan(None).cast(pl.Int64)
    )


def _runs(table: pl.DataFrame, names: list[str], identity: str) -> Iterator[pd.DataFrame]:
    """Rows of each run of successive frames."""
    frame = pd.DataFrame({name: table[name].to_numpy() for name in ("frame", identity, *names)})
    ordered = frame.sort_values([identity, "frame"])
    new = (ordered["frame"].diff() != 1) | (ordered[identity].diff() != 0)
    for _, run in ordered.groupby(new.cumsum()):
        yield run[names]


def wavelet(table: pl.DataFrame) -> Columns:
    """One convolution after the other."""
    names = [name for name in table.columns if name.startswith("PC")]
    parts = []
    for run in _runs(table, names, "id1"):
        bridged = run.interpolate(limit_area="inside")
        made = {}
        for name in names:
            known = bridged[name].notna().to_numpy()
            signal = bridged[name].to_numpy()[known]
            for k, frequency in enumerate(_FREQUENCIES):
                scale = 30.0 / frequency
                reach = int(6 * scale)
                t = np.arange(-reach, reach + 1) / scale
                psi = np.exp(-(t**2) / _BANDWIDTH + 2j * np.pi * t) / np.sqrt(np.pi * _BANDWIDTH)
                found = np.convolve(signal, psi)[reach : reach + len(signal)] / np.sqrt(scale)
                power = np.full(len(run), np.nan)
                power[known] = np.log(np.abs(found) ** 2 + np.finfo(np.float32).tiny)
                made[f"W_{name}_f{k}"] = np.maximum(power, -3.0).astype(np.float32)
        parts.append(pd.DataFrame(made, index=run.index))
    result = pd.concat(parts).sort_index()
    return {name: result[name].to_numpy() for name in result.columns}


def stack(table: pl.DataFrame, *, spread: bool = False) -> Columns:
    """Column by column: smooth, shift, and put side by side."""
    names = [name for name in table.columns if name.startswith("PC")]
    parts = []
    for run in _runs(table, names, "id"):
        made: dict[str, np.ndarray] = {}
        last = len(run) - 1
        for name in names:
            values = run[name].to_numpy()
            smooth = _gaussian(values, 4.0)
            mean = _gaussian(values, 1.0)
            for offset in _OFFSETS:
                shifted = np.roll(smooth, -offset)
                if offset > 0:
                    shifted[max(last + 1 - offset, 0) :] = smooth[last]
                elif offset < 0:
                    shifted[:-offset] = smooth[0]
                made[f"{name}__t{offset:+03d}"] = shifted
            made[f"{name}__pool_mean"] = mean
            if spread:
                variance = np.maximum(_gaussian(values**2, 1.0) - mean**2, 0)
                made[f"{name}__pool_std"] = np.sqrt(variance)
        parts.append(pd.DataFrame(made, index=run.index))
    result = pd.concat(parts).sort_index().astype(np.float32)
    return {name: result[name].to_numpy() for name in result.columns}


def _gaussian(values: np.ndarray, truncate: float) -> np.ndarray:
    """Mean over the finite values of the window."""
    finite = np.isfinite(values)
    kind = {"sigma": _SIGMA, "mode": "nearest", "truncate": truncate}
    total = gaussian_filter1d(np.where(finite, values, 0.0), **kind)
    weight = gaussian_filter1d(finite.astype(float), **kind)
    return np.where(finite, total / np.where(weight > 0, weight, 1.0), np.nan)


def summary(table: pl.DataFrame) -> Columns:
    """Bouts by changes of the cluster, then grouped."""
    frame = table.select("frame", "id", "cluster").to_pandas().sort_values(["id", "frame"])
    apart = (frame["frame"].diff() != 1) | (frame["id"].diff() != 0)
    new = apart | (frame["cluster"].diff() != 0) | frame["cluster"].isna()
    bouts = frame.assign(run=apart.cumsum(), bout=new.cumsum()).groupby("bout")
    found = bouts.agg(
        id=("id", "first"), run=("run", "first"), cluster=("cluster", "first"), n=("id", "size")
    )
    same_run = found["run"].shift(-1) == found["run"]
    found["next"] = found["cluster"].shift(-1).where(same_run)
    found = found[found["cluster"].notna()]
    each = found.groupby(["id", "cluster"])["n"]
    labelled = each.sum()
    parts = pd.DataFrame(
        {
            "share": labelled / labelled.groupby("id").transform("sum"),
            "n_bouts": each.size(),
            "mean_bout_s": each.mean() / 30.0,
            "median_bout_s": each.median() / 30.0,
        }
    ).reset_index()
    steps = found.groupby(["id", "cluster", "next"]).size()
    out_of = steps.groupby(["id", "cluster"]).transform("sum")
    following = pd.DataFrame({"count": steps, "probability": steps / out_of}).reset_index()
    both = pd.concat([parts.assign(part=0), following.assign(part=1)])
    both = both.sort_values(["id", "part", "cluster", "next"])
    values = ["cluster", "share", "n_bouts", "mean_bout_s", "median_bout_s", "count"]
    return {name: both[name].to_numpy() for name in (*values, "probability")}


CASES: tuple[Case, ...] = (
    Case("pair-wavelet", wavelet, prepare=pairs_of_components, speedup=5.0),
    Case("temporal-stack", stack, prepare=all_components, speedup=5.0),
    Case(
        "temporal-stack",
        lambda table: stack(table, spread=True),
        {"pool_stats": ("mean", "std")},
        prepare=all_components,
    ),
    Case("cluster-summary", summary, prepare=clusters),
)
