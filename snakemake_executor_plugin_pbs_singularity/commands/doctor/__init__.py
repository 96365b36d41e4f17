"""``pbs-singularity doctor``: tells whether this site will work, and writes its profile.

``command`` is the command; ``here``, ``pbs_findings``, ``node_findings`` and ``runtime_findings`` say what to think of
what was seen; ``probe`` runs ``probe.sh`` on a compute node; ``profile`` writes the profile.
"""
