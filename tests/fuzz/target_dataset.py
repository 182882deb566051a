"""Files of data sets: pickled log-mel, tables, lists of classes, annotations, pictures, reports."""

from __future__ import annotations

import io
import json
import pickle
from functools import partial

import cv2
import numpy as np
import torch
from fuzzing import KIB, MIB, Target, in_file, small_pictures

from stream_avs.datasets.avsbench_avss import read_class_names
from stream_avs.datasets.layout import read_table
from stream_avs.datasets.safe_pickle import float_array_of
from stream_avs.datasets.scenes.assets import _read_classes
from stream_avs.evaluation.real.annotations import read_annotations
from stream_avs.evaluation.report import EvalReport
from stream_avs.picture_input import PictureError, decode_picture

REPORT = EvalReport(
    dataset="s4", split="test", model="nano-1", width_px=224, height_px=224, batch_clips=1,
    protocol="per clip", clips=2, frames=10, scores={"J": 0.5, "F": float("nan")}, notes=("a",),
)  # fmt: skip
CLASSES = {"dog": {"coco_category_id": 18, "sound_folders": ["dog", "bark"], "family": "animal"}}
FRAMES = {
    "version": 1,
    "clips": {"a.mp4": {"repository": "r", "path": "p", "commit": "c", "licence": "l", "folder": "f"}},
    "frames": [
        {
            "clip": "a.mp4", "time_s": 1.5, "kind": "class",
            "sources": [{"label": "dog", "class_id": 12, "polygons": [[[0, 0], [1, 0], [1, 1]]]}],
        }
    ],
}  # fmt: skip


def pickles() -> list[bytes]:
    """Tensors and arrays in every form that is read, and some that are not."""
    value = torch.arange(6, dtype=torch.float32).reshape(2, 3)
    seeds = [pickle.dumps(v, p) for p in (2, 4) for v in (value, value.numpy(), torch.nn.Parameter(value))]
    for zipped in (True, False):
        file = io.BytesIO()
        torch.save(value[:, 1:], file, _use_new_zipfile_serialization=zipped)
        seeds.append(file.getvalue())
    return [*seeds, pickle.dumps({"a": [1, (2.5, "x")]}, 2)]


def _report(data: bytes) -> object:
    report = EvalReport.from_json(data.decode("utf-8", "replace"))
    return report.to_text(), report.to_json()


def _pictures() -> list[bytes]:
    image = np.arange(6 * 5 * 3, dtype=np.uint8).reshape(6, 5, 3)
    colours = [cv2.imencode(suffix, image)[1].tobytes() for suffix in (".png", ".jpg")]
    return [b"\0" + data for data in (*colours, cv2.imencode(".png", image[..., 0])[1].tobytes())]


def _picture(data: bytes) -> object:
    how = data[0] % 3 if data else 0
    with small_pictures():
        return decode_picture(data[1:], grey=how == 1, as_stored=how == 2)


_TABLE = partial(read_table, required=("split",), min_cells=2)

TARGETS = (
    Target(
        name="pickle", decode=lambda data: float_array_of(data, "a.pkl"), seeds=pickles, multiple=20,
        constant_bytes=4 * MIB, max_bytes=2 * KIB,
    ),
    Target(
        name="table", decode=in_file(_TABLE, ".csv"), max_bytes=KIB, multiple=64,
        seeds=lambda: [
            b"name,start,category,split\na_1,0,dog,train\nb,0,cat,test\n",
            b'\xef\xbb\xbfvid,split\n"a,b",val\n',
        ],
    ),
    Target(
        name="class-names", decode=in_file(read_class_names, ".json"), form="json", max_bytes=KIB,
        multiple=64, seeds=lambda: [b'{"background": 0, "dog": 1, "cat": 2}'],
    ),
    Target(
        name="scene-classes", decode=in_file(_read_classes, ".json"), form="json", max_bytes=KIB, multiple=64,
        seeds=lambda: [json.dumps(CLASSES).encode()],
    ),
    Target(
        name="annotations", decode=in_file(read_annotations, ".json"), form="json", max_bytes=KIB,
        multiple=64, seeds=lambda: [json.dumps(FRAMES).encode()],
    ),
    Target(
        name="report", decode=_report, form="json", max_bytes=KIB, multiple=64,
        seeds=lambda: [REPORT.to_json().encode()],
    ),
    Target(
        name="picture", decode=_picture, seeds=_pictures, refuses=(PictureError,), max_bytes=KIB,
        constant_bytes=800 * MIB,
    ),
)  # fmt: skip
