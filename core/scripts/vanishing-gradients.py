"""Why does a deep network stop learning, and is it the depth? A script of Gradient Lab, with the lesson's numbers.

Networks of several depths fit a noisy sine. Before training we look at the largest gradient of each layer: where every
layer multiplies it by the same factor, depth only counts how often. A tensor holds one layer of all of a depth."""
from importlib.util import find_spec
from itertools import pairwise
import numpy as np
import torch
# ---- settings ----
depths = (5, 10, 15)  # hidden layers
init = "normal"  # how weights are initialized: normal, glorot, he, lecun, orthogonal, orthogonal √2 or pytorch
init_sd = 0.05  # standard deviation of normal
activation = "relu"  # what a unit makes of its weighted sum: sigmoid, tanh, relu or selu
width = 32  # units in each hidden layer
batch_norm = False  # brings every unit to mean 0 and variance 1 over the examples, whatever the weights
residual = False  # each layer adds to its input instead of replacing it
epochs = 500  # steps of Adam on all examples
epsilon = 1e-07  # what Adam adds before it divides a gradient by its size, after the bias correction, as PyTorch
seeds = 5  # networks of each depth that differ in their initialization alone
seed = 1  # random seed
# ---- end of settings ----

act = {"sigmoid": torch.sigmoid, "tanh": torch.tanh, "relu": torch.relu, "selu": torch.selu}[activation]
chance = torch.Generator().manual_seed(seed)
x = (2 * torch.rand(50, 1, generator=chance) - 1) * 2
y = torch.sin(2 * x) + 0.1 * torch.randn(50, 1, generator=chance)

def fresh(depth, nets, dtype):  # by layer: weights (nets, n, m), biases, the batch norm's γ and β (nets, 1, m)
    for l, (n, m) in enumerate(pairwise([1] + [width] * depth + [1])):  # equal layers of all depths start equal
        chance, uniform, glorot = np.random.default_rng([seed, l]), init in ("glorot", "pytorch"), (6 / (n + m)) ** 0.5
        scale = {"normal": init_sd, "he": (2 / n) ** 0.5, "glorot": glorot, "orthogonal": 1}.get(init[:10], n**-0.5)
        kind, *ends = ("uniform", -scale, scale) if uniform else ("normal", 0, scale)
        w = getattr(chance, kind)(*ends, (nets, max(n, m), min(n, m)) if "orthogonal" in init else (nets, n, m))
        b = getattr(chance.spawn(1)[0], kind)(*ends, (nets, 1, m)) * (init in ("normal", "pytorch"))
        if "orthogonal" in init:
            q, r = np.linalg.qr(w)
            q *= np.sign(np.diagonal(r, axis1=1, axis2=2))[:, None]
            w = (q if n >= m else q.transpose(0, 2, 1)) * (2**0.5 if "√2" in init else 1)
        yield [torch.tensor(each, dtype=dtype).requires_grad_() for each in (w, b, np.ones(b.shape), np.zeros(b.shape))]

def losses(layers):  # the mean squared error of each net, (nets,)
    a = x.to(layers[0][0].dtype)
    for w, b, gamma, beta in layers[:-1]:
        before, a = a, act(a @ w + b)
        if batch_norm:  # over the points
            a = gamma * (a - a.mean(1, True)) / (a.var(1, correction=0, keepdim=True) + 1e-5).sqrt() + beta
        if residual and a.shape == before.shape:
            a = a + before
    return (a @ layers[-1][0] + layers[-1][1] - y).square().mean(dim=(1, 2))

def largest(layers):  # the largest |gradient| of a weight, (nets, layers)
    grads = torch.autograd.grad(losses(layers).sum(), [layer[0] for layer in layers])
    return torch.stack([grad.abs().amax(dim=(1, 2)) for grad in grads], dim=1).numpy()

curves = {}
for depth in sorted(depths):
    name, sizes = f"depth={depth}", largest(list(fresh(depth, 20, torch.float64)))  # 20 nets at birth
    curves[name] = np.median(sizes, axis=0)
    first, last = sizes[sizes[:, -1] > 0].T[[0, -1]]  # a dead net has no gradients to compare
    print(f"first_to_last_gradient[{name}] = {np.median(first / last):.6g}")
    if depth > 2 and curves[name].all():  # by how much each layer multiplies what passes back through it
        slope, _ = np.polyfit(range(depth - 1), np.log10(curves[name][1:-1]), 1)
        print(f"gain_per_layer[{name}] = {10**-slope:.6g}")
    layers = list(fresh(depth, seeds, torch.float32))
    adam = torch.optim.Adam([each for layer in layers for each in layer], 0.001, eps=epsilon)
    for _ in range(epochs):
        adam.zero_grad()
        losses(layers).sum().backward()
        adam.step()
    error = (losses(layers).detach() / y.double().var(correction=0)).double()
    print(f"relative_mse[{name}] = {error.quantile(0.5):.6g}")
    print(f"learned[{name}] = {(error < 0.05).double().mean():.6g}")
if find_spec("matplotlib"):
    import matplotlib.pyplot as plt
    for name, curve in curves.items():
        plt.semilogy(range(1, len(curve) + 1), curve, label=name)
    plt.gca().set(xlabel="layer, from the input", ylabel="largest |gradient| at birth")
    plt.legend()
    plt.show()
