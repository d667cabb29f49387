"""Applications to read, run and copy from: one in each framework, and a script.

``python -m auth0_cte.examples.flask_app``, ``…django_app``, ``…fastapi_app`` or ``…script`` runs one, on a local tenant
unless the environment names another. They need the extra ``examples``.
"""
