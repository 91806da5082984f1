#| export
import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.signal import fftconvolve

from sss_nb.learning.strands import Sheet, paint_strands, pixels
from sss_nb.learning.textures import SURFACES, noise, over, smoothstep, tinted, unmixed


#| export
GREENS = (((.13, .3, .1), (.45, .62, .25)), ((.2, .33, .08), (.62, .7, .28)), ((.1, .26, .16), (.36, .55, .38)),
          ((.5, .2, .05), (.9, .6, .18)))

def _window(sheet, low, high):
    "The rows and columns of a sheet between two corners in `plane` coordinates, as slices, and the coordinates there."
    y, x = sheet.plane()
    rows, columns = (slice(*np.searchsorted(t.ravel(), ends)) for t, *ends in zip((y, x), low, high, strict=True))
    return (rows, columns), y[rows], x[:, columns]

def _leaf(sheet, at, angle, length, wide, colors, teeth=0., veins=9., light=1.):
    "Paint a blade with its veins from `at` (plane coordinates) along `angle`."
    end, room = at + length*np.array([np.sin(angle), np.cos(angle)]), 1.2*wide*length
    where, y, x = _window(sheet, np.minimum(at, end) - room, np.maximum(at, end) + room)
    y, x = y - at[0], x - at[1]
    t = (y*np.sin(angle) + x*np.cos(angle))/length
    v = (x*np.sin(angle) - y*np.cos(angle) + .12*length*(t*t - t))/length
    half = wide*np.sin(np.pi*np.clip(t, 0, 1)**.72)**.9*(1 + teeth*((t*24) % 1))
    mask = (np.abs(v) < half) & (t > 0) & (t < 1)
    across = np.abs(v)/np.maximum(half, 1e-6)
    rib = np.abs(v) < .012*(1.3 - t)
    side = np.abs(((t - .55*np.abs(v)/wide*.5)*veins) % 1 - .5) < .07*(1.2 - across)
    swell = .5 + .22*np.sin(2*np.pi*(t - .275*np.abs(v)/wide)*veins)*(1 - across) + .12*np.sign(v) - .25*(across - .4)
    tone = (swell + .35*rib + .16*side)[..., None]
    color = (np.array(colors[0]) + tone*(np.array(colors[1]) - colors[0]))*light
    sheet.paint(mask, np.clip(color, 0, 1), where)

def leaf(size, rng):
    "Leaves along twigs, those behind darker."
    sheet, s = Sheet(size), min(size)
    pair, wide, teeth = GREENS[rng.integers(4)], rng.uniform(.14, .26), rng.choice([0, .12])
    for k in range(rng.integers(3, 6)):
        start = np.array([.5, rng.uniform(-.2, .2)])
        way = np.array([-rng.uniform(.5, .8), rng.normal(0, .3)])
        t = np.linspace(0, 1, 24)
        twig = start + t[:, None]*way + np.outer(.12*rng.standard_normal()*t*t, [0, 1])
        bark = np.array(tinted((.33, .26, .14), rng))
        paint_strands(sheet, pixels(twig[None], size), s*.012*np.linspace(1, .3, 24), bark, .5)
        for j in rng.permutation(np.arange(5, 24))[:14]:
            angle = np.arctan2(*way) + (-1)**j*rng.uniform(.4, 1.1)
            colors = [tinted(c, rng, .1) for c in pair]
            length = rng.uniform(.13, .2)*(1.15 - .4*t[j])
            _leaf(sheet, twig[j], angle, length, wide, colors, teeth, light=rng.uniform(.55, 1.1) + .04*k)
    return sheet.matte()

PETALS = (((.75, .12, .3), (1, .62, .75)), ((.85, .55, .05), (1, .9, .3)), ((.5, .3, .7), (.82, .7, .95)),
          ((.8, .78, .72), (1, 1, .97)), ((.8, .15, .08), (1, .5, .3)))

def flower(size, rng):
    "A head of petals in rings, on a stem with two leaves."
    sheet, s = Sheet(size), min(size)
    pair, green = PETALS[rng.integers(5)], GREENS[rng.integers(3)]
    at = np.array([rng.uniform(-.14, -.06), rng.uniform(-.06, .06)])
    t = np.linspace(0, 1, 20)[:, None]
    stem = at*(1 - t) + [.6, rng.uniform(-.15, .15)]*t + [0, .04]*np.sin(np.pi*t)
    paint_strands(sheet, pixels(stem[None], size), s*.022, np.array(green[0])*1.4, .5)
    for side in (-1, 1):
        _leaf(sheet, stem[rng.integers(11, 15)], -np.pi/2 + side*rng.uniform(.6, 1.1), .26, .16, green)
    count, reach = rng.integers(9, 19), rng.uniform(.26, .33)
    for ring in range(4):
        turn = rng.uniform(0, 7)
        for k in rng.permutation(count):
            angle = turn + 2*np.pi*k/count + rng.normal(0, .06)
            length = reach*(1 - .2*ring)*rng.uniform(.9, 1.05)
            light = .68 + .11*ring + .06*rng.standard_normal()
            _leaf(sheet, at, angle, length, rng.uniform(.13, .17), pair, 0, 3., light)
    _stamens(sheet, at, s, rng)
    return sheet.matte()

