"""Streams: requests of benign and hostile requesters over time, and what they make of a model."""

from unscathed.streams.endurance import Endurance, Step, endure
from unscathed.streams.requesters import Benign, Hostile, Requester
from unscathed.streams.stream import Request, Stream

__all__ = ["Benign", "Endurance", "Hostile", "Request", "Requester", "Step", "Stream", "endure"]
