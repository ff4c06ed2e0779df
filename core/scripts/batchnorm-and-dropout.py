"""Batch norm, dropout, or both: with which does LeNet-5 classify best? A script of Gradient Lab, in PyTorch's layers.
Networks start and learn as the lesson's do; but PyTorch drops other units, and has running variances n / (n - 1) times
as large. What batch norm learns, what variance it expects, and what happens within an epoch are left to the lesson."""
import os
from importlib.util import find_spec
from zlib import crc32
import numpy as np
import torch
from torch import nn
# ---- settings ----
variants = ("plain (standardised)", "batch norm", "dropout (standardised)", "both (standardised)")
examples = 1000  # size of the training set, at most as many images as there are
epochs = 4  # how often each network goes through the training set
batch_size = 20  # images averaged into one step, and into batch norm's mean and variance
learning_rate = 0.05  # step size of SGD
momentum = 0.0  # share of the last step that the next one begins with
hidden_rate = 0.5  # probability that an activation of a hidden layer is dropped in training, in feature maps too
input_rate = 0.2  # probability that a pixel is dropped in training
order = "dropout, then batch norm"
keep = 0.9  # share of batch norm's old running statistics that a step leaves
dataset = "mnist"  # which images: mnist, fashion-mnist or digits
seeds = 5  # repeats of each variant, each with an initialization and an order of its own
seed = 1  # random seed
# ---- end of settings ----
def load():  # images (examples, 1, 28, 28) of 0 … 255 and classes, to learn from and for the test
    if dataset == "digits":  # three times as large and framed; every sixth image of a class is for the test
        from sklearn import datasets
        x, y = map(torch.tensor, datasets.load_digits(return_X_y=True))
        large = torch.kron((x.float() * 255 / 16).round().view(-1, 1, 8, 8), torch.ones(1, 1, 3, 3))
        x, test = nn.functional.pad(large, (2, 2, 2, 2)), (y[:, None] == y).tril().sum(dim=1) % 6 == 0
        return x[~test], y[~test], x[test], y[test]
    from torchvision import datasets
    kind = {"fashion-mnist": datasets.FashionMNIST, "mnist": datasets.MNIST}[dataset]
    sets = [kind(os.environ.get("GRADIENT_LAB_DATA", "data"), train=part, download=True) for part in (True, False)]
    return [each for one in sets for each in (one.data[:, None].float(), one.targets)]
class Norm(nn.BatchNorm2d):  # a channel with a single number has variance 0, as in Keras; PyTorch refuses it
    def forward(self, x):
        return super().forward(torch.cat([x, x]) if x.numel() == self.num_features else x)[: len(x)]
def lenet(name, seed):  # its dense layers are convolutions that see one place
    norms, drops, last = name.startswith(("batch norm", "both")), name.startswith(("dropout", "both")), "last)" in name
    def between(width, rate=hidden_rate, norms=norms):
        both = [nn.Dropout(rate)] * (drops and not last) + [Norm(width, eps=1e-3, momentum=1 - keep)] * norms
        return both if order == "dropout, then batch norm" else both[::-1]
    layers = between(1, input_rate, name in ("batch norm on input too", "both"))
    for l, (n, m, size) in enumerate(((1, 6, 5), (6, 16, 5), (16, 120, 5), (120, 84, 1), (84, 10, 1))):
        conv, ends = nn.Conv2d(n, m, size, padding=2 * (l == 0)), (6 / (n + m) / size**2) ** 0.5  # Glorot's
        start = np.random.default_rng([seed, l]).uniform(-ends, ends, conv.weight.shape)
        conv.weight.data[:], conv.bias.data[:] = torch.tensor(start), 0
        behind = [nn.AvgPool2d(2)] * (l < 2) + [nn.Dropout(hidden_rate)] * (last and l == 3)
        layers += [conv, nn.Tanh(), *between(m), *behind] if l < 4 else [conv, nn.Flatten()]
    torch.manual_seed(seed)  # of what is dropped
    return nn.Sequential(*layers)
x, y, x_test, y_test = load()
(key,) = np.random.SeedSequence([seed, crc32(b"subset")]).generate_state(1).tolist()
chosen = torch.randperm(len(x), generator=torch.Generator().manual_seed(key))[:examples]
x, y, found = x[chosen], y[chosen], np.zeros((3, len(variants), epochs, seeds))  # two losses, then accuracy
for i, name in enumerate(variants):
    sd, mean = torch.std_mean(x) if name == "batch norm" or name.endswith(("(standardised)", "last)")) else (255, 0)
    for s in range(seeds):
        net, chance = lenet(name, seed + s), torch.Generator().manual_seed(seed + s)
        sgd = torch.optim.SGD(net.parameters(), learning_rate, momentum)
        for epoch in range(epochs):
            for rows in torch.randperm(len(x), generator=chance).split(batch_size):
                loss = nn.functional.cross_entropy(net.train()((x[rows] - mean) / sd), y[rows])
                loss.backward(), sgd.step(), sgd.zero_grad()
                found[0, i, epoch, s] += loss.item() * len(rows) / len(x)
            few = max(400 // seeds, len(x) // 12) if epoch < epochs - 1 else len(x_test)
            with torch.no_grad():  # nothing is dropped, and batch norm goes by its running statistics
                scores = torch.cat([net.eval()((part - mean) / sd) for part in x_test[:few].split(500)])
            found[1, i, epoch, s] = nn.functional.cross_entropy(scores, y_test[:few])
            found[2, i, epoch, s] = (scores.argmax(dim=1) == y_test[:few]).double().mean()
    loss, test_loss, accuracy = found[:, i, -1].mean(axis=1)
    print(f"test_accuracy[{name}] = {accuracy:.6g}\ntest_loss[{name}] = {test_loss:.6g}")
    print(f"loss_as_trained[{name}, epoch {epochs}] = {loss:.6g}")
if find_spec("matplotlib"):
    import matplotlib.pyplot as plt
    for name, curve in zip(variants, found[2].mean(axis=2), strict=True):
        plt.plot(range(1, epochs + 1), curve, label=name)
    plt.gca().set(xlabel="epochs", ylabel="test accuracy"), plt.legend(), plt.show()
