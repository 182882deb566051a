"""stream_avs: live audio-visual segmentation.

Camera frames and microphone audio go in; the pixels that make the sound come out.
Importing this package needs neither torch nor a camera.
"""

from stream_avs.errors import StreamAvsError
from stream_avs.types import MaskResult, ResultState, Sounding

__version__ = "0.1.0"

__all__ = ["MaskResult", "ResultState", "Sounding", "StreamAvsError", "__version__"]
