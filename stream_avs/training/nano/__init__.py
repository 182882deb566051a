"""How nano's weights are made: pictures, sounds and talkers in, one safetensors file out."""