def _stamens(sheet, at, s, rng):
    n = 420
    angle, r = rng.uniform(0, 7, n), .055*np.sqrt(rng.random(n))
    root = at + np.stack([np.sin(angle), np.cos(angle)], 1)*r[:, None]
    dot = root[:, None] + np.linspace(0, 1, 3)[:, None]*[-.006, .002]
    color = np.array(((.55, .35, .05), (.95, .75, .2))[int(rng.random() < .7)])*rng.uniform(.5, 1.05, (n, 1, 1))
    paint_strands(sheet, pixels(dot, sheet.size), s*.009, color, .3)


#| export
LACES = ((.95, .93, .88), (.97, .97, .96), (.08, .07, .08), (.7, .1, .16))

def _to_lattice(u, v):
    "Distance from the nearest point of a hexagonal lattice of spacing 1."
    def away(du, dv): return np.hypot((u + du + .5) % 1 - .5, (v + dv + 3**.5/2) % 3**.5 - 3**.5/2)
    return np.minimum(away(0, 0), away(.5, 3**.5/2))

def _motif(u, v, lobes, turn):
    "Where a rosette in each cell of a lattice of spacing 1 is solid."
    row = np.floor(v)
    u, v = (u + .5*(row % 2)) % 1 - .5, v % 1 - .5
    r, angle = np.hypot(u, v), np.arctan2(v, u) + turn
    petals = r < .3 + .13*np.cos(lobes*angle)
    eyes = np.abs(r - .27) < .055*(np.cos(lobes*angle) > .45)
    middle = (r < .15) & (r > .1 - .02*np.cos(2*lobes*angle)) | (r < .045)
    vine = (np.abs(r - .47 - .02*np.cos(2*lobes*angle)) < .022)
    return (petals & ~eyes & ~((r < .15) & ~middle)) | vine

def lace(size, rng):
    "A trim of lace: rosettes on a mesh, a scalloped edge with eyelets, and the cloth that it is sewn to."
    sheet, s = Sheet(size), min(size)
    y, x = sheet.plane()
    up = tuple(np.float32(.018*n.repeat(3, 0).repeat(3, 1)) for n in (noise(size, s, rng, 4), noise(size, s, rng, 4)))
    v, u = y + up[0], x + up[1]
    cell, lobes, top = rng.uniform(.15, .24), int(rng.integers(4, 8)), rng.uniform(-.3, -.2)
    low = top + cell*(2 + (cell < .2)) + .05
    edge = low + .4*cell*np.abs(np.sin(np.pi*u/cell)) - v                # above 0 inside
    mesh = _to_lattice(u*62, v*62) > .41
    rosettes = _motif(u/cell, (v - top)/cell, lobes, rng.uniform(0, 7))
    border = (edge < .016) | (np.abs(edge - .055) < .006) | (edge < .055) & (np.abs((u/cell*12) % 1 - .5) < .22)
    heading = v < top + .012*np.sin(2*np.pi*u/.05)
    solid = rosettes | border | heading
    mask = (mesh | solid) & (edge > 0)
    dye = tinted(LACES[rng.integers(len(LACES))], rng, .05)
    thread = .06*np.sin(2*np.pi*(u + v)*110) + .05*np.sin(2*np.pi*(u - v)*90)
    raised = gaussian_filter(solid.astype(np.float32), 2)
    emboss = np.gradient(raised, axis=0) + np.gradient(raised, axis=1)
    fold = 9*up[1] + .1*np.sin(14*u + 30*up[0])*heading
    light = .86 + thread + .9*emboss + fold + .07*solid
    sheet.paint(mask, np.clip(dye*light[..., None] + .05*(light - .8)[..., None], 0, 1))
    return sheet.matte()


