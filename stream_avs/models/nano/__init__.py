"""CCFormer nano: a small causal CCFormer over two frozen pretrained encoders and what they agree on."""
