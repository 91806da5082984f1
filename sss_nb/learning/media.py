#| export
import numpy as np
from scipy.ndimage import gaussian_filter

from sss_nb.learning.strands import Sheet, paint_strands, pixels
from sss_nb.learning.textures import noise, over, plane, ramp, smoothstep, tinted, unmixed, warped


#| export
def _flames(size, rng):
    "How hot it is, (h, w): above 0 inside the flames."
    y, x = plane(size)
    s = min(size)
    base, wide, tall = .3, rng.uniform(.2, .3), rng.uniform(.55, .75)
    up = (base - y)/tall                                        # 0 at the logs, 1 at the tips
    lick = noise(size, s/4, rng, 3, (1.6, 1))*(.02 + .07*up.clip(0, 1.3))
    fine = noise(size, s/10, rng, 2.5, (1.5, 1))*(.006 + .02*up.clip(0, 1.3))
    aside = np.abs(x + lick + fine + .04*np.sin(5*y + rng.uniform(0, 7)))/wide
    body = 1 - smoothstep(aside, 0, 1.15 - .5*up.clip(0, 1)) - .95*up.clip(0, 2)**1.5
    rise = np.abs(noise(size, s/5, rng, 2.2, (3.2, 1)))        # ridges that stand upright
    tongues = warped(rise, 9*s/320*fine/.02, s*(lick + fine))
    heat = 1.1*body + .55*(.75 - tongues)*(.35 + up.clip(0, 1))
    return heat*smoothstep(-up, .06, -.04)

def _logs(size, rng):
    "Charred logs, a matte."
    sheet, s = Sheet(size), min(size)
    for tilt in rng.permutation([-.08, .02, .1])[:rng.integers(2, 4)]:
        x = np.linspace(-.34, .34, 40) + rng.uniform(-.05, .05)
        p = np.stack([.32 + tilt*x*2.2 + .02*rng.standard_normal(), x], -1)[None]
        char = np.array((.13, .09, .07))*(1 + .5*rng.standard_normal((1, 40, 1)).clip(-1, 2))
        paint_strands(sheet, pixels(p, size), s*rng.uniform(.06, .085), char, .7)
    grain = 1 + .35*noise(sheet.cover.shape, s/6, rng, 1.3, (1, 8))
    y, x = sheet.plane()
    glow = smoothstep(noise(sheet.cover.shape, s/5, rng, 1.6, (1, 2)), .6, 1.8)[..., None]*np.array((.9, .3, .04))
    sheet.color = np.clip(sheet.color*grain[..., None] + glow, 0, 1).astype(np.float32)
    return sheet.matte()

def _sparks(size, rng):
    "Glowing bits that fly up, a matte."
    sheet, s, n = Sheet(size), min(size), int(rng.integers(15, 60))
    at = np.stack([rng.uniform(-.48, .2, n), rng.normal(0, .17, n)], 1)
    way = rng.normal(0, .012, (n, 2)) - [.012, 0]
    path = at[:, None] + np.linspace(0, 1, 5)[:, None]*way[:, None]
    paint_strands(sheet, pixels(path, size), s/320*rng.uniform(.4, 1.2, n)[:, None], np.array((1, .62, .2)))
    return sheet.matte(.5)

def fire(size, rng):
    "Flames on logs: where it is hotter they are paler and hide more."
    heat = _flames(size, rng)
    hot = gaussian_filter(heat, .6)
    color = ramp(hot*.95, (.45, .04, 0), (.86, .2, .02), (1, .5, .06), (1, .78, .25), (1, .95, .68), (1, .98, .86))
    flames = color, smoothstep(heat, .03, .75).astype(np.float32)
    return over(over(flames, _sparks(size, rng)), _logs(size, rng))


#| export
def smoke_cloud(size, rng):
    "A plume or a cloud, lit from one side; it hides what is behind by Beer's law."
    y, x = plane(size)
    s, rising = min(size), rng.random() < .6
    side, up = (s*a*noise(size, s/2.2, rng, 3) for a in (.06, .05))
    lumps = warped(noise(size, s/3, rng, 2.1), up, side) + .5*warped(noise(size, s/8, rng, 2.), .5*up, .5*side)
    if rising:
        t = .42 - y                                             # from the source up
        bend = rng.uniform(-.35, .35)*t.clip(0)**1.6
        reach = .03 + rng.uniform(.22, .36)*t.clip(0)**.9
        mask = 1.25 - ((x - bend)/reach)**2 - 3*smoothstep(-t, -.03, .08) - 1.6*smoothstep(t, .45, .95)
    else: mask = 1.3 - (y/.27)**2 - (x/.4)**2
    density = np.maximum(mask.clip(-3) + .62*lumps, 0)**1.25
    alpha = 1 - np.exp(-rng.uniform(1.6, 3.2)*density)
    soft = gaussian_filter(density + .25*lumps, s/70)
    angle = rng.uniform(-2.6, -.5)
    slope = -(np.gradient(soft, axis=0)*np.sin(angle) + np.gradient(soft, axis=1)*np.cos(angle))*s/26
    grey = rng.choice([.25, .55, .78], p=[.2, .3, .5])
    light = grey + .15*np.tanh(.8*slope) + .06*lumps - .07*smoothstep(density, .5, 2.5)
    tint = np.array([1, 1, 1]) + rng.normal(0, .02, 3) + [-.01, 0, .015]
    color = np.clip(light[..., None]*tint, 0, 1)
    return unmixed(color*alpha[..., None], alpha)


