"""How much quicker is training with more workers? A script of Gradient Lab, with the lesson's net, examples and steps.
Its processes start from this file: save it, and run `python scaling.py` or, in a notebook, `!python scaling.py`. The
seconds are your machine's. What a step's time goes into, and more workers than cores, are left to the lesson."""
import os
import tempfile
import time
from importlib.util import find_spec
from itertools import pairwise
import torch
import torch.distributed as dist
from torch import multiprocessing, nn
# ---- settings ----
workers = (1, 2, 3, 4)  # processes that compute at once
global_batch = 1024  # examples in a step
serial_fraction = 0.1  # share of one worker's work that cannot be split
width = 256  # units in each hidden layer
layers = 3  # hidden layers
steps = 60  # training steps that are measured in each setting
rule = "fixed"  # what the learning rate does when the weak batch grows k-fold: fixed, linear or square root
seed = 1  # random seed
# ---- end of settings ----
chance = torch.Generator().manual_seed(seed + 1)  # 4,096 points, named by a random net
x = torch.randn(4096, 64, generator=chance)
hidden = torch.relu(x @ torch.randn(64, 64, generator=chance))
y = ((hidden - hidden.mean(dim=0)) @ torch.randn(64, 10, generator=chance)).argmax(dim=1)
repeated = round(serial_fraction / (1 - serial_fraction) * global_batch)  # what every worker computes all over
def rows(step, size):  # the examples of a step
    return torch.randint(4096, (size,), generator=torch.Generator().manual_seed(seed + 1_000_003 * (step + 1)))
def fresh():  # equal in every worker
    chance, parts = torch.Generator().manual_seed(seed), []
    for n, m in pairwise([64] + [width] * layers + [10]):
        parts += [nn.Linear(n, m), nn.ReLU()]
        parts[-2].weight.data[:], parts[-2].bias.data[:] = torch.randn(m, n, generator=chance) * (2 / n) ** 0.5, 0
    return nn.Sequential(*parts[:-1])
def gradient(net, rows, size):  # of these examples' share in the mean loss of `size`, and behind it that share
    net.zero_grad()
    loss = nn.functional.cross_entropy(net(x[rows]), y[rows], reduction="sum") / size
    loss.backward()
    return torch.cat([*[each.grad.flatten() for each in net.parameters()], loss.detach().view(1)])
def train(rank, n, size, raised):  # a step of n workers has `size` examples; median seconds of a step, last losses
    net, seconds, losses = fresh(), [], []
    for step in range(steps):
        mine, again, began = rows(step, size).tensor_split(n)[rank], rows(step, repeated), time.perf_counter()
        if repeated:
            gradient(net, again, repeated)
        total = gradient(net, mine, size)
        dist.all_reduce(total)  # all workers' shares, added up
        rate = 0.05 * (1 + (raised - 1) * min(1, (step + 1) / (0.2 * steps)))  # raised over a fifth of the steps
        moved = nn.utils.parameters_to_vector(net.parameters()) - rate * total[:-1]
        nn.utils.vector_to_parameters(moved, net.parameters())
        seconds.append(time.perf_counter() - began), losses.append(total[-1])
    return torch.tensor(seconds).median(), torch.stack(losses).tensor_split(min(15, steps // 2))[-1].mean()
def work(rank, n, folder, answer):  # what each of n processes does
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{folder}/meeting", rank=rank, world_size=n)
    net, batch = fresh(), rows(0, global_batch)
    mean, whole = (gradient(net, each, global_batch) for each in (batch.tensor_split(n)[rank], batch))
    dist.all_reduce(mean)
    strong = train(rank, n, global_batch, 1)  # each takes a share of the batch; weak: each takes a whole one
    weak = train(rank, n, n * global_batch, {"fixed": 1, "linear": n, "square root": n**0.5}[rule]) if n > 1 else strong
    if rank == 0:
        answer[:] = torch.stack([(mean - whole).norm() / whole.norm(), *strong, *weak])
    dist.destroy_process_group()

if __name__ == "__main__":
    here = [n for n in workers if n <= os.cpu_count()]
    found = torch.zeros(len(here), 5).share_memory_()
    for n, answer in zip(here, found, strict=True):
        arguments = n, tempfile.mkdtemp(), answer
        work(0, *arguments) if n == 1 else multiprocessing.spawn(work, arguments, nprocs=n)
    speedup, scaled = found[0, 1] / found[:, 1], found[0, 1] / found[:, 3] * torch.tensor(here)
    for n, strong, weak in zip(here[1:], speedup[1:], scaled[1:], strict=True):
        print(f"speedup[{n}] = {strong:.6g}\nefficiency_weak[{n}] = {weak / n:.6g}")
    print(f"gradient_difference = {found[:, 0].max():.6g}")
    print(f"loss[strong] = {found[-1, 2]:.6g}\nloss[weak] = {found[-1, 4]:.6g}")
    if find_spec("matplotlib"):
        import matplotlib.pyplot as plt
        plt.plot(here, speedup, label="strong"), plt.plot(here, scaled, label="weak")
        plt.gca().set(xlabel="workers", ylabel="speed-up"), plt.legend(), plt.show()
