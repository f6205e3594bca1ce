"""The result in words: the same sentences for the terminal, the report and the JSON document."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lossmith.choosing.words import join, number, p_value, share
from lossmith.errors import plural

if TYPE_CHECKING:
    from lossmith.choosing.choice import Choice
    from lossmith.choosing.statistics import Comparison

__all__ = [
    "GLOSSARY",
    "advice",
    "code",
    "comparison",
    "headline",
    "method",
    "reasons",
    "scored",
    "spread",
    "standing",
]

GLOSSARY: tuple[tuple[str, str], ...] = (
    ("Loss", "How wrong one prediction is. Training lowers it, so the loss decides what the model strives for."),
    ("Cost", "The mean of the losses over many rows: how wrong a model is as a whole."),
    ("Metric", "The number that decides the contest. It need not be the cost that a model was trained with."),
    (
        "Goal",
        "What a prediction should be: the mean, the median, a quantile or a probability. Each has a cost that is "
        "smallest exactly there.",
    ),
    (
        "Fold",
        "One part of the rows, held out while a model trains on the others. Scores come from rows that the model "
        "never saw.",
    ),
    (
        "Robust deviation",
        "A typical distance from the median that a few wild rows cannot move: 1.4826 times the median distance.",
    ),
    (
        "P(leader better), P(equal in practice)",
        "How probable it is, given these folds, that the leader is better by more than 1% of its score, or that the "
        "two lie within that 1%.",
    ),
    ("Spread", "The standard deviation of a score over the folds: how much it depends on the draw of the rows."),
    (
        "Corrected t-test",
        "A test for scores from folds. Folds share training rows, so a plain t-test is too sure; this one widens the "
        "error for it (Nadeau and Bengio 2003).",
    ),
    (
        "p",
        "How often a difference at least this large would come up by chance if two losses were equally good. The p "
        "shown is already corrected for the number of comparisons (Holm 1979).",
    ),
    (
        "Cannot be told apart",
        "The difference is small against its error. It does not say that two losses are equal; more rows might part "
        "them.",
    ),
)


def spread(values: NDArray[np.float64]) -> float:
    """Return the standard deviation over folds."""
    return float(np.std(values, ddof=1))


def scored(values: NDArray[np.float64], undefined: int = 0) -> str:
    """Write a score as ``mean ± spread``, or say that it is not defined and for how many rows."""
    if undefined or not np.isfinite(values).all():
        return f"infinite ({plural(undefined, 'row')})" if undefined else "infinite"
    return f"{number(float(values.mean()))} ± {number(spread(values), 2)}"


def standing(choice: Choice) -> list[dict[str, Any]]:
    """Return the table of losses in the order of the score, the leader first, as texts."""
    results, verdict = choice.results, choice.verdict
    tests = {item.rival: item for item in verdict.comparisons}
    rows = []
    for index in (verdict.leader, *(item.rival for item in verdict.comparisons)):
        item = tests.get(index)
        test = None if item is None else item.test
        posterior = None if item is None else item.posterior
        rows.append(
            {
                "label": choice.candidates[index].label,
                "title": choice.candidates[index].loss.card.title,
                "score": scored(results.scores[index], int(results.scores_undefined[index])),
                "gap": "–" if test is None else number(test.mean, 3),
                "interval": "–" if test is None else f"{number(test.low, 3)} to {number(test.high, 3)}",
                "p": "–" if item is None or test is None else p_value(item.p_holm),
                "better": "–" if posterior is None else p_value(posterior.better),
                "equal": "–" if posterior is None else p_value(posterior.equal),
                "rounds": number(float(np.median(results.rounds[index]))),
                "place": "leader" if item is None else "worse" if item.beaten else "cannot be told apart",
                "contends": index in verdict.contenders,
            }
        )
    return rows


def headline(choice: Choice) -> str:
    """Say the verdict in one sentence."""
    verdict, names = choice.verdict, [candidate.label for candidate in choice.candidates]
    metric = choice.metric.title
    best = number(float(choice.results.scores[verdict.leader].mean()))
    if verdict.kind == "alone":
        return f"{names[verdict.leader]} took part alone: its {metric} is {best}, with nothing to compare it with."
    if verdict.kind == "winner":
        others = len(names) - 1
        beats = "the other loss" if others == 1 else f"each of the {others} others"
        return f"{names[verdict.leader]} wins: its {metric} of {best} beats {beats} by more than chance explains."
    together = join([names[index] for index in verdict.contenders])
    if len(verdict.contenders) == len(names):
        return f"No loss wins: {together} cannot be told apart by {metric} on these rows."
    beaten = [names[item.rival] for item in verdict.comparisons if item.beaten]
    rest = f"{beaten[0]} is worse" if len(beaten) == 1 else f"the {len(beaten)} others are worse"
    return f"No single loss wins: {together} cannot be told apart by {metric}, but {rest}."


def advice(choice: Choice) -> str:
    """Say which loss to use, and why that one."""
    use = choice.recommended.label
    if choice.verdict.kind == "winner":
        return f"Use {use}."
    if choice.verdict.kind == "alone":
        return f"Use {use} only if you have reasons of your own; to learn more, let it compete."
    if not choice.goal.is_aim_of(choice.recommended.loss):
        return f"Use {use}: it has the best mean score, though the lead may be chance. None of these aims at your goal."
    if choice.recommended_place == choice.verdict.leader:
        return f"Use {use}: it has the best mean score, and it aims straight at {choice.goal.words}, your goal."
    return (
        f"Use {use}: of these it is the best that aims straight at {choice.goal.words}, your goal, and no other was "
        "shown to be better."
    )


def comparison(choice: Choice, item: Comparison) -> str:
    """Say how the leader stands against one other loss."""
    rival, leader = choice.candidates[item.rival].label, choice.leader.label
    if item.test is None or item.posterior is None:
        rows = int(choice.results.scores_undefined[item.rival])
        return f"{rival} has no {choice.metric.title}: it is not defined for {plural(rows, 'held-out prediction')}."
    gap = f"{number(abs(item.test.mean), 3)}{_relative(choice, item.test.mean)}"
    level = share(item.test.confidence).replace(".0%", "%")
    interval = f"{level} interval {number(item.test.low, 3)} to {number(item.test.high, 3)}"
    chance = f"p {_equals(item.p_holm)}"
    likely = (
        f"{leader} is better by more than 1% ({number(item.posterior.rope, 2)}) with probability "
        f"{p_value(item.posterior.better)}"
    )
    if item.beaten:
        return f"{rival} is worse by {gap}, {interval}, {chance}; {likely}."
    return f"{rival} is behind by {gap}, which may be chance: {interval}, {chance}; {likely}."


def _equals(p: float) -> str:
    text = p_value(p)
    return text.replace("<", "< ").replace(">", "> ") if text[0] in "<>" else f"= {text}"


def _relative(choice: Choice, difference: float) -> str:
    base = abs(float(choice.results.scores[choice.verdict.leader].mean()))
    return f" ({share(abs(difference) / base)})" if base > 0 and abs(difference) <= base else ""


def reasons(choice: Choice) -> tuple[str, ...]:
    """Say why the verdict is what it is, one sentence a comparison, and how the leader does against a constant."""
    said = [comparison(choice, item) for item in choice.verdict.comparisons]
    base = float(choice.results.baseline.mean())
    best = float(choice.results.scores[choice.verdict.leader].mean())
    if math.isfinite(base):
        said.append(
            f"Always predicting {choice.goal.words} of the training rows scores {choice.metric.title} "
            f"{number(base)}, against {number(best)} for {choice.leader.label}."
        )
    return tuple(said)


def method(choice: Choice) -> tuple[str, ...]:
    """Say how it was done, so that another person could do it again."""
    plan, results = choice.plan, choice.results
    fits = results.scores.shape[1]
    dealt = f"The rows were dealt into {plan.folds} folds"
    dealt += " with the same share of each class" if choice.profile.kind == "binary" else " at random"
    dealt += f", {plural(plan.repeats, 'time')} over, with seed {plan.seed}."
    settings = ", ".join(f"{key}={value}" for key, value in sorted(plan.settings.items()))
    said = [
        f"{dealt} Each of the {plural(len(choice.candidates), 'loss', 'losses')} trained {fits} models, on the same "
        f"folds, about {number(round(results.train_rows))} rows for training and {number(round(results.test_rows))} "
        "held out.",
        f"Every model is LightGBM with the loss as its objective and the same settings: {settings}, and at most "
        f"{plural(plan.rounds, 'round')}. A fit stops when its own cost has not improved for "
        f"{plural(plan.patience, 'round')} on {share(plan.aside).replace('.0%', '%')} of its training rows, "
        "set aside for that; held-out rows have no say in training.",
        f"Differences are taken fold by fold. The test is the corrected resampled t-test (Nadeau and Bengio 2003), "
        f"two-sided, at level {choice.verdict.level:g} over all comparisons with the leader (Holm 1979). A winner must "
        "beat every other loss. The probabilities are those of the correlated Bayesian t-test (Benavoli et al. 2017), "
        "where differences up to 1% of the leader's score count as equal in practice.",
    ]
    if choice.weight:
        said.append(f"Rows are weighted by '{choice.weight}', in training and in judging.")
    return tuple(said)


def code(choice: Choice) -> str:
    """Return Python code that trains the recommended loss on the whole table and predicts."""
    place = choice.recommended_place
    rounds = max(1, round(float(np.median(choice.results.rounds[place]))))
    options: dict[str, Any] = {"target": choice.profile.name}
    if choice.drop:
        options["drop"] = list(choice.drop)
    if choice.weight:
        options["weight"] = choice.weight
    if choice.positive is not None:
        options["positive"] = choice.positive
    given = ", ".join(f"{key}={_quote(value)}" for key, value in options.items())
    settings = {key: choice.plan.settings[key] for key in sorted(choice.plan.settings) if key in _SHAPING}
    weight = "\n    data.weight," if choice.weight else ""
    return (
        "import lossmith as lm\n"
        "import lossmith.lightgbm\n"
        "from lossmith.choosing import prepare\n\n"
        f"data = prepare({_quote(choice.table)}, {given})\n"
        "model = lossmith.lightgbm.train(\n"
        f"    lm.{choice.recommended.loss!r},\n"
        f"    data.X,\n    data.y,{weight}\n"
        f"    rounds={rounds},\n"
        f"    params={_quote(settings)},\n"
        "    categorical=data.categorical,\n"
        f"    seed={choice.plan.seed},\n"
        ")\n"
        'print(model.predict(data.X[:5]))  # for new rows: model.predict(data.encode("new_rows.csv"))\n'
    )


# The settings that shape the model; the rest only says how it is computed.
_SHAPING = frozenset({"learning_rate", "min_data_in_leaf", "num_leaves"})


def _quote(value: Any) -> str:
    """Write a value as Python source, with double quotes where plain."""
    if isinstance(value, str):
        text = repr(value)
        return f'"{text[1:-1]}"' if text[0] == "'" and '"' not in text and "\\'" not in text else text
    if isinstance(value, list):
        return f"[{', '.join(_quote(item) for item in value)}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_quote(key)}: {_quote(item)}" for key, item in value.items()) + "}"
    return repr(value)
