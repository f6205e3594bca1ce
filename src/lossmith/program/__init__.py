"""Programs: formulas traced to instructions, differentiated by a table of rules."""

from lossmith.program.derive import derive
from lossmith.program.ops import TABLE, Instruction, Ops, Value
from lossmith.program.program import Program, Step
from lossmith.program.trace import trace

__all__ = ["TABLE", "Instruction", "Ops", "Program", "Step", "Value", "derive", "trace"]
