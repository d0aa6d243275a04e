from tests.vision.conftest import analyzer, model_store

__all__ = ["analyzer", "model_store"]
