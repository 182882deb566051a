"""The table of metrics, its document, and the dashboard agree with what is served."""

from __future__ import annotations

import json
import re
from pathlib import Path

import stream_avs.observe
from stream_avs.observe.metrics import EVENT_HELP, METRICS, document
from stream_avs.types import Event

ROOT = Path(stream_avs.observe.__file__).parents[2]
SUFFIXES = ("_bucket", "_sum", "_count")
NAME = re.compile(r"\b(?:stream_avs|process)_[a-z_]+")


def test_every_event_is_explained_and_nothing_else() -> None:
    assert set(EVENT_HELP) == set(Event)


def test_the_document_is_that_of_the_table() -> None:
    path = Path(stream_avs.observe.__file__).parent / "METRICS.md"
    command = "from stream_avs.observe.metrics import document; print(document(), end='')"
    assert path.read_text() == document(), f'run: python -c "{command}" > {path}'


def test_names_are_those_prometheus_asks_for() -> None:
    names = [m.name for m in METRICS]
    assert len(set(names)) == len(names)
    assert not [n for n in names if n.endswith(("_total", *SUFFIXES)) or not NAME.fullmatch(n)]


def test_the_dashboard_asks_for_metrics_and_labels_that_exist() -> None:
    dashboard = json.loads((ROOT / "launch" / "grafana.json").read_text())
    queries = [t["expr"] for panel in dashboard["panels"] for t in panel["targets"]]
    queries += [v["query"]["query"] for v in dashboard["templating"]["list"] if v["type"] == "query"]
    known = {m.sample_name for m in METRICS} | {f"{m.name}{s}" for m in METRICS for s in SUFFIXES}
    asked = {name for query in queries for name in NAME.findall(query)}
    assert len(asked) > 15
    assert asked <= known
    labels = {label for m in METRICS for label in m.labels} | {"instance"}
    legends = " ".join(t["legendFormat"] for panel in dashboard["panels"] for t in panel["targets"])
    used = set(re.findall(r"\{\{(\w+)\}\}", legends)) | set(re.findall(r"(\w+)=~?\"", " ".join(queries)))
    assert used <= labels


def test_panels_lie_beside_one_another() -> None:
    dashboard = json.loads((ROOT / "launch" / "grafana.json").read_text())
    cells: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        g = panel["gridPos"]
        own = {(x, y) for x in range(g["x"], g["x"] + g["w"]) for y in range(g["y"], g["y"] + g["h"])}
        assert not own & cells
        assert g["x"] + g["w"] <= 24
        cells |= own
