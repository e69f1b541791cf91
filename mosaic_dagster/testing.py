"""For authors of features: small tables, and a check that a feature keeps its contract."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from mosaic_dagster.errors import ParamsError
from mosaic_dagster.features.inputs import InputStream
from mosaic_dagster.features.output import FeatureTable
from mosaic_dagster.features.params import Params
from mosaic_dagster.features.protocol import Feature
from mosaic_dagster.keys import EntryKey
from mosaic_dagster.store.content.codecs import encode_table

AnyFeature = Feature[Any]
StateFrom = InputStream | Mapping[str, Path] | None


def toy_tracks(
    n_frames: int = 12, n_ids: int = 2, n_keypoints: int = 3, fps: float = 10.0
) -> pl.DataFrame:
    """Individuals that walk side by side, one row per frame and individual, interleaved.

    Individual i is at (3 f, 4 f + 100 i) in frame f: 5 units per frame. Keypoint k is k units to
    the left of the centre, so bodies are straight.
    """
    frame = np.repeat(np.arange(n_frames, dtype=np.int64), n_ids)
    identity = np.tile(np.arange(n_ids, dtype=np.int64), n_frames)
    x, y = 3.0 * frame, 4.0 * frame + 100.0 * identity
    columns: dict[str, Any] = {"frame": frame, "time": frame / fps, "id": identity, "X": x, "Y": y}
    for k in range(n_keypoints):
        columns |= {f"poseX{k}": x - k, f"poseY{k}": y}
    origin = {"fps": fps, "group": "toy", "sequence": "walk"}
    return pl.DataFrame(columns).with_columns(pl.lit(v).alias(c) for c, v in origin.items())


def toy_values(
    columns: Mapping[str, Any], *, identity: Mapping[str, int] | None = None, fps: float = 10.0
) -> pl.DataFrame:
    """A feature's table of one individual or pair with the given values in frames from 0 on.

    Parameters
    ----------
    columns
        Values by column, all of one length.
    identity
        Identity columns and their values; ``{"id": 0}`` unless given.
    fps
        Frames per second.
    """
    values = pl.DataFrame(dict(columns))
    frame = np.arange(values.height, dtype=np.int64)
    keys = pl.DataFrame({"frame": frame, "time": frame / fps}).with_columns(
        pl.lit(v, dtype=pl.Int64).alias(c) for c, v in (identity or {"id": 0}).items()
    )
    origin = {"fps": fps, "group": "toy", "sequence": "values"}
    table = pl.concat([keys, values], how="horizontal")
    return table.with_columns(pl.lit(v).alias(c) for c, v in origin.items())


def toy_stream(tables: Mapping[EntryKey, pl.DataFrame]) -> InputStream:
    """A stream over tables in memory, entries sorted."""
    return InputStream(tuple(sorted(tables)), lambda key: tables[key])


def make_ready(feature: AnyFeature, state_from: StateFrom = None) -> AnyFeature:
    """Load or fit a feature.

    Parameters
    ----------
    feature
        The feature, not fitted yet.
    state_from
        The stream to fit on, or the files that its parameters refer to; None for a feature that
        is never fitted.
    """
    files = state_from if isinstance(state_from, Mapping) else {}
    stream = state_from if isinstance(state_from, InputStream) else toy_stream({})
    if not feature.load_state(None, files, {}):
        feature.fit(stream)
    return feature


def check_feature(
    feature_cls: type[AnyFeature],
    table: pl.DataFrame,
    params: Params | Mapping[str, Any] | None = None,
    *,
    state_from: StateFrom = None,
    any_row_order: bool = True,
) -> pl.DataFrame:
    """Assert what every feature promises, and give back its result for ``table``.

    Checked: unknown parameters are refused; the declared columns and types are those made, also
    for no row and for one row; the result has the same bytes on a second call, after the feature
    was sent to another process, from a state that was saved and loaded, and (as a set of rows)
    for reversed rows; a second fit has the same bytes; the input is left alone.

    Parameters
    ----------
    feature_cls
        The class of the feature.
    table
        An input table with several rows.
    params
        Parameters of the feature.
    state_from
        See :func:`make_ready`.
    any_row_order
        Whether the feature claims that the order of its input's rows does not matter.

    Raises
    ------
    AssertionError
        A promise is broken; the message says which.
    """
    _check_refuses_unknown(feature_cls, params)
    feature = make_ready(feature_cls(params=params), state_from)
    before = encode_table(table)
    result = _apply(feature, table)
    assert encode_table(table) == before, f"{feature.name} changed its input table."
    for rows in (table, table.clear(), table.head(1)):
        _check_schema(feature, rows)
    encoded = encode_table(result)
    assert encode_table(_apply(feature, table)) == encoded, (
        f"{feature.name} gives other bytes on the second call."
    )
    assert encode_table(_apply(_through_a_pipe(feature), table)) == encoded, (
        f"{feature.name} gives other bytes in another process."
    )
    if feature.fits != "never":
        again = make_ready(feature_cls(params=params), state_from)
        _check_state(feature, again, feature_cls(params=params), table, encoded)
    if any_row_order:
        backwards = _apply(feature, table.reverse())
        assert _as_set(backwards).equals(_as_set(result)), (
            f"{feature.name} depends on the order of its input's rows."
        )
    return result


def _apply(feature: AnyFeature, table: pl.DataFrame) -> pl.DataFrame:
    result = feature.apply(table)
    return result.table if isinstance(result, FeatureTable) else result


def _as_set(table: pl.DataFrame) -> pl.DataFrame:
    return table.sort(table.columns) if table.width else table


def _check_refuses_unknown(
    feature_cls: type[AnyFeature], params: Params | Mapping[str, Any] | None
) -> None:
    given = dict(params) if params is not None else {}
    try:
        feature_cls(params={**given, "no_such_parameter": 1})
    except ParamsError:
        return
    msg = f"{feature_cls.name} takes a parameter that it does not have."
    raise AssertionError(msg)


def _check_schema(feature: AnyFeature, table: pl.DataFrame) -> None:
    declared = feature.output_schema(table.schema)
    assert declared is not None, f"{feature.name} is ready but declares no schema."
    made = _apply(feature, table).schema
    assert list(made.items()) == list(declared.items()), (
        f"{feature.name} declares {dict(declared)} for {table.height} row(s) "
        f"and makes {dict(made)}."
    )


def _check_state(
    feature: AnyFeature,
    again: AnyFeature,
    empty: AnyFeature,
    table: pl.DataFrame,
    encoded: bytes,
) -> None:
    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
        feature.save_state(Path(first))
        again.save_state(Path(second))
        files = _read_files(Path(first))
        assert files, f"{feature.name} is fitted and saves no state."
        assert files == _read_files(Path(second)), f"{feature.name}: a second fit differs."
        assert empty.load_state(Path(first), {}, {}), f"{feature.name} refits a saved state."
        assert encode_table(_apply(empty, table)) == encoded, (
            f"{feature.name} gives other bytes from its saved state."
        )
        assert empty.state_notes() == feature.state_notes(), (
            f"{feature.name} has other notes from its saved state."
        )


def _read_files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def _through_a_pipe(feature: AnyFeature) -> AnyFeature:
    import cloudpickle

    copy: AnyFeature = cloudpickle.loads(cloudpickle.dumps(feature))
    return copy
