"""Does dropout keep a network from memorizing noise? A script of Gradient Lab.

Networks learn noisy points of a curve, with dropout and without, from the same initialization: several data sets
at once, in tensors (data_sets, points, units). It draws the lesson's random numbers, so the curves are the lesson's."""
from importlib.util import find_spec
from itertools import pairwise
import numpy as np
import torch

# ---- settings ----
rate = 0.2  # probability p that a hidden unit is dropped in a training step
rule = "inverted"  # what makes up for dropped units: inverted, keep or notebook
width = 64  # units in each hidden layer
points = 50  # training points
depth = 4  # hidden layers, each followed by dropout
input_rate = 0.0  # probability that an input is dropped
where = "every hidden layer"  # where units are dropped: every hidden layer or all but the last
control = "same network"  # the network without dropout: same network or thinned width
epochs = 1500  # steps on all training points at once
noise = 0.15  # standard deviation of the noise on each point
init = "glorot"  # distribution of the initial weights, He's the widest: glorot, he or normal 0.05
data_sets = 8  # data sets, each with networks of its own
seed = 1  # random seed
# ---- end of settings ----

def truth(x):
    return 0.5 * np.sin(2 * x) + 0.2 * x

def tensor(values):
    return torch.tensor(np.array(values), dtype=torch.float32)

def fresh(width):  # by layer, weights (data_sets, n, m) and biases (data_sets, 1, m): equal at every call
    for l, (n, m) in enumerate(pairwise([1] + [width] * depth + [1])):
        chance, glorot = np.random.default_rng([seed, l]), (6 / (n + m)) ** 0.5
        normal, uniform = {"he": (2 / n) ** 0.5, "normal 0.05": 0.05}, {"glorot": glorot}
        draw, *ends = (chance.uniform, -glorot, glorot) if init in uniform else (chance.normal, 0, normal[init])
        w, small = draw(*ends, (data_sets, n, m)), chance.spawn(1)[0].normal(0, 0.05, (data_sets, 1, m))
        yield [tensor(each).requires_grad_() for each in (w, small if init == "normal 0.05" else 0 * small)]

def output(layers, x, rates, masks=None):  # (data_sets, points, 1); with a generator of masks, units are dropped
    for l, ((w, b), p) in enumerate(zip(layers, rates, strict=True)):
        if p and masks is None:
            x = x * {"inverted": 1, "keep": 1 - p, "notebook": p}[rule]
        elif p:  # each unit anew for each point
            kept = torch.empty(x.mT.shape).bernoulli_(1 - p, generator=masks).mT
            x = x * kept / (1 - p if rule == "inverted" else 1)
        x = x @ w + b if l == depth else torch.relu(x @ w + b)
    return x

rates = [input_rate] + [rate] * (depth - 1) + [0.0 if where == "all but the last" else rate]  # of what enters a layer
chances = [np.random.default_rng([seed, i]) for i in range(data_sets)]
x = [each.uniform(-2, 2, points) for each in chances]
y = [truth(each) + chance.normal(0, noise, points) for each, chance in zip(x, chances, strict=True)]
x, y, grid = tensor(x)[..., None], tensor(y)[..., None], np.linspace(-2, 2, 201)
curves, looks = {}, sorted(set(np.linspace(0, epochs, 81).round().astype(int).tolist()))
narrow = max(1, round((1 - rate) * width))  # as many units as a step keeps on average
dropped = f"p={rate:g}" + (f", input {input_rate:g}" if input_rate else "")
whole, units = ("no dropout", width) if control == "same network" else (f"no dropout, {narrow} units", narrow)
for name, p, kind, m in ((f"dropout {rate:g}", dropped, rates, width), (whole, "p=0", [0.0] * (depth + 1), units)):
    layers, masks, curve = list(fresh(m)), torch.Generator().manual_seed(seed), []
    adam = torch.optim.Adam([each for layer in layers for each in layer], 0.001)
    for epoch in range(epochs + 1):
        if epoch > 0:  # on all points at once
            adam.zero_grad()
            (output(layers, x, kind, masks) - y).square().mean(dim=(1, 2)).sum().backward()
            adam.step()
        if epoch in looks:  # the error to expect of a new noisy point, evaluated with all units
            found = output(layers, tensor(grid)[None, :, None], kind).detach().double().numpy()[..., 0]
            curve.append(((found - truth(grid)) ** 2).mean(axis=1) + noise**2)  # (data_sets,)
    curves[name] = np.array(curve)
    print(f"train_mse[{p}] = {(output(layers, x, kind) - y).square().mean():.6g}")
    print(f"test_mse[{p}] = {curve[-1].mean():.6g}")
    print(f"lowest_test_mse[{p}] = {curves[name].min(axis=0).mean():.6g}")
print(f"gain = {(curves[whole][-1] - curves[f'dropout {rate:g}'][-1]).mean():.6g}")
if find_spec("matplotlib"):
    import matplotlib.pyplot as plt
    for name, curve in curves.items():
        plt.semilogy(looks, curve.mean(axis=1), label=name)
    plt.gca().set(xlabel="epochs", ylabel="squared error on a new point"), plt.legend(), plt.show()
