"""C3N: the Cross-modal Cognitive Consensus guided Network for audio-visual segmentation.

Shi, Wu, Meng, Xu, Li: "Cross-modal Cognitive Consensus guided Audio-Visual Segmentation",
arXiv 2310.06259. `consensus` is C3IM, `guidance` is CCAM; `config` and `labels` import without torch.

What is heard is used twice: features of the audio encoder are fused with the picture, and a
classifier's label probabilities find the consensus. In the paper with VGGish these are two pretrained
things, as here with `Tagger.MN04`; with an encoder that tags by itself they are one (`Tagger.OWN`).
"""
