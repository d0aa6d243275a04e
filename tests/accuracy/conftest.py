from tests.vision.conftest import model_store

__all__ = ["model_store"]
