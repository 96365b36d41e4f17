"""The face of TORQUE 6.1.3: what its commands take and answer (``tests/transcripts/torque``), on the same engine."""

VERSION = "6.1.3.h5"
