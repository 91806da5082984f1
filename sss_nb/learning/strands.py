#| export
import numpy as np
from scipy.ndimage import gaussian_filter

from sss_nb.learning.textures import cloth, dye, noise, plane, ramp, smoothstep, tinted, unmixed


#| export
class Sheet:
    "A picture painted back to front at a finer resolution."
    def __init__(self,
        size:tuple,    # (h, w) of the picture
        finer:int=3,   # fine pixels along a pixel
    ):
        self.size, self.finer = size, finer
        h, w = size
        self.cover = np.zeros((h*finer, w*finer), bool)
        self.color = np.zeros((h*finer, w*finer, 3), np.float32)

    def plane(self):
        "As `plane`, for the fine pixels."
        return plane(self.cover.shape)

    def paint(self,
        mask:np.ndarray,  # bool, of the fine size
        color:np.ndarray, # (r, g, b), or (fine h, fine w, 3)
        where=np.s_[:, :], # the rows and columns of the sheet that both belong to
    ):
        "Paint the pixels of a mask."
        self.color[where][mask] = color[mask] if np.ndim(color) == 3 else color
        self.cover[where] |= mask

    def matte(self,
        blur:float=.4, # pixels, of the lens
    ) -> tuple: # foreground (h, w, 3), alpha (h, w)
        "What a camera sees of the sheet: means over pixels, a little blurred."
        h, w = self.size
        a = self.cover.reshape(h, self.finer, w, self.finer).mean((1, 3), dtype=np.float32)
        self.color[~self.cover] = 0
        ca = self.color.reshape(h, self.finer, w, self.finer, 3).mean((1, 3))
        return unmixed(gaussian_filter(ca, (blur, blur, 0)), gaussian_filter(a, blur))


#| export
_AT_ONCE = 3_000_000      # fine pixels that are looked up together

def _along(points, steps):
    "Each curve (n, m, 2) at `steps` places (n, steps, 2), and the index of the place's point before it."
    t = np.linspace(0, points.shape[1] - 1.001, steps, dtype=np.float32)
    i = t.astype(int)
    f = (t - i)[None, :, None]
    return (1 - f)*points[:, i] + f*points[:, i + 1], i

def _stamped(ids, shade, points, widths, first, finer, round_, twist):
    "Write the number of the nearest point of each curve, counted from `first`, into the fine pixels it covers."
    n, m = widths.shape
    points, widths = np.float32(points)*finer, np.float32(widths)*finer
    steps = int(np.linalg.norm(np.diff(points, axis=1), axis=2).sum(1).max()*1.1) + 2
    place, i = _along(points, steps)
    side = np.gradient(place, axis=1)[..., ::-1]*np.float32([1, -1])
    side /= np.linalg.norm(side, axis=2, keepdims=True) + 1e-6
    across = int(np.ceil(widths.max()*(1.5 if widths.max() > 9 else 1)))
    offsets = np.linspace(-.5, .5, across, dtype=np.float32)
    if len(offsets) == 1: offsets[:] = 0
    wide = np.maximum(widths - 1, 0)[:, i, None]*offsets
    rows, columns = (np.floor(place[..., k, None] + side[..., k, None]*wide).astype(np.int32) for k in (0, 1))
    inside = (rows >= 0) & (rows < ids.shape[0]) & (columns >= 0) & (columns < ids.shape[1])
    at = (rows*ids.shape[1] + columns)[inside]
    number = first + np.arange(n, dtype=np.int32)[:, None]*m + i.astype(np.int32)
    ids.ravel()[at] = np.broadcast_to(number[..., None], inside.shape)[inside]
    if shade is None: return
    turn = np.sin(np.arange(steps, dtype=np.float32)[:, None]*twist/finer + 5*offsets) if twist else 0
    lit = 1 + .15*turn - round_*(2*offsets + .3)**2
    shade.ravel()[at] = np.broadcast_to(lit, inside.shape)[inside]

