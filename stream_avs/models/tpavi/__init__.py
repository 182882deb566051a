"""TPAVI: the baseline of AVSBench, which every paper on audio-visual segmentation compares with.

Zhou, Wang, Zhang, Sun, Zhang, Birchfield, Guo, Kong, Wang, Zhong: "Audio-Visual Segmentation",
ECCV 2022. Named after its temporal pixel-wise audio-visual interaction; `config` imports without
torch.
"""
