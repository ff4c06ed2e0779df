"""Which cure for overfitting helps beyond random variation? A script of Gradient Lab, with the lesson's random numbers.
A big net memorizes noisy points of a curve. The cures learn the same points, on several data sets at once, in tensors
(nets, points, units). A cure counts where the 95 % interval of its difference to the big net leaves out zero."""
from importlib.util import find_spec
from itertools import pairwise
import numpy as np
import torch
# ---- settings ----
cures = ("big net", "smaller net", "early stopping", "ensemble", "weight decay", "dropout")  # what trains side by side
points = 50  # training points
noise = 0.15  # standard deviation of the noise on every point
width = 96  # units in each hidden layer of the big net
depth = 5  # hidden layers of every network
epochs = 400  # steps on all training points at once
learning_rate = 0.003  # step size of Adam
stopping = "patience"  # when early stopping stops: patience or epoch 100
patience = 60  # epochs without a lower validation error after which a network is stopped
members = 4  # networks in the ensemble, each with an initialization of its own
weight_decay = 5.0  # strength of AdamW's weight decay
rate = 0.05  # probability that dropout drops a unit in a step
init = "he"  # distribution of the initial weights: he, glorot or normal 0.05
data_sets = 5  # data sets, each with networks of its own
validation_points = 300  # points on which the moment to stop is chosen
seed = 1  # random seed
# ---- end of settings ----
def fresh(nets, width, seed):  # by layer, weights (nets, n, m) and biases (nets, 1, m)
    for l, (n, m) in enumerate(pairwise([1] + [width] * depth + [1])):
        chance = np.random.default_rng([seed, l])
        glorot, sd = (6 / (n + m)) ** 0.5, (2 / n) ** 0.5 if init == "he" else 0.05
        w = chance.uniform(-glorot, glorot, (nets, n, m)) if init == "glorot" else chance.normal(0, sd, (nets, n, m))
        b = chance.spawn(1)[0].normal(0, float(l == 0) if init == "he" else 0.05 * (init != "glorot"), (nets, 1, m))
        yield [torch.tensor(each, dtype=torch.float32).requires_grad_() for each in (w, b)]
def output(layers, x, masks=None):  # (nets, points, 1); with a generator of masks, units are dropped
    for l, (w, b) in enumerate(layers):
        x = x @ w + b if l == depth else torch.relu(x @ w + b)
        if masks and rate and l < max(depth - 1, 1):  # not after the last hidden layer, as the notebook
            x = x * torch.empty(x.mT.shape).bernoulli_(1 - rate, generator=masks).mT / (1 - rate)
    return x
grid, x, y, curves, ends = np.linspace(-2, 2, 201), [], [], {}, {}
for i in range(data_sets):  # points to learn, points to stop by, points to test
    chance = np.random.default_rng([seed, i, 1])
    parts = [(chance.uniform(-2, 2, n), chance.normal(0, noise, n)) for n in (points, validation_points)]
    x.append(np.concatenate([parts[0][0], parts[1][0], grid]))
    y.append(0.5 * np.sin(2 * x[-1]) + 0.2 * x[-1] + np.concatenate([parts[0][1], parts[1][1], 0 * grid]))
x, y = (torch.tensor(np.array(each), dtype=torch.float32)[..., None] for each in (x, y))
looks = [epoch for epoch in range(epochs + 1) if epoch % max(1, epochs // 80) == 0 or epoch in (100, epochs)]
for cure in cures:
    many, early = cure in ("ensemble", "unstopped ensemble"), cure in ("early stopping", "ensemble")
    count, size = members if many else 1, width // 2 if early or many or cure == "smaller net" else width
    layers = list(fresh(count * data_sets, size, seed + many))
    masks, decay = torch.Generator().manual_seed(seed) if cure == "dropout" else None, cure == "weight decay"
    adam = torch.optim.AdamW(sum(layers, []), learning_rate, weight_decay=decay * weight_decay)
    xs, ys, target, curve = x.repeat(count, 1, 1), y.repeat(count, 1, 1), y[..., 0].double().numpy(), []
    running, at, least, kept = np.ones((count, data_sets), bool), 0, np.inf, 0.0
    for epoch in range(epochs + 1):
        if epoch in looks or early:
            now = output(layers, xs).detach().double().view(count, data_sets, -1).numpy()
            error = ((now - target) ** 2)[..., points:-201].mean(axis=-1)  # (members, data_sets)
            better = running & (error < least if stopping == "patience" else epoch <= 100)
            kept = np.where(better[..., None], now, kept)  # what each net said at its best
            least, at = np.where(better, error, least), np.where(better, epoch, at)
            running = running & (epoch - at < patience if stopping == "patience" else epoch < 100)
        if epoch in looks:
            parts = np.split((((kept if early else now).mean(axis=0)) - target) ** 2, [points, -201], axis=1)
            curve.append([parts[0].mean(axis=1), parts[1].mean(axis=1), parts[2].mean(axis=1) + noise**2])
        adam.zero_grad()  # and a step on all points; nobody looks at the very last one
        (output(layers, xs[:, :points], masks) - ys[:, :points]).square().mean(dim=(1, 2)).sum().backward()
        adam.step()
    curves[cure], ends[cure] = np.array(curve)[:, 2].mean(axis=1), np.median(curve[-5:], axis=0)  # (3, data_sets)
    for i, name in enumerate(("train_mse", "validation_mse", "test_mse")):
        print(f"{name}[{cure}] = {ends[cure][i].mean():.6g}")
for cure in [each for each in cures if "big net" in cures and each != "big net"]:
    print(f"difference[{cure}] = {(ends[cure][2] / ends['big net'][2] - 1).mean():.6g}")
if find_spec("matplotlib"):
    import matplotlib.pyplot as plt
    for cure, curve in curves.items():
        plt.semilogy(looks, curve, label=cure)
    plt.gca().set(xlabel="epochs", ylabel="mean squared error on new points"), plt.legend(), plt.show()
