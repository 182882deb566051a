"""Who made the pictures and sounds that the weights were trained on, as a table to ship with them."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from stream_avs.training.nano.assets import Assets

GRID_CREDIT = (
    "M. Cooke, J. Barker, S. Cunningham, X. Shao: GRID audio-visual sentence corpus (JASA 120, 2006)",
    "https://zenodo.org/records/3625687",
    "CC BY 4.0",
)
HEADER = ("kind", "file", "split", "author or title", "url", "licence")


def write_credits(data: Path, out: Path) -> int:
    """Write a row for every file of the train and val splits; returns how many."""
    content = json.loads((data / "masks" / "coco_free" / "instances.json").read_text())
    licences = {entry["id"]: entry["name"] for entry in content["licenses"]}
    images = {Path(i["file_name"]).stem: i for i in content["images"]}
    with (data / "sounds" / "esc_attribution.csv").open(encoding="utf-8") as file:
        sounds = {Path(row["file"]).stem: row for row in csv.DictReader(file)}
    rows: list[tuple[str, ...]] = []
    for split in ("train", "val"):
        used = Assets(data, split).credits()
        for name in used["pictures"]:
            image = images[name]
            rows.append(
                (
                    "picture",
                    name,
                    split,
                    "COCO 2017, Flickr",
                    image["flickr_url"],
                    licences[image["license"]],
                )
            )
        for name in used["sounds"]:
            row = sounds[name]
            title = f"{row['freesound_author']}: {row['freesound_title']}"
            rows.append(("sound", name, split, title, row["freesound_url"], row["licence"]))
        rows += [("talker", name, split, *GRID_CREDIT) for name in used["talkers"]]
    with out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(HEADER)
        writer.writerows(rows)
    return len(rows)
