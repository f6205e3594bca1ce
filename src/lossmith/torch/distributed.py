"""Exact costs and gradients over accumulation steps and processes, of batches of any size.

    total = 0
    for input, target in micro_batches:  # of this process; one without rows is fine, too
        state = criterion.state(model(input), target)
        state.total.backward()
        total = total + state.detach()
    total = distributed.all_reduce(total)
    distributed.scale_gradients(model.parameters(), total)
    optimizer.step()
    print(total.cost())

The gradients are those of one mean over all examples of all processes, as if one process had had them in one batch.
"""

from __future__ import annotations

from lossmith.frameworks.torch.distributed import all_reduce, backward_scale, scale_gradients

__all__ = ["all_reduce", "backward_scale", "scale_gradients"]
