"""Loading the networks of a store by role."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lunaria.kit.once import Once
from lunaria.vision.packs.manifest import Preprocessing
from lunaria.vision.packs.store import ModelStore, ModelStoreError
from lunaria.vision.runtime import Backend, Device, InferenceSession, open_session, readable


class NetworkLoader:
    """Opens networks with one choice of backend and device, each once. Raises the errors of ModelStore and of
    open_session. Thread-safe."""

    def __init__(self, store: ModelStore, backend: Backend, device: Device) -> None:
        self.store = store
        self._backend: Backend = backend
        self._device: Device = device
        self._sessions: dict[str, Once[InferenceSession]] = {}

    def session(self, role: str) -> InferenceSession:
        """The network of a role."""
        path = self.store.network(role).path
        once = Once(lambda: open_session(path, backend=self._backend, device=self._device))
        return self._sessions.setdefault(role, once)()

    def portable_session(self, role: str) -> InferenceSession:
        """The network of a role in whatever backend and device reads it: TensorFlow Lite files run in one only."""
        return open_session(self.store.network(role).path)

    def path(self, role: str) -> Path:
        """The file of a role, for weights that are no network."""
        return self.store.network(role).path

    def array(self, role: str) -> NDArray[np.float32]:
        """The array of a role."""
        return np.asarray(np.load(self.path(role), allow_pickle=False), np.float32)

    def arrays(self, role: str) -> dict[str, NDArray[Any]]:
        """The arrays of a role by name."""
        with np.load(self.path(role), allow_pickle=False) as file:
            return {name: file[name] for name in file.files}

    def preprocessing(self, role: str) -> Preprocessing:
        """How pixels become the input of the network of a role. Raises ModelStoreError when nothing says it."""
        preprocessing = self.store.spec(role).preprocessing
        if preprocessing is None:
            raise ModelStoreError(f"the manifest says nothing about the preprocessing of the network {role!r}")
        return preprocessing

    def serves(self, role: str) -> bool:
        """Whether a network of the role may serve and can be read on this machine."""
        return self.store.allows(role) and readable(self.store.spec(role).file)
