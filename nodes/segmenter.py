"""The segmenter node: a link, ROS topics or a device to masks."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial

from stream_avs.capture.base import Source
from stream_avs.capture.open_source import make_source
from stream_avs.config import PublishConfig, RunConfig
from stream_avs.control.session_socket import ControlSocket
from stream_avs.control.settings import ControlConfig
from stream_avs.engine.load import load_models
from stream_avs.ledger import Ledger
from stream_avs.link.receiver import ZmqSource
from stream_avs.link.settings import LinkConfig
from stream_avs.models.base import AnyModel
from stream_avs.observe.config import LogConfig, MetricsConfig
from stream_avs.observe.session import open_monitor
from stream_avs.pipeline import Pipeline
from stream_avs.publish.zeromq import Publisher
from stream_avs.service.heartbeat import heartbeat_of
from stream_avs.service.notify import Notifier
from stream_avs.service.shutdown import stop_on_signals

from .running import Say, run_until

LINK = "link"
"""The source that means a capture node."""


def _publish_default() -> PublishConfig:
    return PublishConfig(address="tcp://127.0.0.1:5557")


@dataclass(frozen=True, kw_only=True)
class SegmenterNode(RunConfig):
    """Make masks of what a capture node sends."""

    source: str = LINK
    """link for a capture node; or a source of this machine, as in `stream-avs run`."""
    link: LinkConfig = field(default_factory=LinkConfig)
    publish: PublishConfig = field(default_factory=_publish_default)
    control: ControlConfig = field(default_factory=ControlConfig)
    metrics: MetricsConfig = field(default_factory=MetricsConfig)
    log: LogConfig = field(default_factory=LogConfig)


def source_of(config: SegmenterNode) -> Source:
    """The source that `config` names; see `make_source` and `ZmqSource` for the errors."""
    if config.source == LINK:
        return ZmqSource(config.link, config.name, reconnect=config.reconnect)
    return make_source(config)


def run_zmq(config: SegmenterNode, say: Say, model: AnyModel | None = None) -> None:
    """Segment and publish until the source ends or a signal comes.

    Args:
        config: of the node.
        say: tells the user.
        model: instead of the one that `config` names.

    Raises:
        StreamAvsError: the source, the model or an address failed.
    """
    stop = stop_on_signals()
    ledger = Ledger()
    source = source_of(config)
    control = ControlSocket(config.control, config)
    with (
        Notifier.from_environment() as notifier,
        Publisher(config.publish, config.name, ledger) as publisher,
        ExitStack() as stack,
    ):
        monitor = open_monitor(config.name, config.metrics, config.log, ledger, stack)
        load = partial(load_models, config) if model is None else None
        models = load() if load is not None else (model, model)
        listeners = (publisher.publish, monitor.publish)
        with Pipeline(config, source, models[0], listeners, control.tap, ledger, models[1], load) as pipeline:
            monitor.watch(pipeline, models[0].id, lambda: publisher.subscribers)
            control.open(pipeline, ledger, stack)
            info = pipeline.start()
            say(f"masks of {info.name} on {publisher.address}, stream {config.name}; Ctrl-C ends")
            heart = heartbeat_of(pipeline, notifier)
            run_until(stop, lambda: pipeline.wait(0), config.duration_s, tick=heart.tick)
            notifier.stopping()
        snapshot = pipeline.snapshot()
    counts = ", ".join(f"{event.value} {n}" for event, n in snapshot.counts.items())
    say(f"{snapshot.masks} masks of {pipeline.captured} frames; {counts or 'nothing dropped'}")


def main_ros(argv: list[str] | None = None) -> int:
    """`ros2 run stream_avs segmenter`."""
    from stream_avs.ros2.rcl.main import run

    return run(("segmenter",), argv)