def paint_strands(
    sheet:Sheet,
    points:np.ndarray, # (n, m, 2) rows and columns of each curve, in pixels, back to front
    widths:np.ndarray, # (n, m) or what broadcasts to it, in pixels
    colors:np.ndarray, # (n, m, 3) or what broadcasts to it
    round_:float=0.,   # how much darker the sides of a strand are
    twist:float=0.,    # of a rope, radians a pixel
):
    "Paint curves, each over those before it."
    n, m = points.shape[:2]
    widths = np.broadcast_to(widths, (n, m))
    ids = np.full(sheet.cover.shape, -1, np.int32)
    shade = np.ones(sheet.cover.shape, np.float32) if round_ or twist else None
    longest = sheet.finer*np.linalg.norm(np.diff(points, axis=1), axis=2).sum(1).max()
    some = max(1, int(_AT_ONCE/(longest + 1)/(sheet.finer*widths.max() + 1)))
    for k in range(0, n, some):
        _stamped(ids, shade, points[k:k + some], widths[k:k + some], k*m, sheet.finer, round_, twist)
    hit = ids >= 0
    color = np.broadcast_to(colors, (n, m, 3)).reshape(-1, 3).astype(np.float32)[ids[hit]]
    sheet.color[hit] = np.clip(color if shade is None else color*shade[hit, None], 0, 1)
    sheet.cover |= hit

def pixels(points, size):
    "Points in `plane` coordinates as rows and columns of a picture."
    return points*min(size) + np.array(size)/2


#| export
HAIRS = ((.07, .06, .06), (.17, .11, .08), (.33, .19, .11), (.7, .53, .33), (.5, .23, .1), (.58, .56, .54))

def _grown(roots, heading, length, pull, wind=0., steps=28):
    "Curves (n, steps, 2) from `roots` that start along `heading` and bend down after `pull` pixels."
    s = np.linspace(0, 1, steps)
    bend = smoothstep(s*length[:, None], .25*pull[:, None], 1.5*pull[:, None])[..., None]
    step = (1 - bend)*heading[:, None] + bend*np.stack(np.broadcast_arrays(1., wind), -1).reshape(-1, 1, 2)
    step /= np.linalg.norm(step, axis=2, keepdims=True) + 1e-6
    return roots[:, None] + np.cumsum(step, 1)*(length/steps)[:, None, None]

def _curled(points, size, turns, phase):
    "Curves with waves across them, larger towards their tips; `size` in pixels, one for each curve as all others."
    s = np.linspace(0, 1, points.shape[1])
    side = np.gradient(points, axis=1)[..., ::-1]*[1, -1]
    side /= np.linalg.norm(side, axis=2, keepdims=True) + 1e-6
    wave = size[:, None]*smoothstep(s, 0, .5)*np.sin(2*np.pi*turns[:, None]*s + phase[:, None])
    return points + wave[..., None]*side

def _locks(n, count, crown, radius, rng):
    "Roots and headings (n, 2) of strands in `count` locks on the back of a head, and each strand's lock."
    lock = rng.integers(count, size=n)
    angle = rng.uniform(-3.1, 3.1, count)[lock] + rng.normal(0, .09, n)
    heading = np.stack([np.cos(angle), np.sin(angle)], 1)
    start = (radius*rng.random(count)**.7)[lock] + rng.normal(0, .04*radius, n)
    return crown + heading*start[:, None]*[.75, .9], heading, lock

def _hair_colors(points, base, lock, crown, radius, rng):
    "Colours along strands: locks and strands differ, roots are darker, and a ring around the crown shines."
    n, m = points.shape[:2]
    s, order = np.linspace(0, 1, m), np.linspace(.45, 1.1, n)
    tone = 1 + .13*rng.standard_normal(lock.max() + 1)[lock] + .15*rng.standard_normal(n)
    color = np.array(base)*(order*tone)[:, None, None]*(.8 + .35*s)[:, None]
    far = np.linalg.norm((points - crown)/radius, axis=2)
    ring = np.exp(-((far - 1.05 - .12*rng.standard_normal(lock.max() + 1)[lock][:, None])/.22)**2)
    ring = ring + .5*np.exp(-((far - 2.5 - .2*rng.standard_normal(lock.max() + 1)[lock][:, None])/.3)**2)
    shine = (.1 + .55*np.array(base))*(ring*order[:, None]*rng.uniform(.1, 1, n)[:, None])[..., None]
    return np.clip(color + shine, 0, 1)

