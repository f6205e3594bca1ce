"""What kernels become on other machines: no instruction of x86 where there is none, and vectors of any width."""

from __future__ import annotations

import itertools

import llvmlite.binding as llvm
import numpy as np
import pytest

import lossmith as lm
from lossmith.engines.llvm import compile as compiler
from lossmith.engines.llvm import divergence_kernel, loops, mixture_kernel, rows
from lossmith.engines.llvm.divergence_form import DivergenceForm, Formulas
from lossmith.engines.llvm.lanes import Kind
from lossmith.engines.llvm.mixture_looks import MixtureForm
from lossmith.engines.llvm.row_frame import RowForm
from lossmith.structures.divergence import Divergence
from tests.engines import child
from tests.engines.lesser import MACHINES

BY_LANES = ("rows by lanes", "rows by lanes whose classes lie apart")
POWERS = "rows of powers"
FEW = "few classes: "


def is_plain(name: str) -> bool:
    """Return whether a module does not write past the caches."""
    return name in ("rows", *BY_LANES, POWERS) or name.startswith(FEW)


BITS = {"float": 32, "double": 64}


def texts(kind: Kind, bits: int, *, on_x86: bool) -> dict[str, str]:
    """Return a module of each sort, in vectors of so many bits; all but plain ones write past the caches."""
    width, stored = bits // BITS[kind], ("gradient:f",)
    program = lm.Huber().part(*stored, "value", "valid")
    form = loops.Form(kind, stored, summed=True, streaming=True)
    found = {"numbers": loops.pointwise(program, form, width, 1024, on_x86=on_x86)}
    program = lm.BinaryCrossEntropy().part(*stored, "value", "valid")
    found["functions"] = loops.pointwise(program, form, 2 * width, 1024, registers=2, on_x86=on_x86)
    program = lm.SparseCategoricalCrossEntropy().part("value", "gradient:u")
    for name in ("rows", *BY_LANES):
        row_form = RowForm(
            kind, "indices", losses=False, gradient=True, hessian=False, summed=True,
            by_lane=name in BY_LANES, across=name == BY_LANES[1],
        )  # fmt: skip
        found[name] = rows.rows(program, row_form, width)
    # A power is raised in double precision, in vectors twice as wide as the machine's where numbers are float32.
    power = RowForm(kind, "indices", losses=True, gradient=False, hessian=False, summed=False, by_lane=True)
    program = lm.SoftmaxFocal(gamma=0.5).part("value", "gradient:u")
    found[POWERS] = rows.rows(program, power, width)
    for logits, few in itertools.product((True, False), repeat=2):
        mixed = MixtureForm(
            element=kind, written=("losses", "gradient", "hessian"), summed=True, streaming=not few, by_lane=few,
            targets="smoothed", logits=logits,
        )  # fmt: skip
        mixture = lm.SoftmaxFocal(gamma=0.5, prediction="logits" if logits else "probabilities")
        (x,) = mixture.symbols
        program = mixture.part("value", f"gradient:{x}", f"hessian:{x},{x}")
        name = f"{FEW if few else ''}mixtures of {'logits' if logits else 'probabilities'}"
        found[name] = mixture_kernel.module(program, mixed, bits // 64, on_x86=on_x86)
    seen = MixtureForm(element=kind, written=(), summed=True, by_lane=True, targets="indices", logits=False)
    program = lm.SparseCategoricalCrossEntropy(prediction="probabilities").part("value")
    found[f"{FEW}probabilities in place"] = mixture_kernel.module(program, seen, bits // 64, on_x86=on_x86)
    for divergence in (lm.ReverseKLDivergence(), lm.KLDivergence(), lm.KLDivergence(q_kind="logits")):
        for label, classes in (("", 64), (FEW, 4)):
            found[f"{label}{divergence}"] = _divergence(divergence, kind, bits, classes, on_x86=on_x86)
    return found


def _divergence(divergence: Divergence, kind: Kind, bits: int, classes: int, *, on_x86: bool) -> str:
    even = np.full((1, classes), 1 / classes, np.float32 if kind == "float" else np.float64)
    batch = divergence._batch({"p": even, "q": even}, None, None, trusted=True)
    made: list[str] = []

    def keep(formulas: Formulas, form: DivergenceForm) -> None:
        made.append(divergence_kernel.module(formulas, form, bits // 64, on_x86=on_x86))
        raise InterruptedError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(divergence_kernel, "divergence_kernel", keep)
        patch.setattr(divergence_kernel, "streams", lambda outputs, classes: True)
        into = {"gradient:q": batch.room("gradient:q")}
        with pytest.raises(InterruptedError):
            divergence._run_kernel(1, batch, into, summed=True, divisor=1.0)
    return made[0]


@pytest.mark.parametrize("bits", [128, 256])
@pytest.mark.parametrize("kind", ["float", "double"])
def test_other_machines_get_none_of_x86(kind: Kind, bits: int) -> None:
    compiler.host()
    for name, text in texts(kind, bits, on_x86=False).items():
        assert "x86" not in text, name
        assert ("!nontemporal" in text) == (not is_plain(name)), name
        assert ") alignstack(64) {" in text, name  # stacks of threads are aligned to less than a vector
        llvm.parse_assembly(text).verify()


def test_x86_orders_what_it_writes_past_the_caches() -> None:
    for name, text in texts("double", 256, on_x86=True).items():
        assert text.count("call void @llvm.x86.sse.sfence()") == (not is_plain(name)), name


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.skipif(not compiler.host().on_x86, reason="older machines of x86 are found on x86")
def test_rows_are_right_on_older_machines(machine: str) -> None:
    bits, _ = MACHINES[machine]
    if bits >= compiler.host().bits:
        pytest.skip("vectors of this machine are no longer, so the other tests say it")
    child.run(f"""
    from tests.engines.lesser import pretend
    pretend({machine!r})
    from lossmith.engines.llvm.compile import host
    from tests.engines import test_llvm_distributions as shares
    from tests.engines import test_llvm_divergence as pairs, test_llvm_rows as rows
    assert host().bits == {bits}
    for loss in rows.LOSSES[:4] + rows.MIXTURES[:1]:
        for classes in (10, 131):
            rows.test_every_loss_of_log_probabilities_is_what_the_reference_says(loss, classes, np.float32)
    with rows.pytest.MonkeyPatch.context() as patch:
        rows.test_large_gradients_are_written_whole(131, np.float32, patch)
    for classes in (3, 17):
        shares.test_losses_are_what_the_reference_says(classes, np.float32)
        shares.test_rows_that_are_none_are_named(classes, np.float64)
    for name in ("kl", "jensen_shannon"):
        for classes in (5, 131):
            loss = lm.get(name, q_kind="logits")
            given = pairs.sample(loss, 20, classes, np.float32)
            got, expected = (pairs.parts_of(loss, given, engine) for engine in ("llvm", "numpy"))
            for part in expected:
                pairs.close(got[part], expected[part], np.float32, part)
    """)
