"""Sheets of frame, truth and prediction."""

from __future__ import annotations

import base64

import cv2
import numpy as np

from stream_avs.publish.palette import PALETTE
from stream_avs.training.pictures import data_url, sheet, tinted
from stream_avs.training.scoring import Example


def example() -> Example:
    frames = np.full((2, 8, 8, 3), (200, 100, 50), np.uint8)
    truth, predicted = np.zeros((2, 8, 8), np.uint8), np.zeros((2, 8, 8), np.uint8)
    truth[:, 1:7, 1:7] = 3
    return Example(
        name="clip", frames=frames, truth=truth, predicted=predicted, labelled=np.array([True, False])
    )


def test_sounding_pixels_keep_their_colour_and_get_an_outline() -> None:
    e = example()
    seen = tinted(e.frames, e.truth)[0]
    assert np.ptp(seen[0, 0]) == 0  # grey outside
    assert seen[1, 1].tolist() == PALETTE[3].tolist()  # outline
    expected = np.round(np.array([200, 100, 50]) * 0.7 + PALETTE[3] * 0.3)
    assert np.abs(seen[4, 4] - expected).max() <= 1


def test_sheet_has_three_rows_and_greys_out_what_is_not_labelled() -> None:
    page = sheet(example())
    assert page.shape == (3 * 8 + 4, 2 * 8 + 2, 3)
    assert page[0, 0].tolist() == [200, 100, 50]
    assert page[10 + 4, 10 + 4].tolist() == [128, 128, 128]  # truth of the second frame
    assert page[10 + 4, 4].tolist() != [128, 128, 128]
    assert page[8:10].min() == 255


def test_data_url_is_the_picture() -> None:
    page = sheet(example())
    kind, data = data_url(page).split(",")
    assert kind == "data:image/png;base64"
    decoded = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)
    assert np.array_equal(decoded[..., ::-1], page)
