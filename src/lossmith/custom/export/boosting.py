"""A loss for LightGBM, XGBoost and CatBoost: objective, metric, start score and link in one file."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lossmith.core.domain import Domain
from lossmith.core.loss import Loss
from lossmith.custom.export import boosting_rows
from lossmith.custom.export.numpy import NUMPY, constants, derivatives, docstring, module
from lossmith.custom.export.printer import definitions
from lossmith.custom.export.sheet import PointSheet, Sheet, point_sheet_of
from lossmith.custom.export.words import about, called
from lossmith.engines import numpy as engine
from lossmith.errors import NoConstantError, ParameterError

_PLAIN = "np.maximum(hessian(y_true, raw), HESSIAN_FLOOR)"
_FINITE = """hessian(y_true, raw)
    bend = np.maximum(np.where(bend == np.inf, 0.0, bend), HESSIAN_FLOOR)"""
_TINY = 1e-16
_REACH = 37.0
_WIDTHS, _PLACES = 10, 2001  # how far trees may lead, in widths of the section, and where that is looked at


@dataclass(frozen=True)
class _Booster:
    """What differs between libraries, with ``{name}`` and ``{title}`` of the loss to fill in."""

    library: str
    imports: Sequence[str]
    usage: str
    code: str


def export(loss: Loss, to: str) -> str:
    """Return a module of Python for a library of boosted trees.

    Raises:
        ParameterError: for a loss that trees of one number a row cannot be trained with.
    """
    booster, helpers = _BOOSTERS[to], dict[str, None]()
    if not loss.paired:
        raise ParameterError(
            f"{loss} cannot be exported for boosting, whose models predict for one target; it takes losses of y_true "
            "and y_pred, such as huber"
        )
    sheet: Sheet
    known = ""
    if loss._couples:
        rows = sheet = boosting_rows.sheet(loss, to)
        names = called(rows, NUMPY.reserved, {"y_pred": "raw"})
        functions = boosting_rows.functions(rows, names, helpers)
        usage, code = boosting_rows.CODES[to]
        booster = _Booster(booster.library, booster.imports, usage, code)
    else:
        points = sheet = point_sheet_of(loss.raw_form, to)
        endless = loss.card.estimates in ("nothing", "zero") or not _has_least(points)
        if endless or _is_zero(points, points.gradients[0]):
            raise ParameterError(
                f"{loss} cannot be an objective of boosting: the cost has no minimum that says anything of the "
                "targets, or no slope that leads to it"
            )
        names = called(points, NUMPY.reserved, {"y_pred": "raw"})
        functions = [*derivatives(points, names, helpers), _start_score(points), _prediction(points)]
        if known := _known(points):
            functions.append(_refusal(known))
    filled = {
        "refused": "    refuse_lost(raw, y_true)\n" if known else "",
        "name": sheet.name,
        "title": sheet.class_name,
        "bend": _FINITE if _is_endless(sheet) else _PLAIN,
    }
    blocks = [
        *constants(sheet),
        *definitions(NUMPY, helpers),
        *functions,
        *(block.splitlines() for block in _filled(booster.code, filled).strip("\n").split("\n\n\n")),
    ]
    checked = "Nothing but where trees lead" if known else "Nothing"
    text = module(_document(sheet, names, booster, filled, checked), blocks, booster.imports)
    head, _, rest = text.partition("\n\n\n")
    floor, why = _floor(sheet)
    stated = [*(f"# {line}" for line in textwrap.wrap(why, 84)), f"HESSIAN_FLOOR = {floor!r}"]
    return "\n".join([head, "", *stated]) + "\n\n\n" + rest


def _filled(text: str, words: Mapping[str, str]) -> str:
    for word, value in words.items():
        text = text.replace(f"<{word}>", value)
    return text


def _document(
    sheet: Sheet, names: Mapping[str, str], booster: _Booster, filled: Mapping[str, str], checked: str
) -> list[str]:
    usage = textwrap.indent(_filled(booster.usage, filled).strip("\n"), "    ").splitlines()
    return docstring([
        *about(sheet, names, f" for {booster.library}", checked),
        "",
        *usage,
    ])  # fmt: skip


def _has_least(sheet: PointSheet) -> bool:
    """Return whether some constant costs least, rather than one farther out each time."""
    domain, line = sheet.loss.domains["y"], sheet.loss.section(points=2)
    ends = [end for end in (domain.low, domain.high) if domain.includes(end)]
    try:
        best = sheet.loss.optimal_constant(domain.values or [*ends, domain.some if line.value is None else line.value])
    except NoConstantError:
        return False
    return bool(np.isfinite(best))


def _is_zero(sheet: PointSheet, output: str) -> bool:
    """Return whether a derivative is 0 for every example."""
    program = sheet.program(output)
    number = program.output(output) - len(program.inputs) - len(program.parameters)
    return 0 <= number < len(program.constants) and program.constants[number] == 0


def _is_endless(sheet: Sheet) -> bool:
    """Return whether a second derivative is infinite, as where ``abs(f - y)**1.5`` is 0."""
    return bool(np.any(sheet.loss.section(points=201).hessian == np.inf))


def _floor(sheet: Sheet) -> tuple[float, str]:
    """Return the least second derivative that trees are given, and why."""
    line = sheet.loss.section(points=201)
    bends = line.hessian[np.isfinite(line.hessian)]
    if not np.any(bends > 0):
        return 1.0, "The second derivative is never positive: this stands for it, so leaves are mean gradients."
    # Far out a positive one may round to 0, which is no reason to leave out what is small elsewhere.
    turns = isinstance(sheet, PointSheet) and bool(np.any(_far(sheet)["hessian:f,f"] < 0))
    if np.all(bends > 0) and not turns and not _is_endless(sheet):
        return _TINY, "The least second derivative that trees are given: the true one may round to 0."
    usual = float(f"{np.median(bends[bends > 0]):.2g}")
    if _is_endless(sheet):
        return usual, "Stands for all that is less, and for the second derivative where that is infinite."
    return usual, "Stands for all that is less, since the second derivative is 0 or negative at places."


def _far(sheet: PointSheet) -> dict[str, npt.NDArray[Any]]:
    """Return predictions ``x`` far beyond the section, with the loss and its second derivative in the domain or not."""
    line, domain = sheet.loss.section(points=2), sheet.loss.domains["f"]
    first, last = float(line.x[0]), float(line.x[-1])
    beyond = _WIDTHS * (last - first)
    x = np.linspace(first - beyond, last + beyond, _PLACES)
    y = np.full(x.shape, domain.some if line.value is None else line.value)
    with np.errstate(all="ignore"):
        return {"x": x, **engine.run(sheet.program("value", "hessian:f,f"), [y, x], sheet.parameters)}


def _known(sheet: PointSheet) -> str:
    """Return the condition under which the loss says something of raw predictions; nothing where it always does."""
    domain, far = sheet.loss.domains["f"], _far(sheet)
    parts = []
    if np.isfinite(domain.low):
        parts.append(f"{domain.low!r} {'<=' if domain.low_included else '<'} raw")
    if np.isfinite(domain.high):
        parts.append(f"raw {'<=' if domain.high_included else '<'} {domain.high!r}")
    inside = [domain.includes(x) for x in far["x"].tolist()]
    if not np.isfinite(far["value"][inside]).all():
        parts.append("np.isfinite(loss(y_true, raw))")
    return " & ".join(f"({part})" for part in parts) if len(parts) > 1 else "".join(parts)


def _refusal(known: str) -> list[str]:
    return f'''
def refuse_lost(raw, y_true):
    """Refuse raw predictions of which the loss says nothing: trees may lead to any number."""
    known = {known}
    if not np.all(known):
        lost = raw[~known]
        raise ValueError(
            f"trees led to a raw prediction of {{lost[0]:g}} ({{lost.size}} such of {{raw.size}}), of which the loss "
            "says nothing; take a lower learning rate, or a loss of any prediction"
        )
'''.strip("\n").splitlines()


def _start_score(sheet: Sheet) -> list[str]:
    domain = sheet.loss.domains["f"]
    low, high, wider = repr(max(-_REACH, domain.low)), repr(min(_REACH, domain.high)), list[str]()
    if sheet.loss.link.name == "identity":
        low, high = (_inside(domain, text) for text in ("y_true.min() - 1.0", "y_true.max() + 1.0"))
        wider = [
            "    for _ in range(40):  # it may lie beyond the targets",
            "        if slope(low) <= 0.0 <= slope(high):",
            "            break",
            "        wide = max(high - low, 1.0)",
            f"        low = {_inside(domain, 'low - wide')} if slope(low) > 0.0 else low",
            f"        high = {_inside(domain, 'high + wide')} if slope(high) < 0.0 else high",
        ]
    return [
        "def start_score(y_true, weight=None):",
        '    """Return the constant raw prediction at which the mean gradient changes its sign, by halving."""',
        "    y_true = np.asarray(y_true, dtype=float)",
        "",
        "    def slope(constant):",
        "        constants = np.full(y_true.shape, constant)",
        "        return np.average(gradient(y_true, constants), weights=weight)",
        "",
        f"    low, high = {low}, {high}",
        *wider,
        "    for _ in range(100):",
        "        middle = 0.5 * (low + high)",
        "        low, high = (low, middle) if slope(middle) > 0.0 else (middle, high)",
        "    return 0.5 * (low + high)",
    ]


def _inside(domain: Domain, text: str) -> str:
    """Return the code of a number as that of one that lies in a domain."""
    text = f"max({text}, {domain.low!r})" if np.isfinite(domain.low) else text
    return f"min({text}, {domain.high!r})" if np.isfinite(domain.high) else text


def _prediction(sheet: Sheet) -> list[str]:
    what, result = {
        "identity": ("the prediction: the raw prediction is on the target's scale already", "raw"),
        "log": ("the rate", "np.exp(raw)"),
        "logistic": ("the probability of class 1", "1.0 / (1.0 + np.exp(-raw))"),
    }[sheet.loss.link.name]
    quiet = [] if result == "raw" else ['@np.errstate(all="ignore")']
    return [*quiet, "def prediction(raw):", f'    """Return {what}."""', f"    return {result}"]


_DERIVATIVES = '''
def derivatives(raw, y_true, weight):
    """Return gradient and Hessian, by weight where there is one: the library leaves that to an objective."""
<refused>    slope = gradient(y_true, raw)
    bend = <bend>
    if weight is None:
        return slope, bend
    return weight * slope, weight * bend
'''

_LIGHTGBM = _Booster(
    "LightGBM",
    ["import numpy as np"],
    """
