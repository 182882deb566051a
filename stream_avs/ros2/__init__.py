"""ROS 2: messages, stamps, QoS and parameters as plain data; the nodes in `rcl/`, DDS without ROS in `dds/`.

Nothing here imports rclpy except `rcl/`, and nothing imports cyclonedds or rosbags except `dds/`.
"""
