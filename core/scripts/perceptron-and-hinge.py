"""Is hinge loss better than the perceptron? A script of Gradient Lab, with the lesson's numbers.

A line through the origin learns which points of the unit square lie below the diagonal, by two rules, one point at a
time: the perceptron learns from mistakes only, hinge also from points that are right by too little. One training set
proves nothing, so many are gone through."""
from importlib.util import find_spec
import numpy as np

# ---- settings ----
points = 20  # training points in each set
learning_rate = 0.1  # how far each point moves the weights
epochs = 30000  # how often each set is gone through, always in the same order
labels = "-1/+1"  # what the two classes are called: -1/+1 or 0/1
training_sets = 800  # independent training sets, each with its own test points and start
margin = 1.0  # how right a point must be before hinge leaves it alone
init_scale = 3.0  # weights start anywhere between minus and plus this
same_start = True  # whether both rules start from the same weights, so that they differ in nothing else
same_points = False  # whether all sets have the points of the first one, so that they differ in their start alone
seed = 1  # random seed
# ---- end of settings ----

TESTS = 1000  # test points of each training set
RULES = {"perceptron": 0.0, "hinge": margin}  # by how much a point must be right to be left alone

# Every set has its own points, test points and start, drawn as the notebook drew its one.
chance = np.random.RandomState(seed)
sets = []
for _ in range(training_sets):
    x, x_test = chance.uniform(0, 1, (points, 2)), chance.uniform(0, 1, (TESTS, 2))
    starts = chance.uniform(-init_scale, init_scale, (2, 2))
    if sets and same_points:
        x, x_test = sets[0][:2]
    sets.append((x, x_test, starts[[0, 0]] if same_start else starts))
x, x_test, starts = map(np.stack, zip(*sets, strict=True))  # (sets, points, 2), (sets, TESTS, 2), (sets, rules, 2)

def label(x):
    # +1 below the diagonal; above it -1, or 0 as the notebook had it although it predicts -1
    return np.where(x[..., 0] > x[..., 1], 1.0, 0.0 if labels == "0/1" else -1.0)

def accuracy(w, x):
    return (np.sign(np.einsum("sc,snc->sn", w, x)) == label(x)).mean(axis=1)  # of each set, (sets,)

def pull(rule, y, score):
    # What a point adds to the weights, in units of learning rate times x.
    if labels == "-1/+1":
        return y * (y * score <= RULES[rule])  # minus the slope of max(0, margin - y · score)
    error = y - np.sign(score)  # the notebook's program, where the negative class is called 0
    return np.where((error == 0) & (1 - np.sign(score) > 0), y, error) if rule == "hinge" else error

shown = sorted({round(each) for each in np.geomspace(1, epochs, 50)} | {0})
curves, at_end = {}, {}
for i, rule in enumerate(RULES):
    w, y = starts[:, i].copy(), label(x)  # (sets, 2): the sets are independent of each other, so all move at once
    curves[rule] = []
    for epoch in range(epochs + 1):
        if epoch in shown:
            curves[rule].append(accuracy(w, x_test).mean())
        for n in range(points if epoch < epochs else 0):  # always in the same order
            score = (w * x[:, n]).sum(axis=1)
            w += learning_rate * pull(rule, y[:, n], score)[:, None] * x[:, n]
    at_end[rule] = accuracy(w, x_test)
    print(f"test_accuracy_mean[{rule}] = {at_end[rule].mean():.6g}")
    print(f"test_accuracy_low[{rule}] = {np.quantile(at_end[rule], 0.05):.6g}")
    print(f"train_accuracy_mean[{rule}] = {accuracy(w, x).mean():.6g}")
difference = at_end["hinge"] - at_end["perceptron"]  # set by set
print(f"paired_difference = {difference.mean():.6g}")
error = difference.std(ddof=1) / np.sqrt(training_sets) if training_sets > 1 else np.nan
print(f"paired_difference_error = {error:.6g}")

if find_spec("matplotlib"):
    import matplotlib.pyplot as plt
    for rule, curve in curves.items():
        plt.semilogx(shown[1:], curve[1:], label=rule)
    plt.gca().set(xlabel="epochs", ylabel="test accuracy")
    plt.legend()
    plt.show()
