"""threads: the setting reaches torch, through loading a preset too."""

import torch

from stream_avs.config import ModelConfig
from stream_avs.models.registry import load_model
from stream_avs.models.threads import configure_threads


def test_the_number_of_threads_reaches_torch() -> None:
    before = torch.get_num_threads()
    try:
        configure_threads(2)
        assert torch.get_num_threads() == 2
        load_model(ModelConfig(preset="consensus", threads=1))
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)
