#| export
import numpy as np
from scipy.ndimage import distance_transform_edt, gaussian_filter, map_coordinates

from sss_nb import checks
from sss_nb.pictures.show import show_images


#| export
def noise(
    size:tuple,      # (h, w)
    scale:float,     # of its largest features, in pixels
    rng,             # numpy random generator
    slope:float=2.,  # 1: rough, 2: clouds, 4: smooth hills
    stretch=(1., 1.), # how much longer features are along (rows, columns)
) -> np.ndarray: # (h, w) float32, mean 0 and standard deviation 1
    "A random field with a scale; it repeats beyond its edges."
    f = np.hypot(np.fft.fftfreq(size[0])[:, None]*stretch[0], np.fft.rfftfreq(size[1])*stretch[1])
    gain = (1 + (f*scale)**2)**(-slope/2)
    gain[0, 0] = 0
    field = np.fft.irfft2(np.fft.rfft2(rng.standard_normal(size))*gain, s=size)
    return (field/field.std()).astype(np.float32)


#| export
def warped(
    field:np.ndarray, # (h, w)
    rows:np.ndarray,  # (h, w) pixels that the look-up is moved down
    columns:np.ndarray, # (h, w) and to the right
) -> np.ndarray: # (h, w), of the same type
    "The field at moved places, by bilinear interpolation; it repeats beyond its edges."
    y, x = np.mgrid[:field.shape[0], :field.shape[1]]
    return map_coordinates(field, [y + rows, x + columns], order=1, mode='grid-wrap', output=field.dtype)

def smoothstep(
    x:np.ndarray,
    low:float=0., # where it leaves 0
    high:float=1., # where it reaches 1
) -> np.ndarray: # of the shape of x
    "3t^2 - 2t^3 of t = (x - low)/(high - low), held in [0, 1]."
    t = np.clip((x - low)/(high - low), 0, 1)
    return t*t*(3 - 2*t)

def plane(
    size:tuple, # (h, w)
) -> tuple: # y (h, 1), x (1, w)
    "Coordinates with 0 in the middle of the picture and 1 for the length of its shorter side."
    h, w = size
    return ((np.arange(h) + .5 - h/2)/min(size))[:, None], ((np.arange(w) + .5 - w/2)/min(size))[None]

def ramp(
    t:np.ndarray, # (h, w), any range
    *colors,      # two or more colours (r, g, b), at equal distances from t = 0 to t = 1
) -> np.ndarray: # (h, w, 3) float32
    "Colours along a ramp."
    at = np.linspace(0, 1, len(colors))
    return np.stack([np.interp(t, at, c) for c in np.array(colors).T], -1).astype(np.float32)


#| export
LEAST = 1/255     # the least opacity of an 8-bit matte

def unmixed(
    premultiplied:np.ndarray, # (h, w, 3) alpha times F
    alpha:np.ndarray,         # (h, w) in [0, 1]
) -> tuple: # foreground (h, w, 3), alpha (h, w), float32 in [0, 1]
    "F and alpha of a drawing; F is continued to where alpha is 0."
    there = alpha >= LEAST
    color = premultiplied/np.maximum(alpha, LEAST)[..., None]
    if there.any() and not there.all():
        color = color[tuple(distance_transform_edt(~there, return_distances=False, return_indices=True))]
    alpha = np.where(there, np.where(alpha > 1 - LEAST, 1, alpha), 0)
    return np.clip(color, 0, 1).astype(np.float32), alpha.astype(np.float32)

def over(
    front:tuple, # foreground (h, w, 3), alpha (h, w)
    back:tuple,  # the same, behind
) -> tuple: # foreground (h, w, 3), alpha (h, w), of both
    "One matte over another (Porter and Duff 1984)."
    (F, a), (G, b) = front, back
    rest = b*(1 - a)
    return unmixed(a[..., None]*F + rest[..., None]*G, a + rest)


#| export
WOODS = ((.26, .15, .08), (.45, .28, .15), (.62, .44, .27), (.72, .6, .45))

def tinted(color, rng, amount=.12):
    "A colour near the given one."
    return np.clip(np.array(color)*np.exp(rng.normal(0, amount, 1) + rng.normal(0, amount/2, 3)), .02, .98)

def dye(rng):
    "Any colour that paint or cloth may have."
    return np.clip(rng.uniform(.12, .82) + .14*rng.standard_normal(3), .04, .96)

def wood(size, rng):
    "Planks or a trunk: rings along a grain. (h, w, 3) in [0, 1]."
    y, x = plane(size)
    s = min(size)
    rings = (8 + 10*rng.random())*(x + .04*noise(size, s/4, rng, 2, (6, 1)))
    grain = .35*np.sin(2*np.pi*rings) + .3*noise(size, s/50, rng, 1.5, (25, 1)) + .3*noise(size, s/3, rng)
    base = tinted(WOODS[rng.integers(len(WOODS))], rng)
    return np.clip(base*(1 + .22*grain[..., None]), 0, 1).astype(np.float32)

