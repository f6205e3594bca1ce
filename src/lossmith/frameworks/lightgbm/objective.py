"""A loss as LightGBM's custom objective."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from lossmith.errors import DomainError, KindError, ParameterError
from lossmith.frameworks import boosting
from lossmith.frameworks.lightgbm.library import library, table
from lossmith.frameworks.lightgbm.model import Model

Array = npt.NDArray[Any]

_ALMOST = 1e-6  # how near to the start score data begin


class Objective(boosting.Objective):
    """A loss for ``lightgbm.train``: gradient, Hessian, weights, start score, link and metric in one object.

    ::

        objective = Objective("huber(delta=2)", y, weight)
        booster = lightgbm.train(
            {"objective": objective, "metric": "none"},
            objective.dataset(X),
            valid_sets=[objective.validation(X_new, y_new)],
            feval=objective.feval,
        )
        model = objective.model(booster)  # with start score and link

    Losses over K classes or levels need ``"num_class": objective.outputs`` in the settings besides; LightGBM then has
    K trees a round, in the order of the classes.

    It is examined when it is made; see ``lossmith.frameworks.boosting.Objective`` for arguments, attributes and errors,
    and ``lossmith.frameworks.boosting.curvature`` for ``hessian``: ``floor`` (default), ``exact``, ``upper_bound``,
    ``gauss_newton``.
    """

    _seen: Any = None
    _validated: WeakKeyDictionary[Any, tuple[Array, Array | None]]

    def __call__(self, raw: Array, data: Any = None) -> tuple[Array, Array]:
        """Return weighted gradient and Hessian, as ``lightgbm.train`` asks for them.

        Args:
            raw: what LightGBM holds as prediction, start score included, of shape (n,) or (n, outputs).
            data: the data set, which must be of the rows given at construction, and begin at the start score.

        Returns:
            Two float32 arrays of that shape, a column an output where there are several.

        Raises:
            KindError: for what is no data set.
        """
        if data is not None and data is not self._seen:
            if not hasattr(data, "get_label"):
                raise KindError(
                    f"{self.loss}: lightgbm.train calls an objective with predictions and its data set, and this one "
                    f"was called with {type(data).__name__}, as estimators of LightGBM do; take "
                    "lossmith.lightgbm.Regressor, Classifier or train_dask, which have its start score and link too"
                )
            self._compare(data)
            self._seen = data
        return self.gradient_and_hessian(raw, order="F")

    def feval(self, raw: Array, data: Any) -> tuple[str, float, bool]:
        """Return name, mean loss, and that less is better, as ``lightgbm.train(feval=)`` asks for them.

        Raises:
            ParameterError: for a data set that does not begin at the start score.
        """
        y, weight = self._rows_of(data)
        return self.metric.name, self.metric(y, raw, weight), self.metric.higher_is_better

    def dataset(self, X: Any, **settings: Any) -> Any:
        """Return the ``lightgbm.Dataset`` of the training rows, with targets, weights and start score.

        Args:
            X: features, rows by columns: an array, a data frame or a sparse matrix.
            settings: of ``lightgbm.Dataset``, such as ``categorical_feature``.
        """
        return self._dataset(self.fitting(X), self.y, self.weight, settings)

    def validation(self, X: Any, y: npt.ArrayLike, weight: npt.ArrayLike | None = None, **settings: Any) -> Any:
        """Return a ``lightgbm.Dataset`` of other rows, with the same start score; see ``dataset``."""
        other = self.on(y, weight)
        data = self._dataset(other.fitting(X), other.y, other.weight, settings)
        self.validated(data, other.y, other.weight)
        return data

    def validated(self, data: Any, y: Array, weight: Array | None) -> None:
        """Keep targets and weights of a data set as they were before LightGBM rounded them."""
        self._validated[data] = (y, weight)

    def model(self, booster: Any, rounds: int | None = None) -> Model:
        """Return a booster that was trained with this objective as a model, with start score and link inside.

        Args:
            booster: of ``lightgbm.train``.
            rounds: how many rounds are in use; by default the best one where training stopped early, else all.
        """
        return Model(booster, self.head, rounds or booster.best_iteration or booster.current_iteration())

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy or another process needs: data sets stay where they are."""
        return {name: value for name, value in self.__dict__.items() if name not in ("_seen", "_validated")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._validated = WeakKeyDictionary()

    def _hold(self, y: Array, weight: Array | None) -> None:
        super()._hold(y, weight)
        self._validated = WeakKeyDictionary()

    def _dataset(self, X: Any, y: Array, weight: Array | None, settings: dict[str, Any]) -> Any:
        label = y if y.ndim == 1 else y.argmax(axis=1)  # LightGBM keeps one number a row
        settings = {**settings, "params": {"verbosity": -1, **settings.get("params", {})}}
        return library().Dataset(table(X), label, weight=weight, init_score=self.head.constant(len(y)), **settings)

    def _rows_of(self, data: Any) -> tuple[Array, Array | None]:
        """Return targets and weights of a data set: as they were given, or as LightGBM keeps them, in float32."""
        if data is self._seen:
            return self.y, self.weight
        if data not in self._validated:
            self._refuse_other_start(data, "make it by objective.validation(X, y)")
            self.validated(data, data.get_label(), data.get_weight())
        return self._validated[data]

    def _compare(self, data: Any) -> None:
        """Refuse a data set of other rows, of weights that are not this objective's, or that begins elsewhere.

        Raises:
            DomainError, ParameterError: with what to pass.
        """
        label, weight = data.get_label(), data.get_weight()
        if self.y.ndim == 1 and not np.array_equal(label, self.y.astype(np.float32)):
            raise DomainError(
                f"{self.loss}: the data set holds other targets than the objective, {len(label)} of them; make both "
                "from the same rows, for instance by objective.dataset(X); for folds there is lossmith.lightgbm.cv"
            )
        ours = None if self.weight is None else self.weight.astype(np.float32)
        if weight is not None and (ours is None or not np.allclose(weight, ours, rtol=1e-6)):
            raise ParameterError(
                f"{self.loss}: LightGBM ignores the weights of a data set when the objective is a custom one; pass "
                "the same weights to Objective(loss, y, weight)"
            )
        mend = "pass init_score=objective.init_score to lightgbm.Dataset, or make it by objective.dataset(X)"
        self._refuse_other_start(data, mend)

    def _refuse_other_start(self, data: Any, mend: str) -> None:
        """Refuse a data set that begins elsewhere, since ``model`` adds the start score to the trees of all rows.

        Raises:
            ParameterError: with what to do.
        """
        begins, wanted = data.get_init_score(), self.head.constant(data.num_data())
        found = np.zeros(wanted.shape) if begins is None else np.asarray(begins, np.float64)
        if found.size == wanted.size:  # classes may lie one after the other
            found = found.reshape(wanted.shape, order="F")
        if found.shape == wanted.shape and np.allclose(found, wanted, rtol=_ALMOST, atol=_ALMOST):
            return
        if begins is None:
            raise ParameterError(
                f"{self.loss}: LightGBM begins at zero when the objective is a custom one, and the best constant is "
                f"{self.start}; {mend}"
            )
        raise ParameterError(
            f"{self.loss}: the data set begins at scores from {found.min():g} to {found.max():g}, and the best "
            f"constant, which a model adds to its trees, is {self.start}; {mend}. init_model= cannot be continued: "
            "LightGBM puts predictions of its trees in the place of the start score"
        )
