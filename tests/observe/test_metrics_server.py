"""Real sockets, asked by real HTTP."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from stream_avs.engine.statistics import Statistics
from stream_avs.errors import PublishError
from stream_avs.observe.config import MetricsConfig
from stream_avs.observe.health import judge
from stream_avs.observe.metrics import METRICS
from stream_avs.observe.monitor import Monitor
from stream_avs.observe.process import heap_bytes, machine_busy_s, usage_of
from stream_avs.observe.server import MetricsServer
from stream_avs.timing.source_watch import SourceStatus
from stream_avs.types import NS_PER_S, Event, MaskResult, ResultState, Sounding, SourceState

parser = pytest.importorskip("prometheus_client.parser")


class Clock:
    now_ns = 100 * NS_PER_S

    def __call__(self) -> int:
        return self.now_ns


class Pipeline:
    """Figures as a pipeline gives them."""

    captured = 12
    supervisor = None

    def __init__(self) -> None:
        self.statistics = Statistics()
        self.source = SourceStatus(state=SourceState.LIVE)

    def snapshot(self):  # type: ignore[no-untyped-def]
        counts = {Event.SUPERSEDED: 2}
        return self.statistics.snapshot(100 * NS_PER_S, counts, "half rate", self.source)


def result_at(clock: Clock, age_ms: int) -> MaskResult:
    import numpy as np

    now_ns = clock()
    return MaskResult(
        mask=np.zeros((4, 4), np.uint8), stream="cam0", seq=1, window_seq=1,
        stamp_ns=now_ns - age_ms * 1_000_000, arrival_ns=now_ns, publish_ns=now_ns, unix_offset_ns=0,
        frame_id="camera", source_size=(4, 4), transform=(1, 0, 0, 0, 1, 0), labels={1: "dog"},
        sounding=(Sounding(class_id=1, name="dog", score=0.75, area=0.5),), sounding_score=0.75,
        audio_level_dbfs=-20.0, state=ResultState.OK, latency_ms={"total": 30.0},
    )  # fmt: skip


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def monitor(clock: Clock) -> Monitor:
    return Monitor("cam0", silent_after_s=2, suppressed=lambda: 7, clock=clock)


@pytest.fixture
def server(monitor: Monitor) -> Iterator[MetricsServer]:
    with MetricsServer(MetricsConfig(address="127.0.0.1:0"), monitor) as server:
        yield server


def get(server: MetricsServer, path: str, **headers: str) -> tuple[int, str, str]:
    connection = http.client.HTTPConnection(server.address, timeout=5)
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, answer.getheader("Content-Type", ""), text


def fed(monitor: Monitor, clock: Clock) -> Pipeline:
    pipeline = Pipeline()
    monitor.watch(pipeline, "tiny-1234", lambda: 3)
    for age_ms in (30, 30, 700):
        result = result_at(clock, age_ms)
        monitor.publish(result)
        pipeline.statistics.observe(result, age_ms, clock())
    return pipeline


def test_every_metric_is_served_and_says_what_happened(
    server: MetricsServer, monitor: Monitor, clock: Clock
) -> None:
    fed(monitor, clock)
    status, kind, text = get(server, "/metrics")
    assert (status, kind.split(";")[0]) == (200, "text/plain")
    families = {f.name: f for f in parser.text_string_to_metric_families(text)}
    assert set(families) == {m.name for m in METRICS}
    assert all(families[m.name].type == m.kind for m in METRICS)
    samples = [s for f in families.values() for s in f.samples]
    for metric in METRICS:
        of = [s for s in samples if s.name.startswith(metric.sample_name) and s.name[-7:] != "_bucket"]
        assert all(set(s.labels) == set(metric.labels) for s in of if s.name == metric.sample_name)
    value = {(s.name, *s.labels.values()): s.value for s in samples}
    assert value["stream_avs_frames_total",] == 12
    assert value["stream_avs_masks_total",] == 3
    assert value["stream_avs_events_total", "superseded", "yes"] == 2
    assert value["stream_avs_events_total", "reconnect", "no"] == 0
    assert value["stream_avs_mask_age_seconds_bucket", "0.03"] == 2
    assert value["stream_avs_mask_age_seconds_bucket", "0.5"] == 2
    assert value["stream_avs_mask_age_seconds_bucket", "0.75"] == 3
    assert value["stream_avs_mask_age_seconds_sum",] == pytest.approx(0.76)
    assert value["stream_avs_sounding_score", "dog"] == 0.75
    assert value["stream_avs_source_state", "live"] == 1
    assert value["stream_avs_overload_rung", "half rate"] == 1
    assert value["stream_avs_subscribers",] == 3
    assert value["stream_avs_log_suppressed_total",] == 7
    assert value["process_resident_memory_bytes",] > 1e7
    status, kind, text = get(server, "/metrics", Accept="application/openmetrics-text; version=1.0.0")
    assert (status, kind.split(";")[0], text[-6:]) == (200, "application/openmetrics-text", "# EOF\n")


def test_health_tells_why_not(server: MetricsServer, monitor: Monitor, clock: Clock) -> None:
    def health() -> tuple[int, str]:
        status, _, text = get(server, "/healthz")
        return status, json.loads(text)["reason"]

    assert health() == (503, "starting")
    pipeline = Pipeline()
    monitor.watch(pipeline, "tiny-1234")
    assert health() == (503, "no mask yet")
    monitor.publish(result_at(clock, 30))
    assert health() == (200, "")
    pipeline.source = SourceStatus(state=SourceState.RECONNECTING, detail="lost camera 0")
    assert health() == (503, "the source is reconnecting: lost camera 0")
    pipeline.source = replace(pipeline.source, state=SourceState.SILENT)
    clock.now_ns += 3 * NS_PER_S
    assert health() == (503, "no mask for 3.0 s")


def test_a_session_whose_worker_is_being_replaced_is_not_healthy() -> None:
    live = SourceStatus(state=SourceState.LIVE)
    assert judge(5, 4, live, 1.0).live
    assert judge(5, 4, live, 1.0, restarting=True).reason == "the worker is being replaced"


def test_other_paths_methods_and_names_get_nothing(server: MetricsServer) -> None:
    assert get(server, "/")[0] == 404
    assert get(server, "/metrics", Host="evil.example")[0] == 403
    connection = http.client.HTTPConnection(server.address, timeout=5)
    connection.request("POST", "/metrics", body=b"x")
    assert connection.getresponse().status == 501
    connection.close()


def test_readers_that_hang_hold_up_few_and_not_the_end(monitor: Monitor) -> None:
    server = MetricsServer(MetricsConfig(address="127.0.0.1:0"), monitor)
    host, port = server.address.split(":")
    before = threading.active_count()
    hanging = [socket.create_connection((host, int(port))) for _ in range(30)]
    time.sleep(0.3)
    assert threading.active_count() - before <= 8
    begun_s = time.monotonic()
    server.close()
    assert time.monotonic() - begun_s < 2
    for connection in hanging:
        connection.close()


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("0.0.0.0:0", "other machines"),
        ("192.0.2.1:9108", "other machines"),
        ("[::]:0", "other machines"),
        ("robot.local:9108", "other machines"),
        ("9108", "not HOST:PORT"),
        ("127.0.0.1:99999", "not HOST:PORT"),
        ("http://127.0.0.1:1", "not HOST:PORT"),
    ],
)
def test_addresses_that_others_reach_or_that_are_none_are_refused(
    monitor: Monitor, address: str, words: str
) -> None:
    with pytest.raises(PublishError, match=words):
        MetricsServer(MetricsConfig(address=address), monitor)


def test_a_taken_port_is_said_to_be(server: MetricsServer, monitor: Monitor) -> None:
    with pytest.raises(PublishError, match="in use"):
        MetricsServer(MetricsConfig(address=server.address), monitor)


def test_what_a_process_uses_is_read() -> None:
    before = usage_of()
    block = bytearray(64_000_000)
    heap = heap_bytes()
    with open(__file__) as file:
        after = usage_of()
        assert file.fileno() > 0
    assert after.files == before.files + 1
    assert after.resident_bytes - before.resident_bytes > 30_000_000 or len(block) == 0
    assert heap is None or heap > 64_000_000
    assert after.cpu_s >= before.cpu_s
    assert machine_busy_s() > after.cpu_s
