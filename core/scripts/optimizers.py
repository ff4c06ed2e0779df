"""Which optimizer is best, and how much of its lead is its learning rate? A script of Gradient Lab, on the lesson's
examples and initialization; PyTorch drops other units. Penalty, default rates and landscapes are left to the lesson."""
import os
from importlib.util import find_spec
from zlib import crc32
import numpy as np
import torch
from torch import nn, optim
# ---- settings ----
optimizers = ("sgd", "adagrad", "rmsprop", "adadelta", "adam", "nadam")
rates = "tuned"  # the learning rate of each: notebook, paper or tuned
l2 = 0.0  # λ of the penalty λ·Σw² on the hidden layers
dropout = "without"
width = 64  # units in each of the two hidden layers
examples = 1000  # size of the training set
epochs = 4  # how often each network goes through the training set
batch_size = 32  # examples averaged into one step
dataset = "fashion-mnist"  # what is learned: cifar10, fashion-mnist, mnist or digits
pixels = "0 to 1"  # what the network sees: 0 to 1 or standardised
seeds = 3  # repeats with other examples, order and initialization
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
def train(name, rate, epochs, drops=False):  # the network, before and after every step; λ·Σw² has the gradient 2λw
    one, two, three = nn.Linear(x.shape[1], width), nn.Linear(width, width), nn.Linear(width, 10)
    net = nn.Sequential(nn.Dropout(drops / 5), one, nn.ReLU(), cut := nn.Dropout(drops / 2), two, nn.ReLU(), cut, three)
    for l, layer in enumerate((one, two, three)):  # Glorot's initialization
        start = np.random.default_rng([seed + repeat, l]).uniform(-1, 1, layer.weight.T.shape)
        layer.weight.data[:], layer.bias.data[:] = torch.tensor(start * (6 / sum(start.shape)) ** 0.5).T, 0
    parts = [{"params": [*one.parameters(), *two.parameters()], "weight_decay": 2 * l2}, {"params": three.parameters()}]
    rule = kinds.get(name, optim.SGD)(parts, rate, weight_decay=0, **constants.get(name, {"eps": 1e-7}))
    order, _ = torch.Generator().manual_seed(seed + repeat), torch.manual_seed(seed + repeat)  # of examples; of dropout
    yield net
    for rows in (rows for _ in range(epochs) for rows in torch.randperm(len(x), generator=order).split(batch_size)):
        nn.functional.cross_entropy(net.train()(x[rows]), y[rows]).backward()
        rule.step(), rule.zero_grad()
        yield net
def accuracy(net, x, y, first=None):
    return (net.eval()(x[:first]).argmax(dim=1) == y[:first]).double().mean().item()
x, y, x_test, y_test = load()
total, all_x, all_y = len(x), torch.cat([x, x_test]), torch.cat([y, y_test])
few, grid, brief = min(examples, total * 5 // 6), [10 ** (k / 2 - 4) for k in range(10)], max(1, round(epochs / 3))
steps, chosen, curves = epochs * -(-few // batch_size), {}, {}
looks = set(np.linspace(0, steps, 9 if width >= 256 else 25).round().astype(int).tolist())
for repeat in range(seeds):  # other examples, order and initialization
    key = np.random.SeedSequence([seed + repeat, crc32(b"subset")]).generate_state(1)
    learn, hold = torch.randperm(total, generator=torch.manual_seed(int(key[0])))[: few * 6 // 5].split(few)
    parts = learn, hold, total + torch.randperm(len(all_x) - total, generator=torch.manual_seed(seed + repeat))
    sd, mean = torch.std_mean(all_x[learn].float()) if pixels == "standardised" else (all_x[:total].max(), 0)
    (x, y), held, test = (((all_x[rows].float() - mean) / (sd + 1e-6), all_y[rows]) for rows in parts)
    for name, rate in zip(optimizers, [grid] * len(optimizers) if rates == "tuned" else rates, strict=True):
        if rates == "tuned":  # the best of ten by validation accuracy
            rate = max(grid, key=lambda each: accuracy([*train(name, each, brief)][-1], *held))
            chosen.setdefault(name, []).append(rate)
        for end in {"without": [""], "with": [" + dropout"], "both": ["", " + dropout"]}[dropout]:
            nets = enumerate(train(name, rate, epochs, end != ""))
            own = [accuracy(net, *test, 500 if k < steps else None) for k, net in nets if k in looks]
            curves.setdefault(name + end, []).append(own)
print("\n".join([*(f"tuned_rate[{name}] = {np.median(each):.6g}" for name, each in chosen.items()),
                 *(f"test_accuracy[{name}] = {np.mean(each, axis=0)[-1]:.6g}" for name, each in curves.items())]))
if find_spec("matplotlib"):
    import matplotlib.pyplot as plt
    for name, each in curves.items():
        plt.plot(np.sort([*looks]) * epochs / steps, np.mean(each, axis=0), label=name)
    plt.gca().set(xlabel="epochs", ylabel="test accuracy"), plt.legend(), plt.show()
