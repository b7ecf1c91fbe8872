"""The page on a shared server: users kept apart, limits, health.

`settings` and `storage` come first and import neither gradio nor torch; then `app.create_app`
builds the server and `serve.serve` runs it.
"""
