"""Other people's counters say today what `tools.json` says they say."""

from importlib.metadata import version

import pytest

from core.convnets import total
from core.convnets.published import NETS
from core.convnets.tools import TOOLS, kept, measure

SMALL = [name for name in NETS if name not in ("VGG19", "AlexNet", "AlexNet two groups")]


@pytest.mark.parametrize("name", SMALL)
def test_each_tool_says_what_is_kept(name):
    assert measure(NETS[name]) == kept()["nets"][name]


def test_what_is_kept_is_of_every_network_and_of_these_versions():
    assert list(kept()["nets"]) == list(NETS)
    assert list(kept()["versions"]) == [tool.package for tool in TOOLS.values()]
    for tool in ("torchinfo", "fvcore", "ptflops"):
        assert kept()["versions"][tool] == version(tool)


def test_a_flop_is_half_a_mac():
    for name, net in NETS.items():
        assert kept()["nets"][name]["FlopCounterMode"] == 2 * total(net.rows(), "macs")
