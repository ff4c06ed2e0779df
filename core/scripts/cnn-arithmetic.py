"""Where do a convolutional network's parameters sit, and where are its multiplications spent? A script of Gradient Lab.

PyTorch builds each network on a device that holds shapes and no numbers. A network is channels, height and width of its
image, and its layers: ( a | b ) lie side by side, ( a + b ) add up, ( a * b ) multiply. In the chart, a norm or a pool
counts with the layer before it. A MAC is a multiply–accumulate operation, and two FLOPs."""
import re
from importlib.util import find_spec
from math import prod
import numpy as np
import torch
from torch import nn
from torch.nn.functional import pad
# ---- settings ----
nets = {
    "your net": (3, 32, 32, "conv 32 3x3 pad 1, conv 32 3x3 pad 1, pool 2, conv 64 3x3 pad 1, conv 64 3x3 pad 1, pool 2, fc 256, fc 10"),
    "AlexNet": (3, 227, 227, "conv 96 11x11 stride 4, pool 3 stride 2, conv 256 5x5 pad 2, pool 3 stride 2, conv 384 3x3 pad 1, conv 384 3x3 pad 1, conv 256 3x3 pad 1, pool 3 stride 2, fc 4096, fc 4096, fc 1000"),
    "VGG19": (3, 224, 224, "conv 64 3x3 pad 1, conv 64 3x3 pad 1, pool 2, conv 128 3x3 pad 1, conv 128 3x3 pad 1, pool 2, conv 256 3x3 pad 1, conv 256 3x3 pad 1, conv 256 3x3 pad 1, conv 256 3x3 pad 1, pool 2, conv 512 3x3 pad 1, conv 512 3x3 pad 1, conv 512 3x3 pad 1, conv 512 3x3 pad 1, pool 2, conv 512 3x3 pad 1, conv 512 3x3 pad 1, conv 512 3x3 pad 1, conv 512 3x3 pad 1, pool 2, fc 4096, fc 4096, fc 1000"),
    "ResNet-44": (3, 32, 32, "conv 16 3x3 pad 1 no bias, norm, ( conv 16 3x3 pad 1 no bias, norm, conv 16 3x3 pad 1 no bias, norm + ), ( conv 16 3x3 pad 1 no bias, norm, conv 16 3x3 pad 1 no bias, norm + ), ( conv 16 3x3 pad 1 no bias, norm, conv 16 3x3 pad 1 no bias, norm + ), ( conv 16 3x3 pad 1 no bias, norm, conv 16 3x3 pad 1 no bias, norm + ), ( conv 16 3x3 pad 1 no bias, norm, conv 16 3x3 pad 1 no bias, norm + ), ( conv 16 3x3 pad 1 no bias, norm, conv 16 3x3 pad 1 no bias, norm + ), ( conv 16 3x3 pad 1 no bias, norm, conv 16 3x3 pad 1 no bias, norm + ), ( conv 32 3x3 stride 2 pad 1 no bias floor, norm, conv 32 3x3 pad 1 no bias, norm + skip 32 stride 2 floor ), ( conv 32 3x3 pad 1 no bias, norm, conv 32 3x3 pad 1 no bias, norm + ), ( conv 32 3x3 pad 1 no bias, norm, conv 32 3x3 pad 1 no bias, norm + ), ( conv 32 3x3 pad 1 no bias, norm, conv 32 3x3 pad 1 no bias, norm + ), ( conv 32 3x3 pad 1 no bias, norm, conv 32 3x3 pad 1 no bias, norm + ), ( conv 32 3x3 pad 1 no bias, norm, conv 32 3x3 pad 1 no bias, norm + ), ( conv 32 3x3 pad 1 no bias, norm, conv 32 3x3 pad 1 no bias, norm + ), ( conv 64 3x3 stride 2 pad 1 no bias floor, norm, conv 64 3x3 pad 1 no bias, norm + skip 64 stride 2 floor ), ( conv 64 3x3 pad 1 no bias, norm, conv 64 3x3 pad 1 no bias, norm + ), ( conv 64 3x3 pad 1 no bias, norm, conv 64 3x3 pad 1 no bias, norm + ), ( conv 64 3x3 pad 1 no bias, norm, conv 64 3x3 pad 1 no bias, norm + ), ( conv 64 3x3 pad 1 no bias, norm, conv 64 3x3 pad 1 no bias, norm + ), ( conv 64 3x3 pad 1 no bias, norm, conv 64 3x3 pad 1 no bias, norm + ), ( conv 64 3x3 pad 1 no bias, norm, conv 64 3x3 pad 1 no bias, norm + ), average, fc 10"),
}
batch_size = 64  # images at once
bytes_per_number = 4  # memory for one number
# ---- end of settings ----

