"""Everything a run needs to go on as if it had never stopped, as one safetensors file without pickle.

network.<name>              weights and buffers
optimizer.<key>.<name>      AdamW's moments and step counts by parameter name
random.<rank>.<generator>   generator states of every process
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from stream_avs.config import from_mapping
from stream_avs.errors import ConfigError, WeightsError
from stream_avs.json_input import decode_json
from stream_avs.models.checkpoint import (
    NETWORK,
    describe,
    fill_network,
    network_tensors,
    read_description,
    read_metadata,
    write_tensors,
)
from stream_avs.models.load import Weights, read_weights
from stream_avs.models.network import Network
from stream_avs.training.config import TrainConfig, train_config
from stream_avs.training.files import write_whole

_OPTIMIZER = "optimizer."
_RANDOM = "random."
_KEY = "stream_avs.training"


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a run is.

    Attributes:
        step: optimiser steps done.
        scored_step: steps done when val was last scored.
        best_j: best J on val so far; negative before the first.
        best_step: steps done when it was reached.
    """

    step: int = 0
    scored_step: int = 0
    best_j: float = -1.0
    best_step: int = 0


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainingState:
    """A training state as read: `apply` puts it into a network and an optimiser.

    Attributes:
        path: the file.
        config: of the run.
        progress: how far it was.
        weights: all tensors of the file.
    """

    path: Path
    config: TrainConfig
    progress: Progress
    weights: Weights

    def apply(
        self, network: Network, optimizer: torch.optim.Optimizer, parameters: Mapping[str, nn.Parameter]
    ) -> None:
        """Fill network and optimiser; `parameters` are the optimiser's, by name, in its order.

        Raises:
            WeightsError: tensors are missing or do not fit; names the first differences.
        """
        fill_network(network, self.weights, self.path)
        state: dict[int, dict[str, Tensor]] = {}
        index = {name: k for k, name in enumerate(parameters)}
        for key, tensor in self._under(_OPTIMIZER).items():
            moment, _, name = key.partition(".")
            if name not in index:
                raise WeightsError(
                    f"training state {self.path} has {key} of no parameter", "Use the run's own"
                )
            if moment != "step" and tensor.shape != parameters[name].shape:
                raise WeightsError(
                    f"training state {self.path}: {key} is {tuple(tensor.shape)} instead of "
                    f"{tuple(parameters[name].shape)}",
                    "Use the run's own",
                )
            state.setdefault(index[name], {})[moment] = tensor
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": state, "param_groups": groups})

    def random(self, rank: int) -> dict[str, Tensor] | None:
        """Generator states of process `rank`; None if the run had fewer processes."""
        return self._under(f"{_RANDOM}{rank}.") or None

    def _under(self, prefix: str) -> dict[str, Tensor]:
        return {k.removeprefix(prefix): t for k, t in self.weights.tensors.items() if k.startswith(prefix)}


def save_state(
    path: Path,
    network: Network,
    optimizer: torch.optim.Optimizer,
    parameters: Mapping[str, nn.Parameter],
    random_states: Sequence[Mapping[str, Tensor]],
    config: TrainConfig,
    progress: Progress,
    labels: Sequence[str],
) -> None:
    """Write the state whole or not at all.

    Args:
        path: the file; replaced in one step.
        network: the one that trains.
        optimizer: holds `parameters`, in that order.
        parameters: by name.
        random_states: of each process, by rank.
        config: of the run.
        progress: how far it is.
        labels: name of every class id.

    Raises:
        ConfigError: the file cannot be written; the old one is untouched.
    """
    tensors = {NETWORK + name: t for name, t in network_tensors(network).items()}
    for name, parameter in parameters.items():
        for key, value in optimizer.state.get(parameter, {}).items():
            tensors[f"{_OPTIMIZER}{key}.{name}"] = torch.as_tensor(value).detach().cpu().contiguous()
    for rank, state in enumerate(random_states):
        tensors |= {f"{_RANDOM}{rank}.{name}": t.cpu() for name, t in state.items()}
    metadata = describe(network.config, labels, {"training": asdict(config)})
    metadata[_KEY] = json.dumps(asdict(progress))
    try:
        write_whole(path, lambda partial: write_tensors(partial, tensors, metadata))
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error}", "Free some space; the old file is whole") from None


def read_state(path: Path) -> TrainingState:
    """Read a training state.

    Raises:
        WeightsError: missing, damaged, or no training state of a run that this version knows.
    """
    metadata = read_metadata(path)
    if _KEY not in metadata:
        raise WeightsError(
            f"{path} is no training state", "Resume from a folder that `stream-avs train` wrote"
        )
    try:
        config = train_config(read_description(path).about["training"])
        progress = from_mapping(decode_json(metadata[_KEY]), Progress)
    except (ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"training state {path} is damaged: {error}", "Start the run again") from None
    except ConfigError as error:
        raise WeightsError(f"training state {path}: {error.what}", error.next_step) from None
    return TrainingState(path=path, config=config, progress=progress, weights=read_weights(path))
