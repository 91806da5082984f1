"""What a picture file may hold: read right, or refused with a word. Pixels made on the spot are the truth."""
import io
import itertools
import struct
import warnings
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from sss_nb.pictures.files import load_image

Y, X = np.mgrid[:24, :32]
RGB = np.dstack([7*X, 9*Y, 255 - 3*X - 4*Y]).astype(np.uint8)
ALPHA = (255*(X > 8)*(X + 1)/32).astype(np.uint8)

def written(tmp_path, name, data):
    (tmp_path/name).write_bytes(data)
    return tmp_path/name

def over_white(rgb, alpha): return rgb*alpha[..., None] + 1 - alpha[..., None]

def stored(values, kind):
    "Floats in [0, 1] as samples of a kind."
    return (values*np.iinfo(kind).max).round().astype(kind) if np.dtype(kind).kind == 'u' else values.astype(kind)

TIFFS = [*itertools.product(['u1', 'u2', 'f2', 'f4', 'f8'], ['rgb', 'minisblack', 'miniswhite'], ['contig', 'separate'],
                          [None, 'unassalpha', 'assocalpha'], '<>', [1, 6])]

@pytest.mark.parametrize('kind,photometric,planar,alpha,order,turn', TIFFS)
def test_tiff(tmp_path, kind, photometric, planar, alpha, order, turn):
    color = photometric == 'rgb'
    true = RGB/255 if color else RGB[..., :1]/255
    a = ALPHA/255
    if not color and planar == 'separate' and alpha is None: pytest.skip('one plane')
    shown = 1 - true if photometric == 'miniswhite' else true
    planes = shown*a[..., None] if alpha == 'assocalpha' else shown
    if alpha == 'assocalpha' and photometric == 'miniswhite': pytest.skip('premultiplied white-is-zero is not defined')
    if alpha: planes = np.dstack([planes, a])
    if turn == 6: planes = np.rot90(planes)            # tag 6: the stored picture is turned back by a quarter
    data = stored(planes, kind)
    if planar == 'separate' and data.shape[2] > 1: data = np.ascontiguousarray(np.moveaxis(data, -1, 0))
    else: data, planar = np.ascontiguousarray(data.squeeze()), 'contig'
    tifffile.imwrite(tmp_path/'a.tif', data, photometric=photometric, planarconfig=planar, byteorder=order,
                     extrasamples=[alpha] if alpha else None, metadata=None,
                     extratags=[(274, 3, 1, turn, True)])
    expected = np.repeat(true, 3, axis=2) if not color else true
    if alpha: expected = over_white(expected, a)
    tolerance = {'u1': 1.01/255, 'f2': 2e-3}.get(kind, 2e-5)
    visible = a > .1                                              # where premultiplied samples still tell the colour
    error = abs(load_image(tmp_path/'a.tif') - expected)[visible if alpha == 'assocalpha' else ...]
    assert error.max() < tolerance*(10 if alpha == 'assocalpha' else 1)

@pytest.mark.parametrize('kind', ['u1', 'u2', 'f4'])
def test_thumbnail_first(tmp_path, kind):
    full = stored(RGB/255, kind)
    with tifffile.TiffWriter(tmp_path/'a.tif') as t:
        t.write(full[::8, ::8].copy(), photometric='rgb', subfiletype=1, subifds=1, metadata=None)
        t.write(full, photometric='rgb', metadata=None)
    with tifffile.TiffWriter(tmp_path/'b.tif') as t:
        t.write(full[::8, ::8].copy(), photometric='rgb', subfiletype=1, metadata=None)
        t.write(full, photometric='rgb', metadata=None)
    for name in 'ab': assert abs(load_image(tmp_path/f'{name}.tif') - RGB/255).max() < 1e-4

def test_first_of_several_pages(tmp_path):
    tifffile.imwrite(tmp_path/'a.tif', RGB, photometric='rgb', metadata=None)
    tifffile.imwrite(tmp_path/'a.tif', 255 - RGB, photometric='rgb', metadata=None, append=True)
    assert (load_image(tmp_path/'a.tif') == RGB/255).all()

def test_raw_photographs_are_named(tmp_path):
    tifffile.imwrite(tmp_path/'a.dng', RGB[..., 0].astype('u2')*257, photometric='cfa', metadata=None)
    with pytest.raises(ValueError, match='raw photograph; develop it'): load_image(tmp_path/'a.dng')

@pytest.mark.parametrize('bits', [10, 12, 14])
@pytest.mark.parametrize('suffix', ['tif', 'png'])
def test_fewer_bits_in_sixteen(tmp_path, bits, suffix):
    from sss_nb.pictures.files import encode_png16
    values = (RGB/255*(2**bits - 1)).round().astype('u2')
    if suffix == 'tif': tifffile.imwrite(tmp_path/'a.tif', values, photometric='rgb', metadata=None)
    else: written(tmp_path, 'a.png', encode_png16(values))
    with pytest.warns(UserWarning, match=f'taken for {bits} bits'): image = load_image(tmp_path/f'a.{suffix}')
    assert abs(image - RGB/255).max() < 1e-3