def module(phrase, x):
    """The module that a phrase such as "conv 16 5x5 pad 2" describes, for what comes in."""
    word, *rest = phrase.replace("no bias", "biasless").split()
    rest = [tuple(map(int, (each.split("x") * 2)[:2])) if each[0].isdigit() else each for each in rest]  # 5, 5x5 or 1x7
    said = {name: n for name, n in zip(rest, rest[1:]) if isinstance(name, str) and isinstance(n, tuple)}
    size = [n for before, n in zip([word, *rest], rest) if isinstance(n, tuple) and before not in said]
    count, c, bias = size[0][0] if size else 1, x.shape[1], "biasless" not in rest
    window = {"kernel_size": size[-1] if size else 1, "stride": said.get("stride"), "padding": said.get("pad", 0)}
    conv = {**window, "stride": said.get("stride", (1, 1)), "dilation": said.get("dilation", 1), "groups": said.get("groups", (1,))[0]}
    return {
        "conv": lambda: nn.Conv2d(c, count, **conv, bias=bias),
        "transposed": lambda: nn.ConvTranspose2d(c, count, **conv, bias=bias, output_padding=said.get("extra", 0)),
        "fc": lambda: nn.Sequential(nn.Flatten(), nn.Linear(x[0].numel(), count, bias), nn.Unflatten(1, (-1, 1, 1))),
        "pool": lambda: nn.MaxPool2d(**window, ceil_mode="ceil" in rest), "avgpool": lambda: nn.AvgPool2d(**window, ceil_mode="ceil" in rest),
        "average": lambda: nn.AdaptiveAvgPool2d(size[0] if size else 1), "upsample": lambda: nn.Upsample(scale_factor=size[0]),
        "norm": lambda: nn.BatchNorm2d(c).eval(), "instancenorm": lambda: nn.InstanceNorm2d(c), "groupnorm": lambda: nn.GroupNorm(count, c),
        "scale": lambda: nn.PReLU(c),  # stands for a factor for each channel
        "zeropad": lambda: nn.ZeroPad2d(size[0][1:] * 2 + size[0][:1] * 2), "slice": lambda: lambda x: x[:, :count],
        "around": lambda: lambda x: pad(x, [n for n, _ in size]),  # what "same" adds on the left, right, top and bottom
        "skip": lambda: lambda x: pad(x[:, :, :: conv["stride"][0], :: conv["stride"][1]], (0, 0, 0, 0, 0, count - c)),
    }[word]()

def walk(tokens, x, layers):
    """Send x through what is described, up to the end of a branch; parameters, MACs and activations go to `layers`."""
    while tokens and tokens[0] not in ")|+*":
        token, before = tokens.pop(0), x
        if token == "(":
            ends, signs = [walk(tokens, x, layers)], []
            while (sign := tokens.pop(0)) != ")":
                signs.append(sign), ends.append(walk(tokens, x, layers))
            x = torch.cat(ends, 1) if signs[0] == "|" else sum(ends) if signs[0] == "+" else prod(ends)
            layers[-1] += [0, 0, x.numel() * (signs[0] != "|")]  # side by side they hold no numbers of their own
            continue
        x = (made := module(token, x))(x)
        parameters = list(made.parameters()) if isinstance(made, nn.Module) else []
        if token.startswith(("conv", "fc", "transposed")):  # each weight is used at every position
            layers.append(np.array([0, parameters[0].numel() * (before if token[0] == "t" else x)[0, 0].numel(), 0]))
        layers[-1] += [sum(p.numel() for p in parameters), 0, x.numel() * (not token.startswith(("slice", "around")))]
    return x

curves = {}
for name, (channels, height, width, text) in nets.items():
    layers = [np.array([0, 0, channels * height * width])]  # the image first
    with torch.device("meta"):
        walk(re.findall(r"[()|+*]|[^()|+*, ][^()|+*,]*[^()|+*, ]", text), torch.empty(1, channels, height, width), layers)
    totals = np.sum(layers, axis=0)
    for what, value in zip(("parameters", "macs", "activations", "bytes"), [*totals, bytes_per_number * (totals[0] + batch_size * totals[2])]):
        print(f"{what}[{name}] = {value}")
    curves[name] = np.cumsum(layers, axis=0) / np.maximum(totals, 1)
if find_spec("matplotlib"):
    import matplotlib.pyplot as plt
    for name, shares in curves.items():
        plt.plot(shares[:, 1], shares[:, 0], label=name)
    plt.gca().set(xlabel="MACs so far", ylabel="parameters so far"), plt.legend(), plt.show()
