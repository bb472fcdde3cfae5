"""OpenCV, or one line on what to install: everything here that needs it imports it from this module."""

from __future__ import annotations

import os

from edge_digits.errors import LibraryError

# What it has to say of a file or a camera becomes an error of ours.
os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", "5")  # seconds until a dead camera is given up

try:
    import cv2
except ImportError as error:
    if isinstance(error, ModuleNotFoundError) and error.name == "cv2":
        raise LibraryError(
            "OpenCV is not installed: pip install opencv-python (or opencv-python-headless where there is no display)"
        ) from error
    raise LibraryError(
        f"OpenCV cannot be loaded ({error}): apt-get install libgl1 libglib2.0-0, "
        "or pip uninstall opencv-python and pip install opencv-python-headless"
    ) from error

if os.environ["OPENCV_LOG_LEVEL"] == "SILENT":
    # For a program that had loaded OpenCV before us; 4.x and 5 keep it in different places.
    (getattr(cv2, "setLogLevel", None) or cv2.utils.logging.setLogLevel)(0)

__all__ = ["cv2", "use_one_core"]


def use_one_core() -> None:
    """From now on OpenCV starts no threads: on a frame of a video they cost more than they save."""
    cv2.setNumThreads(1)