start = start_score(y, w)
data = lightgbm.Dataset(X, y, weight=w, init_score=np.full(len(y), start))
settings = {"objective": objective, "metric": "none"}
booster = lightgbm.train(settings, data, 100, valid_sets=[data], feval=metric)
predicted = predict(booster, X, start)
""",
    _DERIVATIVES
    + '''

def objective(raw, data):
    """Return what LightGBM asks of an objective."""
    return derivatives(raw, data.get_label(), data.get_weight())


def metric(raw, data):
    """Return a name, the mean loss, and that less is better."""
    losses = loss(data.get_label(), raw)
    return "<name>", float(np.average(losses, weights=data.get_weight())), False


def predict(booster, X, start):
    """Return predictions on the target's scale; a booster does not keep its start score."""
    return prediction(booster.predict(X, raw_score=True) + start)
''',
)

_XGBOOST = _Booster(
    "XGBoost",
    ["import numpy as np", "import xgboost"],
    """
start = start_score(y, w)
data = xgboost.DMatrix(X, y, weight=w, base_margin=np.full(len(y), start))
settings = {"disable_default_eval_metric": True}
booster = xgboost.train(
    settings, data, 100, evals=[(data, "train")], obj=objective, custom_metric=metric
)
predicted = predict(booster, X, start)
""",
    _DERIVATIVES
    + "\n"
    + boosting_rows.WEIGHTS_OF_XGBOOST
    + '''

