"""Clean made-up tables for the tests, which spoil them in one place and write them."""

import random

HEADER = ["age", "income", "city", "is_member", "joined", "plan"]
CITIES = ["Lisbon", "Osaka", "Quito", "Nairobi"]
PLANS = ["basic", "family", "premium"]


def customers(count: int = 240, seed: int = 0) -> list[list[str]]:
    """Rows of HEADER: number, number, category, boolean, date and, at the end, a class."""
    draw = random.Random(seed)
    rows = []
    for number in range(count):
        plan = PLANS[number % 3]
        age = draw.gauss(30 + 8 * (number % 3), 9)
        income = draw.lognormvariate(3.5, 0.5)
        city = draw.choice(CITIES)
        member = draw.choice(["yes", "no"])
        joined = f"{draw.randint(2015, 2024)}-{draw.randint(1, 12):02d}-{draw.randint(1, 28):02d}"
        rows.append([f"{age:.2f}", f"{income:.3f}", city, member, joined, plan])
    return rows


def houses(count: int = 240, seed: int = 1) -> tuple[list[str], list[list[str]]]:
    """Header and rows for a regression, with some cells missing: area, rooms, quality, price."""
    draw = random.Random(seed)
    rows = []
    for _ in range(count):
        area, rooms = draw.uniform(30, 200), draw.randint(1, 6)
        quality = draw.choice(["low", "medium", "high"])
        bonus = {"low": 0, "medium": 20, "high": 45}[quality]
        price = 2.1 * area + 9 * rooms + bonus + draw.gauss(0, 15)
        shown = "" if draw.random() < 0.05 else f"{area:.1f}"
        rows.append([shown, str(rooms), quality, f"{price:.2f}"])
    return ["area", "rooms", "quality", "price"], rows


def as_csv(header: list[str], rows: list[list[str]]) -> str:
    return "\n".join(",".join(row) for row in [header, *rows]) + "\n"
