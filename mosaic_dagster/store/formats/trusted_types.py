"""Types beyond skops' own list that the skops files of our own workspaces may hold.

What scikit-learn's estimators keep inside them. skops leaves trees out because a forged one can
crash the process that predicts with it, so the list is for files that a workspace wrote itself.
"""

from __future__ import annotations

_DISTANCES = ("BrayCurtis", "Canberra", "Chebyshev", "Euclidean", "Hamming", "Manhattan")
_KERNELS = (
    *("ConstantKernel", "DotProduct", "Exponentiation", "Matern", "Product"),
    *("RBF", "RationalQuadratic", "Sum", "WhiteKernel"),
)
_SCORES = ("chi2", "f_classif", "f_regression")

OWN_TYPES: tuple[str, ...] = (
    "numpy.dtype",
    "numpy.mean",
    "scipy.sparse._csr.csr_matrix",
    "sklearn._loss.loss.HalfTweedieLoss",
    "sklearn._loss.loss.HalfTweedieLossIdentity",
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.calibration._TemperatureScaling",
    "sklearn.cluster._bisect_k_means._BisectingTree",
    "sklearn.cluster._kmeans._kmeans_single_lloyd",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    *(f"sklearn.feature_selection._univariate_selection.{name}" for name in _SCORES),
    "sklearn.feature_selection._mutual_info.mutual_info_classif",
    "sklearn.gaussian_process._gpc._BinaryGaussianProcessClassifierLaplace",
    *(f"sklearn.gaussian_process.kernels.{name}" for name in _KERNELS),
    "sklearn.metrics._classification.accuracy_score",
    "sklearn.metrics._classification.f1_score",
    *(f"sklearn.metrics._dist_metrics.{name}Distance64" for name in _DISTANCES),
    "sklearn.metrics._dist_metrics.MinkowskiDistance64",
    "sklearn.metrics._scorer._PassthroughScorer",
    "sklearn.metrics._scorer._Scorer",
    "sklearn.model_selection._split.GroupKFold",
    "sklearn.model_selection._split.KFold",
    "sklearn.model_selection._split.StratifiedKFold",
    "sklearn.multiclass._ConstantPredictor",
    "sklearn.neighbors._ball_tree.BallTree",
    "sklearn.neighbors._kd_tree.KDTree",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
    "sklearn.tree._tree.Tree",
    "sklearn.utils._bunch.Bunch",
)