def test_a_named_maximum(tmp_path):
    tifffile.imwrite(tmp_path/'a.tif', RGB.astype('u2')*20, photometric='rgb', metadata=None,
                     extratags=[(281, 3, 3, (5100, 5100, 5100), True)])
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        assert abs(load_image(tmp_path/'a.tif') - RGB/255).max() < 1e-6

def test_black_stays_black(tmp_path):
    tifffile.imwrite(tmp_path/'a.tif', np.zeros((8, 8, 3), 'u2'), photometric='rgb', metadata=None)
    assert load_image(tmp_path/'a.tif').max() == 0

def test_packed_bits_and_codecs_are_named(tmp_path):
    tags = [(256, 32), (257, 24), (258, 12), (259, 1), (262, 1), (273, 122), (277, 1), (278, 24), (279, 24*48)]
    entries = b''.join(struct.pack('<HHII', t, 4, 1, v) for t, v in tags)
    head = b'II*\0' + struct.pack('<IH', 8, 9) + entries + bytes(4)
    packed = written(tmp_path, 'a.tif', head + bytes(24*48))
    grey = Image.fromarray(RGB[..., 0].astype(np.uint16)*257)
    grey.save(tmp_path/'b.tif', compression='zstd')
    for path in (packed, tmp_path/'b.tif'):
        with pytest.raises(ValueError, match=r'sss_nb\[images\]') as told: load_image(path)
        assert 'copy it again' not in str(told.value)

@pytest.mark.parametrize('compression', ['tiff_lzw', 'tiff_adobe_deflate', 'packbits', 'raw'])
def test_sixteen_bits_in_any_common_compression(tmp_path, compression):
    Image.fromarray(RGB[..., 0].astype(np.uint16)*257).save(tmp_path/'a.tif', compression=compression)
    assert (load_image(tmp_path/'a.tif')[..., 1] == RGB[..., 0]/255).all()

@pytest.mark.parametrize('kind,channels', [('P5', 1), ('P6', 3)])
@pytest.mark.parametrize('largest', [255, 1023, 65535])
def test_portable_pixmaps(tmp_path, kind, channels, largest):
    samples = (RGB[..., :channels]/255*largest).round().astype('>u2' if largest > 255 else 'u1')
    path = written(tmp_path, 'a.pnm', f'{kind}\n# made here\n32 24\n{largest}\n'.encode() + samples.tobytes())
    expected = np.repeat(samples/largest, 3//channels, axis=2)
    assert abs(load_image(path) - expected).max() < 1e-12

def test_portable_float_map(tmp_path):
    path = written(tmp_path, 'a.pfm', b'Pf\n32 24\n-1.0\n' + (RGB[::-1, :, 0]/255).astype('<f4').tobytes())
    assert abs(load_image(path)[..., 0] - RGB[..., 0]/255).max() < 1e-6

# ---------------------------------------------------------------------------------------- colours and alpha

def chunk(kind, data): return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))

def with_chunks(image, *chunks):
    "A PNG with more chunks behind its header."
    out = io.BytesIO()
    image.save(out, 'png')
    return out.getvalue()[:33] + b''.join(chunk(*c) for c in chunks) + out.getvalue()[33:]

def s15(x): return struct.pack('>i', round(x*65536))

def profile(primaries, gamma=2.2):
    "An ICC profile with these three columns of XYZ (D50), and the tone curve v^gamma."
    columns = zip((b'rXYZ', b'gXYZ', b'bXYZ'), primaries, strict=True)
    tags = {k: b'XYZ \0\0\0\0' + b''.join(map(s15, c)) for k, c in columns}
    tags[b'wtpt'] = b'XYZ \0\0\0\0' + b''.join(map(s15, (.9642, 1, .8249)))
    for k in (b'rTRC', b'gTRC', b'bTRC'): tags[k] = b'curv\0\0\0\0' + struct.pack('>IH', 1, round(gamma*256)) + bytes(2)
    text = b'made here'
    tags[b'desc'] = b'desc\0\0\0\0' + struct.pack('>I', len(text) + 1) + text + bytes(1 + 12 + 67)
    tags[b'cprt'] = b'text\0\0\0\0none\0\0\0\0'
    body, table = b'', struct.pack('>I', len(tags))
    for k, v in tags.items():
        v += bytes(-len(v) % 4)
        table += k + struct.pack('>II', 128 + 4 + 12*len(tags) + len(body), len(v))
        body += v
    head = struct.pack('>I4sI4s4s4s', 128 + len(table) + len(body), b'lcms', 0x02100000, b'mntr', b'RGB ', b'XYZ ')
    head += struct.pack('>6H4s', 2026, 1, 1, 0, 0, 0, b'acsp') + bytes(28) + b''.join(map(s15, (.9642, 1, .8249)))
    return head + bytes(128 - len(head)) + table + body

