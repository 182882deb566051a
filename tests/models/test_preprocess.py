"""preprocess: antialiased like Pillow's bilinear, normalised like ImageNet, safe with ring slots."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_avs.models.preprocess import image_to_input, normalise, resize


def triangle_resize(rows: np.ndarray, size: int) -> np.ndarray:
    """Antialiased bilinear along the first axis by its definition: a triangle as wide as the step."""
    step = len(rows) / size
    radius = max(step, 1.0)
    out = []
    for i in range(size):
        centre = (i + 0.5) * step
        cells = np.arange(max(0, int(centre - radius + 0.5)), min(len(rows), int(centre + radius + 0.5)))
        weights = np.maximum(0.0, 1.0 - np.abs(cells + 0.5 - centre) / radius)
        out.append(np.tensordot(weights / weights.sum(), rows[cells], axes=1))
    return np.stack(out)


def noise(height_px: int, width_px: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height_px, width_px, 3), dtype=np.uint8)


@settings(max_examples=20, deadline=None)
@given(
    height_px=st.integers(20, 150),
    width_px=st.integers(20, 150),
    to_height_px=st.integers(8, 64),
    to_width_px=st.integers(8, 64),
)
def test_resize_is_the_antialiased_triangle_filter(
    height_px: int, width_px: int, to_height_px: int, to_width_px: int
) -> None:
    image = noise(height_px, width_px)
    expected = triangle_resize(image.astype(np.float64), to_height_px)
    expected = triangle_resize(expected.swapaxes(0, 1), to_width_px).swapaxes(0, 1)
    found = resize(image, to_height_px, to_width_px)[0].permute(1, 2, 0).numpy()
    assert found.dtype == np.uint8
    assert np.abs(found - expected).max() <= 2.0
    assert np.abs(found - expected).mean() <= 0.6


def test_normalised_values_are_imagenets() -> None:
    image = np.zeros((32, 32, 3), np.uint8)
    image[:, :, 1] = 255
    pixels = image_to_input(image, 32)
    assert pixels.shape == (1, 3, 32, 32)
    expected = [-0.485 / 0.229, (1 - 0.456) / 0.224, -0.406 / 0.225]
    np.testing.assert_allclose(pixels[0, :, 0, 0], expected, atol=1e-6)


def test_the_input_does_not_follow_later_changes_of_the_image() -> None:
    image = noise(32, 32)
    pixels = resize(image, 32, 32)
    before = pixels.clone()
    image[:] = 0
    assert bool((pixels == before).all())


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("view", [lambda i: i[:, ::-1], lambda i: i[:, :, ::-1], lambda i: i[2:40, 3:41]])
def test_any_view_of_an_image_will_do_read_only_too(view: object) -> None:
    image = view(noise(48, 48))  # type: ignore[operator]
    expected = normalise(resize(np.array(image), 16, 16))
    image.flags.writeable = False
    np.testing.assert_array_equal(image_to_input(image, 16), expected)
    assert math.isfinite(float(expected.sum()))
