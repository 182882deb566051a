"""The processes: capture, segmenter, overlay; plain over ZeroMQ, as ROS 2 nodes, or on DDS without ROS.

Installed as `stream_avs.nodes`; `bin/` holds what `ros2 run stream_avs NODE` starts. Thin: what they do
lives in `stream_avs.link`, `stream_avs.pipeline` and `stream_avs.ros2`, and is the same object whatever
the transport.
"""