P3 = ((.5151, .2412, -.0011), (.2920, .6922, .0419), (.1571, .0666, .7841))

def p3_as_srgb():
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile(P3)))
    return np.asarray(ImageCms.profileToProfile(Image.fromarray(RGB), source, ImageCms.createProfile('sRGB')))/255

@pytest.mark.parametrize('name', ['a.png', 'a.tif', 'deep.tif', 'float.tif'])
def test_colour_profiles(tmp_path, name):
    expected, path = p3_as_srgb(), tmp_path/name
    assert abs(expected - RGB/255).mean() > .01
    kinds = {'deep.tif': RGB.astype('u2')*257, 'float.tif': (RGB/255).astype('f4')}
    if name in kinds: tifffile.imwrite(path, kinds[name], photometric='rgb', metadata=None, iccprofile=profile(P3))
    else: Image.fromarray(RGB).save(path, icc_profile=profile(P3))
    assert abs(load_image(path) - expected).max() < 1e-6

def test_the_profile_of_srgb_changes_nothing(tmp_path):
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile('sRGB')).tobytes()
    Image.fromarray(RGB).save(tmp_path/'a.png', icc_profile=srgb)
    assert (load_image(tmp_path/'a.png') == RGB/255).all()

def test_a_damaged_profile_is_told(tmp_path):
    Image.fromarray(RGB).save(tmp_path/'a.png', icc_profile=b'no profile')
    with pytest.warns(UserWarning, match='taken for sRGB'): image = load_image(tmp_path/'a.png')
    assert (image == RGB/255).all()

def test_tone_curve_of_a_png(tmp_path):
    linear = written(tmp_path, 'a.png', with_chunks(Image.fromarray(RGB), (b'gAMA', struct.pack('>I', 100000))))
    light = RGB/255
    tone = np.where(light <= .0031308, 12.92*light, 1.055*light**(1/2.4) - .055)
    assert abs(load_image(linear) - tone).max() < 1e-9
    usual = written(tmp_path, 'b.png', with_chunks(Image.fromarray(RGB), (b'gAMA', struct.pack('>I', 45455))))
    chunks = (b'sRGB', b'\0'), (b'gAMA', struct.pack('>I', 90000))
    both = written(tmp_path, 'c.png', with_chunks(Image.fromarray(RGB), *chunks))
    for path in (usual, both): assert (load_image(path) == RGB/255).all()

@pytest.mark.parametrize('mode', ['L', 'RGB'])
@pytest.mark.parametrize('deep', [False, True])
def test_a_colour_that_is_transparent(tmp_path, mode, deep):
    from sss_nb.pictures.files import encode_png16
    samples = RGB if mode == 'RGB' else RGB[..., :1]
    key = samples[3, 4]
    clear = (samples == key).all(-1)
    peak = 257 if deep else 1
    body = encode_png16(samples.astype('u2')*257) if deep else None
    trns = (b'tRNS', struct.pack(f'>{len(key)}H', *(int(k)*peak for k in key)))
    if deep: data = body[:33] + chunk(*trns) + body[33:]
    else: data = with_chunks(Image.fromarray(samples.squeeze()), trns)
    expected = np.where(clear[..., None], 1, np.broadcast_to(samples, RGB.shape)/255)
    assert abs(load_image(written(tmp_path, 'a.png', data)) - expected).max() < 1e-9

def test_a_large_picture_with_alpha_takes_no_more_than_one_without(tmp_path):
    from house import python
    code = '''
import resource, sys
from sss_nb.pictures.files import load_image
load_image(sys.argv[1])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss*1024)'''
    peak = {}
    for mode in ('RGB', 'RGBA'):
        Image.new(mode, (4000, 3000), 'teal').save(tmp_path/f'{mode}.png')
        peak[mode] = int(python(code, tmp_path/f'{mode}.png').stdout)
    assert peak['RGBA'] < 1.3*peak['RGB']

def test_the_limit_of_pixels_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 300)
    Image.fromarray(RGB).save(tmp_path/'a.png')
    with pytest.raises(ValueError, match='million pixels, got more; make it smaller') as told:
        load_image(tmp_path/'a.png')
    assert 'copy it again' not in str(told.value)

def test_heic_is_named(tmp_path):
    path = written(tmp_path, 'a.heic', b'\0\0\0\x18ftypheic\0\0\0\0mif1heic' + bytes(100))
    with pytest.raises(ValueError, match=r"HEIC; install .*sss_nb\[images\]"): load_image(path)

@pytest.mark.parametrize('kind', ['u4', 'i2', 'i4', 'u8', 'c8'])
def test_other_kinds_are_refused(tmp_path, kind):
    tifffile.imwrite(tmp_path/'a.tif', RGB[..., 0].astype(kind), photometric='minisblack', metadata=None)
    with pytest.raises(ValueError): load_image(tmp_path/'a.tif')
