"""What AudioSet's labels have to do with the sounds of composed scenes, for networks with a tagger.

No text says that a red disc sounds like a sine wave. So the tagger listens to every class, and a label
belongs to a class as far as it is heard there: 1 where it is most probable, less elsewhere.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from stream_avs.audio.front_end import MN04
from stream_avs.datasets.scenes import ProceduralSource, SceneConfig
from stream_avs.models.backbones.mn04 import Mn04
from stream_avs.models.load import BUNDLED, load_weights
from stream_avs.models.network_config import AudioEncoderName
from stream_avs.models.published import BUNDLED_FILES

SOUNDS = 12
"""Of each class."""
_RATE_HZ = MN04.sample_rate_hz


def measure_similarity(source: ProceduralSource, scene: SceneConfig) -> NDArray[np.float32]:
    """Listen to some sounds of every class as a clip's first frame does; always to the same ones.

    Returns:
        float32 [classes, 527], 0..1, in the order of the class ids from 1.
    """
    tagger = Mn04().eval()
    load_weights(tagger, BUNDLED / BUNDLED_FILES[AudioEncoderName.MN04])
    means = []
    for class_id in range(1, len(source.class_names)):
        log_mels = np.stack([MN04(_sound(source, scene, class_id, k), _RATE_HZ) for k in range(SOUNDS)])
        with torch.no_grad():
            means.append(tagger(torch.from_numpy(log_mels)).logits.softmax(-1).mean(0).numpy())
    probable = np.stack(means)
    similarity: NDArray[np.float32] = probable / probable.max(0)
    return similarity


def write_similarity(path: Path, source: ProceduralSource, scene: SceneConfig) -> None:
    """Write it for `--model.similarity`.

    Raises:
        OSError: it cannot be written.
    """
    np.save(path, measure_similarity(source, scene))


def _sound(source: ProceduralSource, scene: SceneConfig, class_id: int, number: int) -> NDArray[np.float32]:
    """Silence, then the class for as long as the first frame of a clip hears."""
    rng = np.random.default_rng((class_id, number))
    level = 10 ** (rng.uniform(scene.level_min_db, scene.level_max_db) / 20)
    heard = np.zeros(round(MN04.context_s * _RATE_HZ), np.float32)
    count = min(len(heard), round(scene.audio_context_s * _RATE_HZ))
    heard[-count:] = level * source.sound(class_id, count, _RATE_HZ, rng)
    return heard
