# mypy: disable-error-code="import-not-found"
"""`Parameter` to rclpy parameter descriptors."""

from __future__ import annotations

from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor

from stream_avs.ros2.parameters import Change, Parameter, describe


def descriptor(parameter: Parameter) -> Any:
    """Description, range and read-only flag of a parameter."""
    made = ParameterDescriptor(
        name=parameter.name,
        description=describe(parameter),
        additional_constraints=", ".join(parameter.choices),
        read_only=parameter.change is Change.START,
    )
    if parameter.low is None or parameter.high is None:
        return made
    if parameter.kind is int:
        made.integer_range = [
            IntegerRange(from_value=int(parameter.low), to_value=int(parameter.high), step=1)
        ]
    else:
        made.floating_point_range = [
            FloatingPointRange(from_value=float(parameter.low), to_value=float(parameter.high), step=0.0)
        ]
    return made
