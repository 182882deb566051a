"""AVSAC: audio-visual segmentation that strengthens the audio cues.

Chen, Tan, Gong, Chu, Wu, Liu, Lu, Ye, Yu: "Bootstrapping Audio-Visual Segmentation by Strengthening
Audio Cues", arXiv 2402.02327. It stands on AVSegFormer's encoder, query generator and mask head and
puts a bidirectional decoder of two towers between them; `config` imports without torch.
"""