def _person(sheet, head, radius, rng):
    "Neck and shoulders from behind, in `plane` coordinates of the sheet."
    y, x = sheet.plane()
    down, aside = (y - head[0])/radius, np.abs(x - head[1])/radius
    shoulders = down > 1.55 + .45*smoothstep(aside, .3, 2.2) + .9*smoothstep(aside, 1.6, 2.3)**2
    neck = (aside < .42) & (down > 0) & (down < 2)
    skin = np.array(((.86, .65, .53), (.7, .48, .36), (.42, .27, .2))[rng.integers(3)])
    sheet.paint(neck, skin*(1.05 - .5*aside**2)[..., None] + 0*down[..., None])
    dress = cloth(sheet.size, rng, dye(rng)).repeat(sheet.finer, 0).repeat(sheet.finer, 1)
    sheet.paint(shoulders, dress*(1.1 - .07*aside**2)[..., None])

def _hair(size, rng, curl, turns, long, loose, wild, wind, count):
    sheet, s = Sheet(size), min(size)
    radius = s*rng.uniform(.17, .2)
    middle = np.array([-.14, rng.uniform(-.06, .06)])
    _person(sheet, middle, radius/s, rng)
    head = middle*s + np.array(size)/2
    y, x = sheet.plane()
    base = tinted(HAIRS[rng.integers(len(HAIRS))], rng, .04)
    scalp = np.hypot((y - middle[0])/1.12, x - middle[1]) < radius/s
    sheet.paint(scalp, .35*base)
    crown, n = head - [.66*radius, 0], 1500
    roots, heading, lock = _locks(n, count, crown, radius, rng)
    length = s*long*rng.uniform(.75, 1.1, count)[lock]*rng.uniform(.7, 1, n)
    pull = .2*radius + .8*np.maximum(radius - np.linalg.norm(roots - crown, axis=1), 0)
    pull = pull*(.3 + .7*smoothstep(heading[:, 0], -.9, .3))
    points = _grown(roots, heading, length, pull, wind + rng.normal(0, .09, count)[lock])
    first = np.unique(lock, return_index=True)[1]
    leader = np.empty((count, *points.shape[1:]))
    leader[np.unique(lock)] = points[first]
    gather = (.55*np.linspace(0, 1, points.shape[1])**1.3)[:, None]
    points = (1 - gather)*points + gather*leader[lock]
    amount = s*curl*rng.uniform(.4, 1, count)[lock]*rng.uniform(.6, 1.3, n)
    twist = turns*rng.uniform(.7, 1.3, count)[lock]
    points = _curled(points, amount, twist, rng.uniform(0, 7, count)[lock] + rng.normal(0, .35, n))
    colors = _hair_colors(points, base, lock, crown, radius, rng)
    taper = np.linspace(1, .35, points.shape[1])**.7
    paint_strands(sheet, points, s/320*rng.uniform(.6, 1.15, n)[:, None]*taper, colors)
    _loose_hair(sheet, crown, radius, base, loose, wild, wind, s, rng)
    return sheet.matte()

def _loose_hair(sheet, crown, radius, base, n, wild, wind, s, rng):
    "Single hairs that stand away."
    angle = rng.uniform(-3.1, 3.1, n)
    heading = np.stack([np.cos(angle), np.sin(angle)], 1)
    roots = crown + [.4*radius, 0] + heading*radius*rng.uniform(.6, 1, n)[:, None]*[1.1, 1]
    heading = heading + wild*rng.standard_normal((n, 2))
    points = _grown(roots, heading, radius*rng.uniform(.3, 1 + 1.4*wild, n), radius*rng.uniform(.2, 1.2, n), wind)
    points = _curled(points, s*.012*rng.random(n)*(1 + wild), rng.uniform(.5, 3, n), rng.uniform(0, 7, n))
    tone = rng.uniform(.7, 1.5, n)[:, None, None]*np.linspace(.9, 1.25, points.shape[1])[:, None]
    paint_strands(sheet, points, s/320*rng.uniform(.3, .6, n)[:, None], np.clip(base*tone + .03, 0, 1))

