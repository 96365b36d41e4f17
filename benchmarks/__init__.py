"""What a job costs beyond its own work: this plugin, a hand-written array and others, measured side by side.

``python -m benchmarks`` runs them; ``docs/performance.md`` says what is measured and how.
"""
