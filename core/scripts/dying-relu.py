"""Why do narrow, deep ReLU networks die before they learn anything? A script of Gradient Lab, with its numbers.

Many networks fit a function of one variable. One is dead when a layer of it no longer depends on the input: every
gradient before it is exactly 0. One tensor holds a layer of all. init = "orthogonal" is not known."""
from importlib.util import find_spec
from itertools import pairwise
import numpy as np
import torch
from torch import nn, optim

# ---- settings ----
depth = 9  # hidden layers
width = 2  # units in each hidden layer
activation = "relu"  # what a unit makes of its weighted sum: relu, leaky relu, elu or tanh
init = "he"  # how weights are initialized: he, glorot, orthogonal or randomized asymmetric
nets = 500  # independent networks, each with its own initialization and order of examples
slope = 0.2  # slope of leaky ReLU below zero
target = "|x|"  # the function to learn, one of the paper's three: |x|, x·sin(5x) or 1{x>0}+0.2·sin(5x)
interval = "±√3"  # where inputs are drawn: ±√3 or ±√7
optimizer = "adam"  # how a gradient becomes a step: sgd, momentum, nesterov or adam
learning_rate = 0.001  # step size of the optimizer
epochs = 10  # how often each network sees every training point
points = 3000  # training points, drawn from the interval
training = "independent nets"  # the second is what the notebook did: independent nets or one net, fitted again
seed = 1  # random seed
# ---- end of settings ----

half = {"±√3": 3**0.5, "±√7": 7**0.5}[interval]
act = {"relu": nn.ReLU(), "leaky relu": nn.LeakyReLU(slope), "elu": nn.ELU(), "tanh": nn.Tanh()}[activation]
again = training == "one net, fitted again"  # the notebook's way: one net, fitted as often as there should be nets

def fresh(nets):  # by layer, weights (nets, n, m) and biases (nets, 1, m)
    for l, (n, m) in enumerate(pairwise([1] + [width] * depth + [1])):
        chance, b, xavier = np.random.default_rng([seed, l]), np.zeros((nets, 1, m)), (6 / (n + m)) ** 0.5
        if init == "randomized asymmetric":  # one entry of each unit's weights and bias is never negative
            both, (one, size) = chance.normal(0, 0.6007 / n**0.5, (nets, n + 1, m)), chance.spawn(2)
            np.put_along_axis(both, one.integers(n + 1, size=b.shape), size.beta(2, 1, size=b.shape), axis=1)
            w, b = both[:, :-1], both[:, -1:]
        else:
            draw, *ends = {"he": (chance.normal, 0, (2 / n) ** 0.5), "glorot": (chance.uniform, -xavier, xavier)}[init]
            w = draw(*ends, (nets, n, m))
        yield [nn.Parameter(torch.tensor(each, dtype=torch.float32)) for each in (w, b)]

def outputs(layers, x):  # what leaves each layer, (nets, points, units)
    return [x := act(x @ w + b) if l < depth else x @ w + b for l, (w, b) in enumerate(layers)]

def dead(layers):  # which nets have a layer none of whose units depends on x at any point of the interval, (nets,)
    exact = [[each.detach().double() for each in layer] for layer in layers]
    x = torch.linspace(-half, half, 257).double().view(1, -1, 1).repeat(len(exact[0][0]), 1, 1).requires_grad_()
    units = [[unit.sum() for unit in a.unbind(2)] for a in outputs(exact, x)]
    slopes = [torch.cat([torch.autograd.grad(each, x, retain_graph=True)[0] for each in layer], 1) for layer in units]
    return torch.stack([(slope == 0).all(1).squeeze(1) for slope in slopes]).any(0)

x = (2 * torch.rand(points, 1, generator=torch.Generator().manual_seed(seed)) - 1) * half
y = {"|x|": x.abs(), "x·sin(5x)": x * (5 * x).sin(), "1{x>0}+0.2·sin(5x)": (x > 0) + 0.2 * (5 * x).sin()}[target]
layers, fits = list(fresh(1 if again else nets)), []
parameters, nesterov = [each for layer in layers for each in layer], optimizer == "nesterov"
sgd = optim.SGD(parameters, learning_rate, momentum=0 if optimizer == "sgd" else 0.9, nesterov=nesterov)
step = optim.Adam(parameters, learning_rate) if optimizer == "adam" else sgd
print(f"born_dead_fraction = {dead(list(fresh(nets))).float().mean():.6g}")
curve = [dead(layers).float().mean()]
for epoch in range(1, epochs * (nets if again else 1) + 1):
    chance = torch.Generator().manual_seed(int(np.random.SeedSequence([seed, epoch]).generate_state(1, np.uint64)[0]))
    orders = torch.stack([torch.randperm(points, generator=chance) for _ in layers[0][0]])  # one for each net
    for batch in orders.split(64, dim=1):  # (nets, batch)
        step.zero_grad()
        (outputs(layers, x[batch])[-1] - y[batch]).square().mean(dim=(1, 2)).sum().backward()
        step.step()
    fits += [dead(layers).item()] if again and epoch % epochs == 0 else []
    curve.append(np.mean(fits) if fits else dead(layers).float().mean())
gone, loss = dead(layers), (outputs(layers, x)[-1] - y).square().mean(dim=(1, 2)).detach()
print(f"collapsed_fraction = {curve[-1]:.6g}")
print(f"median_loss[alive] = {loss[~gone].quantile(0.5) if (~gone).any() else np.nan:.6g}")
print(f"median_loss[collapsed] = {loss[gone].quantile(0.5) if gone.any() else np.nan:.6g}")
if find_spec("matplotlib"):
    import matplotlib.pyplot as plt
    plt.plot(range(len(curve)), curve, label="by structure")
    plt.gca().set(xlabel="epochs", ylabel="share of collapsed nets", ylim=(0, 1.03))
    plt.show()
