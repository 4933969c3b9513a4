"""The recogniser of real calls: NeMo's models, many streams at once, served by Triton (`models.triton`)."""