#| export
def silk(size, rng):
    "A veil: the cloth hides the more, the steeper it falls and the more layers lie behind each other."
    y, x = plane(size)
    s = min(size)
    hang = -.4 + .04*np.sin(4*x + rng.uniform(0, 7))
    low = rng.uniform(.28, .42) + .05*np.sin(9*x + rng.uniform(0, 7)) + .02*np.sin(23*x)
    half = rng.uniform(.26, .38)*(1 + rng.uniform(-.2, .4)*y) + .02*np.sin(11*y + rng.uniform(0, 7))
    drift = rng.uniform(-.3, .3)*y**2 + .02*noise(size, s/1.5, rng, 4)
    fold = np.zeros(size)
    slope = np.zeros(size)
    for k in rng.uniform(6, 34, 6):
        phase = 2*np.pi*k*(x + drift)*(1 + .15*y) + rng.uniform(0, 7)
        amount = 1/k**.6*(1 + .5*noise(size, s/2, rng, 4, (4, 1)))
        fold, slope = fold + amount*np.sin(phase), slope + amount*np.cos(phase)
    steep = np.abs(slope)/slope.std()
    thick = rng.uniform(.22, .5)*(1 + 1.1*steep**1.6)
    edge = np.minimum(np.minimum(y - hang, low - y), half - np.abs(x + drift))
    hem = np.exp(-((edge - .006)/.006)**2)
    inside = smoothstep(edge, 0, .006)
    alpha = (1 - np.exp(-thick*(1 + 1.4*hem)))*inside
    rod = smoothstep(.02 - np.abs(y - hang), 0, .003)*smoothstep(half + .05 - np.abs(x + drift), 0, .003)
    dye = np.array(tinted(((.75, .12, .2), (.93, .92, .9), (.2, .35, .7), (.85, .6, .2), (.5, .2, .55), (.1, .45, .42))
                          [rng.integers(6)], rng))
    light = .78 + .2*np.tanh(1.2*slope/slope.std()) + .08*fold/fold.std()
    color = np.clip(dye*light[..., None] + .16*smoothstep(slope/slope.std(), 1, 2.4)[..., None], 0, 1)
    metal = ramp((y - hang)/.04 + .5, (.3, .28, .26), (.85, .83, .8), (.45, .43, .4), (.2, .19, .18))
    return over((metal, rod.astype(np.float32)), unmixed(color*alpha[..., None], alpha))


#| export
def _tap(size, rng):
    "A metal spout at the upper edge, a matte, in `plane` coordinates."
    y, x = plane(size)
    half = .085 + .018*smoothstep(np.abs(y + .31), .035, .02) - .03*smoothstep(y, -.45, -.33)
    inside = smoothstep(half - np.abs(x), 0, .004)*smoothstep(-.28 + .006*np.cos(12*x) - y, 0, .004)
    u = np.clip(x/half, -1, 1)
    metal = ramp(.5 + .5*u + .04*np.sin(9*y), (.12, .12, .13), (.5, .52, .55), (.95, .96, .97), (.62, .64, .67),
                 (.22, .23, .25), (.55, .56, .58), (.3, .3, .32))
    return np.clip(metal*tinted((.95, .95, .95), rng), 0, 1).astype(np.float32), inside.astype(np.float32)

def _drop(y, x, sharp):
    "Colour and opacity of a drop at its own coordinates: radius 1, pointed above by `sharp`."
    taper = 1 - sharp*np.clip(-y, 0, 2)*.55
    u = x/np.maximum(taper, .12)
    v = np.where(y < 0, y/(1 + sharp), y)
    r = np.hypot(v, u)
    inside = 1 - r
    rim = smoothstep(r, .55, .97)
    caustic = np.exp(-((v - .55)**2/.06 + u**2/.22))            # the light that the drop gathers below
    glint = smoothstep(np.hypot((v + .38)/.9, (u + .34)/.7), .2, .12)
    second = smoothstep(np.hypot((v - .3)/.5, (u - .52)/.3), .25, .1)
    dark = .52 - .34*rim*(1 - .5*smoothstep(v, .2, .9)) - .12*smoothstep(-v, 0, .9)
    grey = np.maximum(dark + .55*caustic, np.maximum(glint, .8*second))
    alpha = .2 + .72*rim**1.5 + .42*caustic + .15*smoothstep(-v, .2, .9)
    return grey, np.maximum(alpha, np.maximum(glint, .85*second)).clip(0, 1), inside

