# mypy: disable-error-code="import-not-found, misc"
"""A DDS participant that ROS 2 takes for a node: topics, type hashes, an entry in the node graph."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any

import numpy as np
from cyclonedds.core import InstanceState, Policy, ReadCondition, SampleState, ViewState, WaitSet
from cyclonedds.core import Qos as DdsQos
from cyclonedds.domain import DomainParticipant
from cyclonedds.pub import DataWriter, Publisher
from cyclonedds.sub import DataReader, Subscriber
from cyclonedds.topic import Topic
from cyclonedds.util import duration

from stream_avs.errors import WireError
from stream_avs.ros2.dds.store import Store
from stream_avs.ros2.dds.wire_types import sample_type
from stream_avs.ros2.fields import Fields
from stream_avs.ros2.qos import PROFILES, Durability, Qos, Reliability

GRAPH_TOPIC = "ros_discovery_info"
GRAPH_TYPE = "rmw_dds_common/msg/ParticipantEntitiesInfo"
WAIT_MS = 100
BATCH = 32


def absolute(topic: str, node: str, namespace: str = "") -> str:
    """A topic's full name: "~/mask" of node segmenter in namespace robot1 is /robot1/segmenter/mask."""
    root = f"/{namespace.strip('/')}" if namespace.strip("/") else ""
    if topic.startswith("/"):
        return topic
    if topic.startswith("~/"):
        return f"{root}/{node}/{topic[2:]}"
    return f"{root}/{topic}"


class Output:
    """A topic that is published."""

    def __init__(self, writer: Any, cls: Any, store: Store) -> None:
        self.writer = writer
        self._cls = cls
        self._store = store

    def publish(self, fields: Fields) -> None:
        """Send a message."""
        self.writer.write(self._cls.of(self._store.encode(fields)))

    @property
    def readers(self) -> int:
        """Readers that match now."""
        return int(self.writer.get_publication_matched_status().current_count)


class Participant:
    """One process on the ROS graph; a context manager.

    Args:
        node: name in `ros2 node list`.
        namespace: of the node, "" for none.
        domain_id: ROS_DOMAIN_ID.
        store: message definitions.
        on_error: called, on the reading thread, with messages that cannot be read.
        in_graph: appear as a node. The entry has Jazzy's form; other distributions may not read it.
    """

    def __init__(
        self,
        node: str,
        *,
        namespace: str = "",
        domain_id: int = 0,
        store: Store | None = None,
        on_error: Callable[[WireError], None] = lambda error: None,
        in_graph: bool = True,
    ) -> None:
        self.node, self.namespace = node, namespace
        self.store = store if store is not None else Store()
        self._on_error = on_error
        self._participant: Any = DomainParticipant(domain_id, DdsQos(Policy.Userdata(b"enclave=/;")))
        self._publisher: Any = Publisher(self._participant)
        self._subscriber: Any = Subscriber(self._participant)
        self._classes: dict[str, Any] = {}
        self._topics: dict[str, Any] = {}
        self._writers: list[Any] = []
        self._readers: list[tuple[Any, Any, str, Callable[[Any], None]]] = []
        self._waitset: Any = WaitSet(self._participant)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="dds reader", daemon=True)
        self._graph = self._graph_writer() if in_graph else None

    def advertise(self, topic: str, type_name: str, qos: Qos) -> Output:
        """Publish a topic; relative and private names are this node's."""
        made, settings = self._topic(topic, type_name), self._qos(qos, type_name)
        writer = DataWriter(self._publisher, made, settings)
        self._writers.append(writer)
        self._announce()
        return Output(writer, self._classes[type_name], self.store)

    def listen(self, topic: str, type_name: str, callback: Callable[[Any], None], qos: Qos) -> Any:
        """Subscribe to a topic before `start`; `callback` gets each message on the reading thread."""
        made, settings = self._topic(topic, type_name), self._qos(qos, type_name)
        reader = DataReader(self._subscriber, made, settings)
        condition = ReadCondition(reader, SampleState.Any | ViewState.Any | InstanceState.Any)
        self._waitset.attach(condition)
        self._readers.append((reader, condition, type_name, callback))
        self._announce()
        return reader

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def close(self) -> None:
        """Stop reading and leave the domain. May be called twice."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(2.0)
        for _, condition, _, _ in self._readers:
            self._waitset.detach(condition)
        self._readers.clear()
        self._writers.clear()
        self._topics.clear()
        # DDS entities end when nothing refers to them.
        self._graph = self._waitset = self._publisher = self._subscriber = self._participant = None

    def __enter__(self) -> Participant:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._waitset.wait(duration(milliseconds=WAIT_MS))
            for reader, _, type_name, callback in tuple(self._readers):
                for sample in reader.take(BATCH):
                    cdr = getattr(sample, "cdr", None)
                    if cdr is not None and sample.sample_info.valid_data:
                        self._hand_over(cdr, type_name, callback)

    def _hand_over(self, cdr: bytes, type_name: str, callback: Callable[[Any], None]) -> None:
        try:
            message = self.store.decode(cdr, type_name)
        except WireError as error:
            self._on_error(error)
            return
        callback(message)

    def _topic(self, topic: str, type_name: str) -> Any:
        name = "rt" + absolute(topic, self.node, self.namespace)
        if type_name not in self._classes:
            self._classes[type_name] = sample_type(self.store.types, type_name)
        if name not in self._topics:
            self._topics[name] = Topic(self._participant, name, self._classes[type_name])
        return self._topics[name]

    def _qos(self, qos: Qos, type_name: str) -> Any:
        reliable = qos.reliability is Reliability.RELIABLE
        latched = qos.durability is Durability.TRANSIENT_LOCAL
        return DdsQos(
            Policy.Reliability.Reliable(duration(milliseconds=100))
            if reliable
            else Policy.Reliability.BestEffort,
            Policy.Durability.TransientLocal if latched else Policy.Durability.Volatile,
            Policy.History.KeepLast(qos.depth),
            Policy.DataRepresentation(use_cdrv0_representation=True),  # all that rmw_cyclonedds takes
            Policy.Userdata(f"typehash={self.store.type_hash(type_name)};".encode()),
        )

    def _graph_writer(self) -> Any:
        cls = sample_type(self.store.types, GRAPH_TYPE)
        topic = Topic(self._participant, GRAPH_TOPIC, cls)
        return Output(
            DataWriter(self._publisher, topic, self._qos(PROFILES["latched"], GRAPH_TYPE)), cls, self.store
        )

    def _announce(self) -> None:
        """Say which readers and writers belong to this node."""
        if self._graph is None:
            return
        node = Fields(
            "rmw_dds_common/msg/NodeEntitiesInfo",
            {
                "node_namespace": f"/{self.namespace.strip('/')}",
                "node_name": self.node,
                "reader_gid_seq": tuple(_gid(reader) for reader, *_ in self._readers),
                "writer_gid_seq": tuple(_gid(writer) for writer in self._writers),
            },
        )
        values = {"gid": _gid(self._participant), "node_entities_info_seq": (node,)}
        self._graph.publish(Fields(GRAPH_TYPE, values))


def _gid(entity: Any) -> Fields:
    return Fields("rmw_dds_common/msg/Gid", {"data": np.frombuffer(entity.guid.bytes, np.uint8)})
