"""ROS 2 topics without ROS: real DDS samples by cyclonedds, encoded by rosbags. Extra: `stream-avs[dds]`.

A data path, not a node replacement: no parameters, services, lifecycle or launch.
"""