def water_drop(size, rng):
    "Drops that fall from a tap: dark rims, a glint, and the light they gather below."
    y, x = plane(size)
    color, alpha = np.full((*size, 3), .5, np.float32), np.zeros(size, np.float32)
    tint = np.array([.93, .98, 1.03])*(1 + .04*rng.standard_normal(3))
    places = [(-.2, .01*rng.standard_normal(), rng.uniform(.05, .08), rng.uniform(.5, .9))]
    places += [(rng.uniform(-.12, .46), rng.normal(0, .14), .011 + .07*rng.random()**1.8, rng.choice([0, .1, .5]))
               for _ in range(rng.integers(12, 30))]
    for py, px, r, sharp in sorted(places, key=lambda p: p[2]):
        at = np.s_[_span(y, py, 2.3*r), _span(x, px, 1.3*r)]
        if not alpha[at].size: continue
        v, u = (y[at[0]] - py)/r, (x[:, at[1]] - px)/r
        grey, a, inside = _drop(v, u, sharp)
        a = a*smoothstep(inside, 0, 1.5/(r*min(size)))
        color[at], alpha[at] = over((np.clip(grey[..., None]*tint, 0, 1), a), (color[at], alpha[at]))
    return over(_tap(size, rng), unmixed(color*alpha[..., None], alpha))

def _span(t, middle, half):
    "The slice of a coordinate within `half` of a middle."
    return slice(*np.searchsorted(t.ravel(), [middle - half, middle + half]))


#| export
def water_spray(size, rng):
    "A splash: droplets on their ballistic ways, sharp or blurred, above a crest of white water."
    h, w = size
    s, n = min(size), 5200
    jets = rng.uniform(-.28, .28, 7), rng.uniform(-1.35, 1.35, 7)
    jet = rng.integers(7, size=n)
    angle = .55*jets[1][jet] + rng.normal(0, .2, n)
    speed = (1.2 + .35*rng.standard_normal(7))[jet].clip(.5, 1.6)*rng.uniform(.35, 1.05, n)
    t = rng.beta(1.1, 1.6, n)
    y = .34 - speed*np.cos(angle)*t + .62*t**2
    x = jets[0][jet] + .85*speed*np.sin(angle)*t
    fall = np.stack([-speed*np.cos(angle) + 1.24*t, .85*speed*np.sin(angle)], 1)
    mist = _splash(size, y, x, s, rng)
    sheet = Sheet(size)
    r = s/320*(.35 + 2.3*rng.random(n)**6)
    seen = y < .36
    tail = fall/np.linalg.norm(fall, axis=1, keepdims=True)*rng.uniform(.001, .014, n)[:, None]
    path = np.stack([y, x], 1)[:, None] + np.linspace(-.5, .5, 5)[:, None]*tail[:, None]
    grey = np.clip(.88 + .12*rng.standard_normal((n, 1, 1)), .45, 1)*[.95, .98, 1]
    paint_strands(sheet, pixels(path[seen], size), r[seen, None]*[.6, 1, 1, 1, .6], grey[seen], .25)
    return over(_crest(size, rng), over(sheet.matte(.55), mist))

def _splash(size, y, x, s, rng):
    "The fine mist of droplets too small to see, a matte."
    h, w = size
    count, _, _ = np.histogram2d(y*s + h/2, x*s + w/2, bins=size, range=[[0, h], [0, w]])
    thick = .5*gaussian_filter(count, .02*s) + .25*gaussian_filter(count, .006*s)
    alpha = 1 - np.exp(-1.1*thick*(1 + .35*noise(size, s/12, rng, 1.6)).clip(.1))
    grey = .86 + .06*noise(size, s/15, rng, 1.8)
    return unmixed(np.clip(grey[..., None]*[.95, .98, 1], 0, 1)*alpha[..., None], alpha)

def _crest(size, rng):
    "Foaming water along the lower edge, a matte."
    y, x = plane(size)
    s = min(size)
    top = .33 + .022*np.sin(6*x + rng.uniform(0, 7)) + .02*noise(size, s/6, rng, 2)
    foam = noise(size, s/7, rng, 1.35, (.7, 1.6))
    deep = smoothstep(y - top, 0, .2)
    white = smoothstep(foam, -.7, 1.2)*(1 - .75*deep) + .3*(1 - deep)
    blue = np.array(tinted((.16, .36, .42), rng))*(1 + .12*foam[..., None])
    color = np.clip((1 - white[..., None])*blue + white[..., None]*[.93, .96, .97], 0, 1)
    alpha = smoothstep(y - top + .012*foam, -.012, .022)
    return color.astype(np.float32), alpha.astype(np.float32)

