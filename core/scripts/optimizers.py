"""Which optimizer is best, once each has the learning rate that suits it? A script of Gradient Lab.
One net, one start, the same examples in the same order, once for each optimizer, as in the lesson; but
PyTorch drops other units. The loss in two parts, the epoch at default rates, and landscapes are left to the lesson."""
import os
from importlib.util import find_spec
from zlib import crc32
import numpy as np
import torch
from torch import nn, optim
# ---- settings ----
optimizers = ("sgd", "momentum", "adagrad", "rmsprop", "adadelta", "adam", "nadam")
rates = "tuned"  # the learning rate of each: notebook, paper or tuned
l2 = 0.0  # λ of the penalty λ·Σw² on the hidden layers
dropout = "without"
width = 64  # units in each of the two hidden layers
examples = 1500  # training examples
epochs = 6  # how often each net sees every example
batch_size = 32  # examples averaged into one step
dataset = "fashion-mnist"  # what is learned: cifar10, fashion-mnist, mnist or digits
pixels = "0 to 1"  # what the net sees: 0 to 1 or standardised
seed = 1  # random seed
# ---- end of settings ----
kinds = {name.lower(): kind for name, kind in vars(optim).items()}  # PyTorch's; momentum and nesterov are SGD's
constants = {"sgd": {}, "momentum": {"momentum": 0.9}, "nesterov": {"momentum": 0.9, "nesterov": True},  # as Keras
             "adagrad": {"initial_accumulator_value": 0.1, "eps": 1e-7}, "rmsprop": {"alpha": 0.9, "eps": 1e-7},
             "adadelta": {"rho": 0.95, "eps": 1e-7}}
def load():  # pixels (examples, pixels) and classes, to learn from and for the test
    if dataset == "digits":  # every sixth picture of a class is for the test
        from sklearn import datasets
        x, y = map(torch.tensor, datasets.load_digits(return_X_y=True))
        test = (y[:, None] == y).tril().sum(dim=1) % 6 == 0
        return x[~test], y[~test], x[test], y[test]
    from torchvision import datasets
    kind = {"cifar10": datasets.CIFAR10, "fashion-mnist": datasets.FashionMNIST, "mnist": datasets.MNIST}[dataset]
    sets = [kind(os.environ.get("GRADIENT_LAB_DATA", "data"), train=part, download=True) for part in (True, False)]
    x, x_test = (torch.as_tensor(one.data.reshape(*one.data.shape[:3], -1)).movedim(3, 1).flatten(1) for one in sets)
    return x, torch.as_tensor(sets[0].targets), x_test, torch.as_tensor(sets[1].targets)
def train(name, rate, epochs, drops=False):  # the net, before and after every step; λ·Σw² has the gradient 2λw
    one, two, three = nn.Linear(x.shape[1], width), nn.Linear(width, width), nn.Linear(width, 10)
    some = nn.Dropout(0.5 * drops)
    net = nn.Sequential(nn.Dropout(0.2 * drops), one, nn.ReLU(), some, two, nn.ReLU(), some, three)
    for l, layer in enumerate((one, two, three)):  # Glorot's start
        ends = (6 / sum(layer.weight.shape)) ** 0.5
        start = np.random.default_rng([seed, l]).uniform(-ends, ends, layer.weight.T.shape)
        layer.weight.data[:], layer.bias.data[:] = torch.tensor(start).T, 0
    parts = [{"params": [*one.parameters(), *two.parameters()], "weight_decay": 2 * l2}, {"params": three.parameters()}]
    rule = kinds.get(name, optim.SGD)(parts, rate, weight_decay=0, **constants.get(name, {"eps": 1e-7}))
    order, _ = torch.Generator().manual_seed(seed), torch.manual_seed(seed)  # of the examples, and of what is dropped
    yield net
    for rows in (rows for _ in range(epochs) for rows in torch.randperm(len(x), generator=order).split(batch_size)):
        rule.zero_grad()
        nn.functional.cross_entropy(net.train()(x[rows]), y[rows]).backward()
        rule.step()
        yield net
def accuracy(net, x, y):
    return (net.eval()(x).argmax(dim=1) == y).double().mean().item()
x, y, x_test, y_test = load()
few, key = min(examples, len(x) * 5 // 6), np.random.SeedSequence([seed, crc32(b"subset")]).generate_state(1)
learn, hold = torch.randperm(len(x), generator=torch.Generator().manual_seed(int(key[0])))[: few * 6 // 5].split(few)
tests = torch.randperm(len(x_test), generator=torch.Generator().manual_seed(seed))
spread, mean = torch.std_mean(x[learn].float()) if pixels == "standardised" else (x.max(), 0)
x, x_held, x_test = ((each.float() - mean) / (spread + 1e-6) for each in (x[learn], x[hold], x_test[tests]))
y, y_held, y_test = y[learn], y[hold], y_test[tests]
steps, curves, grid = epochs * -(-len(x) // batch_size), {}, [10 ** (k / 2 - 4) for k in range(10)]
looks = np.linspace(0, steps, 9 if width >= 256 else 25).round().astype(int).tolist()
looks = {step: 500 if step < steps else len(x_test) for step in looks}  # how many tests are judged after which steps
for i, name in enumerate(optimizers):
    if rates == "tuned":  # the best of ten, on examples that are held out
        rate = max(grid, key=lambda each: accuracy([*train(name, each, max(1, round(epochs / 3)))][-1], x_held, y_held))
        print(f"tuned_rate[{name}] = {rate:.6g}")
    for end in {"without": [""], "with": [" + dropout"], "both": ["", " + dropout"]}[dropout]:
        nets = enumerate(train(name, rate if rates == "tuned" else rates[i], epochs, end != ""))
        curves[name + end] = [accuracy(net, x_test[: looks[k]], y_test[: looks[k]]) for k, net in nets if k in looks]
        print(f"test_accuracy[{name}{end}] = {curves[name + end][-1]:.6g}")
if find_spec("matplotlib"):
    import matplotlib.pyplot as plt
    for name, curve in curves.items():
        plt.plot(np.array([*looks]) * epochs / steps, curve, label=name)
    plt.gca().set(xlabel="epochs", ylabel="test accuracy"), plt.legend(), plt.show()
