"""Presets by name; a preset's module, and torch with it, is imported when it is loaded."""

from __future__ import annotations

import importlib
from dataclasses import dataclass

from stream_avs.config import ModelConfig
from stream_avs.errors import ConfigError, nearest
from stream_avs.models.architectures import ARCHITECTURES
from stream_avs.models.base import AnyModel


@dataclass(frozen=True, kw_only=True, slots=True)
class Preset:
    """A network that can be asked for by name.

    Attributes:
        name: the name used in the configuration.
        summary: one line for a list.
        factory: "module:function"; the function takes a `ModelConfig` and returns a `StreamModel`.
    """

    name: str
    summary: str
    factory: str


PRESETS: dict[str, Preset] = {
    preset.name: preset
    for preset in (
        Preset(
            name="nano",
            summary="the default: where eye and ear agree, a small trained causal CCFormer and the memory "
            "of who moves with the voice choose between people; its card says how well",
            factory="stream_avs.engine.nano_stream:load",
        ),
        Preset(
            name="consensus",
            summary="training-free: ESPNetv2 sees 20 VOC classes, EfficientAT mn04 hears AudioSet; "
            "a pixel sounds where both agree",
            factory="stream_avs.models.consensus.model:load",
        ),
        *(
            Preset(
                name=architecture.name,
                summary=f"{architecture.title} of your own, --model.weights FILE from `stream-avs train`: "
                f"{architecture.summary}",
                factory="stream_avs.engine.network_stream:load",
            )
            for architecture in ARCHITECTURES.values()
        ),
    )
}


def load_model(config: ModelConfig) -> AnyModel:
    """Build the preset that `config` names, with its weights.

    Raises:
        ConfigError: no such preset (with the nearest name), or a setting the preset cannot follow.
        WeightsError: its weight file is missing, damaged or does not fit.
    """
    preset = PRESETS.get(config.preset)
    if preset is None:
        raise ConfigError(f"setting model.preset is {config.preset!r}", nearest(config.preset, PRESETS))
    module, function = preset.factory.split(":")
    model: AnyModel = getattr(importlib.import_module(module), function)(config)
    return model
