"""What `make demo` and `make test` need besides Python: Debian packages, Apptainer, images, a registry.

Only the standard library is used here: these modules run before anything is installed. Run them from the
checkout, as in ``python3 -m tools.apptainer PREFIX``. Nothing of the system is changed; root is not needed.
"""
