"""Where do a convolutional net's parameters sit, and where are its multiplications spent? A script of Gradient Lab.

PyTorch builds each net from its description, on a device that holds shapes and no numbers, and the counts are read off
its modules. A net is its channels, the side of its picture, and its layers: ( a | b ) lie side by side, ( a + b ) add
up, and skip is a shortcut without parameters. In the picture, a norm or a pool counts with the layer before it."""
import re
from importlib.util import find_spec
import numpy as np
import torch
from torch import nn
# ---- settings ----
nets = {
    "your net": (3, 32, "conv 32 3x3 pad 1,conv 32 3x3 pad 1,pool 2,conv 64 3x3 pad 1,conv 64 3x3 pad 1,pool 2,fc 256,fc 10"),
    "AlexNet": (3, 227, "conv 96 11x11 stride 4, pool 3x3 stride 2, conv 256 5x5 pad 2 , pool 3x3 stride 2,conv 384 3x3 pad 1, conv 384 3x3 pad 1 , conv 256 3x3 pad 1 , pool 3x3 stride 2,fc 4096 , fc 4096 , fc 1000"),
    "VGG19": (3, 224, "conv 64 3x3 pad 1 ,conv 64 3x3 pad 1 ,pool 2,conv 128 3x3 pad 1 ,conv 128 3x3 pad 1 ,pool 2,conv 256 3x3 pad 1 ,conv 256 3x3 pad 1 ,conv 256 3x3 pad 1 ,conv 256 3x3 pad 1 ,pool 2,conv 512 3x3 pad 1 ,conv 512 3x3 pad 1 ,conv 512 3x3 pad 1 ,conv 512 3x3 pad 1 ,pool 2,conv 512 3x3 pad 1 ,conv 512 3x3 pad 1 ,conv 512 3x3 pad 1 ,conv 512 3x3 pad 1 ,pool 2,fc 4096 ,fc 4096 ,fc 1000"),
    "ResNet-44": (3, 32, "conv 16 3x3 pad 1 no bias, norm, (conv 16 3x3 stride 1 pad 1 floor no bias, norm, conv 16 3x3 pad 1 no bias, norm + ),(conv 16 3x3 stride 1 pad 1 floor no bias, norm, conv 16 3x3 pad 1 no bias, norm + ),(conv 16 3x3 stride 1 pad 1 floor no bias, norm, conv 16 3x3 pad 1 no bias, norm + ),(conv 16 3x3 stride 1 pad 1 floor no bias, norm, conv 16 3x3 pad 1 no bias, norm + ),(conv 16 3x3 stride 1 pad 1 floor no bias, norm, conv 16 3x3 pad 1 no bias, norm + ),(conv 16 3x3 stride 1 pad 1 floor no bias, norm, conv 16 3x3 pad 1 no bias, norm + ),(conv 16 3x3 stride 1 pad 1 floor no bias, norm, conv 16 3x3 pad 1 no bias, norm + ),(conv 32 3x3 stride 2 pad 1 floor no bias, norm, conv 32 3x3 pad 1 no bias, norm + skip 32 stride 2 floor),(conv 32 3x3 stride 1 pad 1 floor no bias, norm, conv 32 3x3 pad 1 no bias, norm + ),(conv 32 3x3 stride 1 pad 1 floor no bias, norm, conv 32 3x3 pad 1 no bias, norm + ),(conv 32 3x3 stride 1 pad 1 floor no bias, norm, conv 32 3x3 pad 1 no bias, norm + ),(conv 32 3x3 stride 1 pad 1 floor no bias, norm, conv 32 3x3 pad 1 no bias, norm + ),(conv 32 3x3 stride 1 pad 1 floor no bias, norm, conv 32 3x3 pad 1 no bias, norm + ),(conv 32 3x3 stride 1 pad 1 floor no bias, norm, conv 32 3x3 pad 1 no bias, norm + ),(conv 64 3x3 stride 2 pad 1 floor no bias, norm, conv 64 3x3 pad 1 no bias, norm + skip 64 stride 2 floor),(conv 64 3x3 stride 1 pad 1 floor no bias, norm, conv 64 3x3 pad 1 no bias, norm + ),(conv 64 3x3 stride 1 pad 1 floor no bias, norm, conv 64 3x3 pad 1 no bias, norm + ),(conv 64 3x3 stride 1 pad 1 floor no bias, norm, conv 64 3x3 pad 1 no bias, norm + ),(conv 64 3x3 stride 1 pad 1 floor no bias, norm, conv 64 3x3 pad 1 no bias, norm + ),(conv 64 3x3 stride 1 pad 1 floor no bias, norm, conv 64 3x3 pad 1 no bias, norm + ),(conv 64 3x3 stride 1 pad 1 floor no bias, norm, conv 64 3x3 pad 1 no bias, norm + ), average, fc 10"),
}
batch_size = 64  # pictures at once
bytes_per_number = 4  # memory for one number
# ---- end of settings ----

