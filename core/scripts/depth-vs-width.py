"""Does a deeper network need fewer units? A script of Gradient Lab, with the lesson's random numbers (minutes).
Networks of few and of many layers learn the Eggholder surface; who has learned nothing errs by the target's sd."""
from importlib.util import find_spec
from itertools import pairwise
import numpy as np
import torch
from torch import nn, optim
# ---- settings ----
architectures = ("64", "512", "128-128", "64-64-64")  # the networks
samples = 20000  # points drawn from the surface
epochs = 30  # how often each network goes through the training set, at most
scale_targets = True  # whether the surface is standardised for the networks
scale_inputs = "standardised"  # what the networks see of the coordinates: none, by 512 or standardised
init = "he"  # initialization of the weights: zero, he or glorot
bias_init = "spread"  # biases of the first hidden layer at initialization: zero or spread
batch_norm = "none"  # normalise what leaves each hidden layer: none, after activation or deep nets only
optimizer = "adam"  # how a gradient becomes a step: sgd, momentum, nesterov, adam or nadam
learning_rate = 0.003  # how far each step moves the weights
batch_size = 250  # points averaged into one step
patience = 0  # epochs without a better score after which a network stops and goes back to its best
judge = "validation"  # the set that decides when a network stops: validation or test
noise = 0.3  # standard deviation of what is added to the surface, whose own is 298
surface = "eggholder"  # what is learned: eggholder or as notebook 000 typed it
seeds = 3  # repeats with other points, order and initialization
seed = 1  # random seed
# ---- end of settings ----
unit = {"none": 1.0, "by 512": 512.0, "standardised": 512 / 3**0.5}[scale_inputs]  # of the coordinates
def draw(chance):  # points to learn from, to decide when to stop, to test; in which unit their targets are
    first, second = (x := chance.uniform(-512, 512, (samples, 2))).T
    root, inner = np.sqrt(np.abs(first / 2 + second + 47)), np.abs(first - (second + 47))
    other, inner = (second, np.sqrt(inner)) if surface == "eggholder" else (first, inner)  # what notebook 000 lost
    y = -(other + 47) * np.sin(root) - first * np.sin(inner) + noise * chance.normal(size=samples)
    ends = [0, int(0.8 * samples), int((0.8 + 0.1) * samples), samples]
    centre, scale = (y[: ends[1]].mean(), y[: ends[1]].std()) if scale_targets else (0.0, 1.0)
    x, y = x / unit, (y - centre) / scale
    return [[torch.tensor(each[i:j]).float() for each in (x, y)] for i, j in pairwise(ends)], scale
class Norm(nn.BatchNorm1d):  # a unit with a single number has variance 0, as in Keras; PyTorch refuses it
    def forward(self, x):
        return super().forward(torch.cat([x, x]) if len(x) == 1 else x)[: len(x)]
def fresh(hidden, seed):
    layers, normed = [], batch_norm == "after activation" or (batch_norm == "deep nets only" and len(hidden) > 1)
    for l, (n, m) in enumerate(pairwise([2, *hidden, 1])):
        chance, layer, glorot = np.random.default_rng([seed, l, *hidden]), nn.Linear(n, m), (6 / (n + m)) ** 0.5
        limit = {"glorot": glorot, "he": (2 / n) ** 0.5, "zero": 0.05 if len(hidden) == 1 else 0.0}[init]
        w = chance.normal(0, limit, (n, m)) if init == "he" else chance.uniform(-limit, limit, (n, m))
        folds = (bias_init == "spread" and l == 0) * 512 * 2**0.5 / unit * chance.uniform(-1, 1, m)
        layer.weight.data[:], layer.bias.data[:] = torch.tensor(w.T), torch.tensor(folds)
        layers += [layer, nn.ReLU(), Norm(m)] if normed else [layer, nn.ReLU()]
    return nn.Sequential(*layers[: layers.index(layer) + 1])  # the one output is linear
def learn(hidden, seed):  # the error of a net on new points, in the surface's own units, and the spread there
    ((x, y), *others), scale = draw(np.random.default_rng(seed))
    net, chance, best, waited = fresh(hidden, seed), torch.Generator().manual_seed(seed), np.inf, 0
    rule = {"adam": optim.Adam, "nadam": optim.NAdam}.get(optimizer, optim.SGD)
    more = {"momentum": 0.9, "nesterov": optimizer == "nesterov"} if optimizer in ("momentum", "nesterov") else {}
    step = rule(net.parameters(), learning_rate, **more)
    for epoch in range(epochs + 1):
        net.train()
        for batch in torch.randperm(len(x), generator=chance).split(batch_size) if epoch else ():
            (net(x[batch]).squeeze(1) - y[batch]).square().mean().backward()
            step.step(), step.zero_grad()
        errors = (net.eval()(a).squeeze(1) - b for a, b in (others[judge == "test"], others[1]))
        judged, tested = (scale * each.square().mean().sqrt().item() for each in errors)
        if not patience or judged < best:  # with patience, a net is taken as it was at its best
            best, error, waited = judged, tested, 0
        elif (waited := waited + 1) == patience:
            break
    return error, scale * others[1][1].std(correction=0).item()
found = {}  # number of layers → (units, error) of each net
for name, hidden in [(each, tuple(map(int, each.split("-")))) for each in architectures]:
    error, sd = np.mean([learn(hidden, seed + i) for i in range(seeds)], axis=0)
    print(f"test_rmse[{name}] = {error:.6g}")
    found.setdefault(f"{len(hidden)} layer{'s' * (len(hidden) > 1)}", []).append((sum(hidden), error))
means = {layers: np.mean([error for _, error in pairs]) for layers, pairs in found.items()}
print(f"target_sd = {sd:.6g}", *(f"mean_test_rmse[{layers}] = {mean:.6g}" for layers, mean in means.items()), sep="\n")
if find_spec("matplotlib"):
    import matplotlib.pyplot as plt
    for layers, pairs in found.items():
        plt.scatter(*zip(*pairs, strict=True), label=layers)
    plt.gca().set(xscale="log", xlabel="hidden units", ylabel="test RMSE"), plt.legend(), plt.show()
