#| export
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from sss_nb import checks
from sss_nb.learning.media import fire, silk, smoke_cloud, water_drop, water_spray
from sss_nb.learning.shapes import defocus, flower, lace, leaf, motion, sharp
from sss_nb.learning.strands import fur, hair_easy, hair_hard, net, spider_web, tree
from sss_nb.learning.textures import composite, made_background
from sss_nb.pictures.files import load_image
from sss_nb.pictures.registry import fetch
from sss_nb.pictures.resize import resize_image


#| export
MATTE_MAKERS = dict(     # in the order of Sun, Tang and Tai's list; glass_ice, insect and plastic_bag have no maker
    defocus=defocus, fire=fire, fur=fur, hair_easy=hair_easy, hair_hard=hair_hard, motion=motion, net=net,
    flower=flower, leaf=leaf, tree=tree, sharp=sharp, smoke_cloud=smoke_cloud, spider_web=spider_web, lace=lace,
    silk=silk, water_drop=water_drop, water_spray=water_spray)

class MadeMatte(NamedTuple):
    "A foreground that was drawn."
    foreground:np.ndarray # (h, w, 3) float32 in [0, 1], also where alpha is 0
    alpha:np.ndarray      # (h, w) float32 in [0, 1]
    name:str              # its class

def _shape(size):
    "(h, w) of a size. Raises ValueError."
    h, w = (size, size) if np.ndim(size) == 0 else size
    for n in (h, w): checks.integer('height and width of a matte', n, least=32)
    return int(h), int(w)

def made_matte(
    name:str,    # one of `MATTE_MAKERS`
    size=320,    # int for a square, or (h, w), each at least 32
    seed:int=0,  # not negative
) -> MadeMatte:
    "A matte of a class. Raises ValueError for an unknown class, a size under 32 or a negative seed."
    checks.one_of('the class of a matte', name, tuple(MATTE_MAKERS))
    rng = np.random.default_rng((checks.seed(seed), list(MATTE_MAKERS).index(name)))
    return MadeMatte(*MATTE_MAKERS[name](_shape(size), rng), name)


#| export
SPLITS = ('train', 'val', 'test')
PHOTOGRAPHS = dict(train=('chelsea', 'china', 'coffee', 'flower', 'rocket'), val=('hopper', 'retina'),
                   test=('astronaut', 'raccoon'))      # names in the registry: public domain, CC0 or CC BY
FREE = ('public domain', 'CC0-1.0', 'CC-BY-2.0')

@lru_cache(maxsize=len(sum(PHOTOGRAPHS.values(), ())))
def _photograph(name): return load_image(fetch(name)).astype(np.float32)

def photograph_crop(
    name:str,   # of a photograph in the registry
    size:tuple, # (h, w)
    rng,        # numpy random generator
) -> np.ndarray: # (h, w, 3) float32 in [0, 1]
    "A random part of a photograph, from as large as possible to half of that, and perhaps its mirror image."
    image, (h, w) = _photograph(name), size
    scale = min(image.shape[0]/h, image.shape[1]/w)*rng.uniform(.5, 1)
    rows, columns = max(1, int(h*scale)), max(1, int(w*scale))
    r, c = rng.integers(image.shape[0] - rows + 1), rng.integers(image.shape[1] - columns + 1)
    part = np.clip(resize_image(image[r:r + rows, c:c + columns], size), 0, 1).astype(np.float32)
    return part[:, ::-1] if rng.random() < .5 else part


#| export
@dataclass(frozen=True)
class MadeSample:
    "A made photograph whose matte is known."
    image:np.ndarray      # (h, w, 3) float32 in [0, 1]: alpha F + (1 - alpha) B
    alpha:np.ndarray      # (h, w) float32 in [0, 1]
    foreground:np.ndarray # (h, w, 3) float32 in [0, 1]
    background:np.ndarray # (h, w, 3) float32 in [0, 1]
    name:str              # its class
    seed:int              # of the foreground

_MOST = 10**6             # samples of one data set

class MadeMattes:
    "Made photographs with their mattes: `len(d)`, `d[i]`; sample i depends on split, size, seed and i alone."
    def __init__(self,
        split:str='train',  # 'train', 'val' or 'test'
        n:int=170,          # samples, at most a million
        size=320,           # int for a square, or (h, w), each at least 32
        seed:int=0,
        names=None,         # classes; None: all of `MATTE_MAKERS`
        photographs:float=.5, # share of backgrounds that are photographs
    ):
        "Raises ValueError for another split, class, share, size, number or seed."
        self.split = checks.one_of('the split', split, SPLITS)
        self.n, self.size = checks.integer('the number of samples', n, least=1, most=_MOST), _shape(size)
        self.seed, self.names = checks.seed(seed), tuple(names or MATTE_MAKERS)
        for name in self.names: checks.one_of('the class of a matte', name, tuple(MATTE_MAKERS))
        self.photographs = checks.number('the share of photographs', photographs, least=0, most=1)

    def __len__(self): return self.n

    def __repr__(self): return f"MadeMattes('{self.split}') of {self.n} samples in {len(self.names)} classes"

    def seed_of(self,
        i:int, # index of a sample
    ) -> int: # no other split has it
        "The seed of a sample. Raises IndexError."
        checks.require(0 <= i < self.n, f'a sample from 0 to {self.n - 1}', i, error=IndexError)
        return 3*(_MOST*self.seed + int(i)) + SPLITS.index(self.split)

    def background(self,
        i:int, # index of a sample
    ) -> np.ndarray: # (h, w, 3) float32 in [0, 1]
        "What stands behind sample `i`. Raises IndexError."
        rng = np.random.default_rng((self.seed_of(i), len(MATTE_MAKERS)))
        if rng.random() >= self.photographs: return made_background(self.size, rng)
        return photograph_crop(str(rng.choice(PHOTOGRAPHS[self.split])), self.size, rng)

    def __getitem__(self, i) -> MadeSample:
        "Sample `i`. Raises IndexError."
        seed = self.seed_of(i)
        F, alpha, name = made_matte(self.names[i % len(self.names)], self.size, seed)
        B = self.background(i)
        return MadeSample(composite(alpha, F, B), alpha, F, B, name, seed)