def bricks(size, rng):
    "A wall. (h, w, 3) in [0, 1]."
    y, x = plane(size)
    high, wide = rng.uniform(.06, .11), rng.uniform(.16, .28)
    ragged = .0025*noise(size, min(size)/8, rng, 1.8)
    v = (y + ragged)/high + 50
    u = (x + ragged)/wide + 50 + .5*(np.floor(v) % 2)
    away = np.minimum(np.minimum(u % 1, 1 - u % 1)*wide, np.minimum(v % 1, 1 - v % 1)*high)
    tone = rng.standard_normal((128, 128))[np.floor(v).astype(int) % 128, np.floor(u).astype(int) % 128]
    rough = .6*noise(size, min(size)/12, rng, 1.3)
    brick = tinted((.55, .3, .22), rng, .2)*(1 + .13*(tone + rough)[..., None])
    joint = tinted((.62, .6, .56), rng)*(1 + .08*rough[..., None])
    inside = smoothstep(away, .004, .009)[..., None]
    return np.clip(inside*brick + (1 - inside)*joint, 0, 1).astype(np.float32)

def cloth(size, rng, color=None):
    "Woven threads with soft folds. (h, w, 3) in [0, 1]."
    y, x = plane(size)
    color = dye(rng) if color is None else np.asarray(color)
    folds, count = noise(size, min(size)/3, rng, 4, (2, 1)), rng.uniform(60, 90)
    bend = .01*folds
    weave = np.sin(2*np.pi*count*(x + bend))*np.sin(2*np.pi*count*(y + bend))
    return np.clip(color*(1 + .16*folds + .07*weave + .04*noise(size, 2, rng))[..., None], 0, 1).astype(np.float32)

def foliage(size, rng):
    "Leaves or grass, not quite in focus. (h, w, 3) in [0, 1]."
    s = min(size)
    light = noise(size, s/5, rng, 2.5)
    blades = np.abs(noise(size, s/22, rng, 2, (rng.uniform(1, 3), 1)))
    t = .45 + .2*light - .22*blades + .08*noise(size, s/60, rng)
    return ramp(gaussian_filter(t, rng.uniform(.3, 2.5)*s/320), (.03, .06, .03), tinted((.16, .27, .08), rng),
                tinted((.38, .5, .16), rng), (.78, .84, .5))

def sky(size, rng):
    "Clouds before a sky that is paler below. (h, w, 3) in [0, 1]."
    y, _ = plane(size)
    s = min(size)
    side = .03*s*noise(size, s/2, rng, 3)
    clouds = smoothstep(warped(noise(size, s/2.5, rng, 1.8, (.8, 2)), side, side), rng.uniform(-.3, 1), 2)[..., None]
    blue = ramp(.5 + y + 0*clouds[..., 0], tinted((.2, .4, .7), rng), tinted((.66, .78, .88), rng))
    white = .93 - .12*noise(size, s/4, rng, 2.5)[..., None]
    return np.clip((1 - clouds)*blue + clouds*white, 0, 1).astype(np.float32)

def lights(size, rng):
    "Lights out of focus in the dusk. (h, w, 3) in [0, 1]."
    y, x = plane(size)
    hue, radius = tinted((.85, .6, .35), rng, .4), rng.uniform(.025, .07)
    image = ramp(.5 + y + .1*noise(size, min(size)/3, rng, 4), *(tinted((.16, .16, .2), rng, .15) for _ in range(2)))
    for _ in range(rng.integers(15, 45)):
        cy, cx, r = rng.uniform(-.6, .6), rng.uniform(-.7, .7), radius*rng.uniform(.6, 1.2)
        d = np.hypot(y - cy, x - cx)/r
        disc = (.8 + .2*d)*smoothstep(d, 1.06, .94)*rng.uniform(.1, .55)
        image = image + disc[..., None]*tinted(hue, rng, .25)
    return np.clip(image, 0, 1).astype(np.float32)

def wall(size, rng):
    "Paint or plaster in uneven light. (h, w, 3) in [0, 1]."
    y, x = plane(size)
    angle, s = rng.uniform(0, 2*np.pi), min(size)
    light = .3*(y*np.sin(angle) + x*np.cos(angle)) + .06*noise(size, s/2, rng, 3) + .03*noise(size, s/80, rng, 1.2)
    return np.clip(dye(rng)*(1 + light[..., None]), 0, 1).astype(np.float32)

SURFACES = dict(wood=wood, bricks=bricks, cloth=cloth, foliage=foliage, sky=sky, lights=lights, wall=wall)

def made_background(
    size:tuple, # (h, w)
    rng,        # numpy random generator
    kind:str=None, # one of `SURFACES`; None: any
) -> np.ndarray: # (h, w, 3) float32 in [0, 1]
    "A background that no camera took. Raises KeyError for an unknown kind."
    return SURFACES[kind or list(SURFACES)[rng.integers(len(SURFACES))]](size, rng)


#| export
def composite(
    alpha:np.ndarray,      # (h, w) in [0, 1]
    foreground:np.ndarray, # (h, w, 3) in [0, 1]
    background:np.ndarray, # (h, w, 3) in [0, 1]
) -> np.ndarray: # (h, w, 3) in [0, 1]
    "alpha F + (1 - alpha) B. Raises ValueError if the sizes differ."
    for name, a in dict(foreground=foreground, background=background).items():
        checks.same_size(f'the {name}', a.shape, alpha.shape, 'the matte')
    a = alpha[..., None]
    return np.clip(a*foreground + (1 - a)*background, 0, 1)

def show_made(
    maker,        # function (size, rng) -> foreground, alpha
    seeds=(0, 1),
    size=(220, 280), # (h, w)
): # the matplotlib figure
    "What a maker draws, composited and as a matte, for each seed."
    images = []
    for seed in seeds:
        foreground, alpha = maker(size, np.random.default_rng(seed))
        images += [composite(alpha, foreground, made_background(size, np.random.default_rng(seed + 100))), alpha]
    return show_images(images, ncols=len(images), width=11)

