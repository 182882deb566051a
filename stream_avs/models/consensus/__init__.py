"""Training-free segmentation of what sounds: a pixel sounds where eye and ear name the same class."""
