"""OpenCV, or one line on what to install: everything here that needs it imports it from this module."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

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

# 4.x and 5 keep it in different places.
_set_log_level = getattr(cv2, "setLogLevel", None) or cv2.utils.logging.setLogLevel
_ERRORS = 2  # of OpenCV's levels

if os.environ["OPENCV_LOG_LEVEL"] == "SILENT":
    _set_log_level(0)  # for a program that had loaded OpenCV before us

__all__ = ["cv2", "memory_errors", "telling_errors", "use_one_core"]


@contextmanager
def memory_errors() -> Iterator[None]:
    """Meanwhile OpenCV's own error of too little memory is a MemoryError."""
    try:
        yield
    except cv2.error as error:
        if getattr(error, "code", 0) == cv2.Error.StsNoMem:
            raise MemoryError from error
        raise


@contextmanager
def telling_errors() -> Iterator[None]:
    """Meanwhile OpenCV prints its errors on standard error."""
    before = _set_log_level(_ERRORS)
    try:
        yield
    finally:
        _set_log_level(before)


def use_one_core() -> None:
    """From now on OpenCV starts no threads: on a frame of a video they cost more than they save."""
    cv2.setNumThreads(1)
