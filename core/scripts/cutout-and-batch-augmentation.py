"""Do M views of each image in a step teach more than one? A script of Gradient Lab, with the lesson's random numbers.
A frozen net has the notebook's M copies of the set, with holes cut once. Gradients and seconds are left out."""
import os
from importlib.util import find_spec
from zlib import crc32
import numpy as np
import torch
from torch import nn, optim
# ---- settings ----
nets = (("M=1", 1, False, 12, 0.0), ("M=4", 4, False, 12, 0.0))
holes, fill, reach, border, mirrored = (1, "mean", 4, "constant", True)
depth, shortcut, shrink = (8, "padding", 4)
dataset, examples, tests, epochs, batch_size, seeds, seed = ("CIFAR10", 1000, 1000, 2, 16, 3, 1)
optimizer, learning_rate, falls, momentum, nesterov, weight_decay = ("adam", 0.003, (2, 3), 0.0, False, 0.0001)
# ---- end of settings ----
def load(train):  # images (n, channels, side, side) of 0 … 255, and classes
    if dataset == "digits":  # every sixth image of a class is for the test
        from sklearn.datasets import load_digits
        x, y = map(torch.tensor, load_digits(return_X_y=True))
        test = (y[:, None] == y).tril().sum(dim=1) % 6 == 0
        return x.view(-1, 1, 8, 8).float()[test != train], y[test != train]
    from torchvision import datasets
    one = getattr(datasets, dataset)(os.environ.get("GRADIENT_LAB_DATA", "data"), train, download=True)
    return torch.as_tensor(one.data.reshape(*one.data.shape[:3], -1)).movedim(3, 1), torch.as_tensor(one.targets)
class Block(nn.ModuleList):  # two convolutions, and what leads past them
    def forward(self, x):
        return (self[0](x) + self[1](x)).relu()
def block(n, m):  # n maps in, m out; where they get smaller, every second pixel passes, and maps of zeros
    first, second = nn.Conv2d(n, m, 3, m // n, 1, bias=biased), nn.Conv2d(m, m, 3, 1, 1, bias=biased)
    past = nn.Sequential(nn.AvgPool2d(1, m // n), nn.ZeroPad3d((0, 0, 0, 0, 0, m - n)))
    on = nn.Sequential(first, nn.BatchNorm2d(m), nn.ReLU(), second, nn.BatchNorm2d(m))
    return Block([on, nn.Conv2d(n, m, 1, 2) if biased and m > n else past])
def cut(x, at, length):  # squares around these rows and columns, (2, images, holes), clipped by the border
    near = torch.arange(x.shape[2]) - at[..., None] + length // 2
    down, across = (near >= 0) & (near < length)
    return torch.where((down[..., None] & across[:, :, None]).any(1, True), -mean / spread * (fill == "black"), x)
def views(rows, at, frozen, length, dropped):  # images moved, mirrored and with holes, which move along if frozen
    seen, n, line = (x[rows] - mean) / spread, len(rows), torch.arange(x.shape[2])
    seen = nn.functional.pad(cut(seen, at, length) if frozen else seen, (reach,) * 4, border)  # the mean color is 0
    down, across = reach + torch.randint(-reach, reach + 1, (2, n, 1), generator=chance)
    turned = torch.where(torch.rand(n, 1, generator=chance) < 0.5 * mirrored, line.flip(0), line)
    seen = seen[torch.arange(n)[:, None, None], :, (line + down)[..., None], (turned + across)[:, None]].movedim(3, 1)
    return shrunk(seen if frozen else cut(seen, at, length)) * (torch.rand(n, 1, *size, generator=drops) >= dropped)
def draw(purpose, seed):
    return torch.Generator().manual_seed(int(np.random.SeedSequence([seed, crc32(purpose)]).generate_state(1)[0]))
maps, biased = [16, *np.repeat((16, 32, 64), depth // 6).tolist()], shortcut == "projection"  # as in Keras' example
errors, shrunk, train = np.zeros((len(nets), epochs + 1, seeds)), nn.AvgPool2d(shrink, ceil_mode=True), load(True)
x_test, y_test = (each[torch.randperm(len(each), generator=draw(b"tests", seed))[:tests]] for each in load(False))
for s in range(seeds):
    x, y = (each[torch.randperm(len(each), generator=draw(b"subset", seed + s))[:examples]] for each in train)
    spread, mean = torch.std_mean(x.float(), (0, 2, 3), correction=0, keepdim=True)
    size = (x_test := shrunk((x_test - mean) / spread) if s == 0 else x_test).shape[2:]
    for i, (name, m, frozen, length, dropped) in enumerate(nets):
        of = b"start", b"order", f"views {m, frozen}".encode(), b"dropped"
        start, order, chance, drops = (draw(each, seed + s) for each in of)
        ends = nn.Conv2d(x.shape[1], 16, 3, 1, 1, bias=biased), nn.Linear(64, 10)
        body = nn.BatchNorm2d(16), nn.ReLU(), *map(block, maps, maps[1:]), nn.AdaptiveAvgPool2d(1), nn.Flatten()
        net = nn.Sequential(ends[0], *body, ends[1])
        for key, p in net.named_parameters():  # as He
            nn.init.kaiming_normal_(p, generator=start) if p.dim() > 1 else nn.init.constant_(p, "weight" in key)
        rule = optim.SGD(net.parameters(), learning_rate, momentum, 0, weight_decay, nesterov)
        rule = optim.Adam(net.parameters(), learning_rate, weight_decay=weight_decay) if optimizer == "adam" else rule
        n, at = len(x) * (m if frozen else 1), torch.randint(x.shape[2], (2, len(x) * m, holes), generator=chance)
        steps = -(-n // batch_size)
        rate = optim.lr_scheduler.MultiStepLR(rule, [-(-epochs * steps * k // 4) for k in falls])  # in quarters of all
        for epoch in range(epochs + 1):
            for part in torch.randperm(n, generator=order).tensor_split(steps) if epoch else ():
                rows = part // m if frozen else part.repeat_interleave(m)
                now = at[:, part] if frozen else torch.randint(x.shape[2], (2, len(rows), holes), generator=chance)
                nn.functional.cross_entropy(net.train()(views(rows, now, frozen, length, dropped)), y[rows]).backward()
                rule.step(), rate.step(), rule.zero_grad()
            wrong = torch.cat([net.eval()(some).argmax(dim=1) for some in x_test.split(500)]) != y_test
            errors[i, epoch, s] = np.mean(wrong.numpy())
        print(f"test_error[{name}] = {errors[i, -1, : s + 1].mean():.6g}")
if find_spec("matplotlib"):
    import matplotlib.pyplot as plt
    for (name, *_), curve in zip(nets, errors.mean(axis=2), strict=True):
        plt.plot(range(epochs + 1), curve, label=name)
    plt.gca().set(xlabel="epochs", ylabel="test error"), plt.legend(), plt.show()