def objective(raw, data):
    """Return what XGBoost asks of an objective."""
    return derivatives(raw, data.get_label(), weights(data))


def metric(raw, data):
    """Return a name and the mean loss; less is better, so leave maximize=False."""
    losses = loss(data.get_label(), raw)
    return "<name>", float(np.average(losses, weights=weights(data)))


def predict(booster, X, start):
    """Return predictions on the target's scale; a booster does not keep its start score."""
    data = xgboost.DMatrix(X, base_margin=np.full(len(X), start))
    return prediction(booster.predict(data, output_margin=True))
''',
)

_CATBOOST = _Booster(
    "CatBoost",
    ["import numpy as np"],
    """
start = start_score(y, w)
data = catboost.Pool(X, y, weight=w, baseline=np.full(len(y), start))
settings = {"loss_function": <title>Objective(), "eval_metric": <title>Metric()}
model = catboost.CatBoost({**settings, "iterations": 100}).fit(data)
predicted = predict(model, X, start)
""",
    _DERIVATIVES
    + '''

def optional(weights):
    """Return weights as an array, or None where there are none."""
    return None if weights is None or len(weights) == 0 else np.array(weights)


class <title>Objective:
    """What CatBoost asks of an objective. It goes up, so it wants both derivatives with their signs turned."""

    def calc_ders_range(self, approxes, targets, weights):
        """Return pairs of first and second derivatives of minus the loss."""
        raw, y_true = np.array(approxes), np.array(targets)
        slope, bend = derivatives(raw, y_true, optional(weights))
        return list(zip(-slope, -bend))


class <title>Metric:
    """The mean loss, as CatBoost asks for it."""

    def evaluate(self, approxes, target, weight):
        """Return the sums of losses and weights."""
        losses = loss(np.array(target), np.array(approxes[0]))
        weight = np.ones(losses.shape) if optional(weight) is None else np.array(weight)
        return float(np.sum(weight * losses)), float(np.sum(weight))
'''
    + boosting_rows.METRIC_OF_CATBOOST
    + '''

def predict(model, X, start):
    """Return predictions on the target's scale; a model does not keep its start score."""
    return prediction(model.predict(X, prediction_type="RawFormulaVal") + start)
''',
)

_BOOSTERS = {"lightgbm": _LIGHTGBM, "xgboost": _XGBOOST, "catboost": _CATBOOST}
