from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wire_results import make_result, masks

from stream_avs.publish.palette import PALETTE, colour_of, mask_png
from stream_avs.types import ResultState, Sounding

cv2 = pytest.importorskip("cv2")
draw = pytest.importorskip("stream_avs.publish.draw")


def picture(width, height, seed=0):
    rng = np.random.default_rng(seed)
    return cv2.resize(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8), (width, height))


def changed(a, b):
    return np.any(a != b, axis=2)


def rabbit(class_id=1, name="rabbit"):
    return Sounding(class_id=class_id, name=name, score=0.8, area=0.1)


def disc(size=96, class_id=1):
    y, x = np.mgrid[:size, :size]
    return ((y - size / 2) ** 2 + (x - size / 2) ** 2 < (size / 4) ** 2).astype(np.uint8) * class_id


def test_colours_of_the_first_ids_are_distinct_and_zero_is_black():
    assert colour_of(0) == (0, 0, 0)
    assert len({colour_of(i) for i in range(1, 36)}) == 35
    assert colour_of(255) == (128, 128, 128)


def test_neighbouring_colours_differ_for_the_colour_blind():
    """Brightness alone, what the fully colour-blind see, separates most pairs of the first seven."""
    luma = PALETTE[1:8] @ np.array([0.2126, 0.7152, 0.0722])
    gaps = np.abs(np.subtract.outer(luma, luma))[np.triu_indices(7, 1)]
    assert (gaps > 15).mean() > 0.8


def test_mask_png_holds_ids_and_colours():
    mask = np.arange(256, dtype=np.uint8).reshape(8, 32)
    picture_bgr = cv2.imdecode(np.frombuffer(mask_png(mask), np.uint8), cv2.IMREAD_COLOR)
    assert np.array_equal(picture_bgr[..., ::-1], PALETTE[mask])


def test_the_picture_is_left_alone_and_nothing_is_drawn_for_silence():
    image = picture(64, 48)
    before = image.copy()
    out = draw.overlay(image, np.zeros((24, 24), np.uint8), sounding=())
    assert np.array_equal(out, before)
    draw.overlay(image, disc())
    assert np.array_equal(image, before)


def test_the_tint_is_where_the_mask_is():
    image = np.full((200, 300, 3), 90, np.uint8)
    hit = changed(draw.overlay(image, disc()), image)
    y, x = np.mgrid[:200, :300]
    distance = np.hypot((y - 100) / 200, (x - 150) / 300)
    assert hit[distance < 0.24].all()
    assert not hit[distance > 0.28].any()
    centre = draw.overlay(image, disc(), opacity=0.5)[100, 150]
    assert np.allclose(centre, (90 + np.array(colour_of(1))) / 2, atol=2)


def test_several_classes_have_their_own_colours():
    mask = np.zeros((60, 60), np.uint8)
    mask[10:30, 10:50], mask[30:50, 10:50] = 3, 5
    out = draw.overlay(np.zeros((120, 120, 3), np.uint8), mask, opacity=1.0)
    assert tuple(out[40, 60]) == colour_of(3)
    assert tuple(out[80, 60]) == colour_of(5)


def test_the_transform_places_the_mask():
    """A mask that shows the right half of the source, letterboxed away from the left."""
    image = np.zeros((100, 200, 3), np.uint8)
    mask = np.full((50, 50), 1, np.uint8)
    hit = changed(draw.overlay(image, mask, transform=(2.0, 0.0, 100.5, 0.0, 2.0, 0.5)), image)
    assert not hit[:, :96].any()
    assert hit[5:95, 105:195].all()


def test_a_mask_outside_the_picture_is_not_drawn():
    image = picture(50, 40)
    out = draw.overlay(image, disc(), transform=(1.0, 0.0, 5000.0, 0.0, 1.0, -9000.0))
    assert np.array_equal(out, image)


def test_a_result_is_drawn_on_a_scaled_copy_of_its_source():
    result = make_result(source_size=(640, 480))
    whole = changed(draw.overlay_result(np.zeros((480, 640, 3), np.uint8), replace(result, sounding=())), 0)
    half = changed(draw.overlay_result(np.zeros((240, 320, 3), np.uint8), replace(result, sounding=())), 0)
    assert abs(whole.mean() - half.mean()) < 0.02


@pytest.mark.parametrize("state", [ResultState.NO_AUDIO, ResultState.RESET, ResultState.STALE])
def test_a_state_that_is_not_ordinary_is_shown_upper_right(state):
    image = picture(360, 288)
    hit = changed(draw.overlay(image, np.zeros((9, 9), np.uint8), state=state), image)
    assert hit[:40, 240:].any()
    assert not hit[:, :180].any()
    assert not hit[60:].any()


def test_a_stale_mask_is_weaker():
    image = np.zeros((96, 96, 3), np.uint8)
    fresh = draw.overlay(image, disc())[48, 48].sum()
    stale = draw.overlay(image, disc(), state=ResultState.STALE)[48, 48].sum()
    assert 0 < stale < 0.6 * fresh


def test_the_list_names_what_sounds():
    image = picture(360, 288)
    silent = np.zeros((9, 9), np.uint8)
    one = changed(draw.overlay(image, silent, sounding=(rabbit(),)), image)
    two = changed(draw.overlay(image, silent, sounding=(rabbit(), rabbit(2, "dog"))), image)
    assert 0 < one.sum() < two.sum()
    by_label = draw.overlay(image, disc(), labels={1: "rabbit"})
    unnamed = draw.overlay(image, disc(), labels={})
    assert changed(by_label, unnamed)[:60, :120].any()


@pytest.mark.parametrize(
    "size", [(1, 1), (2, 1), (16, 16), (60, 40), (160, 120), (360, 288), (1920, 1080), (40, 700)]
)
@pytest.mark.parametrize("state", list(ResultState))
def test_any_size_of_picture_works(size, state):
    image = picture(*size)
    names = [
        rabbit(i, name) for i, name in enumerate(["a name that is far too long for this", "é 猫", ""], 1)
    ]
    out = draw.overlay(image, disc(), sounding=names * 4, state=state)
    assert out.shape == image.shape
    assert out.dtype == np.uint8


@settings(max_examples=40, deadline=None)
@given(
    mask=masks,
    numbers=st.tuples(*[st.floats(-20, 20)] * 6),
    size=st.tuples(st.integers(1, 80), st.integers(1, 80)),
)
def test_any_mask_and_transform_works(mask, numbers, size):
    image = picture(*size)
    assert draw.overlay(image, mask, transform=numbers).shape == image.shape


def test_read_only_and_strided_pictures_are_taken():
    image = picture(64, 48)
    image.flags.writeable = False
    assert draw.overlay(image[::2, ::-1], disc()).shape == (24, 64, 3)
