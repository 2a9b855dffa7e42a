"""The names of capture.analysis -> what they promise, whatever has been imported before."""

import importlib
import inspect
import pkgutil

import pytest

import capture.analysis


@pytest.mark.parametrize("name", capture.analysis.__all__)
def test_no_name_is_hidden_by_a_module(name: str) -> None:
    for module in pkgutil.iter_modules(capture.analysis.__path__):
        importlib.import_module(f"capture.analysis.{module.name}")
    assert not inspect.ismodule(getattr(capture.analysis, name))
