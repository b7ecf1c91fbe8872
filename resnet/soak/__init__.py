"""The whole server under load, for minutes: `python -m resnet.soak [--quick] [--json FILE]`.

It starts `python app.py` on a free port of this machine, with its usual limits, and visits it as
browsers and programs do.  Nothing but 127.0.0.1 is asked.
"""
