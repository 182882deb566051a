"""CCFormer: the Complementary and Contrastive Transformer for audio-visual segmentation.

Gong, Zhuge, Zhang, Zhang, Lu: "Complementary and Contrastive Learning for Audio-Visual
Segmentation", arXiv 2510.10051. One module for each idea, named as in the paper; `config` imports
without torch.
"""