def module(phrase, x):
    """The module that a phrase such as "conv 16 5x5 pad 2" describes, for what comes in."""
    word, *rest = phrase.replace("no bias", "biasless").split()
    numbers = [int(each.split("x")[0]) for each in rest if each[0].isdigit()]
    stride, pad, groups = (int(rest[rest.index(each) + 1]) if each in rest else 0 for each in ("stride", "pad", "groups"))
    more = {"bias": "biasless" not in rest, "device": "meta"}
    if word == "conv":
        return nn.Conv2d(x.shape[1], *numbers[:2], stride or 1, pad, groups=groups or 1, **more)
    if word == "fc":
        return nn.Sequential(nn.Flatten(), nn.Linear(x[0].numel(), numbers[0], **more), nn.Unflatten(1, (-1, 1, 1)))
    if word == "norm":
        return nn.BatchNorm2d(x.shape[1], device="meta").eval()
    if word == "skip":  # every second pixel, say, and maps of zeros until there are enough
        added = numbers[0] - x.shape[1]
        return lambda x: nn.functional.pad(x[:, :, :: stride or 1, :: stride or 1], (0, 0, 0, 0, 0, added))
    return nn.AdaptiveAvgPool2d(1) if word == "average" else nn.MaxPool2d(numbers[0], stride or None, pad)

def walk(tokens, x, layers):
    """Send x through what is described, up to the end of a branch; each layer's counts are added to `layers`."""
    while tokens and tokens[0] not in ")|+":
        token = tokens.pop(0)
        if token == "(":
            ends = [walk(tokens, x, layers)]
            while (sign := tokens.pop(0)) != ")":
                added = sign == "+"
                ends.append(walk(tokens, x, layers))
            x = sum(ends) if added else torch.cat(ends, dim=1)
            layers[-1] += [0, 0, x.numel() * added]  # maps side by side hold no numbers of their own
            continue
        made = module(token, x)
        x = made(x)
        parameters = list(made.parameters()) if isinstance(made, nn.Module) else []
        multiplied = sum(each.numel() for each in parameters if each.dim() > 1) * x[0, 0].numel()
        if token.startswith(("conv", "fc")):
            layers.append(np.zeros(3, dtype=int))
        layers[-1] += [sum(each.numel() for each in parameters), multiplied, x.numel()]
    return x

curves = {}
for name, (channels, side, text) in nets.items():
    layers = [np.array([0, 0, channels * side**2])]  # parameters, multiplications and activations; the picture first
    tokens = [each.strip() for each in re.findall(r"[()|+]|[^()|+,]+", text) if each.strip()]
    walk(tokens, torch.empty(1, channels, side, side, device="meta"), layers)
    parameters, multiplications, activations = totals = np.sum(layers, axis=0)
    print(f"parameters[{name}, this run] = {parameters}")
    print(f"multiplications[{name}, this run] = {multiplications}")
    print(f"activations[{name}, this run] = {activations}")
    print(f"bytes[{name}, this run] = {bytes_per_number * (parameters + batch_size * activations)}")
    curves[name] = np.cumsum(layers, axis=0) / np.maximum(totals, 1)
if find_spec("matplotlib"):
    import matplotlib.pyplot as plt
    for name, shares in curves.items():
        plt.plot(shares[:, 1], shares[:, 0], label=name)
    plt.gca().set(xlabel="multiplications so far", ylabel="parameters so far")
    plt.legend(), plt.show()
