"""The real voice: coqui-tts behind contract 3's model `tts`. Only `engine*.py` imports torch and TTS."""
