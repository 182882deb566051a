"""Capture here, segment there: run with role:=capture on the robot, role:=segmenter on the GPU box.

Both machines are in one ROS domain. Images go compressed, since raw ones rarely survive a network. For
machines without a common ROS network, use the ZeroMQ nodes: `stream-avs node capture`, with keys.
"""

from launch.actions import DeclareLaunchArgument
from launch.conditions import IfCondition
from launch.substitutions import EqualsSubstitution, LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import LifecycleNode
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

from launch import LaunchDescription

ARGUMENTS = {
    "role": (None, "What this machine does: capture or segmenter"),
    "source": ("webcam", "What to capture: webcam, camera:N, synthetic, a file or an address"),
    "camera_info": ("", "camera_info YAML file of the camera, on the machine that captures"),
    "namespace": ("", "Namespace of the nodes, the same on both machines"),
    "autostart": ("true", "Configure and activate the node; false leaves that to you"),
    "use_sim_time": ("false", "Take time from /clock"),
    "parameters": (
        PathJoinSubstitution([FindPackageShare("stream_avs"), "parameters", "split.yaml"]),
        "Parameter file, the same on both machines",
    ),
    "log_level": ("info", "debug, info, warn or error"),
}
CHOICES = {"role": ["capture", "segmenter"]}


def generate_launch_description():
    """Declare the arguments and start the node of this machine."""
    flags = {
        name: ParameterValue(LaunchConfiguration(name), value_type=bool)
        for name in ("autostart", "use_sim_time")
    }
    common = {
        "package": "stream_avs",
        "namespace": LaunchConfiguration("namespace"),
        "ros_arguments": ["--log-level", LaunchConfiguration("log_level")],
        "output": "screen",
    }
    device = {
        "source": ParameterValue(LaunchConfiguration("source"), value_type=str),
        "camera_info": ParameterValue(LaunchConfiguration("camera_info"), value_type=str),
    }
    capture = LifecycleNode(
        name="capture",
        executable="capture",
        parameters=[LaunchConfiguration("parameters"), {**flags, **device}],
        condition=IfCondition(EqualsSubstitution(LaunchConfiguration("role"), "capture")),
        **common,
    )
    segmenter = LifecycleNode(
        name="segmenter",
        executable="segmenter",
        parameters=[LaunchConfiguration("parameters"), flags],
        condition=IfCondition(EqualsSubstitution(LaunchConfiguration("role"), "segmenter")),
        **common,
    )
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=description, choices=CHOICES.get(name))
        for name, (default, description) in ARGUMENTS.items()
    ]
    return LaunchDescription([*arguments, capture, segmenter])
