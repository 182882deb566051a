"""C3N: the Cross-modal Cognitive Consensus guided Network for audio-visual segmentation.

Shi, Wu, Meng, Xu, Li: "Cross-modal Cognitive Consensus guided Audio-Visual Segmentation",
arXiv 2310.06259. `consensus` is C3IM, `guidance` is CCAM; `config` and `labels` import without torch.
"""
