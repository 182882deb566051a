"""Masks of camera and audio topics that a robot publishes already."""

from launch.actions import DeclareLaunchArgument
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import LifecycleNode
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

from launch import LaunchDescription

ARGUMENTS = {
    "image": ("camera/image_raw", "Image topic; with transport:=compressed, /compressed is added"),
    "camera_info": ("camera/camera_info", "CameraInfo topic that belongs to the images"),
    "audio": ("audio", "Sound topic of audio_common_msgs or audio_utils_msgs"),
    "audio_info": ("audio_info", "AudioInfo topic beside audio_common_msgs/AudioDataStamped"),
    "transport": ("raw", "raw or compressed images"),
    "namespace": ("", "Namespace of the nodes and of relative topics, one per robot"),
    "overlay": ("true", "Run the overlay node; it works only while somebody looks"),
    "autostart": ("true", "Configure and activate the nodes; false leaves that to you"),
    "use_sim_time": ("false", "Take time from /clock"),
    "parameters": (
        PathJoinSubstitution([FindPackageShare("stream_avs"), "parameters", "robot.yaml"]),
        "Parameter file",
    ),
    "log_level": ("info", "debug, info, warn or error"),
}
CHOICES = {"transport": ["raw", "compressed"]}


def generate_launch_description():
    """Declare the arguments and start the nodes."""
    image = LaunchConfiguration("image")
    common = {
        "package": "stream_avs",
        "namespace": LaunchConfiguration("namespace"),
        "ros_arguments": ["--log-level", LaunchConfiguration("log_level")],
        "parameters": [
            LaunchConfiguration("parameters"),
            {
                "autostart": ParameterValue(LaunchConfiguration("autostart"), value_type=bool),
                "use_sim_time": ParameterValue(LaunchConfiguration("use_sim_time"), value_type=bool),
                "ros.image_transport": ParameterValue(LaunchConfiguration("transport"), value_type=str),
            },
        ],
        "output": "screen",
    }
    pictures = [("image_raw", image), ("image_raw/compressed", [image, "/compressed"])]
    segmenter = LifecycleNode(
        name="segmenter",
        executable="segmenter",
        remappings=[
            *pictures,
            ("camera_info", LaunchConfiguration("camera_info")),
            ("audio", LaunchConfiguration("audio")),
            ("audio_info", LaunchConfiguration("audio_info")),
        ],
        **common,
    )
    overlay = LifecycleNode(
        name="overlay",
        executable="overlay",
        remappings=[*pictures, ("mask", "segmenter/mask"), ("label_info", "segmenter/label_info")],
        condition=IfCondition(LaunchConfiguration("overlay")),
        **common,
    )
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=description, choices=CHOICES.get(name))
        for name, (default, description) in ARGUMENTS.items()
    ]
    return LaunchDescription([*arguments, segmenter, overlay])