def hair_easy(size, rng):
    "Smooth hair that falls in locks."
    return _hair(size, rng, rng.uniform(.002, .012), 1.6, rng.uniform(.45, .75), 60, .15, rng.uniform(-.05, .05), 90)

def hair_hard(size, rng):
    "Curly or wind-blown hair, with many single ones."
    curly = rng.random() < .6
    curl, turns = (rng.uniform(.014, .026), rng.uniform(4, 8)) if curly else (rng.uniform(.008, .02), 2)
    wind = rng.uniform(-.15, .15) if curly else rng.choice([-1, 1])*rng.uniform(.5, 1.1)
    return _hair(size, rng, curl, turns, rng.uniform(.5, .75), 340, .8, wind, 70)


#| export
COATS = (((.1, .09, .09), (.25, .22, .2)), ((.42, .26, .14), (.78, .62, .42)), ((.35, .33, .31), (.72, .7, .67)),
         ((.75, .7, .62), (.95, .92, .87)), ((.5, .25, .08), (.86, .55, .24)), ((.2, .15, .11), (.5, .4, .3)))

def _animal(y, x, rng):
    "Signed distance, negative inside, of a sitting animal: body, head and two ears, in `plane` coordinates."
    wide, ear, apart = rng.uniform(.2, .26), rng.uniform(.05, .1), rng.uniform(.09, .13)
    parts = [(.28, 0, .3, wide), (-.1, 0, .16, .19)]
    parts += [(-.24 - .5*ear, side*apart, .04 + ear, .055) for side in (-1, 1)]
    gap = [(np.hypot((y - py)/ry, (x - px)/rx) - 1)*min(ry, rx) for py, px, ry, rx in parts]
    return -np.log(sum(np.exp(-40*d) for d in gap))/40

def _coat(size, rng):
    "Colours of an animal's coat with stripes or patches, (h, w, 3)."
    dark, light = (tinted(c, rng, .06) for c in COATS[rng.integers(len(COATS))])
    s = min(size)
    striped = rng.random() < .5
    field = np.abs(noise(size, s/6, rng, 3, (1, 3)))*1.2 - .3 if striped else noise(size, s/2, rng, 4)
    return ramp(.5 + .5*field, dark, .5*(dark + light), light)

def _face(sheet, rng):
    "Eyes and a nose."
    y, x = sheet.plane()
    iris = tinted(((.75, .6, .15), (.35, .55, .3), (.35, .2, .1))[rng.integers(3)], rng, .1)
    for side in (-1, 1):
        v, u = y + .12, x - .075*side
        for r, color in ((.031, (.04, .03, .03)), (.026, iris), (.014, (.02, .02, .02))):
            sheet.paint(np.hypot(v, u) < r, np.array(color))
        sheet.paint(np.hypot(v + .01, u + .009) < .006, np.array((.95, .95, .97)))
    sheet.paint(np.hypot((y + .055)/.016, x/.024) < 1, np.array((.13, .08, .08)))

def fur(size, rng):
    "An animal's coat: short strands from all over a body, along its outline and down."
    sheet, s, n = Sheet(size), min(size), 7500
    y, x = plane(size)
    gap = _animal(y, x, rng)
    coat = _coat(size, rng)
    body = gap < 0
    sheet.paint(body.repeat(3, 0).repeat(3, 1), .6*coat.repeat(3, 0).repeat(3, 1))
    points, at = _coat_strands(gap, body, n, s*rng.uniform(.045, .085), rng)
    tone = rng.uniform(.62, 1.25, n)[:, None, None]*np.linspace(.7, 1.2, points.shape[1])[:, None]
    colors = np.clip(coat[at][:, None]*tone, 0, 1)
    widths = s/320*rng.uniform(.7, 1.1, n)[:, None]*np.linspace(1, .3, points.shape[1])
    eyes = np.hypot((at[0] + .5 - size[0]/2)/s + .11, np.abs((at[1] + .5 - size[1]/2)/s) - .075) < .05
    nose = np.hypot((at[0] + .5 - size[0]/2)/s + .065, (at[1] + .5 - size[1]/2)/s) < .035
    keep = ~(eyes | nose)
    paint_strands(sheet, points[keep], widths[keep], colors[keep])
    _face(sheet, rng)
    return sheet.matte()

