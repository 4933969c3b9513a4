"""The local language model: vLLM's OpenAI server, started by its GPU's launch profile, with our admission.

`profiles.py` chooses, `launch.py` builds the command line, `middleware.py` runs inside vLLM's web server
(`admission.py` and `requests.py` are its rules), `__main__.py` starts, proves, watches and drains it.
"""
