"""The small CNN in a plain eager PyTorch loop, for so many seconds of training.

    python fashion_torch.py DATA.npz SECONDS SEED

Data lie in memory as tensors and batches are gathered by index: faster than a DataLoader.
"""

import sys

import fashion_data as setting
import torch
from torch import nn


def small_cnn():
    return nn.Sequential(
        nn.Conv2d(1, 32, 3, padding="same"),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding="same"),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64 * 7 * 7, 64),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(64, 10),
    )


def score(model, pictures, labels):
    model.eval()
    with torch.inference_mode():
        right = sum(
            int((model(pictures[at : at + 500]).argmax(1) == labels[at : at + 500]).sum())
            for at in range(0, len(labels), 500)
        )
    model.train()
    return round(right / len(labels), 4)


def main(path, seconds, seed):
    torch.manual_seed(seed)
    (x, y), (x_test, y_test) = setting.load(path)
    x, x_test = (torch.from_numpy(array).permute(0, 3, 1, 2).contiguous() for array in (x, x_test))
    y, y_test = torch.from_numpy(y).long(), torch.from_numpy(y_test).long()
    model = small_cnn()
    optimizer = torch.optim.Adam(model.parameters(), lr=setting.LEARNING_RATE, eps=1e-7)
    loss_function = nn.CrossEntropyLoss()
    clock, steps, curve = setting.Clock(seconds), 0, []
    while not clock.is_over():
        for rows in torch.randperm(len(y)).split(setting.BATCH_SIZE):
            optimizer.zero_grad()
            loss_function(model(x[rows]), y[rows]).backward()
            optimizer.step()
            steps += 1
            if clock.is_over():
                break
        clock.pause()
        curve.append([round(clock.spent, 2), score(model, x_test, y_test)])
        clock.go_on()
    setting.finish("torch-eager", torch.__version__, curve, steps, clock)


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]))