def _coat_strands(gap, body, n, length, rng):
    "Curves (n, 7, 2) rooted in a body, lowest first, and their roots' (rows, columns)."
    rows, columns = np.nonzero(body)
    chosen = np.sort(rng.integers(len(rows), size=n))[::-1]
    at = rows[chosen], columns[chosen]
    away = np.stack([g[at] for g in np.gradient(gaussian_filter(gap, 2))], 1)
    away /= np.linalg.norm(away, axis=1, keepdims=True) + 1e-9
    h, w = gap.shape
    tuft = np.stack([noise((h, w), length, rng, 3)[at], noise((h, w), length, rng, 3)[at]], 1)
    heading = 1.1*away + .45*tuft + .25*rng.standard_normal((n, 2)) + [.45, 0]
    heading /= np.linalg.norm(heading, axis=1, keepdims=True)
    size = length*rng.uniform(.5, 1.15, n)*(1 + .25*tuft[:, 0]).clip(.5, 1.6)
    roots = np.stack(at, 1) + rng.random((n, 2))
    return _grown(roots, heading, size, 1.1*size, 0., 7), at


#| export
CORDS = ((.85, .84, .8), (.15, .4, .24), (.8, .42, .12), (.12, .12, .14), (.2, .36, .62))

def _waves(rng, size, count=4):
    "A smooth displacement of (n, m, 2) points by `count` waves of at most `size`."
    ways, phase = rng.normal(0, 5, (count, 2)), rng.uniform(0, 7, count)
    amount = rng.normal(0, size/count**.5, (count, 2))
    return lambda p: p + np.sin(p @ ways.T + phase) @ amount

def net(size, rng):
    "A net of knotted cord that hangs from a band."
    sheet, s = Sheet(size), min(size)
    cell, cord = rng.uniform(.06, .11), s*rng.uniform(.0045, .0085)
    color = tinted(CORDS[rng.integers(len(CORDS))], rng)
    sway, y_top, y_low = _waves(rng, .05), rng.uniform(-.36, -.26), rng.uniform(.3, .42)
    turn = np.array([[1, 1], [-1, 1]])/2**.5 if rng.random() < .6 else np.eye(2)
    lines = np.arange(-20, 21)*cell
    grid = np.stack(np.meshgrid(lines, np.linspace(-1.2, 1.2, 60), indexing='ij'), -1)
    tone = 1 + .12*rng.standard_normal((len(lines), 60, 1))
    for p in (grid, grid[..., ::-1]):
        paint_strands(sheet, pixels(sway(p @ turn), size), cord, np.array(color)*tone, .35, 1.2)
    knots = sway(np.stack(np.meshgrid(lines, lines), -1).reshape(-1, 1, 2) @ turn)
    knots = knots + np.linspace(-.3, .3, 3)[:, None]*cord/s
    paint_strands(sheet, pixels(knots, size), 2*cord, np.array(color)*.9, .35)
    y, x = sheet.plane()
    sag, at = rng.uniform(.01, .03), rng.uniform(0, 7)
    low = y_low + sag*np.sin(5*x + at)
    sheet.cover &= (y > y_top) & (y < low)
    x = np.linspace(-1, 1, 80)
    rim = np.stack([y_low + sag*np.sin(5*x + at), x], -1)[None]
    paint_strands(sheet, pixels(rim, size), 1.7*cord, color, .35, .9)
    _band(sheet, y_top, rng.uniform(.04, .07), dye(rng), rng)
    return sheet.matte()

