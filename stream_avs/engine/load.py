"""The networks of one session."""

from __future__ import annotations

from dataclasses import replace

from stream_avs.config import RunConfig
from stream_avs.models.base import AnyModel
from stream_avs.models.registry import load_model

Models = tuple[AnyModel, AnyModel]
"""A network, and the one with the smaller input for the overload ladder, or the same again."""


def load_models(config: RunConfig) -> Models:
    """Build the networks that `config` names; see `load_model` for the errors."""
    model = load_model(config.model)
    small_px = config.overload.small_px
    return model, load_model(replace(config.model, input_px=small_px)) if small_px else model
