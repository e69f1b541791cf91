"""Names for the array types of pictures and of places in them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
"""A picture, shape (height, width, 3) in the order red, green, blue, or (height, width) in grey."""

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
