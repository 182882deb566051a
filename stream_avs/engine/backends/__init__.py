"""Ways to run one step function fast: PyTorch, OpenVINO, CUDA graphs, TensorRT. See `prepare`."""