def _band(sheet, at, half, color, rng):
    "A tape of cloth across the picture, with seams."
    y, x = sheet.plane()
    v = (y - at - .012*np.sin(5*x + rng.uniform(0, 7)))/half
    woven = cloth(sheet.size, rng, color).repeat(sheet.finer, 0).repeat(sheet.finer, 1)
    seam = (np.abs(np.abs(v) - .8) < .06) & (np.sin(2*np.pi*x/.03) > -.4)
    sheet.paint(np.abs(v) < 1, woven*(1.1 - .35*v**2 - .35*seam)[..., None])


#| export
def _twig(sheet, ends, width, rng):
    "A bent branch with bark between two points of `plane` coordinates."
    t = np.linspace(0, 1, 40)[:, None]
    p = (1 - t)*ends[0] + t*ends[1] + .01*np.cumsum(rng.standard_normal((40, 2)), 0)*np.sin(np.pi*t)
    bark = np.array(tinted((.3, .22, .15), rng))*(1 + .25*rng.standard_normal((1, 40, 1)))
    paint_strands(sheet, pixels(p[None], sheet.size), width*np.linspace(1, .6, 40), bark, .6)
    n = 260                                                     # fibres of the bark
    start = p[np.linspace(0, 34, n).astype(int)]
    way = (p[np.linspace(5, 39, n).astype(int)] - start)[:, None]*np.linspace(0, 1, 5)[:, None]
    normal = way[:, -1, ::-1]*[-1, 1]/np.linalg.norm(way[:, -1], axis=1, keepdims=True)
    side = (rng.uniform(-.36, .3, (n, 1))*width/min(sheet.size)*normal)[:, None]
    tone = rng.uniform(.45, 1.5, n)[:, None, None]
    paint_strands(sheet, pixels(start[:, None] + way + side, sheet.size), width*.05, np.clip(bark.mean(1)*tone, 0, 1))

def spider_web(size, rng):
    "An orb web between twigs: threads from a hub, and a spiral that sags between them."
    sheet, s, spokes = Sheet(size, 4), min(size), int(rng.integers(17, 27))
    hub = rng.uniform(-.07, .07, 2)
    angle = np.sort((np.arange(spokes) + rng.uniform(-.28, .28, spokes))*2*np.pi/spokes)
    way = np.stack([np.sin(angle), np.cos(angle)], 1)*[1, rng.uniform(.8, 1.1)]
    reach = .36*(1 + .1*rng.standard_normal(spokes))
    skew = np.eye(2) + rng.normal(0, .08, (2, 2))
    def place(p): return pixels((hub + p) @ skew, size)
    rings = .03 + .3*np.cumsum(rng.uniform(.75, 1.25, 22))/22*np.linspace(.75, 1.1, 22)
    spiral = _spiral(way, np.minimum(rings[:, None]*(1 + .04*rng.standard_normal(spokes)), .97*reach), rng)
    def lit(n, m): return np.clip(.84 + .09*rng.standard_normal((n, m, 1)), .5, 1)*np.array([.96, .98, 1.])
    for ends in (((-.6, -.47), (.6, -.41)), ((-.46, .65), (-.4, -.6)), ((.6, .4), (-.55, .5))):
        if rng.random() < .75: _twig(sheet, np.array(ends) + rng.normal(0, .02, (2, 2)), s*rng.uniform(.03, .06), rng)
    t = np.linspace(0, 1, 12)[:, None]
    fine = s/320
    paint_strands(sheet, place(t*(way*reach[:, None])[:, None]), .5*fine, lit(spokes, 12))
    paint_strands(sheet, place(spiral), .36*fine, lit(*spiral.shape[:2]))
    ends = way*reach[:, None]
    frame = ends[:, None]*(1 - t) + np.roll(ends, -1, 0)[:, None]*t
    paint_strands(sheet, place(frame*(1 - .12*t*(1 - t)*4)), .6*fine, lit(spokes, 12))
    far = np.arange(0, spokes, 3)
    paint_strands(sheet, place(ends[far, None]*(1 + 1.2*t)), .65*fine, lit(len(far), 12))
    if rng.random() < .4: _dew(sheet, place(spiral), fine, rng)
    return sheet.matte(.3)

