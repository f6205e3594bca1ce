"""Every relation of the table holds, and one that is a little wrong does not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

import lossmith as lm
from lossmith import relations
from lossmith.cli import show
from lossmith.core.relation import Relation
from lossmith.relations import RELATIONS
from tests.relations import check
from tests.relations.check import misses

pytestmark = pytest.mark.engines("numpy")  # costs are those of either engine, and kernels take a while to compile


@pytest.mark.parametrize("relation", RELATIONS, ids=str)
def test_relation_holds(relation: Relation) -> None:
    assert list(misses(relation)) == []


@pytest.mark.parametrize("relation", RELATIONS, ids=str)
def test_a_relation_that_is_a_thousandth_off_fails(relation: Relation) -> None:
    assert any(misses(replace(relation, times=f"({relation.times}) * 1.001")))


WRONG = (
    Relation("absolute_error", "quantile(level=0.5)"),
    Relation("squared_error", "half_squared_error"),
    Relation("huber(delta={t})", "smooth_l1(beta={t})", t="t > 0"),
    Relation("huber(delta={t})", "absolute_error", t="t → 0", where="y_pred != y_true"),
    Relation("huber(delta={t})", "squared_error", t="t → inf"),
    Relation("barron(alpha=0)", "cauchy"),
    Relation("poisson(prediction='rate')", "poisson"),
    Relation("focal(gamma=1)", "binary_cross_entropy"),
    Relation("brier", "multiclass_brier", at={"y_pred": ("0", "y_pred")}, where="y_true % 1 == 0"),
    Relation("focal(gamma=2)", "softmax_focal(gamma=2)", at={"y_pred": ("y_pred", "0")}, where="y_true % 1 == 0"),
    Relation("kl_divergence", "reverse_kl_divergence"),
    Relation("dpo(beta=0.1)", "binary_cross_entropy", at={"y_true": "1", "y_pred": "chosen - rejected"}),
)


@pytest.mark.parametrize("relation", WRONG, ids=str)
def test_what_is_often_believed_and_wrong_fails(relation: Relation) -> None:
    assert any(misses(relation))


@pytest.mark.parametrize("output", ["losses", "gradient", "hessian"])
def test_each_output_is_compared(output: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = lm.Huber.evaluate

    def bent(self: lm.Loss, *arguments: Any, **options: Any) -> dict[str, Any]:
        found = whole(self, *arguments, **options)
        return {**found, output: found[output] * (1 + 1e-9)}

    relation = Relation("smooth_l1(beta={t})", "{1 / t} * huber(delta={t})", t="t > 0")
    assert list(misses(relation)) == []
    monkeypatch.setattr(lm.SmoothL1, "evaluate", bent)
    assert {text.split()[0] for text in misses(relation)} == {output}


@pytest.mark.parametrize("place", check.EXCEPTIONS, ids=str)
def test_every_exception_is_needed(place: tuple[str, str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    left, right, output = place
    (relation,) = (item for item in RELATIONS if (item.left, item.right) == (left, right))
    monkeypatch.setattr(check, "EXCEPTIONS", {key: item for key, item in check.EXCEPTIONS.items() if key != place})
    assert {text.split()[0] for text in misses(relation)} == {output}


def test_relations_are_said_once_and_by_the_names_of_losses() -> None:
    assert len({str(relation) for relation in RELATIONS}) == len(RELATIONS)
    for relation in RELATIONS:
        for name, loss in zip(relation.names, relation.sides(0.3), strict=True):
            assert name in lm.names()
            assert check.kind_of(loss).name == name
        taken = {item.name for item in check.kind_of(relation.sides(0.3)[1]).inputs}
        assert set(relation.at) <= taken


@pytest.mark.parametrize("name", lm.names())
def test_every_loss_is_related_to_another_or_to_itself(name: str) -> None:
    assert relations.of(name)


def test_relations_of_a_loss_go_by_any_of_its_names() -> None:
    assert relations.of("mae") == relations.of("absolute_error")
    with pytest.raises(lm.LossNotFoundError, match="Did you mean 'huber'"):
        relations.of("hubr")


@pytest.mark.parametrize(
    ("relation", "text"),
    [
        (Relation("absolute_error", "2 * quantile(level=0.5)"), "absolute_error = 2 * quantile(level=0.5)"),
        (
            Relation("smooth_l1(beta={t})", "{1 / t} * huber(delta={t})", t="t > 0"),
            "smooth_l1(beta=t) = (1 / t) * huber(delta=t) for t > 0",
        ),
        (Relation("kl_divergence", "generalised_kl", by=()), "kl_divergence = generalised_kl (values, not slopes)"),
        (Relation("fair(c={t})", "huber", t="t → inf", where="a"), "fair(c=t) → huber as t → inf, where a"),
        (
            Relation("hinge", "brier", times="-1", plus="-log(2)", at={"y_pred": ("0", "y_pred")}),
            "hinge = -brier - log(2) at y_pred = (0, y_pred)",
        ),
    ],
)
def test_relations_read_as_mathematics(relation: Relation, text: str) -> None:
    assert str(relation) == text


def test_the_page_of_a_loss_says_its_relations() -> None:
    facts, page = show.facts(lm.Huber()), show.Page(lm.Huber(), 200).lines()
    for relation in relations.of("huber"):
        assert str(relation) in facts["relations"]
        assert f"  · {relation}" in page


@pytest.mark.parametrize("text", ["{u}", "{abs(t)}", "{t.real}", "{'a'}"])
def test_braces_hold_arithmetic_only(text: str) -> None:
    with pytest.raises(ValueError, match="no number"):
        Relation(text, "huber").sides(1.0)


def test_the_ends_of_the_elastic_net_are_its_parts() -> None:
    parameters = [[0.5, -2.0, 0.0], [[3.0]]]
    for share, end, other in ((1, lm.L1(0.3), lm.L2(0.3)), (0, lm.L2(0.3), lm.L1(0.3))):
        blend = lm.ElasticNet(0.3, share)
        assert blend.value(parameters) == end.value(parameters) != other.value(parameters)
        for mine, theirs in zip(blend.gradient(parameters), end.gradient(parameters), strict=True):
            assert mine.tolist() == theirs.tolist()
