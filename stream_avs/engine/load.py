"""The networks of one session."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from stream_avs.config import ModelConfig, RunConfig
from stream_avs.models.base import AnyModel
from stream_avs.models.registry import load_model

Models = tuple[AnyModel, AnyModel]
"""A network, and the one with the smaller input for the overload ladder, or the same again."""


def load_models(config: RunConfig, load: Callable[[ModelConfig], AnyModel] = load_model) -> Models:
    """Build the networks that `config` names; see `load_model` for the errors.

    Args:
        config: of the session.
        load: builds one.
    """
    model = load(config.model)
    small_px = config.overload.small_px
    return model, load(replace(config.model, input_px=small_px)) if small_px else model
