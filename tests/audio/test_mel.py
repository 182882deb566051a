"""Triangles applied without a matrix product give what the product gives."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_avs.audio.mel import MelBank, mel_filters


@settings(deadline=None)
@given(
    bands=st.integers(1, 128),
    low_hz=st.floats(0.0, 300.0),
    bins=st.integers(200, 600),
    seed=st.integers(0, 99),
)
def test_a_bank_is_the_product_with_its_filters(bands: int, low_hz: float, bins: int, seed: int) -> None:
    filters = mel_filters(
        bands=bands, low_hz=low_hz, high_hz=7000.0, bins_hz=np.arange(bins) * 8000.0 / (bins - 1)
    )
    spectrum = np.random.default_rng(seed).uniform(0.0, 1.0, (3, bins)) ** 8
    np.testing.assert_allclose(MelBank(filters)(spectrum), spectrum @ filters.T, rtol=1e-12, atol=1e-15)
