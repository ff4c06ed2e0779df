"""Does a wider net learn its examples by heart sooner? A script of Gradient Lab, with the lesson's random numbers.

One hidden layer of ReLU units, plain SGD, one small step at a time, hence minutes; every width on the same examples
in the same order. The ladder of learning rates is left to the lesson."""
import os
from importlib.util import find_spec
from zlib import crc32
import numpy as np
import torch
from torch import nn
# ---- settings ----
widths = (8, 32, 128)  # units in the hidden layer
learning_rate = 0.005  # step size of SGD
passes = 40  # how often each network goes through the training set
examples = 1500  # size of the training set
label_noise = 0.0  # share of the labels that are redrawn at random
sampling = "shuffled"  # shuffled: shuffled or with replacement
scaling = "per pixel"
batch_size = 1  # examples averaged into one step
dataset = "fashion-mnist"  # what is learned: fashion-mnist, mnist or digits
seeds = 3  # repeats with other examples, order and initialization
seed = 1  # random seed
# ---- end of settings ----

def load():  # pixels (examples, pixels) and classes, to learn from and for the test
    if dataset == "digits":  # every sixth picture of a class is for the test
        from sklearn import datasets
        x, y = map(torch.tensor, datasets.load_digits(return_X_y=True))
        test = torch.tensor([int((y[: i + 1] == y[i]).sum()) % 6 == 0 for i in range(len(y))])
        return x[~test], y[~test], x[test], y[test]
    from torchvision import datasets
    kind = {"fashion-mnist": datasets.FashionMNIST, "mnist": datasets.MNIST}[dataset]
    sets = [kind(os.environ.get("GRADIENT_LAB_DATA", "data"), train=part, download=True) for part in (True, False)]
    return [each for one in sets for each in (one.data.flatten(1), one.targets)]

def generator(*key):
    return torch.Generator().manual_seed(int(np.random.SeedSequence(key).generate_state(1)[0]))

def fresh(width, seed):  # tiny weights, no biases, as the notebook
    net, chance = nn.Sequential(nn.Linear(x.shape[1], width), nn.ReLU(), nn.Linear(width, 10)), generator(seed, width)
    net[0].weight.data.copy_(1e-6 * torch.randn(x.shape[1], width, generator=chance).T)
    net[2].weight.data.copy_(1e-6 * torch.randn(10, width, generator=chance))
    net[0].bias.data[:], net[2].bias.data[:] = 0, 0
    return net

def score(net, x, y):  # mean cross-entropy, and the share read correctly
    return nn.functional.cross_entropy(net(x), y).item(), (net(x).argmax(1) == y).double().mean().item()

trained, tested = np.zeros((2, len(widths), seeds, passes + 1)), np.zeros((2, len(widths), seeds))
for s in range(seeds):  # each with examples, orders and starts of its own
    x, y, x_test, y_test = load()
    chosen = torch.randperm(len(x), generator=generator(seed + s, crc32(b"subset")))[:examples]
    spread, mean = torch.std_mean(x[chosen].float(), dim=0 if scaling == "per pixel" else None)
    x, x_test = ((each.float() - mean) / (spread + 1e-6) for each in (x[chosen], x_test))
    y, noise, n = y[chosen], generator(seed + s, crc32(b"labels")), len(chosen)
    redrawn = torch.randperm(n, generator=noise)[: round(label_noise * n)]
    y[redrawn] = torch.randint(10, (n,), generator=noise)[redrawn]
    nets, chance = [fresh(width, seed + s) for width in widths], torch.Generator().manual_seed(seed + s)
    draw, *sizes = (torch.randperm, n) if sampling == "shuffled" else (torch.randint, n, (n,))
    orders = [draw(*sizes, generator=chance) for _ in range(passes + (s == 0))]
    for step, order in enumerate([None, *orders[-passes:]]):  # the lesson's ladder of rates takes the very first
        for i, net in enumerate(nets):
            for batch in order.split(batch_size) if step else ():
                net.zero_grad()
                nn.functional.cross_entropy(net(x[batch]), y[batch]).backward()
                for weight in net.parameters():
                    weight.data -= learning_rate * weight.grad
            trained[:, i, s, step], tested[:, i, s] = score(net, x, y), score(net, x_test, y_test)
for i, width in enumerate(widths):
    first = np.median([np.argmax(curve == 1) if (curve == 1).any() else np.inf for curve in trained[1, i]])
    print(f"passes_to_interpolate[h={width}] = {first if np.isfinite(first) else 'none'}")
    for name, (loss, accuracy) in (("train", trained[:, i, :, -1].mean(1)), ("test", tested[:, i].mean(1))):
        print(f"{name}_loss[h={width}] = {loss:.6g}\n{name}_accuracy[h={width}] = {accuracy:.6g}")
if find_spec("matplotlib"):
    import matplotlib.pyplot as plt
    for width, curve in zip(widths, trained[1].mean(axis=1), strict=True):
        plt.plot(range(passes + 1), curve, label=f"h={width}")
    plt.gca().set(xlabel="passes over the examples", ylabel="read correctly")
    plt.legend(), plt.show()
