"""The rclpy side: lifecycle nodes over the objects of `stream_avs.ros2`. Only here is rclpy imported.

rclpy comes with a ROS 2 distribution, never from pip; see the README, "ROS 2".
"""
