import io
import pickle  # noqa: TID251

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mosaic_dagster.errors import StoreValueError, UntrustedArtifactError
from mosaic_dagster.store.formats import EXTENSIONS, FORMATS, Encoded, decode, encode, runs_code

X = np.arange(12.0).reshape(6, 2)
SAMPLES = {
    "arrays": StandardScaler().fit(X),
    "cloudpickle": [1, "a"],
    "joblib": [1, "a"],
    "json": {"a": [1, 2.5, None]},
    "npy": X,
    "pickle": [1, "a"],
    "skops": make_pipeline(StandardScaler(), Ridge()).fit(X, X[:, 0]),
}
CALLED = []


def _spring(text):
    CALLED.append(text)


class Trap:
    def __reduce__(self):
        return (_spring, ("ran",))


class Stubborn:
    def __reduce__(self):
        raise KeyError("not today")


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_gives_back_what_it_took(format):
    """Else an artifact cannot be loaded again by the format that its row names."""
    encoded = encode(SAMPLES[format], format)
    assert (encoded.format, encoded.ext) == (format, EXTENSIONS[format])
    back = decode(encoded.data, format)
    if hasattr(back, "fit"):
        assert encode(back, format) == encoded
    else:
        assert np.array_equal(back, SAMPLES[format])


@pytest.mark.parametrize(
    ("obj", "format"),
    [
        (X, "npy"),
        (np.array(["a", "b"]), "npy"),
        (np.array([1, "a"], dtype=object), "joblib"),
        (np.ma.masked_array([1], mask=[True]), "joblib"),
        (np.array(["a"], dtype=np.dtypes.StringDType()), "joblib"),
        (StandardScaler(), "arrays"),
        (make_pipeline(StandardScaler()), "joblib"),
        (Ridge(random_state=np.random.RandomState(0)), "joblib"),
        ({"a": 1}, "joblib"),
        (None, "joblib"),
    ],
)
def test_auto_takes_the_safest_format_that_holds_the_object(obj, format):
    """Else an ordinary model needs trust, or an object comes back as another."""
    encoded = encode(obj)
    assert encoded.format == format
    assert type(decode(encoded.data, encoded.format)) is type(obj)


def test_unknown_formats_are_refused():
    """Else a typing error is stored as a file that nothing can read."""
    with pytest.raises(StoreValueError, match="no artifact format 'pikle'"):
        encode([1], "pikle")
    for call in (decode, lambda data, format: runs_code(format)):
        with pytest.raises(StoreValueError, match="no artifact format 'auto'"):
            call(b"", "auto")


@pytest.mark.parametrize(
    ("obj", "format", "reason"),
    [
        (lambda: 1, "joblib", "lambda"),
        (lambda: 1, "pickle", "lambda"),
        (lambda: 1, "skops", "<lambda> is stored as its name"),
        (Stubborn(), "cloudpickle", "KeyError: 'not today'"),
        (Stubborn(), "joblib", "KeyError: 'not today'"),
        ({1, 2}, "json", "set"),
        ([1], "npy", "not an array"),
        ([1], "arrays", "builtins.list"),
    ],
)
def test_what_a_format_cannot_hold_is_refused_with_the_reason(obj, format, reason):
    """Else the user sees the insides of pickle instead of what to do."""
    with pytest.raises(StoreValueError, match=reason) as caught:
        encode(obj, format)
    assert caught.value.remedy


def test_loops_are_refused_where_they_cannot_be_held():
    """Else storing a nested object ends in a RecursionError."""
    loop = []
    loop.append(loop)
    for format in ("json", "skops"):
        with pytest.raises(
            StoreValueError, match=f"cannot be stored as '{format}': RecursionError"
        ):
            encode(loop, format)
    assert encode(loop).format == "joblib"


@pytest.mark.parametrize("format", ["joblib", "pickle", "cloudpickle"])
def test_without_trust_nothing_is_deserialised(format):
    """Else opening a bundle from somebody else runs that person's code."""
    assert runs_code(format)
    data = pickle.dumps(Trap())
    CALLED.clear()
    with pytest.raises(UntrustedArtifactError, match=format):
        decode(data, format, trusted=False)
    assert not CALLED
    decode(data, format)
    assert CALLED == ["ran"]


@pytest.mark.parametrize("format", ["arrays", "json", "npy", "skops"])
def test_safe_formats_load_without_trust(format):
    """Else ordinary chains of somebody else cannot be used without trusting them with anything."""
    assert not runs_code(format)
    decode(encode(SAMPLES[format], format).data, format, trusted=False, trusted_types=())


@pytest.mark.parametrize(
    ("format", "trusted"),
    [
        *((format, True) for format in FORMATS),
        *((format, False) for format in FORMATS if not runs_code(format)),
    ],
)
def test_damaged_bytes_are_told_as_such(format, trusted):
    """Else a torn file ends in a traceback of numpy, zipfile or pickle."""
    whole = encode(SAMPLES[format], format).data
    for data in (b"", b"nonsense", whole[: len(whole) // 2], pickle.dumps(X)[:-40] + b"\xff"):
        with pytest.raises(StoreValueError, match=f"cannot be read as '{format}'") as caught:
            decode(data, format, trusted=trusted)
        assert caught.value.remedy


def test_a_header_that_claims_too_much_is_refused():
    """Else 100 bytes from outside ask for an exabyte of memory and end in a MemoryError."""
    header = io.BytesIO()
    claim = {"descr": "<f8", "fortran_order": False, "shape": (1 << 57,)}
    np.lib.format.write_array_header_1_0(header, claim)
    with pytest.raises(StoreValueError, match="npy"):
        decode(header.getvalue(), "npy", trusted=False)


def test_equal_objects_give_equal_bytes():
    """Else saving a model twice takes twice the space."""
    for format, obj in SAMPLES.items():
        assert encode(obj, format) == encode(obj, format)
    assert encode({"b": 1, "a": 2}, "json") == Encoded(b'{"a":2,"b":1}', "json", "json")
