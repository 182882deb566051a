# mypy: disable-error-code="import-not-found, misc, no-any-return"
"""DDS types of ROS messages, made from their definitions; samples stay CDR bytes.

cyclonedds turns a uint8 sequence into a Python list, 15 ms for a VGA mask. So the types here describe
every field, for matching and discovery, while a sample holds the bytes that rosbags made.
"""

from __future__ import annotations

from typing import Any

from stream_avs.errors import missing_package

try:
    from cyclonedds.idl import IdlStruct, make_idl_struct, types
except ImportError:
    raise missing_package("cyclonedds", "dds") from None

from rosbags.interfaces import Nodetype
from rosbags.typesys.store import Typestore

_BASE: dict[str, Any] = {
    "bool": bool, "byte": types.uint8, "char": types.uint8, "octet": types.uint8,
    "int8": types.int8, "uint8": types.uint8, "int16": types.int16, "uint16": types.uint16,
    "int32": types.int32, "uint32": types.uint32, "int64": types.int64, "uint64": types.uint64,
    "float32": types.float32, "float64": types.float64,
}  # fmt: skip


def dds_name(type_name: str) -> str:
    """ "sensor_msgs/msg/Image" as DDS knows it: sensor_msgs::msg::dds_::Image_."""
    package, namespace, name = type_name.split("/")
    return f"{package}::{namespace}::dds_::{name}_"


def sample_type(store: Typestore, type_name: str) -> Any:
    """The class of samples of a ROS type; make one with `cls.of(cdr)`, read `sample.cdr`."""
    made: Any = _struct(store, type_name, {})
    made.of = classmethod(_of)
    made.serialize = _serialize
    made.deserialize = classmethod(_deserialize)
    return made


def _of(cls: Any, cdr: bytes) -> Any:
    """A sample that is its own CDR encoding, header included."""
    sample = object.__new__(cls)
    sample.cdr = cdr
    return sample


def _serialize(self: Any, *_: Any, **__: Any) -> bytes:
    return bytes(self.cdr)


def _deserialize(cls: Any, data: bytes, *_: Any, **__: Any) -> Any:
    return _of(cls, bytes(data))


def _struct(store: Typestore, type_name: str, known: dict[str, Any]) -> type[IdlStruct]:
    fields = _fields(store, type_name, known)
    return make_idl_struct(type_name.rsplit("/", 1)[-1] + "_", dds_name(type_name), fields)


def _fields(store: Typestore, type_name: str, known: dict[str, Any]) -> dict[str, Any]:
    return {name: _field(store, description, known) for name, description in store.fielddefs[type_name][1]}


def _field(store: Typestore, description: Any, known: dict[str, Any]) -> Any:
    kind, detail = description
    if kind == Nodetype.BASE:
        name, limit = detail
        if name == "string":
            return types.bounded_str[limit] if limit else str
        return _BASE[name]
    if kind == Nodetype.NAME:
        return _nested(store, detail, known)
    element, length = _field(store, detail[0], known), detail[1]
    if kind == Nodetype.ARRAY:
        return types.array[element, length]
    return types.sequence[element, length] if length else types.sequence[element]


def _nested(store: Typestore, type_name: str, known: dict[str, Any]) -> type[IdlStruct]:
    if type_name not in known:
        known[type_name] = _struct(store, type_name, known)
    return known[type_name]
