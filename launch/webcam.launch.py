"""A camera and a microphone of this machine to masks: capture, segmenter and overlay in one process."""

from launch.actions import DeclareLaunchArgument
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

from launch import LaunchDescription

ARGUMENTS = {
    "source": ("webcam", "webcam, camera:N, synthetic, a file, or an rtsp:// or http:// address"),
    "namespace": ("", "Namespace of all nodes, one per robot"),
    "nodes": ("capture segmenter overlay", "Which nodes to run, separated by spaces"),
    "autostart": ("true", "Configure and activate the nodes; false leaves that to you"),
    "use_sim_time": ("false", "Take time from /clock"),
    "parameters": (
        PathJoinSubstitution([FindPackageShare("stream_avs"), "parameters", "webcam.yaml"]),
        "Parameter file",
    ),
    "log_level": ("info", "debug, info, warn or error"),
}


def generate_launch_description():
    """Declare the arguments and start the process."""
    together = Node(
        package="stream_avs",
        executable="together",
        namespace=LaunchConfiguration("namespace"),
        arguments=[LaunchConfiguration("nodes"), ["capture.source:=", LaunchConfiguration("source")]],
        ros_arguments=["--log-level", LaunchConfiguration("log_level")],
        parameters=[
            LaunchConfiguration("parameters"),
            {
                "autostart": ParameterValue(LaunchConfiguration("autostart"), value_type=bool),
                "use_sim_time": ParameterValue(LaunchConfiguration("use_sim_time"), value_type=bool),
            },
        ],
        remappings=[("mask", "segmenter/mask"), ("label_info", "segmenter/label_info")],
        output="screen",
    )
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=description)
        for name, (default, description) in ARGUMENTS.items()
    ]
    return LaunchDescription([*arguments, together])
