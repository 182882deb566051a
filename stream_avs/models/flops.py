"""Count parameters and multiply-accumulates (MAC) of a network, part by part, without running it.

The network is built and called on torch's meta device: shapes only, no memory, no arithmetic. A
MAC is one multiplication and addition in a convolution, linear layer or attention product; other
operations (norms, softmax, bilinear lookups) are not counted, as in the papers' "FLOPs".
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry


@dataclass(frozen=True, kw_only=True)
class Row:
    """One part of the network.

    Attributes:
        name: of the part.
        parameters: how many.
        macs: multiply-accumulates for one frame, every mask that training supervises computed.
        paper: parameters and FLOPs in the paper, where it says.
    """

    name: str
    parameters: int
    macs: int
    paper: tuple[float, float] | None = None


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What a network costs.

    Attributes:
        rows: every part; they add up to the total.
        total: without the audio encoder's parameters when it is VGGish, which stays frozen and which
            papers do not count; its MACs are counted.
        live_macs: for one new mask of a live stream: encoders once, only the newest mask.
    """

    rows: list[Row]
    total: Row
    live_macs: int

    @property
    def all_parameters(self) -> int:
        """With every encoder, VGGish too."""
        return sum(row.parameters for row in self.rows)


def count_macs(root: nn.Module, *inputs: object) -> Counter[str]:
    """MACs of one forward pass, each noted under the innermost module that runs.

    Args:
        root: the network, on the meta device.
        inputs: of its forward pass, on the meta device.

    Returns:
        By qualified module name; "" is the root itself.
    """
    names = {module: name for name, module in root.named_modules()}
    running: list[str] = []

    def enter(module: nn.Module, _args: object) -> None:
        running.append(names[module])

    def leave(_module: nn.Module, _args: object, _out: object) -> None:
        running.pop()

    hooks = [
        hook for m in names for hook in (m.register_forward_pre_hook(enter), m.register_forward_hook(leave))
    ]
    try:
        with _MacCounter(running) as counter, torch.no_grad():
            root(*inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return counter.macs


class _MacCounter(TorchDispatchMode):
    """Counts operations by the last entry of `running`."""

    def __init__(self, running: list[str]) -> None:
        super().__init__()
        self.macs: Counter[str] = Counter()
        self._running = running

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        count = flop_registry.get(func._overloadpacket)
        if count is None and func is not torch.ops.prim.device.default:
            with self:  # attention comes as one operation on some devices; its products are counted inside
                out = func.decompose(*args, **kwargs)
            if out is not NotImplemented:
                return out
        out = func(*args, **kwargs)
        if count is not None:
            self.macs[self._running[-1]] += count(*args, **kwargs, out_val=out) // 2
        return out


def count_parameters(*modules: nn.Module | nn.Parameter | None) -> int:
    """Number of parameters of some modules; None counts nothing."""
    total = 0
    for module in modules:
        if isinstance(module, nn.Parameter):
            total += module.numel()
        elif module is not None:
            total += sum(p.numel() for p in module.parameters())
    return total