#| export
def _outline(kind, angle, n):
    "Radius of an outline at each angle: a polygon, a star, a gear, or a square with round corners."
    if kind == 'polygon': return np.cos(np.pi/n)/np.cos(angle % (2*np.pi/n) - np.pi/n)
    if kind == 'star': return 1/(1 + 1.1*np.abs((angle*n/(2*np.pi)) % 1 - .5)*2)
    if kind == 'gear': return .86 + .14*np.clip(4*np.sin(3*n*angle), -1, 1)
    return (np.abs(np.cos(angle))**5 + np.abs(np.sin(angle))**5)**-.2*.85

def _thing(sheet, at, radius, rng):
    "Paint a flat thing with a bevelled edge, cut out of some material."
    where, y, x = _window(sheet, at - 1.3*radius, at + 1.3*radius)
    y, x = y - at[0], x - at[1]
    kind, n = ('polygon', 'star', 'gear', 'box')[rng.integers(4)], int(rng.integers(4, 9))
    turn, flat = rng.uniform(0, 7), rng.uniform(.75, 1)
    angle, r = np.arctan2(y/flat, x), np.hypot(y/flat, x)/radius
    q = r/_outline(kind, angle + turn, n)
    hole = rng.uniform(.2, .45)*(kind == 'gear' or rng.random() < .3)
    mask = (q < 1) & (r > hole)
    surface = SURFACES[('wood', 'cloth', 'wall', 'bricks')[rng.choice(4, p=[.3, .3, .3, .1])]](sheet.size, rng)
    material = surface.repeat(sheet.finer, 0).repeat(sheet.finer, 1)[where]
    bevel = smoothstep(q, .86, .9) - smoothstep(r, hole + .05, hole + .02)*(hole > 0)
    light = 1 + .35*bevel*np.cos(angle - rng.uniform(0, 7)) + .14*(x - y)/radius
    sheet.paint(mask, np.clip(material*light[..., None], 0, 1), where)

def _things(size, count, low, high, rng):
    sheet = Sheet(size)
    for _ in range(count): _thing(sheet, rng.uniform(-.2, .2, 2), rng.uniform(low, high), rng)
    return sheet

def sharp(size, rng):
    "Things with hard edges: soft is only the pixel that an edge cuts."
    return _things(size, int(rng.integers(2, 5)), .12, .26, rng).matte(.3)


#| export
def blurred(
    matte:tuple, # foreground (h, w, 3), alpha (h, w)
    kernel:np.ndarray, # (a, b), sums to 1
) -> tuple: # foreground (h, w, 3), alpha (h, w)
    "A matte through a lens or a long exposure: alpha and alpha F are convolved, not F."
    F, a = matte
    rows, columns = (n//2 for n in kernel.shape)
    both = np.dstack([a[..., None]*F, a])
    both = np.pad(both, [(rows, rows), (columns, columns), (0, 0)], 'edge')
    both = fftconvolve(both, kernel[..., None], 'valid', axes=(0, 1)).clip(0, 1)[:a.shape[0], :a.shape[1]]
    return unmixed(both[..., :3], both[..., 3])

def disc_kernel(radius):
    "The image of a point out of focus, of a radius in pixels."
    n = int(np.ceil(radius))
    y, x = np.mgrid[-n:n + 1, -n:n + 1]
    disc = np.clip(radius + .5 - np.hypot(y, x), 0, 1)
    return (disc/disc.sum()).astype(np.float32)

def line_kernel(length, angle, bend=0.):
    "The path of a point while the shutter is open, of a length in pixels."
    n = int(np.ceil(length/2)) + 1
    t = np.linspace(-.5, .5, 16*n)
    y, x = length*(t*np.sin(angle) + bend*t*t*np.cos(angle)), length*(t*np.cos(angle) - bend*t*t*np.sin(angle))
    path, _, _ = np.histogram2d(y, x, bins=2*n + 1, range=[[-n - .5, n + .5]]*2)
    return gaussian_filter(path/path.sum(), .5).astype(np.float32)


#| export
def _subject(size, rng):
    "Something to blur: things, or a flower."
    return flower(size, rng) if rng.random() < .35 else _things(size, int(rng.integers(1, 3)), .17, .27, rng).matte()

def defocus(size, rng):
    "Something out of focus, and something else farther out."
    s = min(size)
    near = blurred(_subject(size, rng), disc_kernel(s*rng.uniform(.012, .035)))
    if rng.random() < .5: return near
    return over(near, blurred(_things(size, 1, .14, .2, rng).matte(), disc_kernel(s*rng.uniform(.03, .055))))

def motion(size, rng):
    "Something that moved while the shutter was open."
    path = line_kernel(min(size)*rng.uniform(.06, .2), rng.uniform(0, np.pi), rng.uniform(-.5, .5))
    return blurred(_subject(size, rng), path)

