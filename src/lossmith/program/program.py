"""A program: the portable form of a loss.

A program is a list of instructions in single-assignment form. Its values are numbered:
first the inputs, then the parameters, then the constants, then one for each instruction.
It is plain data: it compares, hashes, pickles, prints and goes through JSON and back.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from lossmith.errors import ProgramError, did_you_mean, plural
from lossmith.program.ops import TABLE, Ops, Value

FORMAT = "lossmith.program"
VERSION = 1


@dataclass(frozen=True, slots=True)
class Step:
    """One instruction applied to numbered values."""

    op: str
    args: tuple[int, ...]


@dataclass(frozen=True)
class Program:
    """A checked list of instructions.

    Attributes:
        inputs: names of the per-example arrays, such as ``y`` and ``f``.
        parameters: names of the numbers that hold for a whole call, such as ``delta``.
        constants: the literal numbers.
        steps: the instructions; each may use only values with smaller numbers.
        outputs: ``(name, number)`` of the results. Losses use ``value``, ``gradient:f``,
            ``hessian:f,f`` and ``valid``.

    Raises:
        ProgramError: for an unknown instruction, a wrong number or type of arguments, a value
            used before it exists (a cycle cannot be written), a repeated name or a NaN constant.
    """

    inputs: tuple[str, ...]
    parameters: tuple[str, ...]
    constants: tuple[float, ...]
    steps: tuple[Step, ...]
    outputs: tuple[tuple[str, int], ...]

    def __post_init__(self) -> None:
        names = self.inputs + self.parameters
        if len(set(names)) != len(names):
            raise ProgramError(f"inputs and parameters need distinct names, got {', '.join(names)}")
        labels = [name for name, _ in self.outputs]
        if len(set(labels)) != len(labels):
            raise ProgramError(f"outputs need distinct names, got {', '.join(labels)}")
        if any(math.isnan(constant) for constant in self.constants):
            raise ProgramError("a program cannot hold NaN as a constant")
        types = ["real"] * self.first_step
        for number, step in enumerate(self.steps, start=self.first_step):
            types.append(_check_step(step, number, types))
        for name, number in self.outputs:
            if not 0 <= number < len(types):
                raise ProgramError(
                    f"output {name!r} names value %{number}, but the program has {plural(len(types), 'value')}"
                )

    @cached_property
    def _hash(self) -> int:
        return hash((self.inputs, self.parameters, self.constants, self.steps, self.outputs))

    def __hash__(self) -> int:  # engines look kernels up by program at every call
        return self._hash

    @cached_property
    def first_step(self) -> int:
        """Number of the first value that an instruction makes."""
        return len(self.inputs) + len(self.parameters) + len(self.constants)

    @cached_property
    def types(self) -> tuple[str, ...]:
        """``"real"`` or ``"bool"`` for each value."""
        return ("real",) * self.first_step + tuple(TABLE[step.op].result for step in self.steps)

    @cached_property
    def uniform(self) -> tuple[bool, ...]:
        """For each value, whether it is the same for every example (it depends on no input)."""
        flags = [False] * len(self.inputs) + [True] * (len(self.parameters) + len(self.constants))
        for step in self.steps:
            flags.append(all(flags[arg] for arg in step.args))
        return tuple(flags)

    def output(self, name: str) -> int:
        """Return the number of the value behind an output.

        Raises:
            ProgramError: when there is no such output.
        """
        for label, number in self.outputs:
            if label == name:
                return number
        raise ProgramError(f"no output {name!r}; this program has: {', '.join(label for label, _ in self.outputs)}")

    def select(self, names: Sequence[str]) -> Program:
        """Return the part of the program that computes these outputs, without dead instructions."""
        wanted = [(name, self.output(name)) for name in names]
        live = {number for _, number in wanted}
        for number in range(len(self.types) - 1, self.first_step - 1, -1):
            if number in live:
                live.update(self.steps[number - self.first_step].args)
        fixed = len(self.inputs) + len(self.parameters)
        # Inputs and parameters keep their places, so that every part is called alike.
        kept = [n for n in range(len(self.types)) if n < fixed or n in live]
        renumber = {old: new for new, old in enumerate(kept)}
        return Program(
            inputs=self.inputs,
            parameters=self.parameters,
            constants=tuple(self.constants[n - fixed] for n in kept if fixed <= n < self.first_step),
            steps=tuple(
                Step(step.op, tuple(renumber[arg] for arg in step.args))
                for step in (self.steps[n - self.first_step] for n in kept if n >= self.first_step)
            ),
            outputs=tuple((name, renumber[number]) for name, number in wanted),
        )

    def evaluate(self, ops: Ops, inputs: Sequence[Value], parameters: Mapping[str, Value]) -> dict[str, Value]:
        """Run the program in any namespace of operations, one value at a time.

        This serves tracing, typesetting and tests. Arrays are an engine's work.
        """
        if len(inputs) != len(self.inputs):
            raise ProgramError(
                f"the program takes {plural(len(self.inputs), 'input')} ({', '.join(self.inputs)}), got {len(inputs)}"
            )
        values: list[Value] = [*inputs, *(parameters[name] for name in self.parameters), *self.constants]
        for step in self.steps:
            values.append(getattr(ops, step.op)(*(values[arg] for arg in step.args)))
        return {name: values[number] for name, number in self.outputs}

    def __str__(self) -> str:
        fixed = len(self.inputs) + len(self.parameters)

        def show(number: int) -> str:
            if number < fixed:
                return (self.inputs + self.parameters)[number]
            if number < self.first_step:
                return f"{self.constants[number - fixed]:g}"
            return f"%{number}"

        head = ", ".join(self.inputs) + ("; " + ", ".join(self.parameters) if self.parameters else "")
        lines = [f"program({head})"]
        for number, step in enumerate(self.steps, start=self.first_step):
            lines.append(f"  %{number} = {step.op} " + ", ".join(show(arg) for arg in step.args))
        lines += [f"  {name} = {show(number)}" for name, number in self.outputs]
        return "\n".join(lines)

    def to_json(self) -> str:
        """Return the program as one line of versioned JSON; ``from_json`` gives it back, equal to the bit."""
        document = {
            "format": FORMAT,
            "version": VERSION,
            "inputs": self.inputs,
            "parameters": self.parameters,
            "constants": [constant.hex() for constant in self.constants],
            "steps": [[step.op, *step.args] for step in self.steps],
            "outputs": [[name, number] for name, number in self.outputs],
        }
        return json.dumps(document, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Program:
        """Read what ``to_json`` wrote.

        Raises:
            ProgramError: when the text is no program, of another version, or malformed.
        """
        try:
            document: Any = json.loads(text)
        except json.JSONDecodeError as error:
            raise ProgramError(f"not a program: the text is not JSON ({error})") from None
        if not isinstance(document, dict) or document.get("format") != FORMAT:
            raise ProgramError(f'not a program: expected a JSON object with "format": "{FORMAT}"')
        if document.get("version") != VERSION:
            raise ProgramError(
                f"program version {document.get('version')!r} is not known here; this release reads {VERSION}"
            )
        try:
            return cls(
                inputs=tuple(str(name) for name in document["inputs"]),
                parameters=tuple(str(name) for name in document["parameters"]),
                constants=tuple(float.fromhex(constant) for constant in document["constants"]),
                steps=tuple(Step(str(op), tuple(int(arg) for arg in args)) for op, *args in document["steps"]),
                outputs=tuple((str(name), int(number)) for name, number in document["outputs"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            if isinstance(error, ProgramError):
                raise
            raise ProgramError(f"malformed program: {type(error).__name__}: {error}") from None


_INSTEAD = {
    "real": "a condition makes a number by ops.where(condition, 1, 0)",
    "bool": "a number makes a condition by a comparison, as f > 0",
}


def _check_step(step: Step, number: int, types: list[str]) -> str:
    """Check one instruction against the values before it and return the type of its result."""
    row = TABLE.get(step.op)
    if row is None:
        raise ProgramError(f"value %{number}: unknown instruction {step.op!r}.{did_you_mean(step.op, TABLE)}")
    if len(step.args) != row.arity:
        raise ProgramError(f"value %{number}: {step.op} takes {plural(row.arity, 'argument')}, got {len(step.args)}")
    for place, (arg, wanted) in enumerate(zip(step.args, row.argument_types, strict=True), start=1):
        if not 0 <= arg < number:
            raise ProgramError(f"value %{number}: {step.op} uses value %{arg}, which does not exist yet")
        if types[arg] != wanted:
            raise ProgramError(
                f"value %{number}: argument {place} of {step.op} must be {wanted}, got {types[arg]}; {_INSTEAD[wanted]}"
            )
    return row.result