def _spiral(way, radii, rng):
    "The threads from each spoke to the next, (rings*spokes, 7, 2), nearer to the hub in their middle."
    start = way*radii[..., None]
    t = np.linspace(0, 1, 7)[:, None]
    chord = start[:, :, None]*(1 - t) + np.roll(start, -1, 1)[:, :, None]*t
    sag = .05 + .03*rng.standard_normal(radii.shape)
    return (chord*(1 - sag[..., None, None]*4*t*(1 - t)))[rng.random(radii.shape) > .02]

def _dew(sheet, threads, fine, rng):
    "Drops on the threads."
    at = threads[rng.integers(len(threads), size=700), rng.integers(7, size=700)]
    drops = at[:, None] + fine*np.linspace(-.4, .4, 3)[:, None]
    wide = fine*rng.uniform(.8, 2.2, (700, 1))
    paint_strands(sheet, drops, wide, rng.uniform(.75, 1, (700, 1, 1))*np.ones(3), .3)


#| export
def _branches(points, widths, children, rng):
    "The branches that grow from curves (n, m, 2): `children` from each, and their widths at the root."
    n, m = points.shape[:2]
    parent = np.repeat(np.arange(n), children)
    at = rng.integers(m//2, m, len(parent))
    at[::children] = m - 1
    way = points[parent, at] - points[parent, at - 1]
    angle = np.arctan2(way[:, 1], -way[:, 0]) + rng.choice([-1, 1], len(parent))*rng.uniform(.3, .8, len(parent))
    length = np.linalg.norm(points[:, -1] - points[:, 0], axis=1)[parent]*rng.uniform(.55, .82, len(parent))
    bend = angle[:, None] + .12*np.cumsum(rng.standard_normal((len(parent), m)), 1)
    step = np.stack([-np.cos(bend), np.sin(bend)], -1)*(length/m)[:, None, None]
    return points[parent, at][:, None] + np.cumsum(step, 1), widths[parent]*rng.uniform(.5, .68, len(parent))

def tree(size, rng):
    "Branches that fork, and leaves along the thin ones."
    sheet, s = Sheet(size), min(size)
    t = np.linspace(0, 1, 9)
    trunk = np.stack([.56 - .4*t, rng.uniform(-.05, .05) + .02*np.cumsum(rng.standard_normal(9))*t], -1)[None]
    curves, widths, levels = pixels(trunk, size), np.array([s*rng.uniform(.03, .05)]), []
    bark = np.array(tinted((.26, .2, .15), rng))
    for children in (5, 4, 4, 4, 3):
        levels.append(curves)
        taper = np.maximum(widths[:, None]*np.linspace(1, .6, curves.shape[1]), .4)
        paint_strands(sheet, curves, taper, bark*rng.uniform(.75, 1.2, (len(curves), 1, 1)), .5)
        curves, widths = _branches(curves, widths, children, rng)
    _foliage(sheet, np.concatenate([levels[-2][:, 4:].reshape(-1, 2), levels[-1].reshape(-1, 2)]), s, rng)
    return sheet.matte()

def _foliage(sheet, places, s, rng):
    "Leaves near the places, those behind darker."
    n = 7000
    at = places[rng.integers(len(places), size=n)] + rng.normal(0, .012*s, (n, 2))
    angle = rng.uniform(0, 2*np.pi, n)
    way = np.stack([np.sin(angle), np.cos(angle)], 1)*s*rng.uniform(.007, .016, n)[:, None]
    leaf = at[:, None] + np.linspace(0, 1, 4)[:, None]*way[:, None]
    green = np.array((((.16, .3, .08), (.42, .55, .16)), ((.45, .2, .06), (.86, .55, .12)))[int(rng.random() < .25)])
    light = np.linspace(.2, 1, n)*rng.uniform(.6, 1.1, n) + .25*((at - at.mean(0)) @ [-.7, -.5])/(.4*s)
    color = green[0] + np.clip(light, -.2, 1.2)[:, None]*(green[1] - green[0]) + .02*rng.standard_normal((n, 3))
    paint_strands(sheet, leaf, s*.0085*np.array([.3, 1, .8, .2]), np.clip(color, 0, 1)[:, None])

