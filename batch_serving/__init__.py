"""How the pipelines do their work. YAML names functions in ``callables`` only, and nothing in here."""
