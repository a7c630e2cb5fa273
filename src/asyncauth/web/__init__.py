"""Adapters: one file per framework. They find credentials, ask the manager, and put refusals into HTTP; they decide
nothing themselves.

`gate.py` is what all of them share; `http.py` and `cookies.py` speak HTTP; `websocket.py` watches open websockets.
"""
