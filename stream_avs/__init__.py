"""stream_avs: live audio-visual segmentation.

Camera frames and microphone audio go in; the pixels that make the sound come out.
Importing this package needs neither torch nor a camera.
"""

from typing import TYPE_CHECKING, Any

from stream_avs.errors import StreamAvsError
from stream_avs.types import MaskResult, ResultState, Sounding

if TYPE_CHECKING:
    from stream_avs.publish.subscriber import subscribe

__version__ = "0.1.0"

__all__ = ["MaskResult", "ResultState", "Sounding", "StreamAvsError", "__version__", "subscribe"]


def __getattr__(name: str) -> Any:
    # Sockets are loaded by those who subscribe, not by everyone who needs a type.
    if name == "subscribe":
        from stream_avs.publish.subscriber import subscribe

        return subscribe
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
