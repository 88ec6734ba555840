"""The dense net in a plain eager PyTorch loop: one epoch to warm up, then timed ones.

python dense_torch.py EPOCHS
"""

import sys
import time

import dense_data as setting
import torch
from torch import nn


def main(epochs):
    torch.manual_seed(0)
    features, labels = (torch.from_numpy(array) for array in setting.make())
    labels = labels.long()
    model = nn.Sequential(
        nn.Linear(setting.FEATURES, setting.WIDTH),
        nn.ReLU(),
        nn.Linear(setting.WIDTH, setting.WIDTH),
        nn.ReLU(),
        nn.Linear(setting.WIDTH, setting.CLASSES),
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, eps=1e-7)
    loss_function = nn.CrossEntropyLoss()

    def fit(count):
        epoch_s, total = [], 0.0
        for _ in range(count):
            begin, total = time.perf_counter(), 0.0
            for rows in torch.randperm(len(labels)).split(setting.BATCH_SIZE):
                optimizer.zero_grad()
                loss = loss_function(model(features[rows]), labels[rows])
                loss.backward()
                optimizer.step()
                total += float(loss.detach())
            epoch_s.append(time.perf_counter() - begin)
        return epoch_s, total / setting.STEPS_PER_EPOCH

    (warm_up_s,), _ = fit(1)
    epoch_s, loss = fit(epochs)
    setting.finish("torch-eager", torch.__version__, warm_up_s, epoch_s, loss)


if __name__ == "__main__":
    main(int(sys.argv[1]))
