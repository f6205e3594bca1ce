"""What files for boosters with a prediction for each class have beyond those with one: several trees a round."""

from __future__ import annotations

from collections.abc import Mapping

from lossmith.core.loss import Loss
from lossmith.custom.export.numpy import ERRSTATE, NUMPY, cost, derivatives
from lossmith.custom.export.sheet import RowSheet, sheet_of
from lossmith.errors import ParameterError

_PARTS = '''
def start_score(y_true, classes, weight=None):
    """Return the constant logits at which mean gradients are 0, by bounded steps of Newton's method."""
    y_true = np.asarray(y_true).astype(int)

    def slope(score):
        slopes = gradient(y_true, np.tile(score, (len(y_true), 1)))
        return np.average(slopes, axis=0, weights=weight)

    score = np.zeros(classes)
    for _ in range(50):
        found = slope(score)
        moved = [slope(score + 1e-5 * unit) - found for unit in np.eye(classes)]
        step = np.linalg.lstsq(np.array(moved).T / 1e-5, found, rcond=1e-7)[0]
        score = score - np.clip(step, -1.0, 1.0)
    return score


def prediction(raw):
    """Return the softmax of logits."""
    powers = np.exp(raw - raw.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def derivatives(raw, y_true, weight):
    """Return gradient and Hessian, by weight where there is one: the library leaves that to an objective."""
    y_true = np.asarray(y_true).astype(int)
    slope = gradient(y_true, raw)
    bend = np.maximum(hessian(y_true, raw), HESSIAN_FLOOR)
    if weight is None:
        return slope, bend
    return weight[:, None] * slope, weight[:, None] * bend


def mean_loss(raw, y_true, weight):
    """Return the mean loss of the rows, by weight and by what each counts."""
    return float(cost(np.asarray(y_true).astype(int), raw, weight=weight))
'''

WEIGHTS_OF_XGBOOST = '''
def weights(data):
    """Return the weights of a matrix, or None where it has none."""
    found = data.get_weight()
    return found if found.size else None
'''

METRIC_OF_CATBOOST = '''
    def is_max_optimal(self):
        """Return that less is better."""
        return False

    def get_final_error(self, error, weight):
        """Return the mean."""
        return error / weight
'''

CODES: Mapping[str, tuple[str, str]] = {
    "lightgbm": (
        """
start = start_score(y, classes, w)
data = lightgbm.Dataset(X, y, weight=w, init_score=np.tile(start, (len(y), 1)))
settings = {"objective": objective, "num_class": classes, "metric": "none"}
booster = lightgbm.train(settings, data, 100, valid_sets=[data], feval=metric)
probabilities = predict(booster, X, start)
""",
        '''
def objective(raw, data):
    """Return what LightGBM asks of an objective, a column for each class."""
    return derivatives(raw, data.get_label(), data.get_weight())


def metric(raw, data):
    """Return a name, the mean loss, and that less is better."""
    return "<name>", mean_loss(raw, data.get_label(), data.get_weight()), False


def predict(booster, X, start):
    """Return the softmax of raw predictions; a booster does not keep its start score."""
    return prediction(booster.predict(X, raw_score=True) + start)
''',
    ),
    "xgboost": (
        """
start = start_score(y, classes, w)
data = xgboost.DMatrix(X, y, weight=w, base_margin=np.tile(start, (len(y), 1)))
settings = {"num_class": classes, "disable_default_eval_metric": True}
booster = xgboost.train(
    settings, data, 100, evals=[(data, "train")], obj=objective, custom_metric=metric
)
probabilities = predict(booster, X, start)
""",
        WEIGHTS_OF_XGBOOST
        + '''

def objective(raw, data):
    """Return what XGBoost asks of an objective, a column for each class."""
    return derivatives(raw, data.get_label(), weights(data))


def metric(raw, data):
    """Return a name and the mean loss; less is better, so leave maximize=False."""
    return "<name>", mean_loss(raw, data.get_label(), weights(data))


def predict(booster, X, start):
    """Return the softmax of raw predictions; a booster does not keep its start score."""
    data = xgboost.DMatrix(X, base_margin=np.tile(start, (len(X), 1)))
    return prediction(booster.predict(data, output_margin=True))
''',
    ),
    "catboost": (
        """
start = start_score(y, classes, w)
data = catboost.Pool(X, y, weight=w)
objective, metric = <title>Objective(start), <title>Metric(start)
settings = {"loss_function": objective, "eval_metric": metric, "classes_count": classes}
model = catboost.CatBoost({**settings, "iterations": 100}).fit(data)
probabilities = predict(model, X, start)
""",
        '''
class <title>Objective:
    """What CatBoost asks of an objective. It goes up, so it wants both derivatives with their signs turned."""

    def __init__(self, start):
        self.start = start

    def calc_ders_multi(self, approxes, target, weight):
        """Return the derivatives of minus the loss of one row: a number for each class, and a diagonal matrix."""
        raw = np.array([approxes]) + self.start
        slope, bend = derivatives(raw, np.array([target]), np.array([weight]))
        return (-slope[0]).tolist(), np.diag(-bend[0]).tolist()


class <title>Metric:
    """The mean loss, as CatBoost asks for it."""

    def __init__(self, start):
        self.start = start

    def evaluate(self, approxes, target, weight):
        """Return the mean loss times the sum of weights, and that sum."""
        raw = np.array(approxes).T + self.start
        known = weight is not None and len(weight) > 0
        weight = np.array(weight) if known else np.ones(len(raw))
        total = float(np.sum(weight))
        return total * mean_loss(raw, np.array(target), weight), total
'''
        + METRIC_OF_CATBOOST
        + '''

def predict(model, X, start):
    """Return the softmax of raw predictions; a model does not keep its start score."""
    return prediction(model.predict(X, prediction_type="RawFormulaVal") + start)
''',
    ),
}
"""How each library is called, and its callbacks. CatBoost takes no baseline of several numbers a row."""


def sheet(loss: Loss, to: str) -> RowSheet:
    """Return what is told of a loss over classes.

    Raises:
        ParameterError: for a loss that a column of trees for each class is not for.
    """
    found = sheet_of(loss)
    assert isinstance(found, RowSheet)
    bends = found.recipe.outputs.get("hessian:f", 0.0)
    if not found.recipe.places or isinstance(bends, float) or found.class_axis != -1:
        raise ParameterError(
            f"{loss} cannot be exported for {to}: of losses of rows those of class indices and "
            f"logits along the last axis with a second derivative can; lossmith.{to} itself takes more"
        )
    return found


def functions(found: RowSheet, names: Mapping[str, str], helpers: dict[str, None]) -> list[list[str]]:
    """Return loss, derivatives, mean, start score and link."""
    lines, results = found.written(NUMPY, names, helpers, "hessian:f")
    given = ", ".join([names["y"], names["f"], *(["*"] if found.parameters else [])])
    settings = [f"{names[name]}={NUMPY.number(value)}" for name, value in found.parameters.items()]
    head = ", ".join([given, *settings])
    text = '    """Return the diagonal of the second derivatives of each row\'s loss."""'
    body = [*lines, f"return {results['hessian:f']}"]
    hessian = [ERRSTATE, f"def hessian({head}):", text, *(f"    {line}" for line in body)]
    return [
        *derivatives(found, names, helpers),
        hessian,
        cost(found, names),
        *(block.splitlines() for block in _PARTS.strip("\n").split("\n\n\n")),
    ]
